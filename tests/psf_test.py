"""Point-spread functions against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur.errors import UserError
from jaxdeblur.optics import psf

# Each with the variance along x and y of a uniform aperture of radius 8 px.
HEXAGON = 5 / 24 * 8 ** 2  # Of circumradius r: 5 r^2 / 24.
FAMILIES = {
    'disc': (lambda r, size: psf.disc(r, size=size), 16),
    'hexagon': (
        lambda r, size: psf.polygon(r, 6, 0.3, size=size), HEXAGON),
    'square': (lambda r, size: psf.polygon(r, 4, size=size), 8 ** 2 / 6),
    'gaussian': (lambda r, size: psf.gaussian(r / 2, size), 16 + 1 / 12),
}


@pytest.mark.parametrize('radius', [0, 0.3, 1, 2, 3.5, 5, 12.25])
@pytest.mark.parametrize('edge', [0.01, 1, 2.5])
def test_a_disc_keeps_light_and_is_round(radius, edge):
  disc = np.asarray(psf.disc(radius, edge))
  assert disc.shape[0] == disc.shape[1] and disc.shape[0] % 2 == 1
  assert disc.min() >= 0
  assert disc.sum() == pytest.approx(1, abs=1e-6)
  np.testing.assert_allclose(disc, np.rot90(disc), atol=1e-7)
  np.testing.assert_allclose(disc, disc[::-1], atol=1e-7)


def test_radius_0_is_a_point():
  np.testing.assert_array_equal(psf.disc(0), [[1]])
  point = np.zeros((5, 5))
  point[2, 2] = 1
  np.testing.assert_allclose(psf.disc(0, size=5), point, atol=1e-6)
  np.testing.assert_allclose(psf.gaussian(0.0, 5), point, atol=1e-6)


@pytest.mark.parametrize('family', FAMILIES)
def test_families_have_the_variance_of_their_shape(family):
  """Pixels widen a uniform shape by 1/12 and soft borders by less."""
  make, expected = FAMILIES[family]
  kernel = make(8.0, 81)
  assert kernel.sum() == pytest.approx(1, abs=1e-5) and kernel.min() >= 0
  np.testing.assert_allclose(psf.centroid(kernel), 0, atol=1e-4)
  np.testing.assert_allclose(psf.variance(kernel), expected, rtol=0.02)


def test_a_border_in_proportion_has_the_variance_of_its_profile():
  """A disc that falls linearly from r - e/2 to r + e/2, integrated by hand."""
  radius, edge = 8.0, 3.2
  distance = np.linspace(0, 12, 200_001)
  profile = np.clip((radius - distance) / edge + 0.5, 0, 1)
  expected = (profile * distance ** 3).sum() / (profile * distance).sum() / 2
  np.testing.assert_allclose(
      psf.variance(psf.disc(radius, edge)), expected, rtol=0.01)


def test_the_rims_brighten_the_border():
  plain, bright = psf.disc(6), psf.disc(6, rim=0.5)
  assert bright[6, 6] < plain[6, 6] and bright[6, 11] > plain[6, 11]


def test_a_tilt_moves_light_to_one_side():
  """Of a disc by tilt r / 4 in its direction, which nothing else follows."""
  tilted = psf.aperture(8, tilt=0.4, tilt_direction=np.pi / 2)
  np.testing.assert_allclose(psf.centroid(tilted), [0, 0.8], atol=0.03)


def test_a_stretch_keeps_the_area():
  long = psf.aperture(8, stretch=1.2, direction=0.0, size=25)
  np.testing.assert_allclose(
      psf.variance(long), np.array([1.2, 1 / 1.2]) ** 2 * 16, rtol=0.02)


def test_a_cats_eye_is_what_two_discs_share():
  """The lens of two discs at a distance d has a known area."""
  radius, shift = 10.0, 0.8
  d = shift * radius
  area = (2 * radius ** 2 * np.arccos(d / 2 / radius)
          - d / 2 * np.sqrt(4 * radius ** 2 - d ** 2))
  eye = np.asarray(psf.cat_eye(radius, shift, 0.0, 0.2, size=25))
  assert 1 / eye.max() == pytest.approx(area, rel=0.01)
  # It is narrower along the shift, and lies in the middle.
  along, across = np.asarray(psf.variance(eye))
  assert along < across
  np.testing.assert_allclose(psf.centroid(eye), 0, atol=0.02)


def test_rdpds_kernel_is_that_of_its_formula():
  """Written out with NumPy and OpenCV's Gaussian; SPEC_OPTICS 11b."""
  radius, order, ratio, floor = 7, 6, 2.5, 0.1
  side = 2 * radius + 1
  y, x = np.mgrid[:side, :side] - radius
  square = x ** 2 + y ** 2
  cutoff = (side - 1) / ratio
  grown = np.exp((square / cutoff ** 2) ** order)
  with np.errstate(invalid='ignore', over='ignore'):
    profile = np.where(np.isinf(grown), 1, grown / (1 + grown))
  inside = square <= radius ** 2
  low, high = profile[inside].min(), profile[inside].max()
  profile = (floor + (1 - floor) * (profile - low) / (high - low)) * inside
  taps = round(side / 7) + 1
  taps += 1 - taps % 2
  deviation = 0.3 * ((taps - 1) / 2 - 1) + 0.8
  offsets = np.arange(taps) - taps // 2
  weights = np.exp(-offsets ** 2 / (2 * deviation ** 2))
  weights /= weights.sum()
  expected = np.pad(profile, taps // 2)
  for axis in (0, 1):
    expected = np.apply_along_axis(
        np.convolve, axis, expected, weights, 'same')
  expected /= expected.sum()
  np.testing.assert_allclose(
      psf.butterworth(radius, order, ratio, floor), expected, atol=1e-6)


def test_impossible_kernels_are_refused():
  with pytest.raises(UserError, match='radius of at least 0'):
    psf.disc(-1)
  with pytest.raises(UserError, match='edge above 0'):
    psf.disc(1, edge=0)
  with pytest.raises(UserError, match='radius nan'):
    psf.disc(float('nan'))
  with pytest.raises(UserError, match=r'needs a kernel of 9 x 9 px; got 5 x 5'):
    psf.disc(4, size=5)
  with pytest.raises(UserError, match='odd size; got 6'):
    psf.gaussian(1.0, 6)


def measure_separation(left, right):
  return float((psf.centroid(right) - psf.centroid(left))[0])


@pytest.mark.parametrize('radius', [6.0, -6.0, 12.0])
@pytest.mark.parametrize('softness, share', [
    (1e-3, 8 / (3 * np.pi)), (1.0, 0.5), (1.19, 0.42), (2.0, 0.25)])
def test_views_lie_apart_as_far_as_the_split_is_hard(radius, softness, share):
  """Half a disc's centroid lies 4 r / (3 pi) from its straight side; a ramp
  over the whole disc moves each centroid by r / 4."""
  whole = psf.disc(abs(radius), edge=0.1)
  left, right = psf.split(whole, radius, softness)
  assert measure_separation(left, right) == pytest.approx(
      share * radius, rel=0.02)
  np.testing.assert_allclose((left + right) / 2, whole, atol=1e-6)
  np.testing.assert_allclose(left[:, ::-1], right, atol=1e-7)


def test_as_much_light_falls_on_the_other_half_as_was_measured():
  """25 to 37 % of a view's light, on the Pixel 4."""
  left, _ = psf.split(psf.disc(11.0, 4.5), 11.0, 1.19)
  columns = np.arange(left.shape[1]) - left.shape[1] // 2
  other = float(left[:, columns > 0].sum() + left[:, columns == 0].sum() / 2)
  assert 0.25 < other < 0.37


@pytest.mark.parametrize('radius', [0, 1.5, 4, -4, 12])
def test_half_discs_make_the_disc(radius):
  left, right = psf.half_discs(radius)
  assert left.sum() == pytest.approx(1, abs=1e-6)
  np.testing.assert_allclose(
      (left + right) / 2, psf.disc(abs(radius)), atol=1e-7)


@pytest.mark.parametrize('side', [3.0, 8.5, -8.5, 20.0])
def test_a_split_square_moves_by_half_its_side(side):
  left, right = psf.split_square(side)
  # Both views share the middle pixel, whose light counts as in its middle.
  assert measure_separation(left, right) == pytest.approx(
      side / 2, abs=0.51 / abs(side))
  together = (left + right) / 2
  assert psf.variance(together)[1] == pytest.approx(
      side ** 2 / 12 + 1 / 12, abs=0.26)
  assert together.max() == pytest.approx(1 / side ** 2, rel=0.01)


def test_a_translating_disc_is_the_sum_of_its_products():
  """Punnappurath 2020, Eq. 6, shift by shift."""
  disc = np.asarray(psf.disc(5.0))
  reach = disc.shape[1]
  total = np.zeros_like(disc)
  for i in range(reach + 1):
    shifted = np.zeros_like(disc)
    shifted[:, i:] = disc[:, :reach - i]
    total += disc * shifted
  left, right = psf.split_by_translation(jnp.asarray(disc), 5.0)
  np.testing.assert_allclose(right, total / total.sum(), atol=1e-6)
  np.testing.assert_allclose(left[:, ::-1], right, atol=1e-6)
  assert measure_separation(left, right) > 0
  swapped, _ = psf.split_by_translation(jnp.asarray(disc), -5.0)
  np.testing.assert_allclose(swapped, right)


def test_all_families_have_derivatives_and_run_in_batches():
  """Where the radius is 0, too, and at the middle pixel of every shape."""
  def spread(radius, blades, shift):
    kernel = psf.aperture(
        radius, edge=1 + 0.4 * radius, blades=blades, roundness=0.3,
        shift=shift, direction=0.5, tilt=0.2, stretch=1.1, size=15)
    left, right = psf.split(kernel, radius)
    return (psf.variance(kernel).sum() + psf.centroid(right - left + kernel)[0]
            + psf.variance(psf.gaussian(radius, 15)).sum())

  gradient = jax.jit(jax.vmap(jax.grad(spread, (0, 1, 2))))
  radii = jnp.array([0.0, 0.5, 3.0, 5.0])
  for slopes in gradient(radii, jnp.full(4, 6.0), jnp.full(4, 0.2)):
    assert np.isfinite(slopes).all()
  # A larger disc is wider, at the rate r / 2 along each axis.
  slope = jax.grad(lambda r: psf.variance(psf.disc(r, size=41))[0])(8.0)
  assert slope == pytest.approx(4, rel=0.05)
