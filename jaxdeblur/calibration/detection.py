"""Finds the chart's discs in a photograph."""

import cv2
from jaxtyping import Float
import numpy as np

from jaxdeblur.calibration import registration
from jaxdeblur.calibration.chart import CHART, DiscChart
from jaxdeblur.calibration.registration import Registration
from jaxdeblur.errors import UserError

# Components are found in a picture of about this many pixels a side.
_SIDE = 1600
# A grid of fewer discs is taken for chance.
_FEWEST = 12
# Darkness of the discs' middles over the gaps', below which nothing is
# measured, and of the gaps over the discs' above which discs run together.
_LEAST_CONTRAST = 0.25
_MOST_MERGED = 0.25
# Width of the sharpest border, as a share of the photograph's longer side,
# above which discs of a chart cannot be told apart.
_WIDEST_BORDER = 0.012


def detect(
    photograph: Float[np.ndarray, 'h w *c'], chart: DiscChart = CHART
) -> Registration:
  """Finds the chart, and registers the photograph to it.

  Args:
    photograph: linear light, [h, w] or [h, w, 3].
    chart: the chart that was photographed.

  Raises:
    UserError: no chart is found, a part is out of view, or the photograph is
      too blurred.
  """
  light = to_grey(photograph)
  factor = min(1.0, _SIDE / max(light.shape))
  small = cv2.resize(light, None, fx=factor, fy=factor,
                     interpolation=cv2.INTER_AREA)
  background = _estimate_background(small)
  blobs = _find_blobs(small / background)
  grid = _find_grid(blobs)
  if len(grid) < _FEWEST:
    _check_edges(light)
    raise UserError(
        f'No chart is found in the photograph: it should show {chart.rows} '
        f'rows of {chart.columns} black discs on white, all in view.')
  ordered = _order(grid, chart)
  _check_blur(small / background, blobs, grid)
  if ordered is None:
    raise UserError(
        f'Only part of the chart is in view: {len(grid)} discs of '
        f'{chart.count} form a grid. Photograph the whole chart, evenly lit '
        'and with nothing in front of it.')
  middles = (blobs[ordered] + 0.5) / factor - 0.5
  centres = _refine(light, middles.reshape(chart.rows, chart.columns, 2))
  turned, marked = _is_turned(light, centres, chart)
  if turned:
    centres = centres[::-1, ::-1]
  return registration.fit(
      chart, centres.reshape(-1, 2), light.shape, marked)


def to_grey(
    photograph: Float[np.ndarray, 'h w *c']
) -> Float[np.ndarray, 'h w']:
  """The mean of the colours, linear light, float32."""
  photograph = np.asarray(photograph, np.float32)
  if photograph.ndim not in (2, 3) or min(photograph.shape[:2]) < 16:
    raise UserError(
        f'A photograph of the chart is [height, width] or [height, width, 3]; '
        f'got the shape {photograph.shape}.')
  grey = photograph if photograph.ndim == 2 else photograph.mean(axis=-1)
  if not np.isfinite(grey).all():
    raise UserError('The photograph holds values that are not finite.')
  return grey


def _estimate_background(light):
  """The white around the discs: the local maximum, smoothed."""
  side = 2 * (min(light.shape) // 10) + 1
  calm = cv2.GaussianBlur(light, (0, 0), 1.5)
  shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
  closed = cv2.morphologyEx(calm, cv2.MORPH_CLOSE, shape)
  smooth = cv2.GaussianBlur(closed, (0, 0), side / 4)
  return np.maximum(smooth, max(0.02 * float(smooth.max()), 1e-6))


def _find_blobs(relative) -> Float[np.ndarray, 'n 2']:
  """Middles (x, y) of the dark regions that look like ellipses of one size."""
  calm = cv2.GaussianBlur(relative, (0, 0), 1.0)
  values = np.uint8(np.clip(200 * calm, 0, 255))
  threshold, _ = cv2.threshold(values, 0, 255, cv2.THRESH_OTSU)
  dark = np.uint8(values <= threshold)
  borders, _ = cv2.findContours(dark, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
  height, width = dark.shape
  middles, areas = [], []
  for border in borders:
    moments = cv2.moments(border)
    area = moments['m00']
    x, y, across, down = cv2.boundingRect(border)
    if area < 20 or x <= 0 or y <= 0 or x + across >= width or (
        y + down >= height):
      continue
    spread = (moments['mu20'] * moments['mu02'] - moments['mu11'] ** 2)
    # 1 for every ellipse.
    fill = area / (4 * np.pi * np.sqrt(max(spread, 1e-9)) / area)
    if 0.9 < fill < 1.1:
      middles.append((moments['m10'] / area, moments['m01'] / area))
      areas.append(area)
  middles, areas = np.array(middles).reshape(-1, 2), np.array(areas)
  if not len(areas):
    return middles
  # The size that most have, within perspective.
  alike = np.abs(np.log(areas[:, None] / areas[None, :])) < np.log(1.6)
  common = areas[alike.sum(axis=1).argmax()]
  return middles[np.abs(np.log(areas / common)) < np.log(2.5)]


def _find_grid(middles) -> dict[tuple[int, int], int]:
  """The largest set of blobs that form a grid: (row, column) to index."""
  best = {}
  if len(middles) < 4:
    return best
  centre = np.median(middles, axis=0)
  for seed in np.linalg.norm(middles - centre, axis=1).argsort()[:6]:
    grid = _grow(middles, int(seed))
    if len(grid) > len(best):
      best = grid
  return best


def _grow(middles, seed) -> dict[tuple[int, int], int]:
  """Walks from one blob to its neighbours; each step follows the last."""
  steps = middles - middles[seed]
  order = np.linalg.norm(steps, axis=1).argsort()
  right = steps[order[1]]
  if abs(right[0]) < abs(right[1]):  # Rows run along x as far as they can.
    right = np.array([abs(right[1]), -right[0] * np.sign(right[1])])
  right = right * (np.sign(right[0]) or 1)
  down = np.array([-right[1], right[0]])
  grid, waiting = {(0, 0): seed}, [((0, 0), right, down)]
  taken = {seed}
  while waiting:
    (row, column), right, down = waiting.pop(0)
    here = middles[grid[row, column]]
    for r, c, step in ((0, 1, right), (0, -1, -right), (1, 0, down),
                       (-1, 0, -down)):
      place = row + r, column + c
      distance = np.linalg.norm(middles - (here + step), axis=1)
      nearest = int(distance.argmin())
      if place in grid or nearest in taken or (
          distance[nearest] > 0.3 * np.linalg.norm(step)):
        continue
      grid[place] = nearest
      taken.add(nearest)
      found = middles[nearest] - here
      waiting.append((place, found * c if c else right,
                      found * r if r else down))
  return grid


def _order(grid, chart) -> np.ndarray | None:
  """Indices [rows, columns] of a whole chart, or None; upright or turned."""
  places = np.array(list(grid))
  for rows, columns in ((chart.rows, chart.columns),
                        (chart.columns, chart.rows)):
    low, high = places.min(axis=0), places.max(axis=0)
    for top in range(low[0], high[0] - rows + 2):
      for left in range(low[1], high[1] - columns + 2):
        found = [[grid.get((top + r, left + c)) for c in range(columns)]
                 for r in range(rows)]
        if all(index is not None for line in found for index in line):
          found = np.array(found)
          # A chart on its side is turned by 90 degrees.
          return found if rows == chart.rows else np.rot90(found)
  return None


def _check_blur(relative, blobs, grid) -> None:
  """Raises a UserError if discs run together or hardly differ from white."""
  calm = cv2.GaussianBlur(relative, (0, 0), 1.5)

  def sample(points):
    x, y = np.rint(np.array(points)).astype(int).T
    return calm[y, x]

  discs = sample([blobs[index] for index in grid.values()])
  gaps = sample([
      (blobs[index] + blobs[grid[row, column + 1]]) / 2
      for (row, column), index in grid.items() if (row, column + 1) in grid])
  corners = sample([
      (blobs[index] + blobs[grid[row + 1, column + 1]]) / 2
      for (row, column), index in grid.items()
      if (row + 1, column + 1) in grid])
  white = np.median(corners)
  depth = white - np.median(discs)
  merged = (white - np.median(gaps)) / max(depth, 1e-6)
  if depth < _LEAST_CONTRAST * white or merged > _MOST_MERGED:
    raise UserError(
        'The chart is blurred beyond what can be measured: the discs '
        f'are {depth / white:.0%} darker than the white around them, and the '
        f'gaps between discs {max(merged, 0):.0%} of that. Come nearer to '
        'the plane in focus, or fill the frame with the chart.')


def _check_edges(light) -> None:
  """Raises a UserError if nothing in a photograph has a sharp border.

  A border of contrast c and width w has the slope c / w at most. Discs of a
  chart that fills the photograph are 3 % of its width across.
  """
  side = max(light.shape)
  calm = cv2.GaussianBlur(light, (0, 0), max(side / 400, 0.5))
  low, high = np.percentile(calm, (1, 99))
  slopes = np.hypot(*np.gradient(calm))
  width = (high - low) / max(float(np.percentile(slopes, 99.9)), 1e-9)
  if width > max(_WIDEST_BORDER * side, 4):
    raise UserError(
        'The photograph is blurred beyond detection: no border in it is '
        f'narrower than about {width:.0f} px, so discs would run together. '
        'Focus nearer to the chart, or check that it is in view.')


def _refine(light, centres) -> Float[np.ndarray, 'r c 2']:
  """Centroids of darkness in windows up to half the way to the neighbours."""
  steps = min(np.linalg.norm(np.diff(centres, axis=axis), axis=-1).min()
              for axis in (0, 1))
  half = int(steps / 2)
  axis = np.arange(-half, half + 1)
  x, y = np.meshgrid(axis, axis)
  window = (x ** 2 + y ** 2 <= half ** 2)
  rim = (x ** 2 + y ** 2 > (0.9 * half) ** 2)
  plane = np.stack([np.ones(x.shape), x, y], axis=-1)
  padded = np.pad(light, half, mode='edge')
  result = np.array(centres, float)
  for _ in range(3):
    for place in np.ndindex(*centres.shape[:2]):
      column, row = np.rint(result[place]).astype(int)
      column = np.clip(column, 0, light.shape[1] - 1)
      row = np.clip(row, 0, light.shape[0] - 1)
      cut = padded[row:row + 2 * half + 1, column:column + 2 * half + 1]
      white = plane @ np.linalg.lstsq(plane[rim], cut[rim], rcond=None)[0]
      darkness = np.where(window, 1 - cut / np.maximum(white, 1e-6), 0)
      total = max(float(darkness.sum()), 1e-6)
      result[place] = (column + (darkness * x).sum() / total,
                       row + (darkness * y).sum() / total)
  return result


def _is_turned(light, centres, chart) -> tuple[bool, bool]:
  """Whether the hole is in the last disc, and whether it is seen at all."""
  def brightness(place):
    column, row = np.rint(centres[place]).astype(int)
    near = np.linalg.norm(centres[0, 1] - centres[0, 0]) / chart.spacing
    reach = max(int(near * chart.hole / 2), 1)
    return float(light[row - reach:row + reach + 1,
                       column - reach:column + reach + 1].mean())

  first, last = brightness((0, 0)), brightness((-1, -1))
  others = [brightness(place) for place in ((0, -1), (-1, 0), (1, 1), (-2, -2))]
  spread = max(np.std(others), 0.05 * float(light.max()))
  return last > first, abs(first - last) > 2 * spread
