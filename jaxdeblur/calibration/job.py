"""The job `calibrate`: draws the chart, or measures its photographs."""

from collections.abc import Sequence
import pathlib

from jaxdeblur.calibration import chart
from jaxdeblur.calibration.calibrate import Calibration, calibrate
from jaxdeblur.errors import MissingFileError
from jaxdeblur.outputs import check_result
from jaxdeblur.pictures import SUFFIXES, find_pictures


def draw_chart(output: pathlib.Path, overwrite: bool = False) -> str:
  """Writes chart.png and chart.pdf; returns what to do with them.

  Raises:
    UserError: the output is no folder or holds such files already, or
      matplotlib is not installed.
  """
  names = ('chart.pdf', 'chart.png')
  for name in names:
    check_result(output, name, overwrite)
  output.mkdir(parents=True, exist_ok=True)
  chart.write_pdf(output / 'chart.pdf')
  chart.write_png(output / 'chart.png')
  return (f'Written: {output / "chart.png"}, {chart.CHART.width} x '
          f'{chart.CHART.height} px, to show on a monitor, and '
          f'{output / "chart.pdf"}, to print.')


def calibrate_files(
    inputs: Sequence[pathlib.Path],
    output: pathlib.Path,
    left: pathlib.Path | None = None,
    right: pathlib.Path | None = None,
    *,
    depths: Sequence[float] = (),
    signs: Sequence[str] = (),
    grid: tuple[int, int] = (8, 13),
    smoothness: float = 1.0,
    overwrite: bool = False,
) -> str:
  """Calibrates with files and folders of files; returns a summary.

  Args:
    inputs: photographs of the chart and folders of them, in which the names
      give the order.
    output: folder for the results.
    left: a left view or a folder of them, in the order of the right ones.
    right: a right view or a folder of them.
    depths: see `calibrate`; empty for none.
    signs: see `calibrate`; empty for none.
    grid: see `calibrate`.
    smoothness: see `calibrate`.
    overwrite: whether to replace earlier results.

  Raises:
    UserError: see `calibrate`; or a file is missing.
  """
  found = calibrate(
      [path for given in inputs for path in _list_pictures(given)], output,
      None if left is None else _list_pictures(left),
      None if right is None else _list_pictures(right),
      depths=tuple(depths) or None, signs=tuple(signs) or None,
      overwrite=overwrite, grid=tuple(grid), smoothness=smoothness)
  return '\n'.join([*_describe(found), f'Written: {output / "psfs.npz"}; see '
                    f'{output / "index.html"}'])


def _list_pictures(given: pathlib.Path) -> list[pathlib.Path]:
  if not given.exists():
    raise MissingFileError(f'{given} does not exist: name a photograph of the '
                           'chart, or a folder of them.')
  if not given.is_dir():
    return [given]
  found = find_pictures(given)
  if not found:
    raise MissingFileError(
        f'{given} holds no picture ({", ".join(SUFFIXES)}).')
  return found


def _describe(calibration: Calibration) -> list[str]:
  lines = [
      f'{shot.name}: radius {shot.measurement.radius:.2f} px, deviation over '
      f'the picture {shot.measurement.spread:.2f} px'
      for shot in calibration.shots]
  if calibration.lens is not None:
    lines.append(
        f'Thin lens: in focus at {calibration.lens.focus:.5g}, circle of '
        f'{calibration.lens.largest_blur:.2f} px for points far away')
  return lines
