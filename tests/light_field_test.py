"""Light fields: refocusing, apertures, dual-pixel views, reading."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from data_pipelines.light_fields import read_light_field
from jaxdeblur.optics import light, light_field as lf, psf, rendering

RADIUS = 3.0

refocus = jax.jit(lf.refocus)
render = jax.jit(lf.render)


def field_of(picture, disparity, counts=(7, 7)):
  """Views of a flat scene, whose pixels move by whole numbers."""
  rows, columns = counts
  return lf.LightField(jnp.asarray([
      [np.roll(picture, (-disparity * (v - rows // 2),
                         -disparity * (u - columns // 2)), (0, 1))
       for u in range(columns)] for v in range(rows)]))


def point_field(disparity, size=31):
  point = np.zeros((size, size, 3), np.float32)
  point[size // 2, size // 2] = 1
  return field_of(point, disparity)


def wave_field(disparity, size=48):
  """A scene of waves of 12 and 16 px, known between pixels."""
  y, x = np.mgrid[:size, :size].astype(np.float32)

  def view(v, u):
    wave = (np.sin(2 * np.pi * (x + disparity * u) / 12)
            * np.cos(2 * np.pi * (y + disparity * v) / 16))
    return np.repeat(0.5 + 0.4 * wave[..., None], 3, axis=-1)

  grid = range(-3, 4)
  return lf.LightField(jnp.asarray([[view(v, u) for u in grid] for v in grid]))


@pytest.fixture(scope='module')
def texture():
  return np.random.default_rng(0).random((40, 36, 3), np.float32)


@pytest.mark.parametrize('disparity', [-2, 0, 1])
def test_a_plane_in_focus_is_exactly_sharp(texture, disparity):
  """All views show one picture after whole shifts: not one digit is lost but
  those of the sum."""
  field = field_of(texture, disparity)
  weights = lf.synthetic_aperture(field.counts, RADIUS)
  focused = refocus(field, float(disparity), weights)
  inside = np.s_[8:-8, 8:-8]
  np.testing.assert_allclose(focused[inside], texture[inside], atol=2e-6)


@pytest.mark.parametrize('disparity', [0.25, -0.5, 1.37])
def test_a_plane_between_pixels_is_sharp(disparity):
  field = wave_field(disparity)
  weights = lf.synthetic_aperture(field.counts, RADIUS)
  focused = refocus(field, disparity, weights)
  inside = np.s_[8:-8, 8:-8]
  # Cubic interpolation errs by 5e-4 here.
  np.testing.assert_allclose(focused[inside], field.sharp[inside], atol=1e-3)


@pytest.mark.parametrize('behind', [1, -1])
def test_a_point_spreads_into_the_aperture(behind):
  """One pixel from view to view: the picture of a point is the aperture, as it
  is behind the focus and turned by 180 degrees in front of it."""
  weights = np.array(lf.synthetic_aperture((7, 7), RADIUS))
  weights[:, 4:] *= 0.5  # So that its direction shows.
  weights /= weights.sum()
  focused = refocus(
      point_field(0), float(behind), jnp.asarray(weights))
  expected = np.zeros((31, 31))
  expected[12:19, 12:19] = weights[::behind, ::behind]
  np.testing.assert_allclose(focused[..., 0], expected, atol=1e-6)


@pytest.mark.parametrize('disparity', [-3, -1, 2])
def test_the_blur_has_the_diameter_of_the_defocus_map(disparity):
  """A disc of diameter D has variance D^2 / 16 along each axis. The soft edge
  and the few views of the aperture widen it by up to a tenth."""
  weights = lf.synthetic_aperture((7, 7), RADIUS)
  focused = refocus(point_field(disparity), 0.0, weights)
  diameter = lf.defocus_map(jnp.full((2, 2), float(disparity)), 0.0, RADIUS)
  np.testing.assert_array_equal(diameter, -2 * RADIUS * disparity)
  np.testing.assert_allclose(
      psf.variance(focused[..., 0]), diameter[0] ** 2 / 16, rtol=0.1)


@pytest.mark.parametrize('counts', [(7, 7), (3, 9), (1, 5)])
def test_an_aperture_is_round_and_keeps_light(counts):
  weights = lf.synthetic_aperture(counts, min(2.0, max(counts) / 2))
  assert weights.shape == counts
  assert weights.min() >= 0
  assert weights.sum() == pytest.approx(1)
  np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-7)


def test_the_smallest_aperture_is_the_centre_view(texture):
  field = field_of(texture, 1)
  weights = lf.synthetic_aperture(field.counts, 0.0)
  np.testing.assert_allclose(
      refocus(field, -2.0, weights), field.sharp, atol=1e-6)
  np.testing.assert_array_equal(field.sharp, texture)


@pytest.mark.parametrize('softness', [1e-3, 0.5, 1.2])
def test_the_halves_make_the_whole(texture, softness):
  field = field_of(texture, 1)
  whole = lf.synthetic_aperture(field.counts, RADIUS)
  left, right = lf.split_aperture(whole, RADIUS, softness)
  np.testing.assert_allclose(left + right, whole, atol=1e-7)
  np.testing.assert_allclose(left[:, ::-1], right, atol=1e-7)
  views = render(field, 0.0, RADIUS, softness)
  np.testing.assert_allclose(
      left.sum() * views['left'] + right.sum() * views['right'],
      views['center'], atol=1e-6)


def test_hard_halves_share_the_middle_column():
  left, right = lf.split_aperture(jnp.ones((3, 5)), 2.0, softness=1e-3)
  np.testing.assert_array_equal(left, [[1, 1, 0.5, 0, 0]] * 3)
  np.testing.assert_array_equal(right, [[0, 0, 0.5, 1, 1]] * 3)


@pytest.mark.parametrize('behind', [2, -2])
def test_the_halves_lie_as_far_apart_as_split_kernels(behind):
  """Behind the focus the left view's content moves to the left, in front of it
  to the right, as `psf.split` says of a radius with that sign."""
  views = render(point_field(0), float(behind), RADIUS)
  moved = (psf.centroid(views['right'][..., 0])
           - psf.centroid(views['left'][..., 0]))
  radius = RADIUS * behind
  kernels = psf.split(psf.disc(abs(radius), size=31), radius)
  expected = psf.centroid(kernels[1]) - psf.centroid(kernels[0])
  assert np.sign(moved[0]) == np.sign(behind)
  np.testing.assert_allclose(moved, expected, rtol=0.1, atol=1e-5)


def test_refocusing_is_jitted_over_many_planes(texture):
  field = field_of(texture, 1)
  weights = lf.synthetic_aperture(field.counts, RADIUS)
  planes = jnp.array([-1.0, 0.3, 1.0])
  stack = jax.jit(jax.vmap(lf.refocus, in_axes=(None, 0, None)))(
      field, planes, weights)
  for plane, focused in zip(planes, stack):
    np.testing.assert_allclose(
        focused, refocus(field, float(plane), weights), atol=1e-5)


@pytest.mark.parametrize('disparity', [0.0, 0.43, -1.2])
def test_the_slope_along_the_disparity_is_right(disparity):
  """A cubic's slope has no jumps, so differences agree, also on whole pixels.
  """
  field = wave_field(0.7)
  weights = lf.synthetic_aperture(field.counts, RADIUS)

  @jax.jit
  def contrast(plane):
    return jnp.square(refocus(field, plane, weights)[8:-8, 8:-8]).mean()

  slope = jax.grad(contrast)(disparity)
  step = 1e-2
  difference = (contrast(disparity + step) - contrast(disparity - step)) / (
      2 * step)
  assert np.isfinite(slope)
  np.testing.assert_allclose(slope, difference, rtol=0.05, atol=2e-3)


def test_impossible_apertures_are_refused(texture):
  with pytest.raises(ValueError, match=r'odd numbers of views.* got 4 x 5'):
    lf.synthetic_aperture((4, 5), 1.0)
  for radius in (-1.0, 3.6, float('nan')):
    with pytest.raises(ValueError, match='does not fit 7 x 7 views'):
      lf.synthetic_aperture((7, 7), radius)
  with pytest.raises(ValueError, match='weights for 5 x 5 views'):
    lf.refocus(field_of(texture, 1), 1.0, jnp.ones((5, 5)))


@pytest.fixture
def folder(tmp_path):
  """3 x 3 views in 16 bits and a picture that is none of them."""
  for number in range(9):
    write(tmp_path / f'input_Cam{number + 1:03}.png', number)
  write(tmp_path / 'depth.png', 0)
  return tmp_path


def write(file, value, size=(6, 5)):
  Image.fromarray(np.full(size, 7000 * value, np.uint16)).save(file)


def test_views_are_read_row_by_row(folder):
  field = read_light_field(folder)
  assert field.views.shape == (3, 3, 6, 5, 3)
  expected = light.to_linear(7000 * np.arange(9) / 65535).reshape(3, 3)
  np.testing.assert_allclose(field.views[..., 2, 2, 1], expected, atol=1e-6)


def test_what_is_no_light_field_is_said(folder):
  write(folder / 'again_5.png', 5)
  with pytest.raises(ValueError, match='have the same number'):
    read_light_field(folder)
  (folder / 'again_5.png').unlink()
  write(folder / 'input_Cam004.png', 3, size=(6, 6))
  with pytest.raises(ValueError, match=r'6 x 6 px, and .* 5 x 6'):
    read_light_field(folder)
  (folder / 'input_Cam004.png').unlink()
  with pytest.raises(FileNotFoundError, match=r'no view 4 \(1 missing'):
    read_light_field(folder)
  for number in range(5, 10):
    (folder / f'input_Cam{number:03}.png').unlink()
  with pytest.raises(ValueError, match=r'holds 3 views: .* odd number'):
    read_light_field(folder)
  for number in range(1, 4):
    (folder / f'input_Cam{number:03}.png').unlink()
  with pytest.raises(FileNotFoundError, match='holds no views'):
    read_light_field(folder)
  with pytest.raises(ValueError, match='is not a folder'):
    read_light_field(folder / 'nowhere')


# Parts of the HCI benchmark's Antinous with much texture: (rows, columns).
REGIONS = {'wreath': np.s_[40:150, 140:330], 'wall': np.s_[200:360, 350:500]}
_OUTER = 20  # More than the views' shifts, 4 x 3.1 px, and the blur.


@pytest.fixture(params=REGIONS)
def region(request, shared_data):
  """A part of a real light field, and the disparity of its surface."""
  field, disparity = read_antinous(shared_data / 'lightfield_hci_antinous')
  rows, columns = REGIONS[request.param]
  surface = disparity[rows, columns][_OUTER:-_OUTER, _OUTER:-_OUTER]
  return (lf.LightField(field.views[:, :, rows, columns]),
          float(np.median(surface)))


@functools.cache
def read_antinous(folder):
  if not folder.is_dir():
    pytest.skip(f'there is no {folder}')
  file = folder / 'gt_disp_lowres.pfm'
  header, size, scale, values = file.read_bytes().split(b'\n', 3)
  assert header == b'Pf' and float(scale) < 0
  width, height = map(int, size.split())
  disparity = np.frombuffer(values, '<f4').reshape(height, width)[::-1]
  return read_light_field(folder), disparity


def test_the_known_disparity_focuses_a_real_surface(region):
  """Neither other planes nor the other sign are as sharp."""
  field, disparity = region
  weights = lf.synthetic_aperture(field.counts, 4.0)

  def sharpness(plane):
    inside = refocus(field, plane, weights)[_OUTER:-_OUTER, _OUTER:-_OUTER]
    return float(jnp.square(jnp.diff(inside, axis=1)).mean())

  best = sharpness(disparity)
  for other in (disparity - 1, disparity + 1, -disparity, 0.0):
    assert best > 1.5 * sharpness(other)


def test_real_dual_pixel_views_change_sides_at_the_focus(region):
  field, disparity = region
  for behind in (-1.5, 1.5):
    views = render(field, disparity + behind, 4.0)
    # Half the radius, which is 4 views x 1.5 px.
    assert moved(views) == pytest.approx(0.5 * 4 * behind, abs=0.7)
  assert moved(render(field, disparity, 4.0)) == pytest.approx(0, abs=0.3)


@pytest.mark.slow
def test_a_depth_map_renders_what_the_views_integrate(shared_data):
  """From the centre view and its disparity alone, near what all views give.

  Differences remain at borders of depth, behind which only the views see.
  """
  field, disparity = read_antinous(shared_data / 'lightfield_hci_antinous')
  rows, columns = np.s_[40:150], np.s_[140:330]
  field = lf.LightField(field.views[:, :, rows, columns])
  disparity = disparity[rows, columns]
  focus, aperture, planes = 0.5, 4.0, 24
  far, near = float(disparity.min()), float(disparity.max())
  kernels = jnp.stack([
      psf.disc(abs(aperture * (focus - plane)), size=41)
      for plane in np.linspace(near, far, planes)])
  position = jnp.asarray((near - disparity) / (near - far) * (planes - 1))
  rendered = jax.jit(rendering.render_depth)(
      jnp.asarray(field.sharp), position,
      jnp.broadcast_to(kernels[:, None, None], (planes, 1, 3, 41, 41)))[0]
  expected = refocus(
      field, focus, lf.synthetic_aperture(field.counts, aperture))
  inside = np.s_[_OUTER:-_OUTER, _OUTER:-_OUTER]

  def psnr(picture):
    difference = light.to_display(jnp.asarray(picture)) - light.to_display(
        expected)
    return float(-10 * jnp.log10(jnp.square(difference[inside]).mean()))

  assert psnr(rendered) > 45
  assert psnr(rendered) > psnr(field.sharp) + 6


def moved(views, most=8):
  """By how many pixels the left view fits the right one, between pixels."""
  left, right = (
      np.asarray(views[name])[_OUTER:-_OUTER, _OUTER:-_OUTER]
      for name in ('left', 'right'))
  errors = [
      np.square(np.roll(left, shift, axis=1) - right)[:, most:-most].mean()
      for shift in range(-most, most + 1)]
  best = int(np.argmin(errors[1:-1])) + 1
  before, at, after = errors[best - 1:best + 2]
  return best - most + (before - after) / 2 / (before - 2 * at + after)
