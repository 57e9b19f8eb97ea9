"""Pads and resizes pictures to sizes that a network takes."""

from collections.abc import Mapping

import cv2
import jax.numpy as jnp
import numpy as np

from jaxdeblur.ops.resize import resize_bicubic
from jaxdeblur.restoration.given import top_value


def fit_views(
    views: Mapping[str, np.ndarray], multiple: tuple[int, int], fit: str
) -> dict[str, np.ndarray]:
  """Gives views a size that the network takes, as float32 in [0, 1].

  A mirror turns the disparity of dual-pixel views round. So where columns are
  mirrored, left and right change places: the left view goes on with the mirror
  of the right one, and the right view with that of the left one.

  Args:
    views: the views of one picture by name, of one size, [h, w, 3], uint8,
      uint16 or float in [0, 1].
    multiple: height and width become multiples of these, px.
    fit: 'pad' or 'resize'; see `RestoreOptions`.
  """
  change = _resize if fit == 'resize' else _pad
  fitted = {name: change(view, multiple) for name, view in views.items()}
  if fit == 'pad' and {'left', 'right'} <= set(views):
    width = views['left'].shape[1]
    mirrored = _is_mirrored(fitted['left'].shape[1], width)[None, :, None]
    left, right = fitted['left'], fitted['right']
    fitted |= {'left': np.where(mirrored, right, left),
               'right': np.where(mirrored, left, right)}
  return {name: _scale(view) for name, view in fitted.items()}


def resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
  """Resizes bicubically; integers are rounded and clipped, floats are not."""
  if picture.shape[:2] == (height, width):
    return picture
  if picture.dtype.kind in 'iu':
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
  return np.asarray(
      resize_bicubic(
          jnp.asarray(picture, jnp.float32)[None], height, width)[0])


def _resize(view: np.ndarray, multiple: tuple[int, int]) -> np.ndarray:
  rows, columns = _missing(view, multiple)
  return resize(view, view.shape[0] + rows, view.shape[1] + columns)


def _pad(view: np.ndarray, multiple: tuple[int, int]) -> np.ndarray:
  rows, columns = _missing(view, multiple)
  return np.pad(view, ((0, rows), (0, columns), (0, 0)), mode='reflect')


def _missing(view: np.ndarray, multiple: tuple[int, int]) -> tuple[int, int]:
  rows, columns = (
      -length % step for length, step in zip(view.shape[:2], multiple))
  return rows, columns


def _is_mirrored(length: int, width: int) -> np.ndarray:
  """Which of `length` columns are mirrored, for a picture of `width` columns.

  A border wider than the picture goes to and fro: its second part is not
  mirrored.
  """
  return np.arange(length) % (2 * (width - 1)) >= width


def _scale(view: np.ndarray) -> np.ndarray:
  scaled = view.astype(np.float32) / top_value(view.dtype)
  return np.clip(scaled, 0, 1)  # Resizing floats may overshoot.
