"""Resizing, against plain loops and OpenCV."""

import math

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur.ops import resize

SIZES = [((9, 13), (5, 7)), ((5, 4), (12, 9)), ((1, 6), (4, 6)),
         ((8, 8), (8, 8))]


def _picture(height, width):
  return np.random.default_rng(0).random((height, width, 3), np.float32)


def _sample(picture, y, x):
  """The pixel at whole coordinates, the edge repeated."""
  height, width = picture.shape[:2]
  return picture[min(max(y, 0), height - 1), min(max(x, 0), width - 1)]


@pytest.mark.parametrize('before, after', SIZES)
def test_nearest_takes_the_pixel_below(before, after):
  picture = _picture(*before)
  expected = [[picture[math.floor(i * before[0] / after[0]),
                       math.floor(j * before[1] / after[1])]
               for j in range(after[1])] for i in range(after[0])]
  np.testing.assert_array_equal(
      resize.resize_nearest(jnp.asarray(picture[None]), *after)[0], expected)


@pytest.mark.parametrize('before, after', SIZES)
def test_bilinear_keeps_the_corners(before, after):
  picture = _picture(*before)
  expected = np.zeros((*after, 3))
  for i in range(after[0]):
    for j in range(after[1]):
      y = i * (before[0] - 1) / max(after[0] - 1, 1)
      x = j * (before[1] - 1) / max(after[1] - 1, 1)
      for dy in (0, 1):
        for dx in (0, 1):
          weight = (1 - abs(y - math.floor(y) - dy)) * (
              1 - abs(x - math.floor(x) - dx))
          expected[i, j] += weight * _sample(
              picture, math.floor(y) + dy, math.floor(x) + dx)
  resized = resize.resize_bilinear_corners(
      jnp.asarray(picture[None]), *after)[0]
  np.testing.assert_allclose(resized, expected, atol=1e-6)


@pytest.mark.parametrize('before, after', SIZES)
def test_bicubic_is_opencvs(before, after):
  picture = _picture(*before)
  expected = cv2.resize(
      picture, after[::-1], interpolation=cv2.INTER_CUBIC)
  resized = resize.resize_bicubic(jnp.asarray(picture[None]), *after)[0]
  # OpenCV rounds its weights to 1/2048 for bytes only; these are floats.
  np.testing.assert_allclose(resized, expected, atol=2e-6)


def test_bicubic_is_keys_cubic():
  """An impulse shows the weights: a = -0.75 at distances 1/4, 3/4, 5/4, 7/4."""
  impulse = np.zeros((1, 1, 9, 1), np.float32)
  impulse[0, 0, 4] = 1
  resized = resize.resize_bicubic(jnp.asarray(impulse), 1, 18)[0, 0, :, 0]
  a = -0.75

  def weight(t):
    if t <= 1:
      return (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1
    return a * (t ** 3 - 5 * t ** 2 + 8 * t - 4)

  np.testing.assert_allclose(
      resized[8:12], [weight(t) for t in (0.25, 0.25, 0.75, 1.25)], atol=1e-6)
