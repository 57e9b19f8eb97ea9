"""Sources of photographs: decoded pictures by index."""

from collections.abc import Sequence
import csv
import dataclasses
import pathlib
import re
import threading

import numpy as np

from jaxdeblur.errors import MissingFileError, UserError
from jaxdeblur.pictures import SUFFIXES, find_pictures, read_pixels, read_size


@dataclasses.dataclass(frozen=True)
class Tile:
  """A square of a photograph: its file, top left corner and size in pixels."""
  file: pathlib.Path
  y: int
  x: int
  size: int


def list_photographs(folder: str | pathlib.Path) -> list[pathlib.Path]:
  """Lists a folder's photographs by name; raises an error if there are none."""
  folder = pathlib.Path(folder)
  if not folder.is_dir():
    raise MissingFileError(
        f'{folder} is no folder: name the folder of sharp photographs.',
        argument='photos')
  files = sorted(find_pictures(folder))  # As text: 10.png before 2.png.
  if not files:
    raise MissingFileError(
        f'{folder} holds no photographs ({", ".join(SUFFIXES)}).')
  return files


def read_photograph(file: pathlib.Path) -> np.ndarray:
  """Reads a photograph as uint8 RGB [h, w, 3]; keeps the upper 8 of 16 bits.

  Raises:
    UserError: it cannot be decoded.
  """
  pixels = read_pixels(file)
  if pixels.dtype == np.uint16:
    pixels = (pixels >> 8).astype(np.uint8)
  return pixels


def list_tiles(
    folder: str | pathlib.Path,
    size: int = 256,
    most_per_series: int = 0,
    enlarge_to: int = 0,
) -> list[Tile]:
  """Lists the tiles for training.

  Args:
    folder: the folder of photographs. Its tiles.csv (columns file, y, x, size),
      if there is one, names the tiles known to be sharp and textured. Many
      photographs have blurred parts, which would teach a network to leave blur
      alone. Without tiles.csv, every photograph is cut into a grid.
    size: side of the grid's tiles, in pixels.
    most_per_series: largest number of tiles from one series, evenly spread; 0
      takes all. The photographs of a series share a name up to a final number,
      and often show one subject.
    enlarge_to: enlarges tiles to this side about their middle, for crops larger
      than the tiles; smaller photographs are left out. 0 does not enlarge.

  Returns:
    The tiles, ordered by file and position.
  """
  files = list_photographs(folder)
  listed = pathlib.Path(folder) / 'tiles.csv'
  tiles = _read_tiles(listed) if listed.exists() else _cut_tiles(files, size)
  if enlarge_to:
    tiles = _enlarge(tiles, enlarge_to)
  if not most_per_series:
    return tiles
  series = {}
  for tile in tiles:
    series.setdefault(re.sub(r'_?\d+$', '', tile.file.stem), []).append(tile)
  return [tile for members in series.values()
          for tile in _spread(members, most_per_series)]


def _read_tiles(table: pathlib.Path) -> list[Tile]:
  with table.open(newline='') as lines:
    rows = list(csv.DictReader(lines))
  try:
    return [Tile(table.parent / row['file'], int(row['y']), int(row['x']),
                 int(row['size'])) for row in rows]
  except (KeyError, TypeError, ValueError) as error:
    raise UserError(
        f'{table} needs the columns file, y, x, size with whole numbers; '
        f'a row fails with {error!r}.') from error


def _cut_tiles(files, size) -> list[Tile]:
  tiles = []
  for file in files:
    height, width = read_size(file)
    tiles += [Tile(file, y, x, size)
              for y in range(0, height - size + 1, size)
              for x in range(0, width - size + 1, size)]
  if not tiles:
    raise UserError(
        f'None of the {len(files)} photographs is as large as a tile of '
        f'{size} x {size} px.')
  return tiles


def _enlarge(tiles, size) -> list[Tile]:
  sizes = {}
  enlarged = []
  for tile in tiles:
    if tile.file not in sizes:
      sizes[tile.file] = read_size(tile.file)
    start = [
        min(max(at + (tile.size - size) // 2, 0), length - size)
        for at, length in zip((tile.y, tile.x), sizes[tile.file])]
    if min(start) >= 0:
      enlarged.append(Tile(tile.file, *start, size))
  if not enlarged:
    raise UserError(
        f'No photograph is as large as a tile of {size} x {size} px: take '
        'smaller tiles.', argument='tile')
  return enlarged


def _spread(members: Sequence[Tile], most: int) -> list[Tile]:
  if len(members) <= most:
    return list(members)
  return [members[i * len(members) // most] for i in range(most)]


class TileSource:
  """The tiles of photographs as uint8 RGB [size, size, 3], by index.

  Decoded photographs are kept in a cache, since decoding a JPEG for each tile
  would cost more than rendering its blur. If they do not all fit into
  `cache_bytes`, those used last are kept. Each worker process has its own
  cache.
  """

  def __init__(self, tiles: Sequence[Tile], cache_bytes: int = 2**30):
    """Takes the tiles, and the size of the cache of photographs in bytes.

    The last photograph is kept even if it is larger than the cache.
    """
    self._tiles = list(tiles)
    self._cache_bytes = cache_bytes
    self._photographs = {}  # The one used last comes last.
    self._held_bytes = 0
    self._lock = threading.Lock()  # Several threads read tiles.

  def __reduce__(self):
    # Worker processes get neither the photographs nor the lock.
    return type(self), (self._tiles, self._cache_bytes)

  def __len__(self) -> int:
    return len(self._tiles)

  def __getitem__(self, index: int) -> np.ndarray:
    tile = self._tiles[index]
    photograph = self._read(tile.file)
    pixels = photograph[tile.y:tile.y + tile.size, tile.x:tile.x + tile.size]
    if pixels.shape[:2] != (tile.size, tile.size):
      raise UserError(
          f'{tile.file} has {photograph.shape[0]} x {photograph.shape[1]} px; '
          f'the tile at y {tile.y}, x {tile.x} of {tile.size} px lies outside.')
    return pixels

  def _read(self, file: pathlib.Path) -> np.ndarray:
    with self._lock:
      photograph = self._photographs.pop(file, None)
      if photograph is not None:
        self._photographs[file] = photograph
        return photograph
    photograph = read_photograph(file)  # Without the lock, which others need.
    with self._lock:
      if file not in self._photographs:
        self._photographs[file] = photograph
        self._held_bytes += photograph.nbytes
      while self._held_bytes > self._cache_bytes and len(self._photographs) > 1:
        oldest = next(iter(self._photographs))
        self._held_bytes -= self._photographs.pop(oldest).nbytes
    return photograph
