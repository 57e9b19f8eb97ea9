"""Panels of K3DN: patches by disparity, kernels, the reblurred picture."""

from collections.abc import Mapping
from typing import Any

import cv2
from jaxtyping import Float
import numpy as np

from jaxdeblur.models import drawing
from jaxdeblur.models.network import Panel
from jaxdeblur.models.restored import Restored

_CLUSTERS = 6  # As in Fig. 12.
_MAGNIFIED = 8
# Colours of the clusters, distinct also for the colour-blind (Okabe and Ito).
_COLOURS = np.array([
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66),
    (0, 114, 178), (213, 94, 0)], np.float32) / 255

Picture = Float[np.ndarray, 'h w 3']


def draw(
    restored: Restored, intermediates: Mapping[str, Any]
) -> dict[str, Panel]:
  """Draws 'disparity' (Fig. 12), 'kernels' (Fig. 13), 'reblurred' (Fig. 9)."""
  picture = np.asarray(restored.image[0])
  panels = {'disparity': draw_clusters(picture, restored.disparity[0])}
  if 'psf1' in intermediates:
    panels['kernels'] = draw_strongest_candidates(
        intermediates['psf1'], picture, rows=restored.disparity.shape[1])
  if restored.reblurred is not None:
    panels['reblurred'] = drawing.with_title(
        drawing.as_bytes(drawing.beside(
            [picture, np.clip(restored.reblurred[0], 0, 1)])),
        'Restored, and blurred again',
        ['Left: the restored picture. Right: the result of running the network '
         'backwards on it. It should look like the input.'])
  return panels


def draw_clusters(
    picture: Picture, disparity: Float[np.ndarray, 'rows columns c']
) -> Panel:
  """Groups patches by their vectors into six colours (k-means)."""
  rows, columns, features = disparity.shape
  vectors = np.ascontiguousarray(disparity.reshape(-1, features), np.float32)
  groups = min(_CLUSTERS, len(np.unique(vectors, axis=0)))
  # OpenCV has one global random generator, which the centres depend on.
  cv2.setRNGSeed(0)
  criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 100, 1e-6)
  _, labels, _ = cv2.kmeans(
      vectors, groups, None, criteria, 5, cv2.KMEANS_PP_CENTERS)
  colours = _COLOURS[labels.reshape(rows, columns)]
  light = picture.mean(axis=2, keepdims=True)
  over = cv2.resize(
      colours, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)
  return drawing.with_title(
      drawing.as_bytes(drawing.beside([picture, 0.5 * light + 0.5 * over])),
      'Restored, and its patches grouped by disparity',
      ['Patches of one colour have similar disparity vectors. The numbers of '
       'the groups have no meaning.'],
      {f'group {i + 1}': _COLOURS[i] for i in range(groups)})


def draw_strongest_candidates(
    block: Mapping[str, Any], picture: Picture, rows: int
) -> Panel:
  """Draws in each patch the candidate kernel that counts most there.

  Args:
    block: intermediates of the first PSF block.
    picture: the restored picture.
    rows: number of rows of patches.
  """
  candidates = np.asarray(block['candidates'][0])
  weights = np.asarray(block['kernel_weights'][0])
  chosen = candidates[weights.argmax(axis=1)]
  chosen = chosen / np.abs(chosen).max(axis=(1, 2), keepdims=True)
  tiles = np.clip(np.pad(chosen, ((0, 0), (1, 1), (1, 1))), 0, 1)
  side = tiles.shape[1]
  sheet = drawing.tile_sheet(
      tiles.reshape(rows, -1, side, side), _MAGNIFIED)
  shown = cv2.resize(
      picture.astype(np.float32), sheet.shape[1::-1],
      interpolation=cv2.INTER_AREA)
  return drawing.with_title(
      drawing.as_bytes(drawing.beside([shown, sheet])),
      'Restored, and the candidate kernel that counts most in each patch',
      ['Kernels of the first PSF block. White is the largest value of a '
       'kernel, black is 0 or less.'])
