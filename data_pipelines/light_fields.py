"""Reads light fields from folders of views."""

import math
import os
import pathlib
import re

import numpy as np

from data_pipelines.pairs import as_float
from jaxdeblur import pictures
from jaxdeblur.errors import MissingFileError, UserError
from jaxdeblur.optics import light
from jaxdeblur.optics.light_field import LightField


def read_light_field(folder: str | os.PathLike) -> LightField:
  """Reads a folder of views, as the HCI benchmark stores them.

  The last number in a file's name counts the views row by row, from the upper
  left. Pictures without a number do not count. 9 x 9 views of 512 x 512 px take
  255 MB.

  Raises:
    UserError: a view is missing or there twice, the views differ in size, or
      their number is no odd square.
    ImageFileError: the folder is missing, or a picture cannot be read.
  """
  pixels = read_views_of_light_field(folder)
  side = math.isqrt(len(pixels))
  views = np.stack([light.to_linear(as_float(view)) for view in pixels])
  return LightField(views.reshape(side, side, *views.shape[1:]))


def read_views_of_light_field(folder: str | os.PathLike) -> np.ndarray:
  """Reads the views as stored, [n, h, w, 3], row by row from the upper left.

  Raises:
    UserError: as `read_light_field`.
  """
  files = _find_views(pathlib.Path(folder))
  views = [pictures.read_pixels(files[0])]
  for file in files[1:]:
    views.append(pictures.read_pixels(file))
    if views[-1].shape != views[0].shape:
      raise UserError(
          f'{file} has {views[-1].shape[1]} x {views[-1].shape[0]} px, and '
          f'{files[0].name} has {views[0].shape[1]} x {views[0].shape[0]}: all '
          'views of a light field need one size.', argument='folder')
  return np.stack(views)


class LightFieldViews:
  """The light fields of a folder, by index: uint8 [views, h, w, 3].

  Each is a folder in it; or the folder itself holds the views of one. All stay
  in memory once they were read: 9 x 9 views of 512 x 512 px take 64 MB.
  """

  def __init__(self, folder: str | os.PathLike):
    """Lists the light fields; raises a UserError as `read_light_field`."""
    self._root = folder = pathlib.Path(folder)
    inside = sorted(child for child in folder.iterdir() if child.is_dir()
                    ) if folder.is_dir() else []
    self._folders = [child for child in inside
                     if any(map(pictures.is_picture, child.iterdir()))]
    if not self._folders:
      _find_views(folder)  # It says what is missing.
      self._folders = [folder]
    self._read = {}

  def __reduce__(self):
    return type(self), (self._root,)  # Worker processes read them themselves.

  def __len__(self) -> int:
    return len(self._folders)

  def __getitem__(self, index: int) -> np.ndarray:
    if index not in self._read:
      views = read_views_of_light_field(self._folders[index])
      if views.dtype == np.uint16:
        views = (views >> 8).astype(np.uint8)
      self._read[index] = views
    return self._read[index]


def _find_views(folder: pathlib.Path) -> list[pathlib.Path]:
  """The files of the views, in the order of their numbers."""
  numbered = {}
  for file in pictures.find_pictures(folder):
    numbers = re.findall(r'\d+', file.stem)
    if not numbers:
      continue
    other = numbered.setdefault(int(numbers[-1]), file)
    if other is not file:
      raise UserError(
          f'{other} and {file.name} have the same number: keep one picture for '
          'each view.', argument='folder')
  if not numbered:
    raise MissingFileError(
        f'{folder} holds no views: name their pictures with numbers, such as '
        'view_000.png.', argument='folder')
  missing = sorted(
      set(range(min(numbered), max(numbered))) - numbered.keys())
  if missing:
    raise MissingFileError(
        f'{folder} has no view {missing[0]} ({len(missing)} missing between '
        f'{min(numbered)} and {max(numbered)}): a light field needs all of its '
        'views.', argument='folder')
  side = math.isqrt(len(numbered))
  if side ** 2 != len(numbered) or side % 2 == 0:
    raise UserError(
        f'{folder} holds {len(numbered)} views: a light field needs the square '
        'of an odd number, such as 81 for 9 x 9.', argument='folder')
  return [numbered[number] for number in sorted(numbered)]
