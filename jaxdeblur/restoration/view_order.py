"""Which way dual-pixel views are shifted, to notice exchanged views.

Objects out of focus are shifted between the left and the right view: to one
side if they are nearer than the plane in focus, to the other if farther. Both
may occur in one picture, and cameras differ in which view they call left, so
the shift alone does not show an exchange. It does if a network compares shifts
to one side only and the picture has only shifts to the other.
"""

import cv2
from jaxtyping import Num
import numpy as np

_SHRINK = 4    # Shifts are several pixels, and blur leaves no finer detail.
_CELL = 16     # Side of the cells of a shrunk picture that have one shift, px.
_LEAST = 0.2   # Smallest shift that counts for a side, px.
# A picture is one-sided if these shares of its texture lie on the two sides:
_MOST_OF = 0.8    # more than this on one,
_HARDLY_ANY = 0.05  # less than this on the other.

View = Num[np.ndarray, 'h w 3']


def measure_side(left: View, right: View) -> int:
  """Measures to which side the right view's content is shifted.

  The shift of each cell is the least-squares solution for small motion along
  rows (Lucas and Kanade 1981). Cells are weighted by their texture.

  Args:
    left: the left view, of any range.
    right: the right view.

  Returns:
    1 if nearly all content lies farther to the right in the right view than in
    the left one, -1 if farther to the left, and 0 otherwise.
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
    seen_side: the only side that the network compares, as `measure_side`
      returns it; None for a network that is not limited to one side.
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
  """Measures shifts of cells in px, positive to the right, and texture."""
  left, right = (_prepare(view) for view in (left, right))
  slope = cv2.Sobel((left + right) / 2, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
  # Views differ in brightness too, since the aperture's halves are not equal.
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
