"""Panels of what a network makes of a picture beside the result.

DRBNet: the kernels it predicts, and its pyramid of estimates. K3DN: patches
grouped by their disparity vectors, the candidate kernel that counts most in
each patch, and the picture blurred again (Yang et al. 2023, Fig. 12, 13, 9).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
from jaxtyping import Float, UInt8
import numpy as np

from jaxdeblur.models.restored import Restored

Panel = UInt8[np.ndarray, '_h _w 3']

_CLUSTERS = 6  # As in Fig. 12.
_KERNELS_ACROSS = 24
_GAP = 8  # White pixels between pictures.
# Colours of the clusters, distinct also for the colour-blind (Okabe and Ito).
_COLOURS = np.array([
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66),
    (0, 114, 178), (213, 94, 0)], np.float32) / 255


def draw_panels(
    restored: Restored, inside: Mapping[str, Any]
) -> dict[str, Panel]:
  """Draws what there is to see.

  Args:
    restored: what the model returned for one picture, as NumPy arrays.
    inside: the collection `intermediates` of that call.

  Returns:
    Pictures by name: 'kernels', and 'pyramid' (DRBNet) or 'disparity' and
    'reblurred' (K3DN).
  """
  picture = restored.image[0]
  if restored.disparity is not None:
    panels = {
        'disparity': draw_clusters(picture, restored.disparity[0]),
        'kernels': draw_strongest_candidates(
            inside, rows=restored.disparity.shape[1])}
    if restored.reblurred is not None:
      panels['reblurred'] = _as_bytes(
          _beside([picture, np.clip(restored.reblurred[0], 0, 1)]))
    return panels
  panels = {}
  if restored.kernels:
    panels['kernels'] = draw_predicted_kernels(restored.kernels[-1][0])
  if len(restored.pyramid) > 1:
    panels['pyramid'] = draw_pyramid([level[0] for level in restored.pyramid])
  return panels


def draw_predicted_kernels(kernels: Float[np.ndarray, 'h w k2']) -> Panel:
  """Draws the kernels of pixels on a grid, each where its pixel is.

  Grey is 0, white above and black below, relative to each kernel's largest
  value; how large that is, the border's brightness tells.
  """
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
  sheet = tiles.transpose(0, 2, 1, 3).reshape(
      down * (side + 2), _KERNELS_ACROSS * (side + 2))
  return _as_bytes(_enlarge(np.repeat(sheet[..., None], 3, axis=2), 6))


def draw_pyramid(pyramid: Sequence[Float[np.ndarray, '_h _w 3']]) -> Panel:
  """Draws the estimates from the coarsest to the finest, at one size."""
  height, width = pyramid[-1].shape[:2]
  return _as_bytes(_beside([
      cv2.resize(np.clip(level, 0, 1).astype(np.float32), (width, height),
                 interpolation=cv2.INTER_NEAREST) for level in pyramid]))


def draw_clusters(
    picture: Float[np.ndarray, 'h w 3'],
    disparity: Float[np.ndarray, 'rows columns c'],
) -> Panel:
  """Colours patches by which of six groups their vectors are in (k-means)."""
  rows, columns, features = disparity.shape
  vectors = np.ascontiguousarray(
      disparity.reshape(-1, features), np.float32)
  groups = min(_CLUSTERS, len(np.unique(vectors, axis=0)))
  cv2.setRNGSeed(0)
  criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 100, 1e-6)
  _, labels, _ = cv2.kmeans(
      vectors, groups, None, criteria, 5, cv2.KMEANS_PP_CENTERS)
  colours = _COLOURS[labels.reshape(rows, columns)]
  light = picture.mean(axis=2, keepdims=True)
  return _as_bytes(0.5 * light + 0.5 * _over(picture, colours))


def draw_strongest_candidates(
    inside: Mapping[str, Any], rows: int
) -> Panel:
  """Draws in each patch the candidate kernel of the first PSF block that
  counts most there; dark is 0 or less."""
  block = inside['psf1']
  candidates = np.asarray(block['candidates'][0])
  weights = np.asarray(block['kernel_weights'][0])
  chosen = candidates[weights.argmax(axis=1)]
  chosen = chosen / np.abs(chosen).max(axis=(1, 2), keepdims=True)
  tiles = np.clip(np.pad(chosen, ((0, 0), (1, 1), (1, 1))), 0, 1)
  side = tiles.shape[1]
  columns = len(tiles) // rows
  sheet = tiles.reshape(rows, columns, side, side).transpose(
      0, 2, 1, 3).reshape(rows * side, columns * side)
  return _as_bytes(_enlarge(np.repeat(sheet[..., None], 3, axis=2), 8))


def _over(picture, colours):
  return cv2.resize(
      colours, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def _enlarge(sheet, factor):
  return sheet.repeat(factor, axis=0).repeat(factor, axis=1)


def _beside(pictures):
  gap = np.ones((pictures[0].shape[0], _GAP, 3), np.float32)
  parts = [part for picture in pictures for part in (gap, picture)]
  return np.concatenate(parts[1:], axis=1)


def _as_bytes(picture) -> Panel:
  return np.uint8(np.round(np.clip(picture, 0, 1) * 255))
