"""Estimates PSFs from a registered chart by constrained least squares.

A photograph of one disc is, up to the white around it and a black level, the
drawn disc convolved with the kernel. The kernel that is not negative, has sum 1
and is smooth is fitted, in the photograph's pixels.
"""

import dataclasses
import functools
from typing import NoReturn

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float
import numpy as np
from scipy import fft, ndimage

from jaxdeblur.calibration.detection import to_grey
from jaxdeblur.calibration.registration import (
    Registration,
    cut_windows,
    draw_discs,
)
from jaxdeblur.errors import UserError

# Steps of the accelerated gradient.
_STEPS = 200
# Weight of the smoothness; 1 is that of a disc's border, see `_smoothness`.
_SMOOTHNESS = 1.0
# Kernels reach this many radii from their middle, and so many pixels farther. A
# Gaussian with a disc's variance reaches 2 radii at 4 deviations.
_REACH, _MARGIN = 2.1, 3
# Less than this share of the highest value is taken for noise.
_FAINT = 0.01
# Noise cannot be known better than this share of white.
_LEAST_NOISE = 1e-3


@dataclasses.dataclass(frozen=True)
class Estimate:
  """PSFs of one photograph, or of one pair of views.

  Attributes:
    kernels: [rows, columns, views, k, k], by cells of the photograph, each with
      sum 1. Their mean over the views has its centroid in the middle.
    shifts: (x, y) of each disc that the registration did not explain, px.
    noise: standard deviation of the photograph's noise, as a share of white.
    misfit: root mean square difference of photograph and model, as above.
    registration: of the photograph.
  """
  kernels: Float[np.ndarray, 'r c v k k']
  shifts: Float[np.ndarray, 'n 2']
  noise: float
  misfit: float
  registration: Registration


def estimate(
    views: list[np.ndarray],
    registration: Registration,
    grid: tuple[int, int] = (8, 13),
    smoothness: float = _SMOOTHNESS,
) -> Estimate:
  """Estimates the PSFs of equal cells of a photograph.

  All discs in a cell share one kernel. A cell without a disc takes the nearest
  one.

  Args:
    views: one photograph, or the left and right view, of linear light [h, w] or
      [h, w, 3]. Colours are averaged.
    registration: of the photograph, or of the mean of both views.
    grid: number of rows and columns of cells.
    smoothness: weight of the smoothness, 1 by default.

  Raises:
    UserError: the grid is empty, the smoothness negative, or blur joins
      neighbouring discs.
  """
  if min(grid) < 1:
    raise UserError(f'A grid needs 1 x 1 cells or more; got {grid}.',
                    argument='grid')
  if not 0 <= smoothness < np.inf:
    raise UserError(f'The smoothness is 0 or more; got {smoothness}.',
                    argument='smoothness')
  chart, scale = registration.chart, registration.smallest_scale
  size = 2 * int(chart.spacing * scale / 2) + 1
  still = np.zeros((chart.count, 2))
  sharp = draw_discs(registration, size, still)
  whole = _circle(size, size // 2)
  darkness = np.stack([
      _find_darkness(cut_windows(to_grey(view), registration, size), sharp,
                     whole) for view in views], axis=1)
  shifts, radius = _compare_moments(darkness, sharp, whole)
  largest = int(chart.reach * scale)
  half = min(int(np.ceil(_REACH * radius + _MARGIN)), largest)
  if radius > largest:
    _refuse_blur(radius, chart, scale)
  # Now the windows where no blur comes are known better.
  reach = _circle(size, chart.radius * scale * 1.05 + half)
  for _ in range(2):
    sharp = draw_discs(registration, size, shifts)
    darkness = np.stack([
        _find_darkness(cut_windows(to_grey(view), registration, size), sharp,
                       reach) for view in views], axis=1)
    rest, radius = _compare_moments(darkness, sharp, reach)
    shifts = shifts + rest
  sharp = draw_discs(registration, size, shifts)
  noise = float(np.sqrt(np.mean(np.square(darkness[..., ~reach]))))
  members = _assign(registration, grid)
  kernels = _solve(
      sharp, darkness, members, half,
      _smoothness(max(noise, _LEAST_NOISE), radius, half) * smoothness)
  if half == largest and _reaches_border(kernels):
    _refuse_blur(radius, chart, scale)
  kernels = kernels.reshape(*grid, len(views), *kernels.shape[-2:])
  return Estimate(kernels, shifts, noise,
                  _misfit(sharp, darkness, kernels, members), registration)


def _refuse_blur(radius, chart, scale) -> NoReturn:
  raise UserError(
      f'The blur, about {radius:.1f} px in radius or more, joins neighbouring '
      f'discs, which are {2 * chart.reach * scale:.0f} px apart. Fill the '
      'frame with the chart, or come nearer to the plane in focus.')


def _reaches_border(kernels: Float[np.ndarray, 'n v k k']) -> bool:
  """Whether kernels have light as far out as neighbouring discs allow."""
  mean = kernels.mean(axis=(0, 1))
  half = mean.shape[-1] // 2
  ring = _circle(2 * half + 1, half + 0.5) & ~_circle(2 * half + 1, half - 0.5)
  return bool(mean[ring].mean() > _FAINT * mean.max())


def _find_darkness(
    windows: Float[np.ndarray, 'n s s'], sharp: Float[np.ndarray, 'n s s'],
    reach: Bool[np.ndarray, 's s']
) -> Float[np.ndarray, 'n s s']:
  """Scales windows to 0 on white and 1 on black.

  White is fitted where no blur comes, with light that falls off; the black
  level follows, as blur keeps the sum of darkness.
  """
  size = windows.shape[-1]
  axis = np.linspace(-1, 1, size)
  x, y = np.meshgrid(axis, axis)
  basis = np.stack([np.ones(x.shape), x, y, x * x, x * y, y * y], axis=-1)
  result = np.zeros(windows.shape, np.float32)
  for window, disc, scaled in zip(windows, sharp, result):
    known = np.isfinite(window)
    white = known & ~reach
    if white.sum() < 50:
      raise UserError(
          'A disc is too near to the border of the photograph: leave a margin '
          'of half the distance between discs around the chart.')
    factors = np.linalg.lstsq(basis[white], window[white], rcond=None)[0]
    gain = np.maximum(basis @ factors, 1e-6)
    dark = np.where(known & reach, 1 - window / gain, 0)
    depth = dark.sum() / disc.sum()
    scaled[:] = np.where(known, 1 - window / gain, 0) / depth
  return result


def _compare_moments(darkness, sharp, reach):
  """Returns each disc's shift (x, y) and the median radius of the blur, px.

  Centroids and variances add up in a convolution.
  """
  size = sharp.shape[-1]
  axis = np.arange(size) - size // 2
  light = np.where(reach, darkness.mean(axis=1), 0)

  def moments(values):
    values = values / values.sum(axis=(1, 2), keepdims=True)
    across, down = values.sum(axis=1), values.sum(axis=2)
    first = np.stack([across @ axis, down @ axis], axis=1)
    second = np.stack([across @ axis ** 2, down @ axis ** 2], axis=1)
    return first, second - first ** 2

  (place, spread), (drawn, smallest) = moments(light), moments(sharp)
  variance = np.median((spread - smallest).mean(axis=1))
  return place - drawn, 2 * float(np.sqrt(max(variance, 0.1)))


def _smoothness(noise: float, radius: float, half: int) -> float:
  """The weight of the squared gradient that fits a disc of this radius.

  A disc's kernel falls by 1 / (pi r^2) along its border of 2 pi r, so its
  squared gradient sums up to 2 / (pi r^3); that is shared by all pixels. The
  weight is the noise's variance over that of the gradient.
  """
  variance = 2 / (np.pi * max(radius, 1.0) ** 3) / (2 * half + 1) ** 2
  return noise ** 2 / variance


def _assign(registration, grid) -> Float[np.ndarray, 'cells n']:
  """1 where a disc belongs to a cell of the photograph."""
  rows, columns = grid
  height, width = registration.shape
  place = (registration.centres + 0.5) / (width, height)
  row = np.clip((place[:, 1] * rows).astype(int), 0, rows - 1)
  column = np.clip((place[:, 0] * columns).astype(int), 0, columns - 1)
  cells = np.arange(rows * columns)
  members = (cells[:, None] == row * columns + column).astype(np.float32)
  middles = np.stack([(cells % columns + 0.5) / columns,
                      (cells // columns + 0.5) / rows], axis=1)
  offset = (middles[:, None] - place[None]) * (width, height)
  nearest = np.linalg.norm(offset, axis=-1).argmin(axis=1)
  empty = members.sum(axis=1) == 0
  members[empty, nearest[empty]] = 1
  return members


def _solve(sharp, darkness, members, half, smoothness):
  """Kernels [cells, views, k, k] from the normal equations of each cell."""
  size = sharp.shape[-1]
  length = fft.next_fast_len(size + 2 * half, real=True)
  shape = (length, length)
  drawn = fft.rfft2(sharp, shape, workers=2)
  seen = fft.rfft2(darkness, shape, workers=2)
  power = fft.irfft2(np.abs(drawn) ** 2, shape, workers=2)
  match = fft.irfft2(np.conj(drawn)[:, None] * seen, shape, workers=2)
  lags = np.arange(-2 * half - 1, 2 * half + 2)
  offsets = np.arange(-half - 1, half + 2)
  power = power[:, lags[:, None], lags]
  match = match[..., offsets[:, None], offsets]
  count = members.sum(axis=1)
  power = np.tensordot(members, power, 1) / count[:, None, None]
  match = np.tensordot(members, match, 1) / count[:, None, None, None]
  weight = smoothness / count
  middle = 2 * half + 1
  power[:, middle, middle] += 4 * weight
  for row, column in ((0, 1), (0, -1), (1, 0), (-1, 0)):
    power[:, middle + row, middle + column] -= weight
  power = jnp.asarray(_sharpen(power), jnp.float32)
  match = jnp.asarray(_sharpen(match), jnp.float32)
  circle = _circle(2 * half + 1, half + 0.5)
  # Noise is not negative either: far from the middle it widens each kernel.
  first = np.asarray(_minimise(power, match, jnp.asarray(circle), _STEPS))
  return np.asarray(_minimise(
      power, match, jnp.asarray(circle & _find_support(first)), _STEPS))


def _find_support(kernels: np.ndarray) -> Bool[np.ndarray, 'k k']:
  """Where the mean of all kernels has light, and one pixel more."""
  mean = ndimage.gaussian_filter(kernels.mean(axis=(0, 1)), 0.5)
  lit = ndimage.binary_opening(np.pad(mean > _FAINT * mean.max(), 1))
  return ndimage.binary_dilation(lit, np.ones((3, 3)))[1:-1, 1:-1]


def _sharpen(values):
  """Filters by the negative Laplacian, without the outermost pixels.

  Discs have little light of high frequencies. To compare slopes rather than
  values has the same solution, but the steps reach it 20 times sooner.
  """
  inside = values[..., 1:-1, 1:-1]
  return (4.001 * inside - values[..., :-2, 1:-1] - values[..., 2:, 1:-1]
          - values[..., 1:-1, :-2] - values[..., 1:-1, 2:])


@functools.partial(jax.jit, static_argnums=3)
def _minimise(
    power: Float[Array, 'n l l'], match: Float[Array, 'n v k k'],
    support: Bool[Array, 'k k'], steps: int
) -> Float[Array, 'n v k k']:
  """Minimises k' P k / 2 - m' k for k not negative on the support.

  Accelerated projected gradient, restarted where it overshoots (O'Donoghue and
  Candes 2015). P is a convolution, so a step is one in the Fourier domain.
  """
  size = match.shape[-1]
  length = fft.next_fast_len(2 * size - 1, real=True)
  shape = (length, length)
  # The middle of `power` goes to the origin.
  power = jnp.pad(power, ((0, 0), *((0, length - 2 * size + 1),) * 2))
  power = jnp.roll(power, (1 - size, 1 - size), axis=(1, 2))
  transfer = jnp.fft.rfft2(power)[:, None]
  bound = jnp.abs(transfer).max(axis=(2, 3), keepdims=True)
  start = jnp.where(support, 1.0, 0.0) / support.sum()
  start = jnp.broadcast_to(start, match.shape)

  def step(_, state):
    kernel, ahead, speed = state
    product = jnp.fft.irfft2(transfer * jnp.fft.rfft2(ahead, shape), shape)
    slope = product[..., :size, :size] - match
    moved = jnp.where(support, jnp.maximum(ahead - slope / bound, 0), 0)
    change = moved - kernel
    overshoots = ((ahead - moved) * change).sum(
        axis=(2, 3), keepdims=True) > 0
    speed = jnp.where(overshoots, 1.0, speed)
    faster = (1 + jnp.sqrt(1 + 4 * speed ** 2)) / 2
    return moved, moved + (speed - 1) / faster * change, faster

  speed = jnp.ones((*match.shape[:2], 1, 1))
  kernel, *_ = jax.lax.fori_loop(0, steps, step, (start, start, speed))
  return kernel / kernel.sum(axis=(2, 3), keepdims=True)


def _misfit(sharp, darkness, kernels, members) -> float:
  """Root mean square of photograph minus model over all windows."""
  size, views = sharp.shape[-1], darkness.shape[1]
  half = kernels.shape[-1] // 2
  flat = kernels.reshape(-1, views, *kernels.shape[-2:])
  mine = flat[members.argmax(axis=0)]
  length = fft.next_fast_len(size + 2 * half, real=True)
  model = fft.irfft2(
      fft.rfft2(sharp, (length, length), workers=2)[:, None]
      * fft.rfft2(mine, (length, length), workers=2), (length, length),
      workers=2)[..., half:half + size, half:half + size]
  return float(np.sqrt(np.mean(np.square(model - darkness))))


def _circle(size: int, radius: float) -> np.ndarray:
  axis = np.arange(size) - size // 2
  return np.hypot(axis[:, None], axis[None, :]) <= radius
