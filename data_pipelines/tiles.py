"""Cuts sharp tiles from photographs, which the training step renders from."""

from collections.abc import Sequence

import cv2
import grain
import numpy as np

from data_pipelines.transforms import turn
from jaxdeblur.errors import UserError
from jaxdeblur.optics.settings import DefocusSettings


class CutTiles(grain.transforms.RandomMap):
  """Makes 'tiles', uint8 [layers, height, width, 3], of a photograph's tile.

  The first is cut from that tile. The others, for layers in front of it, are
  cut from other tiles.
  """

  def __init__(self, tiles: Sequence[np.ndarray], settings: DefocusSettings):
    """Takes the settings, and the tiles to draw other layers from."""
    self._tiles = tiles
    self._settings = settings

  def random_map(
      self, element: np.ndarray, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    s = self._settings
    # Only the first is shrunk: most of the others stay unused.
    shrink = rng.uniform(s.shrink, 1) if rng.random() < 0.5 else 1.0
    windows = [cut_window(element, shrink, rng, s)]
    for _ in range(s.layers - 1):
      other = self._tiles[rng.integers(len(self._tiles))]
      windows.append(cut_window(other, 1.0, rng, s))
    return {'tiles': np.stack(windows)}


class CutDepthTile(grain.transforms.RandomMap):
  """Makes 'tiles', uint8 [1, height, width, 4], of a tile with its nearness."""

  def __init__(self, settings: DefocusSettings):
    self._settings = settings

  def random_map(
      self, element: np.ndarray, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    return {'tiles': cut_window(element, 1.0, rng, self._settings)[None]}


class CutLightField(grain.transforms.RandomMap):
  """Makes 'tiles', uint8 [views, height, width, 3], of a light field."""

  def __init__(self, settings: DefocusSettings):
    self._settings = settings

  def random_map(
      self, element: np.ndarray, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    """Cuts the same window from each view; a light field cannot be turned."""
    window = np.array(self._settings.window)
    available = np.array(element.shape[1:3])
    if (window > available).any():
      raise UserError(
          f'Views of {available[0]} x {available[1]} px are too small for a '
          f'crop with its margin, {window[0]} x {window[1]} px: take smaller '
          'crops or a smaller max_radius.', argument='crop')
    y, x = rng.integers(available - window + 1)
    return {'tiles': element[:, y:y + window[0], x:x + window[1]]}


def cut_window(
    tile: np.ndarray,
    scale: float,
    rng: np.random.Generator,
    s: DefocusSettings,
) -> np.ndarray:
  """Cuts crop and margin from a tile, uint8, shrunk and turned at random.

  Args:
    tile: uint8 [h, w, c].
    scale: factor that the tile is shrunk by; nearer to 1 if it is too small.
    rng: decides place and turn.
    s: says how large crop and margin are.

  Raises:
    UserError: the tile is too small.
  """
  quarter = int(rng.integers(4))
  window = np.array(s.window)[::-1 if quarter % 2 else 1]
  available = np.array(tile.shape[:2])
  scale = max(scale, *(window / available))
  if scale > 1:
    raise UserError(
        f'Tiles of {available[0]} x {available[1]} px are too small for a crop '
        f'of {s.crop[0]} x {s.crop[1]} px and {s.margin} px on each side of '
        'it: take smaller crops, a smaller max_radius, or larger tiles.',
        argument='crop')
  cut = np.minimum(np.ceil(window / scale).astype(int), available)
  y, x = rng.integers(available - cut + 1)
  pixels = tile[y:y + cut[0], x:x + cut[1]]
  if scale != 1:
    pixels = cv2.resize(
        pixels, window[::-1].tolist(), interpolation=cv2.INTER_AREA)
  return turn(pixels, quarter)
