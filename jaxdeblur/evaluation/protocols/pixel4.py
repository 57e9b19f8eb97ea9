"""Scores on real dual-pixel pairs: the Pixel 4 scenes of Xin et al. (2021).

Their scale is a trap. The recordings are linear, and in linear light dark
scenes score high whatever is done to them. But papers show them in display
values, and sometimes score these. So every picture is scored in both scales,
with the unchanged input for comparison. Also, the ground truth, which is made
from a focus stack, differs from the recordings by a gain and an affine motion
of some pixels. Scores are given for the files as they are, and again with both
removed.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import functools
import pathlib
from typing import Any

import cv2
from jaxtyping import Float
import numpy as np

from data_pipelines.pairs import Pair, PairSource
from jaxdeblur.errors import MissingFileError, UserError
from jaxdeblur.evaluation.protocols.case import Case, Cases, Comparison
from jaxdeblur.evaluation.source import Source, is_partial
from jaxdeblur.pictures import is_picture, read_pixels

_BLACK_LEVEL = 1024
_WHITE_LEVEL = 16383  # The largest value of 14 bits.
_SMOOTHING = 3.0      # Deviation in px; it keeps blur from hiding the motion.
_WHITE_WINDOW = 101   # Side of the squares for averaging white sheets, px.

Light = Float[np.ndarray, 'h w']


@dataclasses.dataclass(frozen=True)
class Pixel4Xin:
  """The Pixel 4 scenes: the dataset 'pixel4_xin', or a folder of its crops.

  The folder holds NNN_left.png, NNN_right.png and NNN_gt.png, 16-bit grey, and
  calibration/right_gain_crop.npy, the vignetting of the right view relative to
  the left one. The dataset's vignetting comes from white sheets. Larger views
  are cropped about their middle to the size of the ground truth. The photograph
  is the mean of both views.

  Attributes:
    gamma: gamma of the display values, which networks read and which are the
      second scale.
    border: pixels on each side that are not scored after alignment.
    fit: how pictures get a size that the network takes; see `RestoreOptions`.
  """
  gamma: float = 2.2
  border: int = 16
  fit: str = 'pad'

  name = 'pixel4_xin'

  def list_cases(self, source: Source) -> Cases:
    """Opens the scenes.

    Raises:
      UserError: there are no scenes, or no calibration.
    """
    if source.dataset not in (None, self.name):
      raise UserError(
          f'The protocol {self.name} scores the dataset {self.name} only: '
          f'{source.dataset} is neither linear nor in need of alignment. '
          'Choose the protocol full.', argument='protocol')
    scenes: Any = (
        source.open_pairs() if source.folder is None
        else Scenes(source.folder))
    gain = read_vignetting(scenes.folder / 'calibration')
    return Cases(
        len(scenes), ('center', 'left', 'right'), True,
        lambda: self._open(scenes, gain), is_partial(scenes))

  def _open(
      self, scenes: PairSource, gain: Light
  ) -> Iterator[Callable[[], Case]]:
    for index in range(len(scenes)):
      yield functools.partial(self._make_case, scenes, index, gain)

  def _make_case(self, scenes: PairSource, index: int, gain: Light) -> Case:
    scene = scenes[index]
    sharp = scene.views['sharp'][..., 0].astype(np.float32) / 65535
    left, right = (_crop(_to_light(scene.views[side][..., 0]), sharp.shape)
                   for side in ('left', 'right'))
    right = right * _crop(gain, sharp.shape)
    center = (left + right) / 2
    views = {
        name: np.repeat(self._display(view)[..., None], 3, axis=2)
        for name, view in (
            ('center', center), ('left', left), ('right', right))}
    aligned = align(sharp, center)
    inner = slice(self.border, -self.border)

    def compare(restored):
      light = restored.mean(axis=2).astype(np.float32) ** self.gamma
      return {
          f'{scale}, {alignment}': Comparison(
              *(change(picture)[part, part, None]
                for picture in (center, light, truth)), displayed=displayed)
          for alignment, truth, part in (
              ('as it is', sharp, slice(None)), ('aligned', aligned, inner))
          for scale, change, displayed in (
              ('linear', lambda x: x, False),
              (f'1/{self.gamma:g}', self._display, True))}

    return Case(scene.scene, views, compare, place=scene.place)

  def _display(self, light: Light) -> Light:
    return np.clip(light, 0, 1) ** np.float32(1 / self.gamma)

  def describe(self) -> Mapping[str, Any]:
    """All that a stranger needs to repeat the scores."""
    return {
        'name': self.name,
        'cited': 'Xin et al., ICCV 2021: black level, vignetting and crop as '
                 'their program reads; alignment and both scales are ours, '
                 'since they published no program that evaluates',
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


class Scenes:
  """The scenes of a folder as a `PairSource`; see `Pixel4Xin`.

  Attributes:
    folder: the folder of the scenes.
    views: the views that every scene has.
  """
  views = ('left', 'right', 'sharp')

  def __init__(self, folder: pathlib.Path):
    """Lists the scenes.

    Raises:
      FileNotFoundError: there are no scenes, or a part of one is missing.
    """
    self.folder = folder
    self._scenes = sorted(
        file.name.removesuffix('_gt.png')
        for file in folder.glob('*_gt.png') if is_picture(file))
    if not self._scenes:
      raise MissingFileError(
          f'{folder} holds no scenes: expected NNN_left.png, NNN_right.png and '
          'NNN_gt.png.')
    missing = [file.name for scene in self._scenes
               for file in self._list_files(scene).values()
               if not file.is_file()]
    if missing:
      raise MissingFileError(
          f'{folder} holds scenes with parts missing, {missing[0]} first: '
          'complete them or take their other pictures out.')

  def __len__(self) -> int:
    return len(self._scenes)

  def __getitem__(self, index: int) -> Pair:
    scene = self._scenes[index]
    files = self._list_files(scene)
    views = {view: read_pixels(file) for view, file in files.items()}
    for view, picture in views.items():
      if picture.dtype != np.uint16:
        raise UserError(f'{files[view]} has 8 bits; expected 16.')
    return Pair(scene, views)

  def _list_files(self, scene: str) -> dict[str, pathlib.Path]:
    return {view: self.folder / f'{scene}_{name}.png' for view, name in (
        ('left', 'left'), ('right', 'right'), ('sharp', 'gt'))}


def read_vignetting(folder: pathlib.Path) -> Light:
  """Reads the gain that makes the right view as bright as the left one.

  It is stored in a file, or comes from photographs of a white sheet: the ratio
  of both without their black level, averaged over squares of 101 px.

  Raises:
    FileNotFoundError: the folder holds neither.
  """
  stored = folder / 'right_gain_crop.npy'
  if stored.is_file():
    return np.load(stored).astype(np.float32)
  sheets = [folder / f'white_sheet_{side}.png' for side in ('left', 'right')]
  if not all(sheet.is_file() for sheet in sheets):
    raise MissingFileError(
        f'{folder} holds no calibration of the vignetting: expected '
        f'{stored.name}, or {sheets[0].name} and {sheets[1].name}.')
  left, right = (_to_light(read_pixels(sheet)[..., 0]) for sheet in sheets)
  return cv2.blur(
      left / np.maximum(right, 1 / _WHITE_LEVEL),
      (_WHITE_WINDOW, _WHITE_WINDOW), borderType=cv2.BORDER_REPLICATE)


def align(sharp: Light, blurry: Light) -> Light:
  """Aligns a ground truth with a blurry picture in motion and gain.

  Args:
    sharp: linear light, float32 [h, w].
    blurry: linear light, float32 [h, w].

  Returns:
    The ground truth, [h, w], in [0, 1].

  Raises:
    UserError: no motion aligns them.
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
    raise UserError(
        'The ground truth cannot be aligned with the picture: are they of one '
        'scene?') from error
  moved = cv2.warpAffine(
      sharp, motion, sharp.shape[::-1],
      flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
      borderMode=cv2.BORDER_REPLICATE)
  gain = (moved * blurry).sum() / np.square(moved).sum()
  return np.clip(gain * moved, 0, 1)


def _to_light(view: np.ndarray) -> Light:
  light = np.maximum(view.astype(np.float32) - _BLACK_LEVEL, 0)
  return light / _WHITE_LEVEL


def _crop(light: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
  """Cuts out the middle of a picture."""
  if any(have < want for have, want in zip(light.shape, size)):
    raise UserError(
        f'A view or the calibration is {light.shape[0]} x {light.shape[1]} px, '
        f'smaller than the ground truth, {size[0]} x {size[1]} px.')
  y, x = ((have - want) // 2 for have, want in zip(light.shape, size))
  return light[y:y + size[0], x:x + size[1]]
