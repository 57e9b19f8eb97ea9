"""Panels: what a picture was and became, and what the network makes of it."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

from jaxdeblur.models import drawing
from jaxdeblur.models.network import Network, Panel
from jaxdeblur.models.restored import Restored

# Pixels of a picture that are shown at most: larger ones are cut, since shrunk
# pictures all look sharp.
_SHOWN_HEIGHT, _SHOWN_WIDTH = 900, 1200


@dataclasses.dataclass(frozen=True, eq=False)
class Inspection:
  """All that a network made of a picture, or of the tile in its middle.

  Attributes:
    restored: what it returned, reblurred where it can, as a batch of one, at
      the size that the network takes. NumPy arrays, as below.
    intermediates: the collection `intermediates` of that call.
    rows: of the picture, which it saw.
    columns: of the picture, which it saw.
  """
  restored: Restored
  intermediates: Mapping[str, Any]
  rows: slice
  columns: slice


def draw_panels(
    network: Network,
    before: np.ndarray,
    after: np.ndarray,
    inspection: Inspection,
) -> dict[str, Panel]:
  """Draws before beside after, and the network's own panels.

  Args:
    network: what restored the picture.
    before: the picture, [h, w, 3] uint8, uint16 or float in [0, 1].
    after: the result, alike.
    inspection: of the same run.

  Returns:
    Pictures by name; 'before_after' first.
  """
  return {
      'before_after': draw_before_after(before, after),
      **network.panels(inspection.restored, inspection.intermediates)}


def draw_before_after(before: np.ndarray, after: np.ndarray) -> Panel:
  """Puts both side by side at their own pixels; large ones are cut."""
  rows, columns = (
      slice((length - shown) // 2, (length - shown) // 2 + shown)
      for length, most in zip(before.shape, (_SHOWN_HEIGHT, _SHOWN_WIDTH))
      for shown in [min(length, most)])
  shown = [_as_float(picture)[rows, columns] for picture in (before, after)]
  note = ''
  if shown[0].shape[:2] != before.shape[:2]:
    note = (f' The middle of {before.shape[1]} x {before.shape[0]} px is '
            'shown.')
  return drawing.with_title(
      drawing.as_bytes(drawing.beside(shown)), 'Before and after',
      [f"Left: the input. Right: the result. At the pixels' own size.{note}"])


def _as_float(picture: np.ndarray) -> np.ndarray:
  if picture.dtype.kind == 'f':
    return picture.astype(np.float32)
  return picture.astype(np.float32) / np.iinfo(picture.dtype).max
