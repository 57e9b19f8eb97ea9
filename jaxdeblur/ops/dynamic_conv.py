"""Dynamic convolution: every pixel is filtered with a kernel of its own."""

import functools
import math
from typing import Literal

import jax
from jax import lax
from jax.custom_derivatives import SymbolicZero
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdeblur.errors import UserError
from jaxdeblur.ops.linear import apply_linear

Method = Literal['auto', 'taps', 'unfold', 'pallas']
METHODS = ('auto', 'taps', 'unfold', 'pallas')


def dynamic_conv(
    image: Float[Array, 'b h w c'],
    kernels: Float[Array, 'b h w k2'],
    method: Method = 'auto',
) -> Float[Array, 'b h w c']:
  """Filters each pixel's neighbourhood with that pixel's kernel.

  out[y, x, c] = sum_ij kernels[y, x, k i + j] image[y + i - r, x + j - r, c]
  with r = k // 2, i the row offset and j the column offset. It is a correlation
  with one kernel for all channels, not normalised (Ruan et al. 2022, Tab. S3,
  dynconv). Beyond its border the image repeats its edge. Sums are in float32,
  or in float64 if an input is; the result has the image's type. It can be
  differentiated backwards (`jax.grad`) and forwards (`jax.jvp`), with 'pallas'
  only backwards.

  Args:
    image: the picture, any number of channels, any range.
    kernels: a flattened k x k kernel for each pixel, k odd.
    method: how to compute it. 'taps' adds k * k shifted products, one for each
      place in the kernel (a tap), and holds no more than the kernels. 'unfold'
      gathers each pixel's k * k neighbours and contracts them with an einsum:
      it is the readable definition, and needs k * k copies of the image.
      'pallas' runs a kernel for TPUs, or one for NVIDIA GPUs, that reads image
      and kernels once; on a CPU it interprets the TPU's kernel, which is slow,
      for tests. 'auto' is 'taps' everywhere: the TPU's kernel has only been
      compiled and not run on a TPU, and the GPU's kernel, which is faster,
      depends on a part of JAX that will be removed (figures in
      docs/performance.md).

  Returns:
    The filtered image, of the image's shape and type.

  Raises:
    UserError: the kernels are not square and odd, their batch, height or width
      differs from the image's, or the method is unknown; or the method is
      'pallas' with float64, or with more kernel values or channels than fit a
      TPU's vector memory.
  """
  size = _kernel_size(image.shape, kernels.shape)
  if method not in METHODS:
    raise UserError(
        f'Unknown dynamic convolution method {method!r}: choose one of '
        f'{", ".join(METHODS)}.')
  # The scope's name is for profiles, and for counting (benchmark/counting).
  with jax.named_scope('dynamic_conv'):
    if method == 'pallas':
      return _pallas(image, kernels)
    filter_image = _unfold if method == 'unfold' else _taps
    return filter_image(image, kernels, size=size)


@functools.partial(jax.jit, static_argnames='size')
def _unfold(image, kernels, size):
  radius = size // 2
  _, height, width, _ = image.shape
  precise = _sum_type(image, kernels)
  padded = _pad_edge(image.astype(precise), radius)
  patches = jnp.stack(
      [padded[:, i:i + height, j:j + width]
       for i in range(size) for j in range(size)],
      axis=-1)  # [b, h, w, c, k2]
  out = jnp.einsum(
      'bhwck,bhwk->bhwc', patches, kernels.astype(precise),
      precision='highest')
  return out.astype(image.dtype)


@functools.partial(jax.jit, static_argnames='size')
def _taps(image, kernels, size):
  radius = size // 2
  padded = _planar(_pad_edge(image, radius))
  return _filter_planes(padded, _planar(kernels), size).transpose(
      0, 2, 3, 1).astype(image.dtype)


@jax.jit
def _pallas(image, kernels):
  # Imported here, since importing takes a quarter of a second and few need it.
  from jaxdeblur.ops import dynamic_conv_pallas, dynamic_conv_triton

  if _sum_type(image, kernels) != jnp.float32:
    raise UserError(
        f"The dynamic convolution 'pallas' sums in float32, and got an image "
        f"of {image.dtype} and kernels of {kernels.dtype}: choose 'taps'.")
  image, kernels = (x.transpose(0, 3, 1, 2) for x in (image, kernels))
  dynamic_conv_pallas.check_fits(image, kernels)
  return lax.platform_dependent(
      image, kernels, cuda=dynamic_conv_triton.filter_planes,
      default=dynamic_conv_pallas.filter_planes).transpose(0, 2, 3, 1)


def _sum_type(image, kernels):
  return jnp.result_type(image, kernels, jnp.float32)


def _planar(x):
  """Transposes [b, h, w, c] to [b, c, h, w], and keeps it so.

  With 3 channels innermost, the vector units of a CPU and the 128 lanes of a
  TPU stay mostly empty. The barrier keeps XLA from folding the transpose back
  into every tap, which multiplies the memory traffic on TPU.
  """
  return lax.optimization_barrier(x.transpose(0, 3, 1, 2))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _filter_planes(padded, kernels, size):
  """Sums the taps: [b, c, h + 2r, w + 2r], [b, k2, h, w] -> [b, c, h, w]."""
  return _sum_taps([(padded, kernels)], size)


def _sum_taps(pairs, size):
  """Filters several pairs (padded, kernels) of equal size; returns their sum.

  All share one loop, which reads and writes the sum only once for each row.
  """
  padded, kernels = pairs[0]
  height, width = kernels.shape[2:]
  precise = _sum_type(padded, kernels)

  def add_row(i, total):
    for padded, kernels in pairs:
      rows = lax.dynamic_slice_in_dim(padded, i, height, axis=2)
      taps = lax.dynamic_slice_in_dim(kernels, size * i, size, axis=1)
      for j in range(size):
        tap = taps[:, None, j].astype(precise)
        total += tap * rows[..., j:j + width]
    return total

  total = jnp.zeros((*padded.shape[:2], height, width), precise)
  return _for_each_row(size, add_row, total)


def _differentiate(size, primals, tangents):
  # Leaves out inputs that are constant.
  number = len(primals)
  moving = [i for i in range(number)
            if not isinstance(tangents[i], SymbolicZero)]

  def move(*args):
    inputs = args[:number]
    return [_sum_taps(
        [(*inputs[:i], tangent, *inputs[i + 1:])
         for i, tangent in zip(moving, args[number:], strict=True)], size)]

  def transpose(*args):
    gradients = _transpose_taps(*args, size)
    return [gradients[i] for i in moving]

  slope, = apply_linear(
      move, transpose, primals, [tangents[i] for i in moving])
  return _filter_planes(*primals, size), slope


_filter_planes.defjvp(_differentiate, symbolic_zeros=True)


def _transpose_taps(padded, kernels, cotangent, size):
  """Transposes `_sum_taps`, written out since XLA's own transpose is slow.

  XLA pads each tap's gradient to all k * k planes and adds them up, which took
  ten times as long on a CPU.
  """
  height, width = kernels.shape[2:]
  precise = cotangent.dtype
  cotangent = lax.optimization_barrier(cotangent)

  def add_row(i, gradients):
    to_padded, to_kernels = gradients
    rows = lax.dynamic_slice_in_dim(padded, i, height, axis=2)
    taps = lax.dynamic_slice_in_dim(kernels, size * i, size, axis=1)
    to_rows, to_taps = 0., []
    for j in range(size):
      neighbours = rows[..., j:j + width].astype(precise)
      to_taps.append((cotangent * neighbours).sum(axis=1))
      tap = taps[:, None, j].astype(precise)
      to_rows += jnp.pad(
          tap * cotangent, ((0, 0), (0, 0), (0, 0), (j, size - 1 - j)))
    to_rows += lax.dynamic_slice_in_dim(to_padded, i, height, axis=2)
    to_padded = lax.dynamic_update_slice_in_dim(to_padded, to_rows, i, axis=2)
    to_taps = jnp.stack(to_taps, axis=1).astype(kernels.dtype)
    to_kernels = lax.dynamic_update_slice_in_dim(
        to_kernels, to_taps, size * i, axis=1)
    return to_padded, to_kernels

  to_padded, to_kernels = _for_each_row(
      size, add_row,
      (jnp.zeros(padded.shape, precise), jnp.zeros_like(kernels)))
  return to_padded.astype(padded.dtype), to_kernels


def _for_each_row(size, add_row, initial):
  """Applies add_row(i, carry) to the kernel's rows i.

  On a CPU this is a loop, since nothing fuses into a loop. Otherwise XLA would
  drop the barriers and fuse one dynamic convolution into each tap of the next,
  computing it 49 times. Elsewhere it is unrolled, so that the sum stays in
  registers.
  """
  def loop(carry):
    return lax.fori_loop(0, size, add_row, carry)

  def unroll(carry):
    for i in range(size):
      carry = add_row(i, carry)
    return carry

  return lax.platform_dependent(initial, cpu=loop, default=unroll)


def _pad_edge(image, radius):
  border = (radius, radius)
  return jnp.pad(image, ((0, 0), border, border, (0, 0)), mode='edge')


def _kernel_size(image_shape, kernels_shape) -> int:
  """Returns k of the k x k kernels; raises a UserError if they do not fit."""
  size = math.isqrt(kernels_shape[-1])
  if size * size != kernels_shape[-1] or size % 2 == 0:
    raise UserError(
        f'Kernels have {kernels_shape[-1]} values a pixel; dynamic convolution '
        'needs k * k of them with k odd (1, 9, 25, 49, ...).')
  if kernels_shape[:3] != image_shape[:3]:
    raise UserError(
        f'Kernels are for batch, height, width {kernels_shape[:3]}, the image '
        f'is {image_shape[:3]}: give one kernel a pixel.')
  return size
