"""Pads and resizes pictures to sizes that a network takes."""

import cv2
import jax.numpy as jnp
import numpy as np

from jaxdeblur.ops.resize import resize_bicubic
from jaxdeblur.restoration.given import top_value


def fit_view(
    view: np.ndarray, multiple: tuple[int, int], fit: str
) -> np.ndarray:
  """Gives a view a size that the network takes, as float32 in [0, 1].

  Args:
    view: [h, w, 3], uint8, uint16 or float in [0, 1].
    multiple: height and width become multiples of these, px.
    fit: 'pad' or 'resize'; see `RestoreOptions`.
  """
  rows, columns = (
      -length % step for length, step in zip(view.shape[:2], multiple))
  if fit == 'resize':
    view = resize(view, view.shape[0] + rows, view.shape[1] + columns)
  else:
    view = np.pad(view, ((0, rows), (0, columns), (0, 0)), mode='reflect')
  scaled = view.astype(np.float32) / top_value(view.dtype)
  return np.clip(scaled, 0, 1)  # Resizing floats may overshoot.


def resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
  """Resizes bicubically; integers are rounded and clipped, floats are not."""
  if picture.shape[:2] == (height, width):
    return picture
  if picture.dtype.kind in 'iu':
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
  return np.asarray(
      resize_bicubic(
          jnp.asarray(picture, jnp.float32)[None], height, width)[0])
