"""Panels of DRBNet: the predicted kernels and the pyramid of estimates."""

from collections.abc import Sequence

import cv2
from jaxtyping import Float
import numpy as np

from jaxdeblur.models import drawing
from jaxdeblur.models.network import Panel
from jaxdeblur.models.restored import Restored

_KERNELS_ACROSS = 24
_MAGNIFIED = 6


def draw(restored: Restored) -> dict[str, Panel]:
  """Draws 'kernels', those at full size, and 'pyramid'."""
  picture = np.asarray(restored.image[0])
  return {
      'kernels': draw_kernels(restored.kernels[-1][0], picture),
      'pyramid': draw_pyramid([level[0] for level in restored.pyramid]),
  }


def draw_kernels(
    kernels: Float[np.ndarray, 'h w k2'], picture: Float[np.ndarray, 'h w 3']
) -> Panel:
  """Draws the restored picture, with the kernels of some pixels beside it."""
  sheet = draw_kernel_sheet(kernels)
  height, width = sheet.shape[:2]
  shown = cv2.resize(
      picture.astype(np.float32), (width, height),
      interpolation=cv2.INTER_AREA)
  return drawing.with_title(
      drawing.as_bytes(drawing.beside([shown, sheet])),
      'Restored, and the kernels predicted at full size',
      ['Each small square is the kernel of the pixel at this place. Grey is 0, '
       "white positive and black negative, relative to the kernel's largest "
       'value. A brighter frame means that this value is larger.'])


def draw_kernel_sheet(
    kernels: Float[np.ndarray, 'h w k2']
) -> Float[np.ndarray, '_h _w 3']:
  """Draws the kernels of pixels on a grid, each at the place of its pixel."""
  height, width, values = kernels.shape
  side = round(values ** 0.5)
  down = max(round(_KERNELS_ACROSS * height / width), 1)
  rows = (np.arange(down) + 0.5) * height / down
  columns = (np.arange(_KERNELS_ACROSS) + 0.5) * width / _KERNELS_ACROSS
  chosen = kernels[rows.astype(int)][:, columns.astype(int)]
  strength = np.abs(chosen).max(axis=-1, keepdims=True)
  frames = strength / max(strength.max(), 1e-12)
  drawn = 0.5 + 0.5 * chosen / np.maximum(strength, 1e-12)
  tiles = drawn.reshape(down, _KERNELS_ACROSS, side, side)
  border = ((0, 0), (0, 0), (1, 1), (1, 1))
  inner = np.pad(np.ones_like(tiles, bool), border)
  tiles = np.where(inner, np.pad(tiles, border), frames[..., None])
  return drawing.tile_sheet(tiles, _MAGNIFIED)


def draw_pyramid(pyramid: Sequence[Float[np.ndarray, '_h _w 3']]) -> Panel:
  """Draws the estimates at equal size, from the coarsest to the finest."""
  height, width = pyramid[-1].shape[:2]
  levels = [
      cv2.resize(np.clip(level, 0, 1).astype(np.float32), (width, height),
                 interpolation=cv2.INTER_NEAREST) for level in pyramid]
  scales = [height // level.shape[0] for level in pyramid]
  names = ', '.join(
      'full size' if scale == 1 else f'1/{scale}' for scale in scales)
  return drawing.with_title(
      drawing.as_bytes(drawing.beside(levels)), 'The pyramid of estimates',
      [f'From left to right: the estimates at {names}.'])
