"""Where each point of the chart lies in a photograph."""

import dataclasses

import cv2
from jaxtyping import Float
import numpy as np
from scipy.optimize import least_squares

from jaxdeblur.calibration.chart import DiscChart

Points = Float[np.ndarray, '*n 2']

# Corners of the polygon that stands for a disc's border.
_CORNERS = 32
# Every pixel of a drawn disc averages this many points squared.
_SAMPLES = 4


@dataclasses.dataclass(frozen=True)
class Registration:
  """A homography, then radial distortion about the photograph's middle.

  Attributes:
    chart: the chart.
    homography: 3 x 3, from the chart's pixels to the photograph's.
    distortion: k1: a point at distance r from the middle moves to
      r (1 + k1 (r / half the diagonal)^2).
    shape: (height, width) of the photograph, px.
    residual: root mean square distance between measured and computed centres of
      the discs, px.
    inliers: number of discs that RANSAC kept.
    marked: whether the hole was seen; if not, the side that is up is assumed.
  """
  chart: DiscChart
  homography: Float[np.ndarray, '3 3']
  distortion: float
  shape: tuple[int, int]
  residual: float = 0.0
  inliers: int = 0
  marked: bool = True

  def to_photograph(self, points: Points) -> Points:
    """Maps points (x, y) of the chart to the photograph, px."""
    flat = _project(self.homography, points)
    middle, half = self._middle
    offset = flat - middle
    square = (offset ** 2).sum(axis=-1, keepdims=True) / half ** 2
    return middle + offset * (1 + self.distortion * square)

  def to_chart(self, points: Points) -> Points:
    """Maps points (x, y) of the photograph to the chart, px."""
    middle, half = self._middle
    moved = points - middle
    offset = moved
    for _ in range(6):  # A fixed point; k1 is small.
      square = (offset ** 2).sum(axis=-1, keepdims=True) / half ** 2
      offset = moved / (1 + self.distortion * square)
    return _project(np.linalg.inv(self.homography), middle + offset)

  @property
  def centres(self) -> Float[np.ndarray, 'n 2']:
    """The discs' centres in the photograph, px, row by row of the chart."""
    return self.to_photograph(self.chart.centres)

  @property
  def scale(self) -> float:
    """Photograph pixels for one chart pixel, the mean over the chart."""
    centres = self.centres.reshape(self.chart.rows, self.chart.columns, 2)
    steps = np.concatenate([
        np.linalg.norm(np.diff(centres, axis=axis), axis=-1).ravel()
        for axis in (0, 1)])
    return float(steps.mean() / self.chart.spacing)

  @property
  def smallest_scale(self) -> float:
    """As `scale`, where the chart is smallest."""
    centres = self.centres.reshape(self.chart.rows, self.chart.columns, 2)
    return min(np.linalg.norm(np.diff(centres, axis=axis), axis=-1).min()
               for axis in (0, 1)) / self.chart.spacing

  @property
  def _middle(self):
    height, width = self.shape
    return (np.array([(width - 1) / 2, (height - 1) / 2]),
            np.hypot(height, width) / 2)


def fit(
    chart: DiscChart, measured: Float[np.ndarray, 'n 2'],
    shape: tuple[int, int], marked: bool = True
) -> Registration:
  """Fits homography and distortion to the centroids of all discs.

  RANSAC finds a homography; then all is fitted by least squares. A disc in
  perspective has its centroid beside the image of its centre: centroids of the
  projected discs are compared.

  Args:
    chart: the chart.
    measured: centroids (x, y) in the photograph, px, row by row.
    shape: (height, width) of the photograph.
    marked: see `Registration`.
  """
  tolerance = 0.05 * np.linalg.norm(measured[1] - measured[0])
  start, kept = cv2.findHomography(
      chart.centres, measured, cv2.RANSAC, max(tolerance, 1.0))
  kept = kept.ravel().astype(bool)
  turn = np.arange(_CORNERS) * 2 * np.pi / _CORNERS
  border = chart.centres[:, None] + chart.radius * np.stack(
      [np.cos(turn), np.sin(turn)], axis=-1)

  def build(parameters):
    homography = np.append(parameters[:8], 1.0).reshape(3, 3)
    return Registration(chart, homography, float(parameters[8]), shape)

  def compare(parameters):
    computed = _find_centroids(build(parameters).to_photograph(border))
    return (computed - measured)[kept].ravel()

  first = np.append((start / start[2, 2]).ravel()[:8], 0.0)
  best = least_squares(compare, first, x_scale=np.maximum(np.abs(first), 1e-4),
                       loss='soft_l1', f_scale=0.5)
  residual = np.sqrt(np.mean(np.square(compare(best.x))) * 2)
  return dataclasses.replace(
      build(best.x), residual=float(residual), inliers=int(kept.sum()),
      marked=marked)


def draw_discs(
    registration: Registration, size: int, shifts: Float[np.ndarray, 'n 2']
) -> Float[np.ndarray, 'n s s']:
  """Draws each disc as a photograph without blur shows it: 1 inside, 0 outside.

  Args:
    registration: of the photograph.
    size: height and width of a window, odd, px. Its middle pixel is that
      nearest to the disc's centre; see `find_corners`.
    shifts: added to each disc's centre (x, y), px.
  """
  chart = registration.chart
  half = size // 2
  axis = np.arange(-half, half + 1, dtype=float)
  pixels = np.stack(np.meshgrid(axis, axis), axis=-1)
  middles = np.rint(registration.centres)
  places = middles[:, None, None] + pixels - shifts[:, None, None]
  offset = registration.to_chart(places) - chart.centres[:, None, None]
  by_y, by_x = np.gradient(offset, axis=(1, 2))
  scale = np.sqrt(np.abs(
      by_x[..., 0] * by_y[..., 1] - by_x[..., 1] * by_y[..., 0]))
  inside = np.zeros(offset.shape[:-1])
  samples = (np.arange(_SAMPLES) + 0.5) / _SAMPLES - 0.5
  for dy in samples:
    for dx in samples:
      point = offset + dx * by_x + dy * by_y
      distance = np.hypot(point[..., 0], point[..., 1])
      inside += _cover(chart.radius, distance, scale / _SAMPLES)
      inside[0] -= _cover(chart.hole, distance[0], scale[0] / _SAMPLES)
  return (inside / _SAMPLES ** 2).astype(np.float32)


def cut_windows(
    picture: Float[np.ndarray, 'h w'], registration: Registration, size: int
) -> Float[np.ndarray, 'n s s']:
  """Cuts the window of each disc, as `draw_discs`; nan beyond the edge."""
  half = size // 2
  padded = np.pad(picture, half, constant_values=np.nan)
  corners = np.rint(registration.centres).astype(int)
  return np.stack([padded[y:y + size, x:x + size] for x, y in corners])


def warp(
    photograph: Float[np.ndarray, 'h w *c'], registration: Registration
) -> Float[np.ndarray, 'H W *c']:
  """Warps a photograph to the chart's frame, at the photograph's own scale."""
  chart, scale = registration.chart, registration.scale
  height, width = round(chart.height * scale), round(chart.width * scale)
  x, y = np.meshgrid((np.arange(width) + 0.5) / scale - 0.5,
                     (np.arange(height) + 0.5) / scale - 0.5)
  places = registration.to_photograph(np.stack([x, y], axis=-1))
  return cv2.remap(
      np.asarray(photograph, np.float32), places.astype(np.float32), None,
      cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _project(homography, points):
  flat = points @ homography[:, :2].T + homography[:, 2]
  return flat[..., :2] / flat[..., 2:]


def _find_centroids(polygons):
  """The centroids of polygons [n, corners, 2], by the shoelace formula."""
  origin = polygons.mean(axis=1, keepdims=True)
  here = polygons - origin
  after = np.roll(here, -1, axis=1)
  cross = here[..., 0] * after[..., 1] - here[..., 1] * after[..., 0]
  moment = ((here + after) * cross[..., None]).sum(axis=1)
  return origin[:, 0] + moment / (3 * cross.sum(axis=1)[:, None])


def _cover(radius, distance, scale):
  return np.clip(0.5 + (radius - distance) / scale, 0, 1)
