"""Recorded pairs: out-of-focus views of scenes, and maybe the sharp picture.

A source gives access by index and decodes on demand, so that Grain can shuffle,
share and resume it. Pictures stay as stored, in 8 or 16 bits, until they are
cropped, so that only the crops are converted.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib
from typing import Protocol, runtime_checkable

import numpy as np

from jaxdeblur.errors import MissingFileError, UserError
from jaxdeblur.pictures import SUFFIXES, find_pictures, read_pixels

# The folders inside a plain folder of pairs, and the views that they hold.
FOLDERS = {
    'blurry': 'center', 'left': 'left', 'right': 'right', 'sharp': 'sharp'}


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
  """The views of one scene.

  Attributes:
    scene: its name, unique in its source; no path of this machine.
    views: any of 'center', 'left', 'right', and 'sharp', the ground truth;
      uint8 or uint16 RGB [h, w, 3], all of one size. Only in pixel4_xin the
      ground truth is a crop.
    place: 'indoor' or 'outdoor'; '' if unknown.
    camera: the camera; '' if unknown.
  """
  scene: str
  views: Mapping[str, np.ndarray]
  place: str = ''
  camera: str = ''


@runtime_checkable
class PairSource(Protocol):
  """Pairs by index, for Grain and for evaluation.

  Attributes:
    views: the views that every pair has.
  """
  views: tuple[str, ...]

  def __len__(self) -> int:
    ...

  def __getitem__(self, index: int) -> Pair:
    ...


class FolderPairs:
  """Pairs in plain folders: blurry/ or left/ and right/, and sharp/.

  Pictures of one scene share a name; their suffixes may differ. sharp/ may be
  missing if there is no ground truth.

  Attributes:
    views: the views that every pair has.
  """

  def __init__(
      self, folder: str | pathlib.Path, views: Sequence[str] | None = None
  ):
    """Lists the pairs in `folder`.

    Args:
      folder: the folder that holds these folders.
      views: views to decode; all by default.

    Raises:
      MissingFileError: there is no such folder, or it holds no pictures out of
        focus.
      UserError: a scene lacks a view or comes twice, or there is no view of
        this name.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
      raise MissingFileError(f'{folder} is no folder.')
    files = {view: _list_by_name(folder / name)
             for name, view in FOLDERS.items() if (folder / name).is_dir()}
    if not {'center', 'left', 'right'} & set(files):
      found = ', '.join(sorted(child.name for child in folder.iterdir())[:8])
      raise MissingFileError(
          f'{folder} holds no pairs: expected its folders blurry, or left and '
          f'right, and sharp beside them; found {found or "nothing"}.')
    self._scenes = sorted(set().union(*files.values()))
    for view, named in files.items():
      missing = [scene for scene in self._scenes if scene not in named]
      if missing:
        raise UserError(
            f'{folder}: {len(missing)} of {len(self._scenes)} scenes have no '
            f'{view} view, {missing[0]} first. Complete the pairs or take '
            'their other pictures out.')
    if not self._scenes:
      raise MissingFileError(
          f'{folder} holds folders of pairs without pictures '
          f'({", ".join(SUFFIXES)}).')
    self.views = tuple(files if views is None else views)
    lacks = [view for view in self.views if view not in files]
    if lacks:
      raise UserError(
          f'{folder} has no {lacks[0]} view: it has {", ".join(files)}.')
    self._files = files

  def __len__(self) -> int:
    return len(self._scenes)

  def __getitem__(self, index: int) -> Pair:
    scene = self._scenes[index]
    return Pair(scene, read_views(
        {view: self._files[view][scene] for view in self.views}))


def read_views(files: Mapping[str, pathlib.Path]) -> dict[str, np.ndarray]:
  """Decodes the views of one scene.

  Raises:
    UserError: a file cannot be decoded, or their sizes differ.
  """
  views = {view: read_pixels(file) for view, file in files.items()}
  (first, picture), *others = views.items()
  for view, other in others:
    if other.shape != picture.shape:
      raise UserError(
          f'{files[view]} is {other.shape[0]} x {other.shape[1]} px, but '
          f'{files[first]} is {picture.shape[0]} x {picture.shape[1]} px: '
          'the views of a scene must have one size.')
  return views


def as_float(picture: np.ndarray) -> np.ndarray:
  """uint8 or uint16 samples -> float32 in [0, 1]."""
  top = np.float32(np.iinfo(picture.dtype).max)
  return picture.astype(np.float32) / top


def _list_by_name(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  named: dict[str, pathlib.Path] = {}
  for file in find_pictures(folder):
    if file.stem in named:
      raise UserError(
          f'{named[file.stem]} and {file} have one name: each scene needs one '
          'of its own.')
    named[file.stem] = file
  return named
