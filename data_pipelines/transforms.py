"""Transforms of NumPy pictures."""

from collections.abc import Mapping

import numpy as np


def quantise(picture: np.ndarray, bits: int = 8) -> np.ndarray:
  """Rounds values in [0, 1] to those that a file of `bits` bits can hold."""
  top = 2 ** bits - 1
  return (np.round(np.clip(picture, 0, 1) * top) / top).astype(np.float32)


def turn(picture: np.ndarray, quarters: int) -> np.ndarray:
  """Turns a picture by quarter turns, anticlockwise."""
  return np.ascontiguousarray(np.rot90(picture, quarters))


def mirror_views(views: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Mirrors views [h, w, c] in x; left and right then change places.

  A mirrored left view shows what the right half of the aperture sees of the
  mirrored scene. Without the exchange, disparities would change their sign.
  """
  exchanged = {'left': 'right', 'right': 'left'}
  return {name: np.ascontiguousarray(
      views[exchanged.get(name, name)][:, ::-1]) for name in views}
