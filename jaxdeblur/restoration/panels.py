"""Panels: a picture before and after, and how the network restored it."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

from jaxdeblur.models import drawing
from jaxdeblur.models.network import Network, Panel
from jaxdeblur.models.restored import Restored

# The largest part of a picture to show, px. Larger pictures are cut and not
# shrunk, since all shrunk pictures look sharp.
_SHOWN_HEIGHT, _SHOWN_WIDTH = 900, 1200


@dataclasses.dataclass(frozen=True, eq=False)
class Inspection:
  """A network's full output for a picture, or for the tile in its middle.

  Attributes:
    restored: its output as a batch of one, at the size that the network takes;
      reblurred if it can. All arrays here are NumPy's.
    intermediates: the collection `intermediates` of that call.
    rows: rows of the picture that the network saw.
    columns: columns of the picture that the network saw.
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
  """Draws the picture before and after, and the network's own panels.

  Args:
    network: the network that restored the picture.
    before: the picture, [h, w, 3] uint8, uint16 or float in [0, 1].
    after: the result, in the same form.
    inspection: the inspection from the same run.

  Returns:
    Panels by name; 'before_after' comes first.
  """
  return {
      'before_after': draw_before_after(before, after),
      **network.panels(inspection.restored, inspection.intermediates)}


def draw_before_after(before: np.ndarray, after: np.ndarray) -> Panel:
  """Puts both side by side, pixel for pixel; large pictures are cut."""
  rows, columns = (
      slice((length - shown) // 2, (length - shown) // 2 + shown)
      for length, most in zip(before.shape, (_SHOWN_HEIGHT, _SHOWN_WIDTH))
      for shown in [min(length, most)])
  shown = [_as_float(picture)[rows, columns] for picture in (before, after)]
  note = ''
  if shown[0].shape[:2] != before.shape[:2]:
    note = (f' Only the middle of {before.shape[1]} x {before.shape[0]} px is '
            'shown.')
  return drawing.with_title(
      drawing.as_bytes(drawing.beside(shown)), 'Before and after',
      [f'Left: the input. Right: the result. Both pixel for pixel.{note}'])


def _as_float(picture: np.ndarray) -> np.ndarray:
  if picture.dtype.kind == 'f':
    return picture.astype(np.float32)
  return picture.astype(np.float32) / np.iinfo(picture.dtype).max
