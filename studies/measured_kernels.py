"""How well the families of `jaxdeblur.optics.psf` describe measured kernels.

The kernels are those of a Pixel 4's two dual-pixel views, at 6 x 8 places of
the picture, row by row (Xin et al. 2021):

  python -m studies.measured_kernels \\
      --kernels dual_pixel_pixel4/calibration \\
      --stack dp_psf/blur_kernels_simulated_pixel4_nocode.mat \\
      --figure kernels.png

prints the relative residual of each family, ||fit - kernel|| / ||kernel||, as
the median (smallest-largest) over the 4 places in the middle, the 4 corners and
all 48. It prints how far apart the views lie, and how much light of a view
comes from the other half of the aperture. The stack is a simulation of the same
camera at 21 depths. The figure shows measured beside fitted kernels.

All numbers of a family are fitted, and where the centre of the kernel is. It is
not the centroid, which a bright side moves.
"""

import argparse
from collections.abc import Callable, Sequence
import dataclasses
import functools
import itertools
import pathlib

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from jaxdeblur.optics import psf

ROWS, COLUMNS = 6, 8
# Height and width of the fitted kernels, px: the widest is 32 px across.
SIZE = 45
STEPS = 40
PLACES = {
    'middle': [r * COLUMNS + c for r in (2, 3) for c in (3, 4)],
    'corners': [r * COLUMNS + c for r in (0, 5) for c in (0, 7)],
    'all': list(range(ROWS * COLUMNS))}

Kernels = Float[Array, 'n views k k']
Views = Float[Array, 'views k k']


@dataclasses.dataclass(frozen=True)
class Family:
  """A family of kernels.

  Attributes:
    draw: the kernels of the views, from the family's numbers.
    starts: numbers to start from; the best end is kept.
  """
  draw: Callable[[dict[str, Array]], Views]
  starts: Sequence[dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Fit:
  """A family fitted to n kernels.

  Attributes:
    numbers: each number of the family, [n], and the centre (`x`, `y`), px.
    kernels: the fitted kernels, at the centre of the measured ones.
    residuals: relative residuals.
  """
  numbers: dict[str, np.ndarray]
  kernels: Kernels
  residuals: Float[np.ndarray, ' n']


def read_kernels(folder: pathlib.Path) -> Float[np.ndarray, '48 2 45 45']:
  """The measured kernels (left, right), each with sum 1.

  They are moved by whole pixels, so that the centroid of their mean is in the
  middle one.
  """
  kernels = np.stack([np.load(folder / f'blur_kernels_{view}.npy')
                      for view in ('left', 'right')], axis=1)
  centroids = np.rint(psf.centroid(jnp.asarray(kernels.mean(axis=1))))
  moved = np.stack([
      np.roll(pair, (-int(y), -int(x)), axis=(-2, -1))
      for pair, (x, y) in zip(kernels, centroids)])
  cut = (moved.shape[-1] - SIZE) // 2
  moved = moved[..., cut:-cut, cut:-cut]
  return moved / moved.sum(axis=(-2, -1), keepdims=True)


def read_stack(file: pathlib.Path) -> Float[np.ndarray, '2 depths k k']:
  """The simulated kernels (left, right), [2, depths, k, k]."""
  import scipy.io
  return scipy.io.loadmat(file)['PSFstack'].astype(np.float32)


def separations(
    left: Float[np.ndarray, 'n k k'], right: Float[np.ndarray, 'n k k']
) -> tuple[Float[np.ndarray, ' n'], Float[np.ndarray, ' n']]:
  """How far apart the views' centroids lie along x, and twice the deviation.

  Twice the standard deviation is the radius of a hard disc. It is that of the
  mean of both views, over all directions.
  """
  left, right = jnp.asarray(left), jnp.asarray(right)
  apart = (psf.centroid(right) - psf.centroid(left))[:, 0]
  radius = 2 * jnp.sqrt(psf.variance((left + right) / 2).mean(axis=-1))
  return np.asarray(apart), np.asarray(radius)


def fit(family: Family, measured: Kernels, steps: int = STEPS) -> Fit:
  """Fits a family to every kernel by Levenberg and Marquardt's least squares.

  The measured kernels, which are smooth, are moved onto the centre of the
  fitted ones. Moving these would make hard borders ring.
  """
  best = None
  for start in family.starts:
    start = {**start, 'x': 0.0, 'y': 0.0}
    numbers, errors = _descend(
        family, start, jnp.asarray(measured, jnp.float32), steps)
    if best is None:
      best = numbers, errors
    better = errors < best[1]
    best = ({name: jnp.where(better, numbers[name], best[0][name])
             for name in numbers}, jnp.where(better, errors, best[1]))
  numbers, errors = best
  drawn = jax.vmap(family.draw)(numbers)
  centred = jax.vmap(move)(drawn, numbers['x'], numbers['y'])
  return Fit({name: np.asarray(values) for name, values in numbers.items()},
             np.asarray(centred), np.sqrt(np.asarray(errors)))


def move(kernels: Views, x: Array, y: Array) -> Views:
  """Moves kernels by parts of a pixel, by Fourier's shift theorem."""
  size = kernels.shape[-1]
  along_x = jnp.exp(-2j * jnp.pi * jnp.fft.rfftfreq(size) * x)
  along_y = jnp.exp(-2j * jnp.pi * jnp.fft.fftfreq(size) * y)
  turned = jnp.fft.rfft2(kernels) * (
      along_y[:, None] * along_x[None, :])[None]
  return jnp.fft.irfft2(turned, s=(size, size))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _descend_all(draw, names, starts, measured, steps):
  """Fits from starts [n, p]; returns numbers and squared relative residuals."""

  def residual(vector, target):
    numbers = dict(zip(names, vector))
    there = move(target, -numbers['x'], -numbers['y'])
    scale = jnp.sqrt(jnp.square(target).sum())
    return ((draw(numbers) - there) / scale).ravel()

  def descend(start, target):
    def step(_, state):
      vector, error, damping = state
      rest = residual(vector, target)
      slopes = jax.jacfwd(residual)(vector, target)
      square = slopes.T @ slopes
      system = square + jnp.diag(damping * jnp.diag(square) + 1e-9)
      moved = vector - jnp.linalg.solve(system, slopes.T @ rest)
      new_error = jnp.square(residual(moved, target)).sum()
      better = new_error < error  # Also False where it is not a number.
      return (jnp.where(better, moved, vector),
              jnp.where(better, new_error, error),
              jnp.where(better, damping / 3, damping * 4))

    error = jnp.square(residual(start, target)).sum()
    vector, error, _ = jax.lax.fori_loop(
        0, steps, step, (start, error, jnp.float32(1e-2)))
    return vector, error

  return jax.vmap(descend)(starts, measured)


def _descend(family, start, measured, steps):
  vectors = jnp.tile(
      jnp.asarray(list(start.values()), jnp.float32)[None],
      (len(measured), 1))
  vectors, errors = _descend_all(
      family.draw, tuple(start), vectors, measured, steps)
  return dict(zip(start, vectors.T)), errors


def _aperture(numbers):
  """The general aperture. Those of its numbers that are not given are 0."""
  radius = jnp.abs(numbers['radius'])
  others = {name: numbers[name] for name in (
      'rim', 'shift', 'direction', 'tilt', 'tilt_direction', 'stretch')
            if name in numbers}
  return psf.aperture(
      radius, edge=_edge(numbers) * radius, size=SIZE, samples=2, **others)


def _edge(numbers):
  # A border of 0.09 of the radius, about one pixel, is a plain disc.
  return jnp.abs(numbers['edge']) + 0.02 if 'edge' in numbers else 0.09


def _one(draw):
  return lambda numbers: draw(numbers)[None]


def _ramp(numbers):
  return jnp.stack(psf.split(
      _aperture(numbers), numbers['radius'], jnp.abs(numbers['softness'])))


def _moved_ramp(numbers):
  """A ramp whose middle is `offset` px beside the centre of the aperture."""
  offset = numbers['offset']
  whole = move(_aperture(numbers)[None], -offset, 0 * offset)[0]
  views = psf.split(whole, numbers['radius'], jnp.abs(numbers['softness']))
  return move(jnp.stack(views), offset, 0 * offset)


def _halves(numbers):
  return jnp.stack(psf.split(
      _aperture(numbers), numbers['radius'], softness=1e-3))


def _translation(numbers):
  return jnp.stack(psf.split_by_translation(
      _aperture(numbers), numbers['radius']))


_DISC = {'radius': 12.0}
_SOFT = _DISC | {'edge': 0.4}
_RIM = _SOFT | {'rim': 0.0}
_CATS = [_RIM | {'shift': 0.2, 'direction': angle}
         for angle in (0.1, 1.7, 3.2, 4.8)]
_FULL = [start | {'tilt': 0.3, 'tilt_direction': angle, 'stretch': 1.05}
         for start in _CATS for angle in (0.8, 3.9)]

WHOLE = {
    'disc': Family(_one(_aperture), [_DISC]),
    'disc, soft edge': Family(_one(_aperture), [_SOFT]),
    '+ rim': Family(_one(_aperture), [_RIM]),
    '+ rim, cat\'s eye': Family(_one(_aperture), _CATS),
    '+ rim, cat\'s eye, tilt, stretch': Family(_one(_aperture), _FULL),
    'Gaussian': Family(
        lambda numbers: psf.gaussian(numbers['deviation'], SIZE)[None],
        [{'deviation': 6.0}])}
PAIRS = {
    'disc, soft edge; ramp': Family(_ramp, [_SOFT | {'softness': 1.2}]),
    'disc, soft edge; ramp with offset': Family(
        _moved_ramp, [_SOFT | {'softness': 1.2, 'offset': 0.0}]),
    'disc, soft edge; halves': Family(_halves, [_SOFT]),
    'disc, hard edge; halves': Family(_halves, [_DISC]),
    'disc, soft edge; translation': Family(_translation, [_SOFT]),
    'all numbers; ramp': Family(
        _ramp, [start | {'softness': 1.2} for start in _FULL]),
    'all numbers; ramp with offset': Family(
        _moved_ramp,
        [start | {'softness': 1.2, 'offset': 0.0} for start in _FULL]),
    'all numbers; translation': Family(_translation, _FULL)}


def fit_butterworth(measured: Kernels) -> Fit:
  """The best of RDPD's profiles over all whole radii; nothing is fitted.

  Kernels are centred on their centroids, as the profile is symmetric.
  """
  measured = jnp.asarray(measured, jnp.float32)
  centres = psf.centroid(measured[:, 0])
  target = jax.vmap(move)(measured, -centres[:, 0], -centres[:, 1])
  choices = list(itertools.product(
      range(6, 19), (3.0, 6.0, 9.0), (2.0, 2.5), (0.1, 0.2)))
  drawn = jnp.stack([
      psf.butterworth(float(radius), order, ratio, floor, SIZE)
      for radius, order, ratio, floor in choices])
  errors = jnp.sqrt(
      jnp.square(drawn[None] - target).sum(axis=(-2, -1))
      / jnp.square(target).sum(axis=(-2, -1)))
  best = np.asarray(errors.argmin(axis=1))
  numbers = dict(zip(('radius', 'order', 'ratio', 'floor'),
                     np.array(choices)[best].T))
  return Fit(numbers, np.asarray(drawn[best][:, None]),
             np.asarray(errors.min(axis=1)))


def fit_all(measured: Float[np.ndarray, 'n 2 k k']) -> dict[str, Fit]:
  """Every family's fit to the views, or to their mean."""
  mean = measured.mean(axis=1, keepdims=True)
  fits = {name: fit(family, mean) for name, family in WHOLE.items()}
  fits['Butterworth'] = fit_butterworth(mean)
  return fits | {name: fit(family, measured) for name, family in PAIRS.items()}


def other_half(measured: Float[np.ndarray, 'n 2 k k'], found: Fit):
  """The share of a view's light from the other half of the aperture, [n, 2].

  The halves meet at the fitted centre of the aperture.
  """
  columns = np.arange(measured.shape[-1]) - measured.shape[-1] // 2
  place = columns[None, :] - found.numbers['x'][:, None]
  right = np.clip(place + 0.5, 0, 1)
  profile = measured.sum(axis=-2)
  return np.stack([(profile[:, 0] * right).sum(axis=-1),
                   (profile[:, 1] * (1 - right)).sum(axis=-1)], axis=-1)


def draw_figure(
    file: pathlib.Path, measured: Float[np.ndarray, 'n 2 k k'],
    fits: dict[str, Fit],
) -> None:
  """Measured and fitted kernels (left, right) of five places."""
  import matplotlib
  matplotlib.use('Agg')
  from matplotlib import pyplot

  shown = {'measured': measured} | {
      name: fits[name].kernels for name in PAIRS}
  places = [2 * COLUMNS + 3, 0, COLUMNS - 1, 5 * COLUMNS, 2 * COLUMNS + 7]
  figure, axes = pyplot.subplots(
      len(shown), 2 * len(places), figsize=(12, 1.35 * len(shown)),
      layout='constrained')
  for row, (name, kernels) in zip(axes, shown.items()):
    for index, axis in enumerate(row):
      place, view = places[index // 2], index % 2
      axis.imshow(kernels[place, view], cmap='gray', vmin=0,
                  vmax=measured[place, view].max())
      axis.set_xticks([])
      axis.set_yticks([])
    row[0].set_ylabel(name.replace('; ', '\n'), fontsize=6)
  for index, axis in enumerate(axes[0]):
    y, x = divmod(places[index // 2], COLUMNS)
    axis.set_title(f'{"LR"[index % 2]}, row {y}, column {x}', fontsize=6)
  figure.savefig(file, dpi=110)
  pyplot.close(figure)


def _summary(values, digits: int = 2) -> str:
  low, middle, high = np.min(values), np.median(values), np.max(values)
  return f'{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--kernels', type=pathlib.Path, required=True)
  parser.add_argument('--stack', type=pathlib.Path)
  parser.add_argument('--figure', type=pathlib.Path)
  arguments = parser.parse_args()
  measured = read_kernels(arguments.kernels)
  fits = fit_all(measured)
  print(f'| family | {" | ".join(PLACES)} |\n'
        f'| :--- |{" ---: |" * len(PLACES)}')
  for name, found in fits.items():
    cells = (_summary(found.residuals[p]) for p in PLACES.values())
    print(f'| {name} | {" | ".join(cells)} |')
  soft = fits['disc, soft edge']
  apart, spread = separations(measured[:, 0], measured[:, 1])
  radius = np.abs(soft.numbers['radius'])
  rows = {
      'radius [px]': radius,
      'edge over radius': np.abs(soft.numbers['edge']) + 0.02,
      'separation [px]': apart,
      'separation over radius': apart / radius,
      'separation over twice the deviation': apart / spread,
      'light from the other half': other_half(
          measured, fits['disc, soft edge; ramp with offset']).mean(axis=-1),
      'softness of the ramp': np.abs(
          fits['disc, soft edge; ramp with offset'].numbers['softness']),
      'offset of the ramp [px]': (
          fits['disc, soft edge; ramp with offset'].numbers['offset'])}
  print()
  for name, values in rows.items():
    cells = (_summary(values[p]) for p in PLACES.values())
    print(f'| {name} | {" | ".join(cells)} |')
  if arguments.stack:
    apart, radius = separations(*read_stack(arguments.stack))
    defocused = radius > 2
    print('| simulated separation over twice the deviation | '
          f'{_summary(np.abs(apart / radius)[defocused])} |')
  if arguments.figure:
    draw_figure(arguments.figure, measured, fits)


if __name__ == '__main__':
  main()
