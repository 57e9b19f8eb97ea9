"""Convolutions whose gradients are fast on a CPU as well.

XLA's gradient to a convolution's kernel is a convolution with a kernel as large
as the picture. On a CPU it takes several times as long as the convolution
itself, and the ratio grows with the picture. Here the same sum is computed as
products of matrices over bands of rows. For transposed convolutions XLA is
slower still; here they use the gradient of the convolution that they transpose.
On one core of a Xeon with AVX-512, 8 pictures, in ms of the core:

| kernel | features | picture [px] | XLA | here |
| --- | --- | --- | ---: | ---: |
| 3 x 3 | 32 to 32 | 96 x 96 | 40 | 18 |
| 1 x 1 | 32 to 49 | 96 x 96 | 30 | 6 |
| 3 x 3 | 32 to 32 | 48 x 48 | 6 | 4 |
| 4 x 4, transposed | 32 to 16 | 48 x 48 | 251 | 8 |

The last row includes the gradient to the pictures.
"""

import functools

import jax
from jax import lax
from jax.custom_derivatives import SymbolicZero
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdeblur.ops.linear import apply_linear

# Largest number of values in a band's patches: half a MiB, which stays in a
# core's cache. It was the fastest of 2 ** 16 to 2 ** 20 for 3 to 64 channels.
_BAND_VALUES = 2 ** 17

# For smaller pictures, XLA's own gradient is as fast.
_FEWEST_PIXELS = 100

Padding = tuple[tuple[int, int], tuple[int, int]]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def conv(
    x: Float[Array, 'b h w c'],
    kernel: Float[Array, 'i j c d'],
    strides: tuple[int, int] = (1, 1),
    padding: Padding = ((1, 1), (1, 1)),
) -> Float[Array, 'b u v d']:
  """Cross-correlates pictures with a kernel.

  Args:
    x: pictures.
    kernel: the kernel, of the same type.
    strides: strides along rows and columns.
    padding: zeros before and after rows, and columns.

  Returns:
    The sums.
  """
  return _convolve(x, kernel, strides, padding)


def _convolve(x, kernel, strides, padding):
  return lax.conv_general_dilated(
      x, kernel, strides, padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC'))


def _differentiate(strides, padding, primals, tangents):
  (x, kernel), (to_x, to_kernel) = primals, tangents
  kernel_type = jax.typeof(kernel)

  def map_kernel(x, kernel):
    return [_convolve(x, kernel, strides, padding)]

  def transpose(x, cotangent):
    return [_kernel_gradient(x, cotangent, kernel_type, strides, padding)]

  slopes = []
  if not isinstance(to_x, SymbolicZero):
    slopes.append(_convolve(to_x, kernel, strides, padding))
  if not isinstance(to_kernel, SymbolicZero):
    slopes += apply_linear(map_kernel, transpose, [x], [to_kernel])
  return conv(x, kernel, strides, padding), _add(slopes)


def _add(slopes):
  """Adds one or two slopes."""
  return functools.reduce(jnp.add, slopes)


conv.defjvp(_differentiate, symbolic_zeros=True)


@jax.custom_jvp
def add_bias(
    x: Float[Array, 'b h w d'], bias: Float[Array, ' d']
) -> Float[Array, 'b h w d']:
  """Adds a number of the same type to each feature.

  The gradient is a sum over pictures. XLA's sums are slow on a CPU, so it is
  computed there as a product with ones.
  """
  return x + bias[None, None, None]


def _differentiate_sum(primals, tangents):
  (x, bias), (to_x, to_bias) = primals, tangents

  def repeat(bias):
    return [jnp.broadcast_to(bias, x.shape)]

  slopes = []
  if not isinstance(to_x, SymbolicZero):
    slopes.append(to_x)
  if not isinstance(to_bias, SymbolicZero):
    slopes += apply_linear(repeat, _sum_pixels, [], [to_bias])
  return add_bias(x, bias), _add(slopes)


def _sum_pixels(x):
  def native(x):
    return x.sum(axis=(0, 1, 2))

  def multiply(x):
    ones = jnp.ones(x.shape[:3], x.dtype)
    return lax.dot_general(
        ones, x, (((0, 1, 2), (0, 1, 2)), ((), ())),
        preferred_element_type=jnp.promote_types(x.dtype, jnp.float32),
    ).astype(x.dtype)

  return [lax.platform_dependent(x, cpu=multiply, default=native)]


add_bias.defjvp(_differentiate_sum, symbolic_zeros=True)


@jax.custom_jvp
def up_conv(
    x: Float[Array, 'b h w c'], kernel: Float[Array, '4 4 c d']
) -> Float[Array, 'b 2*h 2*w d']:
  """Doubles pictures' size by a transposed convolution of stride 2.

  Args:
    x: pictures.
    kernel: the kernel, of the same type, laid out as in
      `flax.linen.ConvTranspose` with the padding 'SAME'.

  Returns:
    The sums.
  """
  return _up_convolve(x, kernel)


def _up_convolve(x, kernel):
  def native(x, kernel):
    return lax.conv_transpose(
        x, kernel, (2, 2), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))

  return lax.platform_dependent(x, kernel, cpu=_up_in_phases, default=native)


def _up_in_phases(x, kernel):
  """Convolves with 2 x 2 taps for each of the four phases of the result.

  On a CPU it is three times as fast as a convolution with zeros between pixels.
  """
  batch, height, width, channels = x.shape
  features = kernel.shape[-1]
  # [i, phase, j, phase, c, d] -> [i, j, c, (phase, phase, d)]
  taps = kernel.reshape(2, 2, 2, 2, channels, features).transpose(
      0, 2, 4, 1, 3, 5).reshape(2, 2, channels, 4 * features)
  phases = _convolve(x, taps, (1, 1), ((1, 1), (1, 1))).reshape(
      batch, height + 1, width + 1, 2, 2, features)
  # The second phase's pixel lies to the right of that of its taps, and below.
  rows = [
      jnp.stack([phases[:, i:i + height, j:j + width, i, j] for j in (0, 1)],
                axis=3)
      for i in (0, 1)]
  return jnp.stack(rows, axis=2).reshape(
      batch, 2 * height, 2 * width, features)


def _differentiate_up(primals, tangents):
  """The convolution that it transposes maps cotangents to pictures like x."""
  (x, kernel), (to_x, to_kernel) = primals, tangents
  strides, padding = (2, 2), ((1, 1), (1, 1))
  transposed_type = jax.eval_shape(_transpose, kernel)

  def map_x(kernel, x):
    return [_up_convolve(x, kernel)]

  def map_kernel(x, kernel):
    return [_up_convolve(x, kernel)]

  def transpose_to_x(kernel, cotangent):
    return [_convolve(cotangent, _transpose(kernel), strides, padding)]

  def transpose_to_kernel(x, cotangent):
    return [_transpose(_kernel_gradient(
        cotangent, x, transposed_type, strides, padding))]

  slopes = []
  if not isinstance(to_x, SymbolicZero):
    slopes += apply_linear(map_x, transpose_to_x, [kernel], [to_x])
  if not isinstance(to_kernel, SymbolicZero):
    slopes += apply_linear(map_kernel, transpose_to_kernel, [x], [to_kernel])
  return up_conv(x, kernel), _add(slopes)


def _transpose(kernel):
  return kernel[::-1, ::-1].swapaxes(2, 3)


up_conv.defjvp(_differentiate_up, symbolic_zeros=True)


def _kernel_gradient(x, cotangent, kernel, strides, padding):
  """The gradient of `conv` to a kernel of this shape and type."""
  def native(x, cotangent):
    _, to_kernel = jax.vjp(
        lambda kernel: _convolve(x, kernel, strides, padding),
        jnp.zeros(kernel.shape, kernel.dtype))
    return to_kernel(cotangent)[0]

  def in_bands(x, cotangent):
    return kernel_gradient(
        x, cotangent, size=kernel.shape[:2], strides=strides, padding=padding,
    ).astype(kernel.dtype)

  if cotangent.shape[1] * cotangent.shape[2] < _FEWEST_PIXELS:
    return native(x, cotangent)
  return lax.platform_dependent(x, cotangent, cpu=in_bands, default=native)


def kernel_gradient(
    x: Float[Array, 'b h w c'],
    cotangent: Float[Array, 'b u v d'],
    *,
    size: tuple[int, int],
    strides: tuple[int, int],
    padding: Padding,
) -> Float[Array, 'i j c d']:
  """The gradient of `conv` to its kernel, summed in bands of rows.

  Args:
    x: the input of the convolution.
    cotangent: the gradient to the convolution's result.
    size: height and width of the kernel.
    strides: strides of the convolution.
    padding: padding of the convolution.

  Returns:
    The gradient, in float32 at least.
  """
  (batch, _, _, channels), (_, rows, columns, features) = (
      x.shape, cotangent.shape)
  taps = size[0] * size[1] * channels
  most = max(1, _BAND_VALUES // (columns * taps))
  number = -(-rows // most)
  band = -(-rows // number)  # Equal bands, so that padding is small.
  height = (band - 1) * strides[0] + size[0]
  last = (number - 1) * band * strides[0] + height
  (top, _), (left, _) = padding
  width = (columns - 1) * strides[1] + size[1]
  x = _place(x, (top, left), (last, width))
  cotangent = _place(cotangent, (0, 0), (number * band, columns))
  precise = jnp.promote_types(x.dtype, jnp.float32)

  def add_band(total, index):
    # A band is of one picture, so that its rows are adjacent in memory.
    picture, row = index // number, index % number * band
    seen = lax.dynamic_slice(
        x, (picture, row * strides[0], 0, 0), (1, height, width, channels))[0]
    patches = jnp.concatenate([
        seen[i:i + (band - 1) * strides[0] + 1:strides[0],
             j:j + (columns - 1) * strides[1] + 1:strides[1]]
        for i in range(size[0]) for j in range(size[1])], axis=-1)
    slopes = lax.dynamic_slice(
        cotangent, (picture, row, 0, 0), (1, band, columns, features))
    return total + jnp.matmul(
        slopes.reshape(-1, features).T, patches.reshape(-1, taps),
        preferred_element_type=precise), None

  total, _ = lax.scan(
      add_band, jnp.zeros((features, taps), precise),
      jnp.arange(batch * number))
  return total.T.reshape(*size, channels, features)


def _place(x, start, size):
  """Pads with zeros at the start, and pads or cuts at the end, to a size."""
  (top, left), (height, width) = start, size
  return lax.pad(x, jnp.zeros((), x.dtype), (
      (0, 0, 0), (top, height - top - x.shape[1], 0),
      (left, width - left - x.shape[2], 0), (0, 0, 0)))
