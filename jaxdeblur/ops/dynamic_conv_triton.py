"""Dynamic convolution as kernels for NVIDIA GPUs, by Pallas and Triton.

A program computes part of a row of pixels. It reads each value of their kernels
once. The neighbours in the image, which programs share, come from caches.
"""

import functools
import math

import jax
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdeblur.ops.over_devices import by_batch

_BLOCK = 128  # Pixels for each program: one for each thread of four warps.


def filter_planes(
    image: Float[Array, 'b c h w'],
    kernels: Float[Array, 'b k2 h w'],
    interpret: bool = False,
) -> Float[Array, 'b c h w']:
  """Sums each pixel's neighbours, weighted by its kernel, in float32.

  Args:
    image: the image's planes; beyond its border the edge repeats.
    kernels: k * k planes, one for each place in the kernel, row by row.
    interpret: whether XLA runs the kernels step by step, on any device.

  Returns:
    The planes of the sums, of the image's type; they can be differentiated
    backwards.
  """
  radius = math.isqrt(kernels.shape[1]) // 2
  border = (radius, radius)
  padded = jnp.pad(image, ((0, 0), (0, 0), border, border), mode='edge')
  return _filter_padded(padded, kernels, interpret)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _filter_padded(padded, kernels, interpret):
  return _filter(padded, kernels, interpret)


def _forward(padded, kernels, interpret):
  return _filter(padded, kernels, interpret), (padded, kernels)


def _backward(interpret, saved, cotangent):
  padded, kernels = saved
  return (_differentiate_image(padded, kernels, cotangent, interpret),
          _differentiate_kernels(padded, kernels, cotangent, interpret))


_filter_padded.defvjp(_forward, _backward)


def _filter(padded, kernels, interpret):
  @by_batch('b c y x, b k h w -> b c h w')
  def run(padded, kernels):
    return _call(
        _filter_pixels, kernels, (*padded.shape[:2], *kernels.shape[2:]),
        padded.dtype, interpret)(padded, kernels)

  return run(padded, kernels)


def _differentiate_kernels(padded, kernels, cotangent, interpret):
  @by_batch('b c y x, b k h w, b c h w -> b k h w')
  def run(padded, kernels, cotangent):
    return _call(
        _differentiate_kernels_of_pixels, kernels, kernels.shape,
        kernels.dtype, interpret)(padded, cotangent)

  return run(padded, kernels, cotangent)


def _differentiate_image(padded, kernels, cotangent, interpret):
  @by_batch('b c y x, b k h w, b c h w -> b c y x')
  def run(padded, kernels, cotangent):
    return _call(
        _differentiate_pixels, kernels, padded.shape, padded.dtype,
        interpret)(kernels, cotangent)

  return run(padded, kernels, cotangent)


def _call(kernel, kernels, shape, dtype, interpret):
  """Makes a call of the kernel for each block of each row of the result."""
  batch, _, height, width = shape
  return pl.pallas_call(
      functools.partial(kernel, size=math.isqrt(kernels.shape[1])),
      out_shape=jax.ShapeDtypeStruct(shape, dtype),
      grid=(batch, height, pl.cdiv(width, _BLOCK)), interpret=interpret,
      compiler_params=triton.CompilerParams(num_warps=4, num_stages=1),
      name=kernel.__name__.strip('_'))


def _place():
  """This program's picture, row and first column."""
  return pl.program_id(0), pl.program_id(1), pl.program_id(2) * _BLOCK


def _filter_pixels(padded, kernels, out, *, size):
  picture, row, start = _place()
  inside = start + jnp.arange(_BLOCK) < out.shape[3]
  load = functools.partial(_load, inside=inside)

  def add_row(i, totals):
    for j in range(size):
      tap = load(kernels, picture, size * i + j, row, start)
      totals = [
          total + tap * load(padded, picture, channel, row + i, start + j)
          for channel, total in enumerate(totals)]
    return totals

  totals = _sum_rows(size, add_row, channels=out.shape[1])
  for channel, total in enumerate(totals):
    _store(out, total, picture, channel, row, start, inside)


def _differentiate_kernels_of_pixels(padded, cotangent, to_kernels, *, size):
  picture, row, start = _place()
  inside = start + jnp.arange(_BLOCK) < to_kernels.shape[3]
  load = functools.partial(_load, inside=inside)
  slopes = [load(cotangent, picture, channel, row, start)
            for channel in range(cotangent.shape[1])]

  def differentiate_row(i, _):
    for j in range(size):
      total = sum(
          slope * load(padded, picture, channel, row + i, start + j)
          for channel, slope in enumerate(slopes))
      _store(to_kernels, total, picture, size * i + j, row, start, inside)

  lax.fori_loop(0, size, differentiate_row, None)


def _differentiate_pixels(kernels, cotangent, to_padded, *, size):
  """Sums gradient times tap over all pixels whose kernel read a pixel."""
  picture, row, start = _place()
  columns = start + jnp.arange(_BLOCK)
  _, channels, height, width = cotangent.shape

  def add_row(i, totals):
    y = row - i
    for j in range(size):
      x = columns - j
      seen = (0 <= y) & (y < height) & (0 <= x) & (x < width)
      place = jnp.clip(y, 0, height - 1), jnp.clip(x, 0, width - 1)
      tap = kernels[picture, size * i + j, *place].astype(jnp.float32)
      tap = jnp.where(seen, tap, 0.)
      totals = [
          total + tap * cotangent[picture, channel, *place].astype(jnp.float32)
          for channel, total in enumerate(totals)]
    return totals

  inside = columns < to_padded.shape[3]
  for channel, total in enumerate(_sum_rows(size, add_row, channels)):
    _store(to_padded, total, picture, channel, row, start, inside)


def _sum_rows(size, add_row, channels):
  """Applies add_row(i, totals) to the kernels' rows i."""
  return lax.fori_loop(
      0, size, add_row, [jnp.zeros(_BLOCK, jnp.float32)] * channels)


def _load(ref, picture, plane, row, start, *, inside):
  return triton.load(
      ref.at[picture, jnp.int32(plane), row, pl.ds(start, _BLOCK)], mask=inside,
      other=0.).astype(jnp.float32)


def _store(ref, values, picture, plane, row, start, inside):
  triton.store(
      ref.at[picture, jnp.int32(plane), row, pl.ds(start, _BLOCK)],
      values.astype(ref.dtype), mask=inside)
