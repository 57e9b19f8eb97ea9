"""The pictures on a report page: which, which part of them, how encoded."""

import base64
import dataclasses

import cv2
from jaxtyping import Float, UInt8
import numpy as np

Picture = Float[np.ndarray, 'h w 3']

# The largest part of a picture to show, px: it fits into two columns of a page,
# pixel for pixel. Pictures are not shrunk, since all shrunk ones look sharp.
_WINDOW_HEIGHT, _WINDOW_WIDTH = 320, 480
_WHOLE_SIDE = 160

# The |difference| with the brightest colour in error maps, of a range of 1.
ERROR_RANGE = 0.2

# Every picture is encoded in the first quality that keeps its size limit.
_QUALITIES = (85, 75, 65, 50, 30, 10, 1)
_PANE_BYTES, _SMALL_BYTES = 24_000, 8_000


@dataclasses.dataclass(frozen=True)
class Exhibit:
  """One picture under one condition, as data: URIs of WebP files.

  Attributes:
    picture, condition: as in `report.Score`.
    chosen: why it is shown.
    height, width: size of the part that is shown, px.
    panes: pictures to compare, by name: input, restored, ground truth.
    errors: |pane - ground truth| by the pane's name; {} without ground truth.
    whole: all of the picture, small; None if the panes show all of it.
    frame: where the panes are in it: left, top, width, height in %.
  """
  picture: str
  condition: str
  chosen: str
  height: int
  width: int
  panes: dict[str, str]
  errors: dict[str, str]
  whole: str | None
  frame: tuple[float, float, float, float]


class Exhibits:
  """Chooses pictures as they come, and keeps only those to show, encoded.

  It shows the first pictures of each condition, so that conditions and networks
  can be compared on the same pictures. Among the others it shows those that
  gain least in PSNR, so that failures are seen. These make a third of the
  pictures; without ground truth there are none of them.

  Attributes:
    have_sharp: whether there is ground truth.
  """

  def __init__(self, most: int):
    """Takes the number of pictures to show for each condition."""
    self._most = most
    self._first: dict[str, list[Exhibit]] = {}
    self._least: dict[str, list[tuple[tuple[float, float], Exhibit]]] = {}
    self.have_sharp = False

  def describe_choice(self) -> str:
    """Describes in a sentence which pictures are shown."""
    first, least = self._share()
    rule = f'Of each condition, the first {first}'
    if least:
      rule += f' and, of the others, the {least} with the least gain in PSNR'
    return f'{rule}.'

  def _share(self) -> tuple[int, int]:
    """How many first pictures to show, and how many that gain least."""
    least = self._most // 3 if self.have_sharp else 0
    return self._most - least, least

  def add(
      self,
      picture: str,
      condition: str,
      before: Picture,
      after: Picture,
      sharp: Picture | None,
  ) -> None:
    """Keeps a picture, in [0, 1], if it is to be shown."""
    self.have_sharp = sharp is not None
    most_first, most_least = self._share()
    first = self._first.setdefault(condition, [])
    least = self._least.setdefault(condition, [])
    if len(first) < most_first:
      first.append(
          _make_exhibit(picture, condition, 'first', before, after, sharp))
      return
    if not most_least:
      return
    gain = _rank_gain(before, after, sharp)
    if len(least) == most_least:
      if gain >= least[-1][0]:
        return
      least.pop()
    least.append((gain, _make_exhibit(
        picture, condition, 'gained least', before, after, sharp)))
    least.sort(key=lambda ranked: ranked[0])

  def by_condition(self) -> dict[str, list[Exhibit]]:
    """The exhibits by condition."""
    return {condition: [*first, *(e for _, e in self._least[condition])]
            for condition, first in self._first.items()}


def find_window(
    before: Picture, sharp: Picture | None
) -> tuple[slice, slice]:
  """Finds the rows and columns of a picture with most to restore.

  There input and ground truth differ most on average; the result plays no part.
  It is the middle if they do not differ, or without ground truth.
  """
  height = min(before.shape[0], _WINDOW_HEIGHT)
  width = min(before.shape[1], _WINDOW_WIDTH)
  top, left = (before.shape[0] - height) // 2, (before.shape[1] - width) // 2
  if sharp is not None and not np.array_equal(before, sharp):
    sums = cv2.integral(_difference(before, sharp).astype(np.float64))
    in_window = (sums[height:, width:] - sums[:-height, width:]
                 - sums[height:, :-width] + sums[:-height, :-width])
    top, left = map(int, np.unravel_index(in_window.argmax(), in_window.shape))
  return slice(top, top + height), slice(left, left + width)


def colour_stops(count: int = 9) -> list[str]:
  """Evenly spaced colours of error maps, 0 to ERROR_RANGE, as #rrggbb."""
  levels = np.linspace(0, ERROR_RANGE, count)[None]
  return ['#' + bytes(colour[::-1]).hex() for colour in _colour(levels)[0]]


def _make_exhibit(picture, condition, chosen, before, after, sharp) -> Exhibit:
  window = rows, columns = find_window(before, sharp)
  height, width = before.shape[:2]
  panes = {'input': before, 'restored': after}
  errors = {}
  if sharp is not None:
    errors = {name: _encode_error(pane[window], sharp[window])
              for name, pane in panes.items()}
    panes['ground truth'] = sharp
  shown = (rows.stop - rows.start, columns.stop - columns.start)
  return Exhibit(
      picture, condition, chosen, *shown,
      panes={name: _encode(_as_bgr8(pane[window]), _PANE_BYTES)
             for name, pane in panes.items()},
      errors=errors,
      whole=None if shown == (height, width) else _encode_whole(before),
      frame=tuple(round(100 * part, 2) for part in (
          columns.start / width, rows.start / height,
          shown[1] / width, shown[0] / height)))


def _rank_gain(before, after, sharp) -> tuple[float, float]:
  """Ranks by the gain in PSNR, then by the output's PSNR."""
  error_before, error_after = (
      float(np.square(picture - sharp, dtype=np.float64).mean())
      for picture in (before, after))
  with np.errstate(divide='ignore'):
    gain = float(np.log10(error_before) - np.log10(error_after)
                 if error_before != error_after else 0)
  return gain, -error_after


def _difference(
    picture: Picture, sharp: Picture
) -> Float[np.ndarray, 'h w']:
  """|picture - sharp|, averaged over the channels."""
  return np.abs(picture - sharp).mean(axis=2)


def _colour(
    difference: Float[np.ndarray, 'h w']
) -> UInt8[np.ndarray, 'h w 3']:
  """Colours an error map, BGR."""
  levels = np.rint(np.clip(difference / ERROR_RANGE, 0, 1) * 255)
  return cv2.applyColorMap(levels.astype(np.uint8), cv2.COLORMAP_INFERNO)


def _as_bgr8(picture: Picture) -> UInt8[np.ndarray, 'h w 3']:
  return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)[..., ::-1]


def _encode_whole(picture: Picture) -> str:
  scale = _WHOLE_SIDE / max(picture.shape[:2])
  small = cv2.resize(_as_bgr8(picture), None, fx=scale, fy=scale,
                     interpolation=cv2.INTER_AREA)
  return _encode(small, _SMALL_BYTES)


def _encode_error(picture: Picture, sharp: Picture) -> str:
  """Encodes an error map at half size, since a third of the width shows it."""
  difference = _difference(picture, sharp)
  half = [max(1, side // 2) for side in difference.shape[::-1]]
  return _encode(_colour(
      cv2.resize(difference, half, interpolation=cv2.INTER_AREA)),
      _SMALL_BYTES)


def _encode(pixels: UInt8[np.ndarray, 'h w 3'], most_bytes: int) -> str:
  """Encodes BGR pixels as a data: URI of a WebP file."""
  for quality in _QUALITIES:
    done, file = cv2.imencode(
        '.webp', pixels, (cv2.IMWRITE_WEBP_QUALITY, quality))
    if not done:
      raise OSError('OpenCV could not encode a picture as WebP.')
    if file.size <= most_bytes:
      break
  return f'data:image/webp;base64,{base64.b64encode(file).decode()}'
