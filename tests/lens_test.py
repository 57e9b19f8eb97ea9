"""The thin lens and the blur that a lens draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur.errors import UserError
from jaxdeblur.optics import psf
from jaxdeblur.optics.lens import Lens, ThinLens, fit_thin_lens

# A 50 mm lens at f/2, focused at 2 m, pixels of 6 um; lengths in mm.
LENS = ThinLens(50.0, 2.0, 2000.0, 0.006)


draw_whole, draw_views = (
    jax.jit(method, static_argnums=2)
    for method in (Lens.draw_whole, Lens.draw_views))


def test_circles_of_confusion_are_those_of_rays_through_the_lens():
  """The cone behind a point meets the sensor in a circle: similar triangles."""
  for depth in (500.0, 1500.0, 2000.0, 8000.0):
    image = 1 / (1 / 50 - 1 / depth)
    sensor = 1 / (1 / 50 - 1 / 2000)
    circle = 25.0 * (sensor - image) / image / 0.006
    assert LENS.circle_of_confusion(depth) == pytest.approx(
        circle, rel=1e-4, abs=1e-3)
  assert LENS.circle_of_confusion(1e12) == pytest.approx(LENS.largest_blur)


def test_depths_come_back():
  depth = jnp.geomspace(300.0, 50_000.0, 40)
  np.testing.assert_allclose(
      LENS.depth_of(LENS.circle_of_confusion(depth)), depth, rtol=1e-3)
  assert np.isinf(LENS.depth_of(1.1 * LENS.largest_blur))


def test_a_lens_is_found_from_measured_blur():
  depth = np.geomspace(500, 20_000, 15)
  noise = 1 + 0.01 * np.random.default_rng(0).standard_normal(15)
  diameter = np.abs(np.asarray(LENS.circle_of_confusion(depth))) * noise
  focus, largest = fit_thin_lens(depth, diameter)
  assert focus == pytest.approx(2000, rel=0.02)
  assert largest == pytest.approx(LENS.largest_blur, rel=0.02)


@pytest.mark.parametrize('change, sentence', [
    (dict(focus=40.0), 'The focus at 40 is not beyond the focal length 50'),
    (dict(focus=float('nan')), 'focus is nan'),
    (dict(f_number=0.0), 'f_number is 0.0: a lens needs a number above 0'),
])
def test_lenses_that_form_no_picture_are_refused(change, sentence):
  settings = dict(focal_length=50.0, f_number=2.0, focus=2000.0) | change
  with pytest.raises(UserError, match=sentence):
    ThinLens(**settings)


@pytest.mark.parametrize('bad', [0.0, -3.0, float('nan')])
def test_impossible_depths_are_refused(bad):
  with pytest.raises(UserError, match='1 of 2 depths are not above 0'):
    LENS.circle_of_confusion(np.array([1000.0, bad]))
  with pytest.raises(UserError, match='three depths or more'):
    fit_thin_lens(np.array([1.0, 2.0]), np.array([1.0, 2.0]))


def test_colours_have_radii_of_their_own():
  kernels = draw_whole(Lens(colours=(0.8, 1.0, 1.2)), 10.0, 35)
  spread = psf.variance(kernels)[:, 0]
  np.testing.assert_allclose(
      spread, np.square([8.0, 10.0, 12.0]) / 4, rtol=0.03)


def test_corners_have_a_cats_eye_that_points_outwards():
  lens = Lens(vignetting=0.8, tilt=0.5)
  middle = draw_whole(lens, 8.0, 35)[1]
  corner = draw_whole(lens, 8.0, 35, (1.0, 1.0))[1]
  np.testing.assert_allclose(psf.centroid(middle), 0, atol=1e-4)
  # Shorter along the diagonal than across it.
  y, x = np.mgrid[:35, :35] - 17
  along, across = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
  mean = (corner * along).sum()
  assert (corner * (along - mean) ** 2).sum() < (corner * across ** 2).sum()
  opposite = draw_whole(lens, 8.0, 35, (-1.0, -1.0))[1]
  np.testing.assert_allclose(opposite, corner[::-1, ::-1], atol=1e-6)


def test_views_move_apart_and_change_places_with_the_side():
  lens = Lens()
  near, far = (draw_views(lens, radius, 35) for radius in (-10.0, 10.0))
  np.testing.assert_allclose(near[::-1], far, atol=1e-6)
  centroids = psf.centroid(far)[:, 1, 0]
  assert centroids[1] - centroids[0] == pytest.approx(4.2, abs=0.2)


def test_a_gaussian_has_the_variance_of_the_disc():
  soft = draw_whole(Lens(is_gaussian=1.0), 6.0, 35)[0]
  np.testing.assert_allclose(psf.variance(soft), 9, rtol=0.02)


def test_the_blur_has_slopes_in_the_lens():
  @jax.jit
  def spread(focus):
    lens = ThinLens(50.0, 2.0, focus, 0.006)
    return psf.variance(Lens().draw_whole(
        lens.circle_of_confusion(3000.0) / 2, 15)[0]).sum()

  slope = jax.jit(jax.grad(spread))(2900.0)
  step = (spread(2901.0) - spread(2899.0)) / 2
  assert slope == pytest.approx(float(step), rel=0.05)
