"""Dynamic convolution as TPU kernels: image and kernels are read once."""

import functools
import math

import jax
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdeblur.errors import UserError
from jaxdeblur.ops.over_devices import by_batch

# A register holds 8 x 128 float32 or 16 x 128 bfloat16 values.
_LANES = 128
_SUBLANES = 16
_TILE_HEIGHT = 32
_MAX_TILE_WIDTH = 512
# The compiler grants at least 16 MiB (v5e); this leaves some for itself.
_VMEM_BYTES = 27 * 2 ** 19


def check_fits(
    image: Float[Array, 'b c h w'], kernels: Float[Array, 'b k2 h w']
) -> None:
  """Raises a UserError if a TPU cannot hold the kernels and channels."""
  _Tiles(image.shape, kernels)


def filter_planes(
    image: Float[Array, 'b c h w'], kernels: Float[Array, 'b k2 h w']
) -> Float[Array, 'b c h w']:
  """Sums each pixel's neighbours, weighted by its kernel, in float32.

  Args:
    image: the image's planes; beyond its border the edge repeats.
    kernels: k * k planes, one for each place in the kernel, row by row.

  Returns:
    The planes of the sums, of the image's type.

  Raises:
    UserError: a TPU cannot hold the kernels and channels.
  """
  tiles = _Tiles(image.shape, kernels)
  border = [
      (tiles.size // 2, padded - tiles.size // 2 - have)
      for padded, have in zip(tiles.padded_shape, image.shape[2:])]
  padded = jnp.pad(image, ((0, 0), (0, 0), *border), mode='edge')
  return _filter_padded(padded, kernels)


@jax.custom_vjp
@by_batch('b c y x, b k h w -> b c h w')
def _filter_padded(padded, kernels):
  tiles = _Tiles(padded.shape, kernels)
  return _run(
      functools.partial(_filter_tile, size=tiles.size),
      out_shape=jax.ShapeDtypeStruct(
          (*padded.shape[:2], *kernels.shape[2:]), padded.dtype),
      grid=tiles.grid,
      in_specs=[tiles.halo_spec, tiles.spec(tiles.planes)],
      out_specs=tiles.spec(tiles.channels),
      scratch_shapes=[tiles.shifted],
      name='dynamic_conv',
  )(padded, kernels)


def _filter_forward(padded, kernels):
  return _filter_padded(padded, kernels), (padded, kernels)


def _filter_backward(saved, cotangent):
  return _differentiate_padded(*saved, cotangent)


@by_batch('b c y x, b k h w, b c h w -> b c y x, b k h w')
def _differentiate_padded(padded, kernels, cotangent):
  tiles = _Tiles(padded.shape, kernels)
  rows, columns = tiles.grid[1:]
  to_tiles, to_kernels = _run(
      functools.partial(
          _differentiate_tile, size=tiles.size, shape=kernels.shape[2:]),
      out_shape=(
          jax.ShapeDtypeStruct(
              (*padded.shape[:2], rows * tiles.halo_shape[0],
               columns * tiles.halo_shape[1]), jnp.float32),
          jax.ShapeDtypeStruct(kernels.shape, kernels.dtype)),
      grid=tiles.grid,
      in_specs=[tiles.halo_spec, tiles.spec(tiles.planes),
                tiles.spec(tiles.channels)],
      out_specs=(
          pl.BlockSpec(
              (None, tiles.channels, *tiles.halo_shape),
              lambda b, row, column: (b, 0, row, column)),
          tiles.spec(tiles.planes)),
      scratch_shapes=[tiles.shifted, tiles.shifted],
      name='dynamic_conv_gradient',
  )(padded, kernels, cotangent)
  to_padded = _add_halos(to_tiles, 2, rows, tiles.height)
  to_padded = _add_halos(to_padded, 3, columns, tiles.width)
  return to_padded.astype(padded.dtype), to_kernels


_filter_padded.defvjp(_filter_forward, _filter_backward)


def _run(kernel, **settings):
  """Makes a call of the kernel: compiled on a TPU, interpreted on a CPU.

  For a TPU loops are unrolled, since it can load from an arbitrary row only if
  the row is known when compiling. For a CPU loops are kept; unrolled, they
  would compile for a minute.
  """
  def call(interpret):
    return pl.pallas_call(
        functools.partial(kernel, unroll=not interpret), interpret=interpret,
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=('parallel',) * 3),
        **settings)

  return functools.partial(
      lax.platform_dependent, tpu=call(False), cpu=call(True))


class _Tiles:
  """How planes are cut into tiles; the image's tiles have a halo.

  The halo lies below and to the right, and is as wide as whole registers. Tiles
  that reach beyond the kernels read arbitrary values there.
  """

  def __init__(self, image_shape, kernels):
    self.batch, self.channels = image_shape[:2]
    _, self.planes, height, width = kernels.shape
    self.size = math.isqrt(self.planes)
    self.height = _TILE_HEIGHT
    halo = pl.cdiv(self.size - 1, _SUBLANES) * _SUBLANES
    self.width = self._widest(width, halo, kernels.dtype.itemsize)
    self.halo_shape = (self.height + halo, self.width + _LANES)
    rows, columns = pl.cdiv(height, self.height), pl.cdiv(width, self.width)
    self.grid = (self.batch, rows, columns)
    self.padded_shape = (
        rows * self.height + halo, columns * self.width + _LANES)

  def _widest(self, width, halo, itemsize):
    """The widest tile whose gradients fit; streamed data must fit twice."""
    column = 4 * self.planes * self.height * itemsize
    column += 4 * self.channels * (
        2 * self.size * (self.height + halo)  # Shifted image and gradient.
        + 4 * (self.height + halo) + 2 * self.height)
    border = 4 * 4 * self.channels * (self.height + halo) * _LANES
    widest = (_VMEM_BYTES - border) // column // _LANES * _LANES
    if widest <= 0:
      raise UserError(
          f'Kernels of {self.size} x {self.size} for {self.channels} channels '
          "do not fit a TPU's vector memory: choose the dynamic convolution "
          "'taps', not 'pallas'.")
    return min(widest, _MAX_TILE_WIDTH, pl.cdiv(width, _LANES) * _LANES)

  @property
  def halo_spec(self):
    return pl.BlockSpec(
        (None, pl.Element(self.channels),
         *(pl.Element(extent) for extent in self.halo_shape)),
        lambda b, row, column: (b, 0, row * self.height, column * self.width))

  def spec(self, planes):
    return pl.BlockSpec(
        (None, planes, self.height, self.width),
        lambda b, row, column: (b, 0, row, column))

  @property
  def shifted(self):
    """Memory for the image's tile, shifted to each column of the kernel."""
    return pltpu.VMEM(
        (self.channels, self.size, self.halo_shape[0], self.width),
        jnp.float32)


def _filter_tile(image, kernels, out, shifted, *, size, unroll):
  """[c, halo], [k2, tile] -> [c, tile]: one step of the grid."""
  _shift(image, shifted, size)

  def filter_strip(strip, _):
    start = strip * _SUBLANES
    rows = pl.ds(start, _SUBLANES)

    def add_row(i, total):
      for j in range(size):
        tap = kernels[size * i + j, rows].astype(jnp.float32)
        total += tap[None] * shifted[:, j, pl.ds(start + i, _SUBLANES)]
      return total

    total = jnp.zeros((out.shape[0], _SUBLANES, out.shape[2]), jnp.float32)
    out[:, rows] = _loop(size, add_row, total, unroll).astype(out.dtype)

  _loop(_TILE_HEIGHT // _SUBLANES, filter_strip, None, unroll)


def _differentiate_tile(
    image, kernels, cotangent, to_image, to_kernels, shifted, to_shifted, *,
    size, shape, unroll):
  """The gradient to a tile's kernels, and its part of that to the image.

  Values read beyond the picture may be anything, even NaN. They are replaced by
  zeros, since they would reach pixels inside the picture.
  """
  _shift(image, shifted, size)
  to_shifted[...] = jnp.zeros_like(to_shifted)
  width = cotangent.shape[2]
  bottom = shape[0] - pl.program_id(1) * _TILE_HEIGHT
  right = shape[1] - pl.program_id(2) * width

  def differentiate_strip(strip, _):
    start = strip * _SUBLANES
    rows = pl.ds(start, _SUBLANES)
    row, column = (
        lax.broadcasted_iota(jnp.int32, (1, _SUBLANES, width), axis)
        for axis in (1, 2))
    inside = (row + start < bottom) & (column < right)

    def read(planes):
      return jnp.where(inside, planes[:, rows].astype(jnp.float32), 0.)

    strips = read(cotangent)

    def add_row(i, _):
      for j in range(size):
        tap = pl.ds(size * i + j, 1)
        place = slice(None), j, pl.ds(start + i, _SUBLANES)
        to_shifted[place] += read(kernels.at[tap]) * strips
        to_kernels[tap, rows] = (strips * shifted[place]).sum(
            axis=0, keepdims=True).astype(to_kernels.dtype)

    _loop(size, add_row, None, unroll)

  _loop(_TILE_HEIGHT // _SUBLANES, differentiate_strip, None, unroll)
  total = 0.
  for j in range(size):
    widened = jnp.pad(to_shifted[:, j], ((0, 0), (0, 0), (0, _LANES)))
    total += pltpu.roll(widened, j, 2)
  to_image[...] = total


def _loop(count, step, carry, unroll):
  """Applies step(i, carry) for each i; unrolled, i is a Python number."""
  if not unroll:
    return lax.fori_loop(0, count, step, carry)
  for i in range(count):
    carry = step(i, carry)
  return carry


def _shift(image, shifted, size):
  """Moves lanes once for each column of the kernel, not for each tap."""
  width = shifted.shape[-1]
  planes = image[...].astype(jnp.float32)
  for j in range(size):
    shifted[:, j] = pltpu.roll(planes, -j % planes.shape[2], 2)[..., :width]


def _add_halos(tiles, axis, count, step):
  """Joins neighbouring tiles along an axis: each halo is added to the next.

  `count` tiles of step + halo become one plane of count * step + halo.
  """
  shape = tiles.shape
  halo = shape[axis] // count - step
  tiles = tiles.reshape(*shape[:axis], count, step + halo, *shape[axis + 1:])
  body, halos = jnp.split(tiles, [step], axis=axis + 1)

  def join(x, missing, before, after):
    x = _pad(x, axis + 1, 0, missing)
    x = x.reshape(*shape[:axis], count * step, *shape[axis + 1:])
    return _pad(x, axis, before, after)

  return join(body, 0, 0, halo) + join(halos, step - halo, step, halo - step)


def _pad(x, axis, before, after):
  """Pads with zeros, or cuts off if a number is negative."""
  border = [(0, 0, 0)] * x.ndim
  border[axis] = (before, after, 0)
  return lax.pad(x, jnp.zeros((), x.dtype), border)
