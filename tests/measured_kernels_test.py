"""The kernels of a real dual-pixel camera, and the families that fit them."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur.optics import psf
from studies import measured_kernels

pytestmark = pytest.mark.slow

MIDDLE, CORNERS = [0, 1], [4, 5]


@pytest.fixture
def measured(shared_data):
  """Kernels (left, right) of four places in the middle and the corners."""
  folder = shared_data / 'dual_pixel_pixel4' / 'calibration'
  if not folder.is_dir():
    pytest.skip(f'there is no {folder}')
  places = measured_kernels.PLACES
  return measured_kernels.read_kernels(folder)[
      places['middle'] + places['corners']]


def fit(name, kernels):
  family = (measured_kernels.WHOLE | measured_kernels.PAIRS)[name]
  return measured_kernels.fit(family, kernels, steps=20)


def test_a_fit_finds_what_was_drawn():
  """Also where the centre is between pixels. There are two kernels, as in the
  next test, so that one compilation serves both."""
  size = measured_kernels.SIZE
  views = jnp.stack(psf.split(
      psf.disc(9.0, 3.6, size=size, samples=2), 9.0, softness=1.2))
  moved = measured_kernels.move(views, jnp.float32(0.4), jnp.float32(-1.3))
  found = fit('disc, soft edge; ramp', jnp.stack([moved, moved]))
  assert found.residuals[0] < 2e-3
  numbers = {name: values[0] for name, values in found.numbers.items()}
  assert numbers['radius'] == pytest.approx(9, abs=0.02)
  assert numbers['softness'] == pytest.approx(1.2, abs=0.01)
  assert (numbers['x'], numbers['y']) == pytest.approx((0.4, -1.3), abs=0.02)


def test_measured_views_are_split_by_a_ramp(measured):
  """Halves with a hard border leave half of a kernel unexplained."""
  middle = measured[MIDDLE]
  ramp = fit('disc, soft edge; ramp', middle)
  halves = fit('disc, soft edge; halves', middle)
  translation = fit('disc, soft edge; translation', middle)
  assert ramp.residuals.max() < 0.19
  assert (ramp.residuals < 0.8 * translation.residuals).all()
  assert (translation.residuals < 0.6 * halves.residuals).all()
  assert (halves.residuals > 0.48).all()


def test_measured_borders_are_soft(measured):
  mean = measured[MIDDLE].mean(axis=1, keepdims=True)
  hard, soft = fit('disc', mean), fit('disc, soft edge', mean)
  assert (soft.residuals < 0.75 * hard.residuals).all()
  edge = (np.abs(soft.numbers['edge']) + 0.02) * soft.numbers['radius']
  np.testing.assert_allclose(edge, 4.5, atol=0.5)


def test_corners_need_a_cut_and_a_bright_side(measured):
  """A disc leaves 0.39-0.44 of a corner, all numbers together 0.16-0.19."""
  mean = measured[CORNERS].mean(axis=1, keepdims=True)
  disc = fit('disc', mean)
  whole = fit('+ rim, cat\'s eye, tilt, stretch', mean)
  assert (disc.residuals > 0.36).all()
  assert (whole.residuals < 0.5 * disc.residuals).all()
  assert whole.residuals.max() < 0.2


def test_measured_views_lie_less_than_half_a_radius_apart(measured):
  apart, radius = measured_kernels.separations(
      measured[:, 0], measured[:, 1])
  assert (0.38 < apart / radius).all() and (apart / radius < 0.48).all()


def test_simulated_views_lie_as_far_apart(shared_data):
  """The sign changes at the focus, the middle one of 21 depths."""
  pytest.importorskip('scipy')
  file = shared_data / 'dp_psf' / 'blur_kernels_simulated_pixel4_nocode.mat'
  if not file.is_file():
    pytest.skip(f'there is no {file}')
  apart, radius = measured_kernels.separations(
      *measured_kernels.read_stack(file))
  assert (np.sign(apart) == np.repeat([-1, 1], [10, 11])).all()
  share = np.abs(apart / radius)[radius > 2]
  assert len(share) == 20
  assert 0.44 < share.min() and share.max() < 0.48


def test_the_figure_is_drawn(measured, tmp_path, monkeypatch):
  pytest.importorskip('matplotlib')
  monkeypatch.setattr(measured_kernels, 'PAIRS', {'fitted': None})
  kernels = np.repeat(measured, 6, axis=0)
  measured_kernels.draw_figure(
      tmp_path / 'kernels.png', kernels,
      {'fitted': measured_kernels.Fit({}, kernels, np.zeros(48))})
  assert (tmp_path / 'kernels.png').stat().st_size > 1000
