"""Steps from one NumPy picture to another."""

import numpy as np


def to_linear(picture: np.ndarray) -> np.ndarray:
  """sRGB's display values to linear light, both in [0, 1], float32."""
  picture = np.asarray(picture, np.float32)
  return np.where(
      picture <= 0.04045, picture / 12.92,
      ((np.maximum(picture, 0.04045) + 0.055) / 1.055) ** 2.4,
  ).astype(np.float32)


def to_display(light: np.ndarray) -> np.ndarray:
  """Linear light to sRGB's display values, clipped to [0, 1], float32."""
  light = np.clip(np.asarray(light, np.float32), 0, 1)
  return np.where(
      light <= 0.0031308, light * 12.92,
      1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055,
  ).astype(np.float32)


def quantise(picture: np.ndarray, bits: int = 8) -> np.ndarray:
  """Rounds values in [0, 1] to what a file of so many bits can hold."""
  top = 2 ** bits - 1
  return (np.round(np.clip(picture, 0, 1) * top) / top).astype(np.float32)


def turn(picture: np.ndarray, quarter: int, mirror: bool) -> np.ndarray:
  """Turns a square crop by quarter turns and, if asked to, mirrors it."""
  picture = np.rot90(picture, quarter)
  return np.ascontiguousarray(picture[:, ::-1] if mirror else picture)
