"""Photographs with a depth map each, for rendering defocus."""

from collections.abc import Sequence
import pathlib
import threading

import cv2
import numpy as np

from data_pipelines.sources import Tile, TileSource
from jaxdeblur.errors import MissingFileError, UserError
from jaxdeblur.suggestion import choose_one

KINDS = ('disparity', 'depth')
_SUFFIXES = ('.npy', '.npz', '.png', '.tif', '.tiff', '.pfm')
_MOST_UNKNOWN = 0.5  # Share of a map that may be filled in.


class DepthTiles:
  """Tiles of photographs beside how near each pixel is, by index.

  Each is uint8 [size, size, 4]: RGB, and nearness from 0 (the farthest of the
  photograph) to 255 (the nearest), linear in disparity.
  """

  def __init__(
      self, tiles: Sequence[Tile], folder: str | pathlib.Path, kind: str
  ):
    """Takes tiles, and the folder with a map of each photograph's name.

    Args:
      tiles: the tiles.
      folder: the folder of the maps: npy or npz (one array), PFM, or PNG or
        TIFF with one channel.
      kind: 'disparity', larger where it is nearer, with 0 and infinity where it
        is unknown; or 'depth', larger where it is farther, known everywhere.

    Raises:
      UserError: the kind is unknown.
      MissingFileError: a photograph has no map.
    """
    if kind not in KINDS:
      raise UserError(
          f'depth_kind is {kind!r}: {choose_one(kind, KINDS)}',
          argument='depth_kind')
    self._tiles, self._folder, self._kind = list(tiles), folder, kind
    self._pixels = TileSource(tiles)
    self._files = {tile.file: find_map(tile.file, folder) for tile in tiles}
    self._maps = {}
    self._lock = threading.Lock()

  def __reduce__(self):
    # Worker processes get neither the maps nor the lock.
    return type(self), (self._tiles, self._folder, self._kind)

  def __len__(self) -> int:
    return len(self._tiles)

  def __getitem__(self, index: int) -> np.ndarray:
    tile = self._tiles[index]
    with self._lock:
      if tile.file not in self._maps:
        self._maps[tile.file] = read_nearness(
            self._files[tile.file], self._kind)
      nearness = self._maps[tile.file]
    pixels = self._pixels[index]
    cut = nearness[tile.y:tile.y + tile.size, tile.x:tile.x + tile.size]
    if cut.shape != pixels.shape[:2]:
      raise UserError(
          f'{self._files[tile.file]} has {nearness.shape[0]} x '
          f'{nearness.shape[1]} px, unlike its photograph {tile.file}: a depth '
          'map needs its size.', argument='depth_maps')
    return np.dstack([pixels, cut])


def find_map(
    photograph: pathlib.Path, folder: str | pathlib.Path
) -> pathlib.Path:
  """Finds the depth map of a photograph; raises a MissingFileError."""
  for suffix in _SUFFIXES:
    file = pathlib.Path(folder) / (photograph.stem + suffix)
    if file.exists():
      return file
  raise MissingFileError(
      f'{folder} has no depth map for {photograph.name}: expected '
      f'{photograph.stem} with one of {", ".join(_SUFFIXES)}.',
      argument='depth_maps')


def read_nearness(file: pathlib.Path, kind: str) -> np.ndarray:
  """Reads how near each pixel is, uint8 [h, w]; see `DepthTiles`.

  Raises:
    UserError: the file is no map, or holds impossible values.
  """
  values = _read_map(file)
  if np.isnan(values).any():
    raise UserError(
        f'{file} holds {int(np.isnan(values).sum())} values that are not a '
        f'number (NaN): {_MEND[kind]}', argument='depth_maps')
  if (values < 0).any():
    raise UserError(
        f'{file} holds {int((values < 0).sum())} negative values: '
        f'{_MEND[kind]}', argument='depth_maps')
  known = np.isfinite(values) & (values > 0)
  if kind == 'depth':
    if not known.all():
      raise UserError(
          f'{file} holds {int((~known).sum())} depths that are 0 or infinite: '
          f'{_MEND[kind]}', argument='depth_maps')
    values = 1 / values
  elif known.mean() < 1 - _MOST_UNKNOWN:
    raise UserError(
        f'{file} knows the disparity of {100 * known.mean():.0f} % of its '
        'pixels: at least half of them are needed.', argument='depth_maps')
  values = _fill(values, known)
  span = max(np.ptp(values), 1e-12)
  return np.uint8(np.round(255 * (values - values.min()) / span))


_MEND = {
    'depth': 'fill in what is unknown, with depths above 0.',
    'disparity': 'give 0 where the disparity is unknown.'}


def _read_map(file: pathlib.Path) -> np.ndarray:
  """Reads one array [h, w], float64."""
  try:
    if file.suffix in ('.npy', '.npz'):
      loaded = np.load(file, allow_pickle=False)
      values = loaded if file.suffix == '.npy' else loaded[loaded.files[0]]
    else:
      values = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
  except (OSError, ValueError, EOFError, IndexError) as error:
    raise UserError(
        f'{file} cannot be read: a depth map is npy, npz, PFM, PNG or TIFF.',
        argument='depth_maps') from error
  if values is None or values.ndim != 2 or values.dtype.kind not in 'uif':
    found = 'nothing' if values is None else f'an array {values.shape}'
    raise UserError(
        f'{file} holds {found}: a depth map has one channel, [h, w].',
        argument='depth_maps')
  return values.astype(np.float64)


def _fill(values: np.ndarray, known: np.ndarray) -> np.ndarray:
  """Gives unknown pixels the value of the nearest known one."""
  if known.all():
    return values
  # Each known pixel gets a label, and each unknown one that of the nearest.
  _, labels = cv2.distanceTransformWithLabels(
      np.uint8(~known), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
  of_label = np.zeros(labels.max() + 1)
  of_label[labels[known]] = values[known]
  return of_label[labels]
