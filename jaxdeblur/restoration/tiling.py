"""Restoration in tiles that leave no seam.

A window is a tile with a halo around it as wide as the network's receptive
field. Pixels outside the window cannot change the tile, so the tile comes out
as from the whole picture, and no seam has to be blended.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import itertools

import numpy as np


@dataclasses.dataclass(frozen=True)
class Span:
  """One window along one axis, in pixels of the picture.

  Attributes:
    window: the pixels that the network sees.
    tile: the pixels of the result that are kept.
  """
  window: slice
  tile: slice

  @property
  def tile_in_window(self) -> slice:
    start = self.window.start
    return slice(self.tile.start - start, self.tile.stop - start)


def plan_spans(
    length: int, tile: int, halo: int, multiple: int
) -> list[Span]:
  """Covers an axis with tiles whose windows all have the same length.

  At the picture's ends, windows are moved inwards rather than padded: the
  network then sees the picture's real end, as in the whole picture.

  Args:
    length: length of the axis in pixels, a multiple of `multiple`.
    tile: the largest number of pixels to keep of a window.
    halo: how far beyond the tile pixels can change it.
    multiple: windows start and end at multiples of this.

  Returns:
    Spans whose tiles cover the axis once. An axis no longer than a window is a
    single span.
  """
  tile = max(_round_up(tile, multiple), multiple)
  halo = _round_up(halo, multiple)
  window = tile + 2 * halo
  if length <= window:
    return [Span(slice(0, length), slice(0, length))]
  spans = []
  for start in range(0, length, tile):
    first = min(max(start - halo, 0), length - window)
    spans.append(Span(slice(first, first + window),
                      slice(start, min(start + tile, length))))
  return spans


def restore_in_tiles(
    restore: Callable[[dict[str, np.ndarray], Span, Span], np.ndarray],
    views: Mapping[str, np.ndarray],
    *,
    tile: int | None,
    halo: int,
    multiple: tuple[int, int],
) -> np.ndarray:
  """Restores views [h, w, 3] window by window.

  Args:
    restore: function of a window of the views, [i, j, 3] each, and the spans of
      its rows and columns; returns the restored window.
    views: the whole views; height and width are multiples of `multiple`.
    tile: the largest height and width to keep of a window, px; None takes the
      whole picture as one window.
    halo: the network's receptive field.
    multiple: heights and widths that the network takes are multiples of these.

  Returns:
    The whole picture, equal to the result of one window for all of it.
  """
  height, width = next(iter(views.values())).shape[:2]
  whole = np.empty((height, width, 3), np.float32)
  tile = max(height, width) if tile is None else tile
  for rows, columns in _plan_windows(height, width, tile, halo, multiple):
    window = restore({name: view[rows.window, columns.window]
                      for name, view in views.items()}, rows, columns)
    whole[rows.tile, columns.tile] = window[
        rows.tile_in_window, columns.tile_in_window]
  return whole


def _plan_windows(
    height, width, tile, halo, multiple
) -> Iterator[tuple[Span, Span]]:
  return itertools.product(
      plan_spans(height, tile, halo, multiple[0]),
      plan_spans(width, tile, halo, multiple[1]))


def _round_up(value: int, multiple: int) -> int:
  return -(-value // multiple) * multiple
