"""Calibrates a camera: photographs of the chart to a bank of PSFs."""

from collections.abc import Sequence
import dataclasses
import json
import os
import pathlib
import tempfile
from typing import Any

import numpy as np

from data_pipelines.pairs import as_float
from jaxdeblur.calibration import estimation, figures, page
from jaxdeblur.calibration.chart import CHART, DiscChart
from jaxdeblur.calibration.detection import detect, to_grey
from jaxdeblur.calibration.measurement import (
    LensFit,
    Measurement,
    fit_lens,
    measure,
)
from jaxdeblur.calibration.registration import Registration, warp
from jaxdeblur.errors import UserError
from jaxdeblur.optics import lens
from jaxdeblur.optics.bank import Bank, write_bank
from jaxdeblur.optics.light import to_linear
from jaxdeblur.outputs import check_page_packages, check_result
from jaxdeblur.pictures import read_pixels, write_whole

Photograph = str | os.PathLike | np.ndarray

# Where the camera focused, seen from the chart, to the sign of the circle of
# confusion, which is positive for a chart behind the plane in focus.
SIGNS = {'front': 1, 'focus': 0, 'back': -1}
# Circles that differ by less, px, share one entry of the bank: their difference
# is that of two measurements.
_SAME_CIRCLE = 0.1


@dataclasses.dataclass(frozen=True)
class Shot:
  """One photograph, or one pair of views.

  Attributes:
    name: file name, or the number in the order given.
    depth: distance of the chart, in any unit, or None.
    sign: 'front', 'focus' or 'back', as it was given, or None.
    kernels: [rows, columns, views, k, k]; see `estimation.Estimate`.
    registration: where the chart is.
    measurement: radius and more.
    noise: see `estimation.Estimate`.
    misfit: see `estimation.Estimate`.
    crop: grey [h, w], linear light: the chart's first discs, warped.
  """
  name: str
  depth: float | None
  sign: str | None
  kernels: np.ndarray
  registration: Registration
  measurement: Measurement
  noise: float
  misfit: float
  crop: np.ndarray

  @property
  def circle(self) -> float:
    """Signed diameter of the circle of confusion, px; 0 for 'focus'."""
    return 0.0 if self.sign == 'focus' else 2 * self.measurement.radius


@dataclasses.dataclass(frozen=True)
class Calibration:
  """The result.

  Attributes:
    shots: the photographs, by rising circle of confusion.
    views: ('center',) or ('left', 'right').
    lens: the thin lens, if depths were given.
  """
  shots: tuple[Shot, ...]
  views: tuple[str, ...]
  lens: LensFit | None

  @property
  def bank(self) -> Bank:
    """All kernels, padded to one size, by signed circle of confusion.

    Photographs of the same blur are averaged.
    """
    size = max(shot.kernels.shape[-1] for shot in self.shots)
    groups: list[list[Shot]] = []
    for shot in self.shots:
      if groups and shot.circle - groups[-1][0].circle < _SAME_CIRCLE:
        groups[-1].append(shot)
      else:
        groups.append([shot])
    kernels = [
        np.mean([_pad(shot.kernels, size) for shot in group], axis=0)
        for group in groups]
    circles = [np.mean([shot.circle for shot in group]) for group in groups]
    return Bank(np.stack(kernels).astype(np.float32),
                np.array(circles, np.float32), self.views)

  def to_json(self) -> dict[str, Any]:
    """All numbers, for `calibration.json`."""
    return {
        'views': list(self.views),
        'thin_lens': self.lens and dataclasses.asdict(self.lens),
        'photographs': [{
            'name': shot.name, 'depth': shot.depth, 'sign': shot.sign,
            'circle': shot.circle,
            **dataclasses.asdict(shot.measurement),
            'noise': shot.noise, 'misfit': shot.misfit,
            'homography': shot.registration.homography.tolist(),
            'homography_residual': shot.registration.residual,
            'distortion': shot.registration.distortion,
            'orientation_seen': shot.registration.marked,
        } for shot in self.shots]}


def calibrate(
    photographs: Sequence[Photograph],
    output: str | os.PathLike,
    left: Sequence[Photograph] | None = None,
    right: Sequence[Photograph] | None = None,
    depths: Sequence[float] | None = None,
    signs: Sequence[str] | None = None,
    overwrite: bool = False,
    grid: tuple[int, int] = (8, 13),
    smoothness: float = 1.0,
    chart: DiscChart = CHART,
) -> Calibration:
  """Measures PSFs and writes psfs.npz, calibration.json, PNGs and index.html.

  Args:
    photographs: of the chart; paths (sRGB) or arrays of linear light. Empty if
      left and right are given.
    output: folder for the results.
    left: left views of dual-pixel photographs, in the order of right.
    right: right views.
    depths: distance of the chart in each photograph, in one unit, for one
      setting of the focus. Three or more give a thin lens and the signs.
    signs: where the camera focused in each photograph, for several settings of
      the focus: 'front' (nearer than the chart), 'focus' (on it) or 'back'
      (behind it). Without depths and signs, one-view blur counts as 'front'.
      Left and right views tell it themselves.
    overwrite: whether to replace earlier results.
    grid: number of rows and columns of cells of the photograph.
    smoothness: see `estimation.estimate`.
    chart: the chart that was photographed.

  Raises:
    UserError: the arguments do not go together, or a photograph cannot be used
      (see `detection.detect`); it is named.
  """
  output = pathlib.Path(output)
  check_page_packages()
  check_result(output, 'psfs.npz', overwrite)
  groups, views = _pair(photographs, left, right)
  _check_sides(depths, signs, groups, views)
  shots = [
      _calibrate_one(
          group, number,
          None if depths is None else float(depths[number - 1]),
          None if signs is None else signs[number - 1], grid, smoothness, chart)
      for number, group in enumerate(groups, 1)]
  calibration = _assemble(shots, views)
  _write(output, calibration)
  return calibration


def _pair(photographs, left, right):
  if left is None and right is None:
    if not len(photographs):
      raise UserError('Got no photographs of the chart: give one or more.',
                      argument='photographs')
    return [(one,) for one in photographs], ('center',)
  if len(photographs) or not left or not right or len(left) != len(right):
    raise UserError(
        f'Got {len(photographs)} photographs, {len(left or ())} left and '
        f'{len(right or ())} right views: give photographs only, or as many '
        'left as right views.', argument='left')
  return list(zip(left, right)), ('left', 'right')


def _check_sides(depths, signs, groups, views) -> None:
  """Raises a UserError if depths or signs do not fit the photographs."""
  for argument, values in (('depths', depths), ('signs', signs)):
    if values is not None and len(values) != len(groups):
      raise UserError(
          f'Got {len(values)} {argument} for {len(groups)} photographs: give '
          'one for each.', argument=argument)
  if depths is not None:
    lens.check_depth(np.asarray(depths, float))
  if signs is None:
    return
  unknown = [sign for sign in signs if sign not in SIGNS]
  if unknown:
    raise UserError(
        f'Got the sign {unknown[0]!r}: each is front, focus or back, for where '
        'the camera focused, seen from the chart.', argument='signs')
  if depths is not None:
    raise UserError('Got both depths and signs: depths give the signs too, so '
                    'leave signs out.', argument='signs')
  if len(views) > 1:
    raise UserError('Left and right views tell on which side of the chart the '
                    'camera focused: leave signs out.', argument='signs')


def _calibrate_one(
    group, number, depth, sign, grid, smoothness, chart) -> Shot:
  name = (f'photograph {number}' if isinstance(group[0], np.ndarray)
          else pathlib.Path(group[0]).name)
  pictures = [_read(one) for one in group]
  try:
    lights = [to_grey(picture) for picture in pictures]
    if len({light.shape for light in lights}) > 1:
      raise UserError('The left and right view differ in size.')
    registration = detect(np.mean(lights, axis=0), chart)
    found = estimation.estimate(lights, registration, grid, smoothness)
  except UserError as error:
    if error.argument:  # It is not about what the photograph shows.
      raise
    raise UserError(f'{name}: {error}') from error
  flat = warp(np.mean(lights, axis=0), registration)
  # A part of 3 x 3 discs in the middle of the chart.
  side = int(1.5 * chart.spacing * registration.scale)
  y, x = (length // 2 for length in flat.shape)
  if chart.rows % 2 == 0:  # The chart's middle lies between two rows.
    y -= int(0.5 * chart.spacing * registration.scale)
  crop = flat[max(y - side, 0):y + side, max(x - side, 0):x + side]
  shot = Shot(name, depth, sign, found.kernels, registration,
              measure(found.kernels), found.noise, found.misfit, crop)
  return _with_sign(shot, SIGNS[sign] < 0) if sign else shot


def _read(photograph: Photograph) -> np.ndarray:
  """Linear light of a file or an array."""
  if isinstance(photograph, np.ndarray):
    return photograph
  return to_linear(as_float(read_pixels(photograph)))


def _assemble(shots, views) -> Calibration:
  """Fits the lens, gives signs by depth, and sorts by circle of confusion."""
  fitted = None
  depths = [shot.depth for shot in shots]
  if len(shots) >= 3 and None not in depths:
    fitted = fit_lens(depths, [shot.measurement.radius for shot in shots])
    if views == ('center',):
      shots = [_with_sign(shot, shot.depth < fitted.focus) for shot in shots]
  shots = sorted(shots, key=lambda shot: shot.circle)
  return Calibration(tuple(shots), views, fitted)


def _pad(kernels, size):
  margin = (size - kernels.shape[-1]) // 2
  return np.pad(kernels, ((0, 0),) * 3 + ((margin, margin),) * 2)


def _with_sign(shot: Shot, negative: bool) -> Shot:
  radius = abs(shot.measurement.radius) * (-1 if negative else 1)
  return dataclasses.replace(shot, measurement=dataclasses.replace(
      shot.measurement, radius=radius))


def _write(output: pathlib.Path, calibration: Calibration) -> None:
  """Makes all files in memory first; psfs.npz comes last and ends the work."""
  drawn = {'kernels': figures.draw_kernels(calibration),
           'radii': figures.draw_radii(calibration),
           'residuals': figures.draw_residuals(calibration)}
  with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder) / 'psfs.npz'
    write_bank(file, calibration.bank)
    bank = file.read_bytes()
  files = {f'{name}.png': data for name, data in drawn.items()}
  files['index.html'] = page.render(calibration, drawn).encode()
  files['calibration.json'] = (
      json.dumps(calibration.to_json(), indent=2) + '\n').encode()
  files['psfs.npz'] = bank
  output.mkdir(parents=True, exist_ok=True)
  for name, data in files.items():
    write_whole(output / name, data)
