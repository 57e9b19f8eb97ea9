"""Dynamic convolution: every pixel is filtered with a kernel of its own."""

import functools
import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Method = Literal['auto', 'taps', 'unfold']
METHODS = ('auto', 'taps', 'unfold')


def dynamic_conv(
    image: Float[Array, 'b h w c'],
    kernels: Float[Array, 'b h w k2'],
    method: Method = 'auto',
) -> Float[Array, 'b h w c']:
  """Filters each pixel's neighbourhood with that pixel's kernel.

  out[y, x, c] = sum_ij kernels[y, x, k * i + j] * image[y + i - r, x + j - r, c]
  with r = k // 2, i the row offset and j the column offset: a correlation, one
  kernel for all channels, not normalised (Ruan et al. 2022, Tab. S3, 'dynconv').
  Beyond its border the image repeats its edge. Sums in float32, whatever the
  inputs' type, and returns the image's type.

  Args:
    image: the picture, any number of channels, any range.
    kernels: a flattened k x k kernel for each pixel, k odd.
    method: 'taps' adds k * k shifted products and never holds more than the
      kernels themselves; 'unfold' gathers each pixel's k * k neighbours and
      contracts them with an einsum, which is the definition made readable and
      costs k * k copies of the image; 'auto' is 'taps'.

  Returns:
    The filtered image, of the image's shape and type.

  Raises:
    ValueError: the kernels are not square and odd, their batch, height or width
      is not the image's, or the method is unknown.
  """
  size = _kernel_size(image.shape, kernels.shape)
  if method not in METHODS:
    raise ValueError(
        f'Unknown dynamic convolution method {method!r}: choose one of '
        f'{", ".join(METHODS)}.')
  filter_image = _unfold if method == 'unfold' else _taps
  return filter_image(image, kernels, size=size)


@functools.partial(jax.jit, static_argnames='size')
def _unfold(image, kernels, size):
  radius = size // 2
  _, height, width, _ = image.shape
  padded = _pad_edge(image.astype(jnp.float32), radius)
  patches = jnp.stack(
      [padded[:, i:i + height, j:j + width]
       for i in range(size) for j in range(size)],
      axis=-1)  # [b, h, w, c, k2]
  out = jnp.einsum(
      'bhwck,bhwk->bhwc', patches, kernels.astype(jnp.float32),
      precision='highest')
  return out.astype(image.dtype)


@functools.partial(jax.jit, static_argnames='size')
def _taps(image, kernels, size):
  # Planar [b, c, h, w] operands: with a channel axis of 3 innermost, the vector
  # units of a CPU and the 128 lanes of a TPU stay mostly empty.
  radius = size // 2
  _, height, width, _ = image.shape
  padded = _pad_edge(image, radius).transpose(0, 3, 1, 2)
  planes = kernels.transpose(0, 3, 1, 2)
  # The barriers keep XLA from folding the transposes back into every one of
  # the taps, which multiplies the memory traffic on TPU.
  padded, planes = jax.lax.optimization_barrier((padded, planes))
  padded, planes = padded.astype(jnp.float32), planes.astype(jnp.float32)
  total = jnp.zeros(
      (image.shape[0], image.shape[3], height, width), jnp.float32)
  for i in range(size):
    for j in range(size):
      tap = planes[:, None, size * i + j]
      total += tap * padded[:, :, i:i + height, j:j + width]
  return total.astype(image.dtype).transpose(0, 2, 3, 1)


def _pad_edge(image, radius):
  border = (radius, radius)
  return jnp.pad(image, ((0, 0), border, border, (0, 0)), mode='edge')


def _kernel_size(image_shape, kernels_shape) -> int:
  """Returns k of the k x k kernels, or says what does not fit."""
  size = math.isqrt(kernels_shape[-1])
  if size * size != kernels_shape[-1] or size % 2 == 0:
    raise ValueError(
        f'Kernels have {kernels_shape[-1]} values a pixel; dynamic convolution '
        'needs k * k of them with k odd (1, 9, 25, 49, ...).')
  if kernels_shape[:3] != image_shape[:3]:
    raise ValueError(
        f'Kernels are for batch, height, width {kernels_shape[:3]}, the image '
        f'is {image_shape[:3]}: give one kernel a pixel.')
  return size
