"""The figures of a calibration, as PNG (DRBNet supplement, Figs. S3 to S6)."""

import io
from typing import Any

import numpy as np

_FRONT, _FOCUS, _BACK = 'front focus', 'in focus', 'back focus'
# Photographs drawn of one case at most.
_MOST = 3
_BLUE, _ORANGE, _GREY = '#0072b2', '#d55e00', '#5b626b'


def choose_cases(circles: list[float]) -> list[tuple[str, int]]:
  """Chooses photographs of the three focus cases, by the depth of the focus.

  The camera focused in front of the chart (front focus), on it (in focus) and
  behind it (back focus), as in DRBNet's figures. The sharpest photograph is in
  focus. Of each side up to three are chosen, evenly.

  Args:
    circles: circle of confusion of each photograph, px, positive if the camera
      focused in front of the chart.

  Returns:
    (case, index of the photograph), from the nearest focus to the farthest.
  """
  circles = np.asarray(circles)
  sharpest = int(np.abs(circles).argmin())
  order = [int(index) for index in np.argsort(-circles, kind='stable')]
  others = [index for index in order if index != sharpest]
  front = [index for index in others if circles[index] > 0]
  back = [index for index in others if circles[index] <= 0]
  return [*((_FRONT, index) for index in _thin(front)), (_FOCUS, sharpest),
          *((_BACK, index) for index in _thin(back))]


def draw_kernels(calibration: Any) -> bytes:
  """Draws for each focus case a part of the photograph and the kernels by cell.

  Each line has its own greys, from 0 to its highest value.
  """
  shots = calibration.shots
  cases = choose_cases([shot.circle for shot in shots])
  view = calibration.views[0]
  tiles = [_tile(shots[index].kernels[:, :, 0]) for _, index in cases]
  height, width = tiles[0].shape
  # The kernels' column is as wide as lets both pictures be equally high.
  ratio = float(np.clip(width / height, 0.8, 2.2))
  figure = _make_figure(3.2 * (1 + ratio), 3.4 * len(cases))
  axes = figure.subplots(len(cases), 2, squeeze=False, width_ratios=(1, ratio))
  for line, (case, index), tile in zip(axes, cases, tiles):
    shot = shots[index]
    line[0].imshow(np.clip(shot.crop, 0, 1) ** (1 / 2.2), cmap='gray',
                   vmin=0, vmax=1, interpolation='nearest')
    line[0].set_title(f'{case}: {_name(shot.name)}', fontsize=9)
    line[1].imshow(tile, cmap='magma', vmin=0, interpolation='nearest')
    line[1].set_title(
        f'kernels by cell, {view} view, radius '
        f'{shot.measurement.radius:.2f} px', fontsize=9)
    for axis in line:
      axis.axis('off')
  return _to_png(figure)


def draw_radii(calibration: Any) -> bytes:
  """Draws the radius by depth with the thin lens, or by photograph."""
  figure = _make_figure(6, 4)
  axes = figure.subplots()
  shots = calibration.shots
  radii = [shot.measurement.radius for shot in shots]
  spreads = [shot.measurement.spread for shot in shots]
  depths = [shot.depth for shot in shots]
  known = all(depth is not None for depth in depths)
  places = depths if known else range(1, len(shots) + 1)
  axes.axhline(0, color=_GREY, linewidth=0.8)
  axes.errorbar(places, radii, spreads, fmt='o', color=_BLUE, markersize=4,
                capsize=2, label='measured; bars: deviation over the cells')
  if known and calibration.lens is not None:
    line = np.linspace(min(depths), max(depths), 200)
    axes.plot(line, calibration.lens.circle(line) / 2, color=_ORANGE,
              label=f'thin lens, focus {calibration.lens.focus:.4g}')
  axes.set_xlabel('depth' if known else 'photograph, by radius')
  axes.set_ylabel('radius, px')
  axes.legend(frameon=False, fontsize=8)
  if not known:
    axes.xaxis.get_major_locator().set_params(integer=True)
  return _to_png(figure)


def draw_residuals(calibration: Any) -> bytes:
  """Draws how well the model explains each photograph."""
  figure = _make_figure(6, 3.4)
  axes = figure.subplots()
  shots = calibration.shots
  radii = [shot.measurement.radius for shot in shots]
  for label, marker, colour, values in (
      ('misfit of the photograph, % of white', 'o', _BLUE,
       [100 * shot.misfit for shot in shots]),
      ('centres of discs, 0.01 px', 's', _ORANGE,
       [100 * shot.registration.residual for shot in shots])):
    axes.plot(radii, values, marker, color=colour, label=label, markersize=4)
  axes.set(xlabel='radius, px', ylabel='residual', ylim=(0, None))
  axes.legend(frameon=False, fontsize=8)
  return _to_png(figure)


def _thin(indices: list[int]) -> list[int]:
  """At most `_MOST` of a list, with its first and last."""
  if len(indices) <= _MOST:
    return indices
  chosen = np.rint(np.linspace(0, len(indices) - 1, _MOST)).astype(int)
  return [indices[place] for place in chosen]


def _tile(kernels: np.ndarray) -> np.ndarray:
  """Puts kernels [rows, columns, k, k] side by side, with a dark border."""
  lit = np.argwhere(kernels.max(axis=(0, 1)) > 0) - kernels.shape[-1] // 2
  empty = kernels.shape[-1] // 2 - max(int(np.abs(lit).max()), 2)
  if empty > 0:
    kernels = kernels[..., empty:-empty, empty:-empty]
  rows, columns, size = kernels.shape[:3]
  padded = np.pad(kernels, ((0, 0), (0, 0), (1, 1), (1, 1)))
  return padded.transpose(0, 2, 1, 3).reshape(
      rows * (size + 2), columns * (size + 2))


def _make_figure(width: float, height: float):
  from matplotlib.figure import Figure  # Not pyplot: no global state.
  return Figure(figsize=(width, height), layout='constrained')


def _name(name: str) -> str:
  return name.replace('$', r'\$')  # matplotlib reads $ as TeX.


def _to_png(figure) -> bytes:
  file = io.BytesIO()
  figure.savefig(file, format='png', dpi=110, metadata={'Software': None})
  return file.getvalue()
