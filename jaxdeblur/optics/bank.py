"""Banks of measured kernels, over the picture and over circles of confusion."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from jaxdeblur.errors import UserError
from jaxdeblur.optics import psf

_ARRAYS = ('kernels', 'circles', 'views')
_VIEWS = (('center',), ('left', 'right'))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Bank:
  """Kernels of one camera, to interpolate between.

  Attributes:
    kernels: float32 [circles, rows, columns, views, k, k], k odd, each with sum
      1. Rows and columns are places in the picture: the middles of a grid of
      equal cells that covers it.
    circles: signed diameters of the circle of confusion, px, rising, float32
      [circles].
    views: ('center',) or ('left', 'right').
  """
  kernels: jax.Array | np.ndarray
  circles: jax.Array | np.ndarray
  views: tuple[str, ...] = dataclasses.field(metadata={'static': True})

  @property
  def size(self) -> int:
    return self.kernels.shape[-1]

  def interpolate(
      self,
      circle: psf.Scalar,
      place: tuple[psf.Scalar, psf.Scalar] = (0.0, 0.0),
  ) -> Float[Array, 'views k k']:
    """Returns the kernels of a circle of confusion at a place.

    It is linear in the circle and in both directions of the place, and constant
    beyond the outermost kernels.

    Args:
      circle: signed diameter of the circle of confusion, px.
      place: (x, y) in the picture, each from -1 to 1.
    """
    count, rows, columns = self.kernels.shape[:3]
    x, y = place
    kernels = jnp.asarray(self.kernels)
    # The middle of cell i of n lies at (2 i + 1) / n - 1.
    for position in (
        jnp.interp(circle, self.circles, jnp.arange(count, dtype=jnp.float32)),
        ((y + 1) * rows - 1) / 2, ((x + 1) * columns - 1) / 2):
      kernels = _between(kernels, jnp.asarray(position, jnp.float32))
    return kernels / kernels.sum(axis=(-2, -1), keepdims=True)

  def interpolate_both_sides(
      self,
      circle: psf.Scalar,
      place: tuple[psf.Scalar, psf.Scalar] = (0.0, 0.0),
  ) -> Float[Array, 'views k k']:
    """Like `interpolate`, also for a bank that knows one side of the focus.

    On the other side, the halves of the aperture change places.
    """
    circle = jnp.asarray(circle)
    one_sided = (self.circles[0] >= 0) | (self.circles[-1] <= 0)
    known = jnp.where(self.circles[-1] > 0, jnp.abs(circle), -jnp.abs(circle))
    kernels = self.interpolate(jnp.where(one_sided, known, circle), place)
    is_other = one_sided & (circle * known < 0)
    return jnp.where(is_other, kernels[::-1], kernels)


def read_bank(file: str | pathlib.Path) -> Bank:
  """Reads a bank from an npz file that `write_bank` or a calibration wrote.

  Raises:
    UserError: the file is no bank, or its kernels cannot be used.
  """
  try:
    with np.load(file, allow_pickle=False) as arrays:
      held = {name: arrays[name] for name in _ARRAYS if name in arrays}
  except (OSError, ValueError, EOFError) as error:
    if isinstance(error, FileNotFoundError):
      raise
    raise UserError(
        f'{file} is no bank of kernels: it cannot be read as npz.') from error
  missing = [name for name in _ARRAYS if name not in held]
  if missing:
    raise UserError(
        f'{file} is no bank of kernels: it has no {" and ".join(missing)}. '
        '`jaxdeblur calibrate` writes one.')
  bank = Bank(held['kernels'].astype(np.float32),
              held['circles'].astype(np.float32),
              tuple(str(view) for view in held['views']))
  problem = _find_problem(bank)
  if problem:
    raise UserError(f'{file} is no bank of kernels: {problem}.')
  kernels = bank.kernels / bank.kernels.sum(axis=(-2, -1), keepdims=True)
  return dataclasses.replace(bank, kernels=kernels)


def write_bank(file: str | pathlib.Path, bank: Bank) -> None:
  """Writes a bank as npz."""
  np.savez_compressed(
      file, kernels=np.asarray(bank.kernels, np.float32),
      circles=np.asarray(bank.circles, np.float32), views=np.array(bank.views))


def _between(values, position: Array) -> Array:
  """Interpolates linearly along the first axis and removes it."""
  last = values.shape[0] - 1
  position = jnp.clip(position, 0, last)
  low = jnp.clip(jnp.floor(position).astype(int), 0, max(last - 1, 0))
  high = jnp.minimum(low + 1, last)
  return values[low] + (position - low) * (values[high] - values[low])


def _find_problem(bank: Bank) -> str | None:
  kernels, circles = bank.kernels, bank.circles
  if bank.views not in _VIEWS:
    return f'its views are {bank.views}, not {" or ".join(map(str, _VIEWS))}'
  if kernels.ndim != 6 or kernels.shape[3] != len(bank.views) or (
      kernels.shape[0] != circles.size or 0 in kernels.shape):
    return (f'its kernels have the shape {kernels.shape}, not (circles, rows, '
            f'columns, views, k, k) with {circles.size} circles and '
            f'{len(bank.views)} views')
  if kernels.shape[4] != kernels.shape[5] or kernels.shape[4] % 2 == 0:
    return (f'its kernels are {kernels.shape[4]} x {kernels.shape[5]} px, not '
            'square and odd')
  if not np.isfinite(kernels).all() or (kernels < 0).any() or (
      kernels.sum(axis=(-2, -1)) <= 0).any():
    return 'its kernels hold values that are not finite, negative, or all 0'
  if circles.ndim != 1 or (np.diff(circles) <= 0).any():
    return 'its circles do not rise'
  return None
