"""How panels are drawn: pictures side by side, with titles and legends."""

from collections.abc import Mapping, Sequence

import cv2
from jaxtyping import Float, UInt8
import numpy as np

from jaxdeblur.models.network import Panel

Picture = Float[np.ndarray, '_h _w 3']

_GAP = 8         # White pixels between pictures.
_MARGIN = 12     # White pixels around text.
_LINE = 22       # Height of a line of text, px.
_LEAST_WIDTH = 480
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK, _SOFT_INK = (20, 20, 20), (90, 90, 90)


def as_bytes(picture: Picture) -> Panel:
  """Rounds a picture in [0, 1] to 8 bits."""
  return np.uint8(np.round(np.clip(picture, 0, 1) * 255))


def beside(pictures: Sequence[Picture]) -> Picture:
  """Puts pictures of equal height side by side, with white gaps."""
  gap = np.ones((pictures[0].shape[0], _GAP, 3), np.float32)
  parts = [part for picture in pictures for part in (gap, picture)]
  return np.concatenate(parts[1:], axis=1)


def enlarge(picture: np.ndarray, factor: int) -> np.ndarray:
  """Repeats every pixel `factor` times in both directions."""
  return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def shrink_to(picture: Picture, height: int, width: int) -> Picture:
  """Shrinks a picture by area means until it fits into height x width px."""
  scale = min(height / picture.shape[0], width / picture.shape[1], 1)
  if scale == 1:
    return picture
  size = [max(round(length * scale), 1) for length in picture.shape[1::-1]]
  return cv2.resize(
      np.asarray(picture, np.float32), size, interpolation=cv2.INTER_AREA)


def tile_sheet(
    tiles: Float[np.ndarray, 'rows columns i j'], factor: int
) -> Picture:
  """Joins grey tiles to a sheet and repeats every pixel `factor` times."""
  rows, columns, height, width = tiles.shape
  sheet = tiles.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)
  return enlarge(np.repeat(sheet[..., None], 3, axis=2), factor)


def with_title(
    panel: Panel,
    title: str,
    lines: Sequence[str] = (),
    colours: Mapping[str, Float[np.ndarray, '3']] | None = None,
) -> Panel:
  """Puts a title above a panel and its legend below.

  Args:
    panel: the drawing.
    title: one line.
    lines: lines of the legend in plain ASCII; long ones are wrapped.
    colours: keys of the legend: a word -> its RGB in [0, 1].
  """
  width = max(panel.shape[1], _LEAST_WIDTH)
  wrapped = [part for line in lines for part in _wrap(line, width)]
  head = _write([title], width, _INK, 0.62)
  foot = _write(wrapped, width, _SOFT_INK, 0.5) if wrapped else None
  keys = _draw_keys(colours, width) if colours else None
  middle = np.full((panel.shape[0], width, 3), 255, np.uint8)
  middle[:, :panel.shape[1]] = panel
  parts = [head, middle, keys, foot]
  return np.concatenate([part for part in parts if part is not None])


def _write(
    lines: Sequence[str], width: int, ink: tuple[int, ...], size: float
) -> Panel:
  strip = np.full((len(lines) * _LINE + _MARGIN, width, 3), 255, np.uint8)
  for row, line in enumerate(lines):
    _put_text(strip, line, (_MARGIN, (row + 1) * _LINE - 2), ink, size)
  return strip


def _put_text(strip, text, place, ink, size) -> None:
  cv2.putText(strip, text, place, _FONT, size, ink, 1, cv2.LINE_AA)


def _wrap(line: str, width: int) -> list[str]:
  rows, row = [], ''
  for word in line.split():
    longer = f'{row} {word}'.strip()
    (length, _), _ = cv2.getTextSize(longer, _FONT, 0.5, 1)
    if row and length > width - 2 * _MARGIN:
      rows.append(row)
      longer = word
    row = longer
  return [*rows, row]


def _draw_keys(
    colours: Mapping[str, Float[np.ndarray, '3']], width: int
) -> UInt8[np.ndarray, '_h _w 3']:
  strip = np.full((_LINE + _MARGIN, width, 3), 255, np.uint8)
  x = _MARGIN
  for word, colour in colours.items():
    strip[_MARGIN:_MARGIN + 14, x:x + 14] = as_bytes(colour[None, None])
    _put_text(strip, word, (x + 20, _MARGIN + 12), _SOFT_INK, 0.5)
    (length, _), _ = cv2.getTextSize(word, _FONT, 0.5, 1)
    x += 20 + length + 20
  return strip
