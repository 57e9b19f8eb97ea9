"""Linear light and sRGB's display values (IEC 61966-2-1).

Both functions compute with NumPy for NumPy arrays and with JAX for JAX arrays.
"""

import jax
import jax.numpy as jnp
import numpy as np

Values = np.ndarray | jax.Array


def to_linear(picture: Values) -> Values:
  """Converts sRGB's display values to linear light, both in [0, 1], float32."""
  xp = _library_of(picture)
  picture = xp.asarray(picture, xp.float32)
  return xp.where(
      picture <= 0.04045, picture / 12.92,
      ((xp.maximum(picture, 0.04045) + 0.055) / 1.055) ** 2.4,
  ).astype(xp.float32)


def to_display(light: Values) -> Values:
  """Converts linear light to sRGB's display values in [0, 1], float32."""
  xp = _library_of(light)
  light = xp.clip(xp.asarray(light, xp.float32), 0, 1)
  return xp.where(
      light <= 0.0031308, light * 12.92,
      1.055 * xp.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055,
  ).astype(xp.float32)


def expand_highlights(
    light: Values, gain: jax.Array | float, threshold: float = 0.7
) -> Values:
  """Makes what is nearly white brighter than white, up to `gain`.

  A photograph does not say how bright its clipped highlights were.
  """
  xp = _library_of(light)
  brightest = light.max(axis=-1, keepdims=True)
  above = xp.clip((brightest - threshold) / (1 - threshold), 0, 1)
  return light * (1 + (gain - 1) * above ** 2)


def _library_of(values: Values):
  return jnp if isinstance(values, jax.Array) else np
