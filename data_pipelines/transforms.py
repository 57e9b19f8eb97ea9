"""Transforms of NumPy pictures."""

from collections.abc import Mapping

import numpy as np


def to_linear(picture: np.ndarray) -> np.ndarray:
  """Converts sRGB's display values to linear light, both in [0, 1], float32."""
  picture = np.asarray(picture, np.float32)
  return np.where(
      picture <= 0.04045, picture / 12.92,
      ((np.maximum(picture, 0.04045) + 0.055) / 1.055) ** 2.4,
  ).astype(np.float32)


def to_display(light: np.ndarray) -> np.ndarray:
  """Converts linear light to sRGB's display values in [0, 1], float32."""
  light = np.clip(np.asarray(light, np.float32), 0, 1)
  return np.where(
      light <= 0.0031308, light * 12.92,
      1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055,
  ).astype(np.float32)


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
