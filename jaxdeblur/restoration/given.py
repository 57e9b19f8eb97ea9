"""Converts the pictures given to `Restorer.restore` to views, and results back.

It takes arrays of all usual shapes, PIL pictures, and paths.
"""

from collections.abc import Callable, Mapping, Sequence
import os
import pathlib
from typing import Any

import numpy as np

from jaxdeblur import pictures
from jaxdeblur.errors import UserError

_SMALLEST_SIDE = 2  # Pictures one pixel wide cannot be mirrored.

GiveBack = Callable[[np.ndarray, bool], Any]


def read(
    given: Mapping[str, Any], required: Sequence[str]
) -> tuple[dict[str, np.ndarray], GiveBack]:
  """Reads the views of a picture, or of a batch of pictures.

  Args:
    given: 'center', 'left' and 'right'; None for a view that is not given.
    required: the views that the network reads.

  Returns:
    The views, [n, h, w, 3], in the order of `required`, and a function that
    makes the result. It takes the restored pictures, float32 [n, h, w, 3], and
    whether the result holds floats.

  Raises:
    UserError: the views are not those required, differ, or hold no picture.
  """
  given = {name: view for name, view in given.items() if view is not None}
  if set(given) != set(required):
    raise UserError(
        f'This network reads the views {", ".join(required)}; got '
        f'{", ".join(given) or "none"}.')
  arrays = {name: _as_array(given[name]) for name in required}
  for name, array in arrays.items():
    _check_picture(name, array)
  (first, picture), *others = arrays.items()
  for name, view in others:
    if view.shape != picture.shape or view.dtype != picture.dtype:
      raise UserError(
          f'The views differ: {first} is {picture.shape} {picture.dtype}, '
          f'{name} is {view.shape} {view.dtype}. Re-export them alike.')
  views = {name: _as_batch(array) for name, array in arrays.items()}

  def give_back(restored: np.ndarray, as_float: bool) -> Any:
    like = given[required[0]]
    array = _with_shape_of(picture, restored, as_float)
    if as_float or not _is_pil(like):
      return array
    # PIL is imported already, since the input is a PIL picture.
    from PIL import Image
    return Image.fromarray(array)

  return views, give_back


def top_value(dtype: np.dtype) -> int:
  """The value that stands for 1 in a picture of this type.

  Raises:
    UserError: pictures of this type are not read here.
  """
  if dtype in (np.uint8, np.uint16):
    return np.iinfo(dtype).max
  if dtype.kind == 'f':
    return 1
  raise UserError(
      f'A picture of type {dtype} cannot be restored: convert it to uint8, '
      'uint16 or float in [0, 1].')


def _as_array(view: Any) -> np.ndarray:
  if isinstance(view, str | os.PathLike):
    return pictures.read(pathlib.Path(view)).pixels
  if _is_pil(view) and view.mode not in ('L', 'RGB', 'RGBA', 'I;16'):
    raise UserError(
        f'The PIL picture has the mode {view.mode!r}: convert it to RGB, RGBA '
        'or L first.')
  return np.asarray(view)


def _is_pil(view: Any) -> bool:
  return hasattr(view, 'mode') and hasattr(view, 'getbands')


def _check_picture(name: str, view: np.ndarray) -> None:
  channels = view.shape[-1] if view.ndim > 2 else 1
  known = view.ndim in (2, 3) and channels in (1, 3, 4)
  if not known and not (view.ndim == 4 and channels == 3 and len(view)):
    raise UserError(
        f'The {name} view has shape {view.shape}; expected [height, width, 3] '
        'in RGB, [height, width, 4] with alpha, [height, width] in grey, or a '
        'batch [number, height, width, 3].')
  height, width = view.shape[1:3] if view.ndim == 4 else view.shape[:2]
  if min(height, width) < _SMALLEST_SIDE:
    raise UserError(
        f'The {name} view is {height} x {width} px; there is '
        f'nothing to restore below {_SMALLEST_SIDE} x {_SMALLEST_SIDE} px.')
  top_value(view.dtype)
  if view.dtype.kind == 'f' and not (view.min() >= 0 and view.max() <= 1):
    raise UserError(
        f'The {name} view holds values from {view.min()} to {view.max()}; '
        'floats must lie in [0, 1].')


def _as_batch(view: np.ndarray) -> np.ndarray:
  """Makes [n, h, w, 3] of any picture: repeats grey, leaves out alpha."""
  if view.ndim == 4:
    return view
  colours = np.atleast_3d(view)[..., :3]
  return np.broadcast_to(colours, (*colours.shape[:2], 3))[None]


def _with_shape_of(
    picture: np.ndarray, restored: np.ndarray, as_float: bool
) -> np.ndarray:
  """Gives restored pictures the input's shape, and its type unless `as_float`.
  """
  dtype = np.dtype(np.float32) if as_float else picture.dtype
  if picture.ndim < 4:
    restored = restored[0]
    if picture.ndim == 2 or picture.shape[2] == 1:
      # The three channels are estimates of one value.
      restored = restored.mean(axis=2, keepdims=picture.ndim == 3)
  top = top_value(dtype)
  result = (np.round(restored * top) if top > 1 else restored).astype(dtype)
  if picture.ndim == 3 and picture.shape[2] == 4:
    alpha = picture[..., 3:]
    if as_float:
      alpha = alpha.astype(np.float32) / top_value(picture.dtype)
    result = np.concatenate([result, alpha], axis=2)
  return result
