"""How exactly `jaxdeblur.calibration` measures known kernels.

Photographs of the disc chart are simulated with perspective, distortion, noise,
vignetting and JPEG (see `CaptureSettings`). The blur is known,
so that the measured kernels can be compared with it:

  python -m studies.calibration_accuracy
  python -m studies.calibration_accuracy --grid 8 13 --families disc --radii 4

For each kernel a line has the radius of the disc with the same variance, true
and measured (the median over the cells); its error; the largest error of a
cell; and the smallest correlation of a cell's kernel with the true one. Pairs
are dual-pixel views of a disc; for them the separation of the views is compared
as well.
"""

import argparse

import numpy as np
from scipy import ndimage

from jaxdeblur.calibration import measurement
from jaxdeblur.calibration.capture import CaptureSettings, photograph, project
from jaxdeblur.calibration.detection import detect
from jaxdeblur.calibration.estimation import estimate
from jaxdeblur.errors import UserError
from jaxdeblur.optics import psf

FAMILIES = {
    'disc': psf.disc,
    'hexagon': lambda radius: psf.polygon(radius, 6, 0.3),
    'gaussian': lambda radius: psf.gaussian(radius / 2),
    'cat_eye': lambda radius: psf.cat_eye(radius, 0.5, 0.6)}
RADII = (1.0, 2.0, 4.0, 8.0, 15.0)
PAIRS = (2.0, -4.0, 8.0)


def centre(kernel: np.ndarray) -> np.ndarray:
  """Moves a kernel's centroid to its middle, where estimates have it."""
  x, y = np.asarray(psf.centroid(kernel))
  if np.hypot(x, y) < 0.01:
    return kernel
  return ndimage.shift(np.pad(kernel, 2 + int(np.hypot(x, y))), (-y, -x))


def compare(
    kernel: np.ndarray, settings: CaptureSettings, grid: tuple[int, int],
    sharp: np.ndarray, seed: int = 1
) -> tuple[float, float, float, float]:
  """Measures one kernel.

  Args:
    kernel: the true kernel [k, k].
    settings: how the chart is photographed.
    grid: number of rows and columns of cells.
    sharp: the photograph without blur; see `capture.project`.
    seed: of the noise.

  Returns:
    (true radius, measured radius, largest relative error of a cell, smallest
    correlation of a cell).
  """
  shot = photograph(kernel, settings, seed, sharp=sharp)
  found = estimate([shot], detect(shot), grid).kernels[:, :, 0]
  found = found.reshape(-1, *found.shape[-2:])
  true = measurement.radius_of(kernel)
  radii = np.array([measurement.radius_of(one) for one in found])
  centred = centre(kernel)
  likeness = min(measurement.correlation(centred, one) for one in found)
  return (true, float(np.median(radii)),
          float(np.abs(radii / true - 1).max()), likeness)


def compare_pair(
    radius: float, settings: CaptureSettings, grid: tuple[int, int],
    sharp: np.ndarray
) -> tuple[float, float, float]:
  """Measures a pair of dual-pixel views of a disc.

  Returns:
    (true separation, measured separation, measured radius), px, with signs.
  """
  views = [np.asarray(view) for view in psf.split(
      psf.disc(abs(radius)), radius, softness=1.19)]
  shots = [photograph(view, settings, seed, sharp=sharp)
           for seed, view in enumerate(views)]
  found = measurement.measure(
      estimate(shots, detect(np.mean(shots, axis=0)), grid).kernels)
  assert found.separation is not None
  return (float(measurement.separation_of(*views)), found.separation,
          found.radius)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--families', nargs='*', choices=FAMILIES,
                      default=list(FAMILIES))
  parser.add_argument('--radii', nargs='*', type=float, default=RADII)
  parser.add_argument('--pairs', nargs='*', type=float, default=PAIRS)
  parser.add_argument('--grid', nargs=2, type=int, default=(2, 3))
  parser.add_argument('--width', type=int, default=1920,
                      help='width of the photographs, px')
  options = parser.parse_args()
  grid = tuple(options.grid)
  settings = CaptureSettings(options.width * 9 // 16, options.width)
  sharp = project(settings)
  print('| kernel | true radius, px | measured, px | error | largest error | '
        'smallest correlation |\n|---|---|---|---|---|---|')
  for family in options.families:
    for radius in options.radii:
      kernel = np.asarray(FAMILIES[family](radius))
      try:
        true, found, largest, likeness = compare(kernel, settings, grid, sharp)
      except UserError as error:
        print(f'| {family} {radius:g} | refused: {error} |', flush=True)
        continue
      print(f'| {family} {radius:g} | {true:.2f} | {found:.2f} | '
            f'{found / true - 1:+.1%} | {largest:.1%} | {likeness:.4f} |',
            flush=True)
  if options.pairs:
    print('\n| pair | true separation, px | measured, px | error | measured '
          'radius, px |\n|---|---|---|---|---|')
  for radius in options.pairs:
    true, found, measured = compare_pair(radius, settings, grid, sharp)
    print(f'| disc {radius:g} | {true:.2f} | {found:.2f} | '
          f'{found / true - 1:+.1%} | {measured:.2f} |', flush=True)


if __name__ == '__main__':
  main()
