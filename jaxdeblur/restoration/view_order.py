"""Which way dual-pixel views are shifted, to notice views given in exchange.

What is out of focus lies elsewhere in the right view than in the left one: to
one side if it is nearer than the plane in focus, to the other if it is farther.
Both may occur in one picture, and cameras differ in which view they call left,
so the shift alone does not show an exchange. It does where a network compares
shifts to one side only and the picture has only the other.
"""

import cv2
from jaxtyping import Num
import numpy as np

_SHRINK = 4    # Shifts are some pixels, and blur leaves no finer detail.
_CELL = 16     # Pixels of the shrunk pictures whose shift is measured as one.
_LEAST = 0.2   # Pixels; below that a cell counts for neither side.
_MOST_OF = 0.8    # Shares of the texture: so much on one side,
_HARDLY_ANY = 0.05  # and so much on the other, make a picture one-sided.

View = Num[np.ndarray, 'h w 3']


def measure_side(left: View, right: View) -> int:
  """Says to which side the right view's content is shifted.

  The shift of each cell is that of least squares under small motion (Lucas and
  Kanade 1981) along rows; cells count by their texture.

  Args:
    left: the left view, of any range.
    right: the right view.

  Returns:
    1 if nearly all content lies farther to the right in the right view than in
    the left one, -1 if to the left, and 0 if there is no such side.
  """
  shifts, texture = _measure_shifts(left, right)
  if texture.sum() == 0:
    return 0
  share = texture / texture.sum()
  to_right = share[shifts > _LEAST].sum()
  to_left = share[shifts < -_LEAST].sum()
  for side, here, there in ((1, to_right, to_left), (-1, to_left, to_right)):
    if here > _MOST_OF and there < _HARDLY_ANY:
      return side
  return 0


def describe_order(left: View, right: View, seen_side: int | None) -> str:
  """Returns a sentence if a network cannot compare two views; '' if it can.

  Args:
    left: the left view, of any range.
    right: the right view.
    seen_side: the side that the network compares, as `measure_side` has it;
      None for a network without one.
  """
  if seen_side is None or measure_side(left, right) != -seen_side:
    return ''
  words = {-1: 'left', 1: 'right'}
  return (
      f'The right view shows nearly everything farther to the '
      f'{words[-seen_side]} than the left view does; this network compares '
      f'only shifts to the {words[seen_side]}. Exchange left and right if they '
      'were mixed up.')


def _measure_shifts(left, right):
  """Shifts of cells in pixels, positive to the right, and their texture."""
  left, right = (_prepare(view) for view in (left, right))
  slope = cv2.Sobel((left + right) / 2, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
  # Views differ in brightness, too: the aperture's halves are not alike.
  change = _flatten(right) - _flatten(left)
  texture = _sum_cells(slope * slope)
  shifts = -_sum_cells(slope * change) / np.maximum(texture, 1e-12)
  return _SHRINK * shifts, texture


def _prepare(view):
  height, width = (max(length // _SHRINK, 1) for length in view.shape[:2])
  grey = cv2.resize(
      view.astype(np.float32).mean(axis=2), (width, height),
      interpolation=cv2.INTER_AREA)
  smooth = cv2.GaussianBlur(grey, (0, 0), 1.5)
  return smooth / max(float(smooth.mean()), 1e-6)


def _flatten(picture):
  return picture - cv2.boxFilter(picture, -1, (_CELL, _CELL))


def _sum_cells(values):
  sums = cv2.boxFilter(values, -1, (_CELL, _CELL), normalize=False)
  return sums[_CELL // 2::_CELL, _CELL // 2::_CELL]
