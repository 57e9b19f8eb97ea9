"""Point-spread functions."""

import numpy as np
import pytest

from jaxdeblur.optics import psf


@pytest.mark.parametrize('radius', [0, 0.3, 1, 2, 3.5, 5, 12.25])
@pytest.mark.parametrize('edge', [0.01, 1, 2.5])
def test_a_disc_keeps_light_and_is_round(radius, edge):
  disc = psf.disc(radius, edge)
  assert disc.shape[0] == disc.shape[1] and disc.shape[0] % 2 == 1
  assert disc.min() >= 0
  assert disc.sum() == pytest.approx(1, abs=1e-6)
  np.testing.assert_allclose(disc, np.rot90(disc), atol=1e-7)
  np.testing.assert_allclose(disc, disc[::-1], atol=1e-7)


def test_radius_0_is_a_point():
  np.testing.assert_array_equal(psf.disc(0), [[1]])


@pytest.mark.parametrize('radius', [2, 3.5, 5, 9])
def test_a_disc_has_the_variance_of_its_radius(radius):
  """A uniform disc has variance r^2 / 4 along each axis, its soft edge and the
  pixel's own extent adding a little: so a radius means what it says."""
  disc = psf.disc(radius)
  axis = np.arange(len(disc)) - len(disc) // 2
  variance = (disc.sum(axis=0) * axis ** 2).sum()
  assert variance == pytest.approx(radius ** 2 / 4, abs=0.2)


def test_the_rim_brightens_the_border():
  plain, bright = psf.disc(6), psf.disc(6, rim=0.5)
  assert bright[6, 6] < plain[6, 6] and bright[6, 11] > plain[6, 11]


def test_impossible_discs_are_refused():
  with pytest.raises(ValueError, match='radius of at least 0'):
    psf.disc(-1)
  with pytest.raises(ValueError, match='edge above 0'):
    psf.disc(1, edge=0)


@pytest.mark.parametrize('radius', [0, 1.5, 4, -4, 12])
def test_half_discs_make_the_disc(radius):
  left, right = psf.half_discs(radius)
  assert left.sum() == pytest.approx(1, abs=1e-6)
  np.testing.assert_allclose(
      (left + right) / 2, psf.disc(abs(radius)), atol=1e-7)
  np.testing.assert_array_equal(left[:, ::-1], right)


@pytest.mark.parametrize('radius', [6, -6, 12])
def test_half_discs_centroids_lie_apart(radius):
  """8 r / (3 pi), for a half disc's centroid is 4 r / (3 pi) from its edge."""
  left, right = psf.half_discs(radius, edge=0.1)
  columns = np.arange(left.shape[1])
  distance = ((right - left) * columns).sum()
  assert distance == pytest.approx(8 * radius / (3 * np.pi), rel=0.03)
