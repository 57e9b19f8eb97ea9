"""The chart of 8 x 13 black discs on white (DRBNet supplement, Fig. S1)."""

import dataclasses
import io
import pathlib

import cv2
from jaxtyping import Float, UInt8
import numpy as np

from jaxdeblur.errors import MissingPackageError, UserError
from jaxdeblur.optics.light import to_display
from jaxdeblur.pictures import write_whole

# Every pixel at a border averages this many points squared.
_SAMPLES = 8


@dataclasses.dataclass(frozen=True)
class DiscChart:
  """A grid of discs. Pixel (0, 0) has its middle at the coordinate (0, 0).

  The first disc (top left) has a white hole, so that a chart upside down is
  recognised. The hole is concentric: it moves no centre.

  Attributes:
    rows: number of rows of discs.
    columns: number of columns of discs.
    height: height of the chart, px.
    width: width of the chart, px.
    spacing: distance between the centres of neighbours, px.
    radius: radius of the discs, px.
    hole: radius of the hole in the first disc, px.
  """
  rows: int = 8
  columns: int = 13
  height: int = 2160
  width: int = 3840
  spacing: float = 264.0
  radius: float = 60.0
  hole: float = 20.0

  @property
  def count(self) -> int:
    return self.rows * self.columns

  @property
  def reach(self) -> float:
    """How far blur may spread from a disc before it meets another's, px."""
    return self.spacing / 2 - self.radius

  @property
  def centres(self) -> Float[np.ndarray, 'n 2']:
    """The centres (x, y), px, row by row."""
    x = (np.arange(self.columns) - (self.columns - 1) / 2) * self.spacing
    y = (np.arange(self.rows) - (self.rows - 1) / 2) * self.spacing
    grid_x, grid_y = np.meshgrid(
        x + (self.width - 1) / 2, y + (self.height - 1) / 2)
    return np.stack([grid_x.ravel(), grid_y.ravel()], axis=1)


CHART = DiscChart()


def draw(chart: DiscChart = CHART) -> UInt8[np.ndarray, 'h w']:
  """Draws the chart; the values are display values (white is 255).

  Pixels at a border are grey by the share of light that they receive, so that
  a monitor shows the border where it should be.
  """
  light = np.ones((chart.height, chart.width), np.float32)
  for index, centre in enumerate(chart.centres):
    _draw_disc(light, centre, chart.radius, 0.0)
    if index == 0:
      _draw_disc(light, centre, chart.hole, 1.0)
  return np.rint(255 * to_display(light)).astype(np.uint8)


def write_png(file: str | pathlib.Path, chart: DiscChart = CHART) -> None:
  """Writes the chart as a PNG, to be shown on a monitor pixel by pixel."""
  encoded = cv2.imencode('.png', draw(chart))[1]
  write_whole(pathlib.Path(file), encoded.tobytes())


def write_pdf(
    file: str | pathlib.Path, chart: DiscChart = CHART, width: float = 400.0
) -> None:
  """Writes the chart as a vector PDF, to be printed.

  Args:
    file: the file to write.
    chart: the chart.
    width: width of the page, mm.

  Raises:
    MissingPackageError: matplotlib is not installed.
    UserError: the width is not above 0.
  """
  if not width > 0:
    raise UserError(f'A page needs a width above 0 mm; got {width}.',
                    argument='width')
  try:
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle
  except ImportError as error:
    raise MissingPackageError(
        'The PDF is drawn with matplotlib, not installed here: pip install '
        'matplotlib.') from error
  inches = width / 25.4
  figure = Figure(figsize=(inches, inches * chart.height / chart.width))
  axes = figure.add_axes((0, 0, 1, 1))
  axes.set(xlim=(-0.5, chart.width - 0.5), ylim=(chart.height - 0.5, -0.5))
  axes.axis('off')
  for index, centre in enumerate(chart.centres):
    axes.add_patch(Circle(centre, chart.radius, color='black', linewidth=0))
    if index == 0:
      axes.add_patch(Circle(centre, chart.hole, color='white', linewidth=0))
  page = io.BytesIO()
  figure.savefig(page, format='pdf', metadata={'CreationDate': None})
  write_whole(pathlib.Path(file), page.getvalue())


def _draw_disc(light, centre, radius, value) -> None:
  """Draws a disc onto linear light, averaged over each pixel."""
  reach = int(radius) + 2
  x0, y0 = (int(np.floor(part)) - reach for part in centre)
  size = 2 * reach + 2
  axis = (np.arange(size * _SAMPLES) + 0.5) / _SAMPLES - 0.5
  inside = np.hypot(axis[None, :] + x0 - centre[0],
                    axis[:, None] + y0 - centre[1]) <= radius
  share = inside.reshape(size, _SAMPLES, size, _SAMPLES).mean(axis=(1, 3))
  window = light[y0:y0 + size, x0:x0 + size]
  window += share.astype(np.float32) * (value - window)
