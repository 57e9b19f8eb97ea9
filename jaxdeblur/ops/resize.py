"""Resizing that samples like the published networks."""

import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np


def shrink_by_mean(
    image: Float[Array, 'b h w c'], factor: int
) -> Float[Array, 'b i j c']:
  """Averages blocks of factor x factor px, which must divide the picture."""
  b, h, w, c = image.shape
  blocks = image.reshape(b, h // factor, factor, w // factor, factor, c)
  return blocks.mean(axis=(2, 4))


def enlarge_by_repetition(
    image: Float[Array, 'b h w c'], factor: int
) -> Float[Array, 'b i j c']:
  """Repeats every pixel factor x factor times (nearest neighbour)."""
  b, h, w, c = image.shape
  blocks = jnp.broadcast_to(
      image[:, :, None, :, None, :], (b, h, factor, w, factor, c))
  return blocks.reshape(b, h * factor, w * factor, c)


def resize_nearest(
    x: Float[Array, 'b h w c'], height: int, width: int
) -> Float[Array, 'b i j c']:
  """Takes pixel floor(i * in / out), as PyTorch's 'nearest' does."""
  rows = np.arange(height) * x.shape[1] // height
  columns = np.arange(width) * x.shape[2] // width
  return x[:, rows][:, :, columns]


def resize_bilinear_corners(
    x: Float[Array, 'b h w c'], height: int, width: int
) -> Float[Array, 'b i j c']:
  """Interpolates linearly; corner pixels stay corner pixels.

  Output i is at i * (in - 1) / (out - 1) of the input, as with PyTorch's
  align_corners=True.
  """
  for axis, size in ((1, height), (2, width)):
    positions = np.arange(size) * (x.shape[axis] - 1) / max(size - 1, 1)
    x = _interpolate(x, axis, positions, _LINEAR)
  return x


def resize_bicubic(
    x: Float[Array, 'b h w c'], height: int, width: int
) -> Float[Array, 'b i j c']:
  """Interpolates with Keys' cubic, a = -0.75, without antialiasing.

  Output i is at (i + 1/2) * in / out - 1/2 of the input, whose edge repeats, as
  in OpenCV's INTER_CUBIC and PyTorch's 'bicubic' (align_corners=False).
  """
  for axis, size in ((1, height), (2, width)):
    positions = (np.arange(size) + 0.5) * x.shape[axis] / size - 0.5
    x = _interpolate(x, axis, positions, _CUBIC)
  return x


def _linear_weights(offset):
  return np.stack([1 - offset, offset])


def _cubic_weights(offset):
  """Weights of the pixels at -1, 0, 1, 2 for a point in [0, 1)."""
  def near(t):
    return ((_A + 2) * t - (_A + 3)) * t * t + 1

  def far(t):
    return ((_A * t - 5 * _A) * t + 8 * _A) * t - 4 * _A

  return np.stack([
      far(offset + 1), near(offset), near(1 - offset), far(2 - offset)])


_A = -0.75
_LINEAR = (0, _linear_weights)  # The first pixel's offset, and the weights.
_CUBIC = (-1, _cubic_weights)


def _interpolate(x, axis, positions, kind):
  """Sums the pixels around each position on an axis; the edge repeats."""
  first, weights_at = kind
  base = np.floor(positions)
  shape = [1] * x.ndim
  shape[axis] = len(positions)
  total = jnp.zeros(())
  for i, weights in enumerate(weights_at(positions - base)):
    pixels = np.clip(base.astype(int) + first + i, 0, x.shape[axis] - 1)
    weights = jnp.asarray(weights.reshape(shape), x.dtype)
    total += weights * jnp.take(x, pixels, axis=axis)
  return total
