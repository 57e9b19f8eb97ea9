"""Scores on real dual-pixel pairs: the Pixel 4 scenes of Xin et al. (2021).

A trap lies in their scale: the recordings are linear, in which dark scenes
score high whatever is done to them, while papers show and sometimes score them
displayed. So every picture is scored in both, beside the input as it is.
Besides, the ground truth, made of a focus stack, differs from the recordings by
a gain and an affine motion of some pixels: scores are given as the files are,
and again with both taken out.
"""

from collections.abc import Iterator, Mapping
import dataclasses
import pathlib
from typing import Any

import cv2
import numpy as np

from jaxdeblur.evaluation.protocol import Case, score_pair

_BLACK_LEVEL = 1024
_WHITE_LEVEL = 16383  # Of 14 bits.
_SMOOTHING = 3.0      # Deviation in px, so that blur hides no motion.


@dataclasses.dataclass(frozen=True)
class Pixel4:
  """A folder of NNN_left.png, NNN_right.png and NNN_gt.png, 16-bit grey.

  With calibration/right_gain_crop.npy, the vignetting of the right view
  relative to the left one. The photograph is the mean of both views.

  Attributes:
    gamma: what networks read and the second scale are displayed with.
    border: pixels on each side that are not scored after alignment.
  """
  gamma: float = 2.2
  border: int = 16

  name = 'pixel4'

  def count(self, folder: pathlib.Path) -> int:
    """How many scenes there are."""
    return len(_list_scenes(folder))

  def cases(self, folder: pathlib.Path) -> Iterator[Case]:
    """Each scene of a folder."""
    vignetting = np.load(folder / 'calibration' / 'right_gain_crop.npy')
    for scene in _list_scenes(folder):
      left, right = (_read_view(folder / f'{scene}_{side}.png')
                     for side in ('left', 'right'))
      right = right * vignetting.astype(np.float32)
      sharp = _read(folder / f'{scene}_gt.png').astype(np.float32) / 65535
      yield self._make_case(scene, left, right, sharp)

  def _make_case(self, scene, left, right, sharp) -> Case:
    center = (left + right) / 2
    views = {
        name: np.repeat(self._display(view)[..., None], 3, axis=2)
        for name, view in (
            ('center', center), ('left', left), ('right', right))}
    aligned = align(sharp, center)
    inner = slice(self.border, -self.border)

    def score(restored):
      light = restored.mean(axis=2).astype(np.float32) ** self.gamma
      scores = {}
      for alignment, truth, part in (
          ('as it is', sharp, slice(None)), ('aligned', aligned, inner)):
        for scale, change in (
            ('linear', lambda x: x), (f'1/{self.gamma:g}', self._display)):
          scores[f'{scale}, {alignment}'] = score_pair(*(
              change(picture)[part, part, None]
              for picture in (center, light, truth)))
      return scores

    return Case(scene, views, score)

  def _display(self, light):
    return np.clip(light, 0, 1) ** np.float32(1 / self.gamma)

  def describe(self) -> Mapping[str, Any]:
    """All that a stranger needs to repeat the scores."""
    return {
        'name': self.name,
        **dataclasses.asdict(self),
        'black_level': _BLACK_LEVEL,
        'white_level': _WHITE_LEVEL,
        'input': 'mean of the left view and of the right one times its '
                 'vignetting gain',
        'alignment': 'affine motion by enhanced correlation of the input and '
                     'the ground truth, both smoothed; gain by least squares, '
                     'linear; the ground truth is moved',
        'smoothing': _SMOOTHING,
        'output': 'float, not quantised; mean of the three channels',
    }


def align(sharp: np.ndarray, blurry: np.ndarray) -> np.ndarray:
  """Moves a ground truth to where a blurry picture has it, gain included.

  Args:
    sharp: linear light, float32 [h, w].
    blurry: linear light, float32 [h, w].

  Returns:
    The ground truth, [h, w], in [0, 1].

  Raises:
    ValueError: no motion is found that makes them alike.
  """
  smooth_blurry, smooth_sharp = (
      cv2.GaussianBlur(np.sqrt(np.maximum(light, 0)), (0, 0), _SMOOTHING)
      for light in (blurry, sharp))
  criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 200, 1e-7)
  try:
    _, motion = cv2.findTransformECC(
        smooth_blurry, smooth_sharp, np.eye(2, 3, dtype=np.float32),
        cv2.MOTION_AFFINE, criteria, None, 5)
  except cv2.error as error:
    raise ValueError(
        'The ground truth cannot be aligned with the picture: are they of one '
        'scene?') from error
  moved = cv2.warpAffine(
      sharp, motion, sharp.shape[::-1],
      flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
      borderMode=cv2.BORDER_REPLICATE)
  gain = (moved * blurry).sum() / np.square(moved).sum()
  return np.clip(gain * moved, 0, 1)


def _list_scenes(folder: pathlib.Path) -> list[str]:
  scenes = sorted(
      file.name.removesuffix('_gt.png') for file in folder.glob('*_gt.png'))
  if not scenes:
    raise FileNotFoundError(
        f'{folder} holds no scenes: expected NNN_left.png, NNN_right.png and '
        'NNN_gt.png.')
  return scenes


def _read_view(file: pathlib.Path) -> np.ndarray:
  light = np.maximum(_read(file).astype(np.float32) - _BLACK_LEVEL, 0)
  return light / _WHITE_LEVEL


def _read(file: pathlib.Path) -> np.ndarray:
  pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
  if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 2:
    raise ValueError(f'{file} is no 16-bit grey picture, or it is missing.')
  return pixels
