"""Point-spread functions."""

import math

import numpy as np

from jaxdeblur.errors import UserError

_SAMPLES = 5  # A pixel's coverage is averaged over 5 x 5 points.


def disc(radius: float, edge: float = 1.0, rim: float = 0.0) -> np.ndarray:
  """Makes the image of a point seen through a round aperture out of focus.

  Args:
    radius: radius of the circle of confusion, in pixels; 0 makes one pixel.
    edge: width of the soft border, in pixels, over which the disc falls from
      full to nothing; diffraction and the sensor's own blur widen it.
    rim: how much brighter the border is than the centre, as a fraction: above 0
      for over-corrected lenses, below 0 for under-corrected ones.

  Returns:
    float32 [k, k], k odd, not negative, with sum 1.

  Raises:
    UserError: the radius is negative or the edge is not above 0.
  """
  if radius < 0 or edge <= 0:
    raise UserError(
        f'A disc needs a radius of at least 0 and an edge above 0 px; got '
        f'radius {radius} and edge {edge}.')
  reach = math.ceil(max(radius + edge / 2 - 0.5, 0))
  count = (2 * reach + 1) * _SAMPLES
  axis = (np.arange(count) + 0.5) / _SAMPLES - (reach + 0.5)
  distance = np.hypot(axis[:, None], axis[None, :])
  inside = np.clip((radius - distance) / edge + 0.5, 0, 1)
  if radius > 0:
    inside *= 1 + rim * np.minimum(distance / radius, 1) ** 2
  size = 2 * reach + 1
  psf = inside.reshape(size, _SAMPLES, size, _SAMPLES).mean(axis=(1, 3))
  if psf.sum() == 0:  # Radius 0 with an edge finer than the sample points.
    psf[reach, reach] = 1
  return (psf / psf.sum()).astype(np.float32)


def half_discs(
    radius: float, edge: float = 1.0, rim: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
  """Makes the PSFs of the left and the right dual-pixel view.

  Each photodiode sees one half of the aperture, so the disc is cut in two. The
  halves' centroids lie 8 r / (3 pi) = 0.849 r apart. Their mean is the disc.

  Args:
    radius: radius of the circle of confusion, in pixels. It is positive if the
      left view gets the left half, so that its content moves to the left, and
      negative on the other side of the plane in focus.
    edge: see `disc`.
    rim: see `disc`.

  Returns:
    (left, right): float32 [k, k], k odd, with sum 1 each, for convolution.
  """
  whole = disc(abs(radius), edge, rim)
  columns = np.arange(len(whole)) - len(whole) // 2
  share = np.where(columns < 0, 1, np.where(columns == 0, 0.5, 0))
  left = (2 * whole * share).astype(np.float32)
  left /= left.sum()
  right = np.ascontiguousarray(left[:, ::-1])
  return (left, right) if radius >= 0 else (right, left)
