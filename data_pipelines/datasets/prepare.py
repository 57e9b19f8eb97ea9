"""Builds a dataset from the user's download."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
import contextlib
import dataclasses
import os
import pathlib
import shutil
import tempfile

import tqdm

from data_pipelines.datasets import catalogue
from data_pipelines.datasets.pair_builder import Contents, PairBuilder
from data_pipelines.datasets.trees import Scene
from jaxdeblur.errors import ExistingFileError, UserError
from jaxdeblur.pictures import read_pixels

_SHOWN = 5  # Number of problems that an error describes.


def prepare(
    name: str,
    data_dir: pathlib.Path,
    download: pathlib.Path,
    *,
    partial: bool = False,
    overwrite: bool = False,
) -> str:
  """Builds a dataset into DATA_DIR/NAME/VERSION.

  It first decodes every picture once. A run that fails or is killed leaves
  nothing behind that could be read, and does not change an older dataset.

  Args:
    name: one of `catalogue.NAMES`.
    data_dir: the folder of the built datasets.
    download: the folder of the downloaded tree.
    partial: whether a part of its splits, scenes and views is enough.
    overwrite: whether it may replace an older one.

  Returns:
    A description of the built dataset.

  Raises:
    UserError: the tree, its numbers or its pictures are not the dataset's.
    ExistingFileError: it has been built before.
  """
  builder_class = catalogue.get_builder_class(name)
  folder = catalogue.built_folder(name, data_dir)
  if folder.exists() and not overwrite:
    raise ExistingFileError(
        f'{folder} exists already and is not replaced.',
        argument='overwrite')
  contents = builder_class.find(download, partial)
  contents = _check_pictures(builder_class, contents)
  _check_space(data_dir, contents)
  with _building(data_dir, name) as building:
    _build(builder_class, building, contents)
    _put_in_place(catalogue.built_folder(name, building), folder)
  return _describe(folder, contents)


def _check_pictures(
    builder_class: type[PairBuilder], contents: Contents
) -> Contents:
  """Decodes all pictures; returns the contents with their bit depth."""
  scenes = [scene for split in contents.scenes.values() for scene in split]
  checked, problems = [], []
  pool = ThreadPoolExecutor(os.cpu_count())
  try:
    tasks = pool.map(
        lambda scene: _check_scene(scene, builder_class.SHARP_IS_CROP), scenes)
    with _progress('Checking', len(scenes)) as bar:
      for bits, problem in tasks:
        checked.append(bits)
        problems += [problem] if problem else []
        bar.update()
  finally:
    pool.shutdown(cancel_futures=True)  # If the user stops it.
  if problems:
    more = (f' And {len(problems) - _SHOWN} more scenes.'
            if len(problems) > _SHOWN else '')
    raise UserError(
        f'{len(problems)} of {len(scenes)} scenes cannot be used: '
        f'{" ".join(problems[:_SHOWN])}{more} Download these files again.')
  bits = builder_class.BITS or checked[0]
  for scene, found in zip(scenes, checked):
    if found != bits:
      file = next(iter(scene.files.values()))
      raise UserError(
          f'{file} has {found} bits, where {builder_class.name} has {bits}: '
          'this is not the dataset as it is published. To use it anyway, put '
          'it into a plain folder of pairs.')
  return dataclasses.replace(contents, bits=bits)


def _check_scene(scene: Scene, sharp_is_crop: bool) -> tuple[int, str]:
  """Returns the bit depth of a scene's pictures, and any problem with them."""
  try:
    pictures = {view: read_pixels(file) for view, file in scene.files.items()}
  except ValueError as error:
    return 0, str(error)
  (first, picture), *others = pictures.items()
  for view, other in others:
    crop = view == 'sharp' and sharp_is_crop
    fits = (all(a <= b for a, b in zip(other.shape, picture.shape)) if crop
            else other.shape == picture.shape)
    if not fits:
      return 0, (
          f'{scene.files[view]} is {other.shape[0]} x {other.shape[1]} px, but '
          f'{scene.files[first]} {picture.shape[0]} x {picture.shape[1]} px.')
    if other.dtype != picture.dtype:
      return 0, (f'{scene.files[view]} is {other.dtype}, but '
                 f'{scene.files[first]} {picture.dtype}.')
  return picture.dtype.itemsize * 8, ''


def _check_space(data_dir: pathlib.Path, contents: Contents) -> None:
  needed = sum(
      file.stat().st_size for scenes in contents.scenes.values()
      for scene in scenes for file in scene.files.values())
  data_dir.mkdir(parents=True, exist_ok=True)
  free = shutil.disk_usage(data_dir).free
  if needed > free:
    raise OSError(
        f'{data_dir} has {free / 1e9:.1f} GB left, but the dataset needs '
        f'{needed / 1e9:.1f} GB.')


@contextlib.contextmanager
def _building(data_dir: pathlib.Path, name: str) -> Iterator[pathlib.Path]:
  """Makes a temporary folder for building, and removes it afterwards."""
  left = sorted(data_dir.glob(f'.building_{name}_*'))
  for folder in left:
    print(f'note: {folder} is of a run that was killed, or of one that is '
          'still going on; delete it in the first case.')
  with tempfile.TemporaryDirectory(
      prefix=f'.building_{name}_', dir=data_dir) as building:
    yield pathlib.Path(building)


def _build(builder_class, data_dir: pathlib.Path, contents: Contents) -> None:
  import tensorflow_datasets as tfds
  total = sum(map(len, contents.scenes.values()))
  with (contextlib.redirect_stdout(None), _quiet(tfds),
        _progress('Writing', total) as bar):
    builder = builder_class(
        data_dir=data_dir, contents=contents, on_scene=bar.update)
    builder.download_and_prepare(
        download_dir=data_dir / 'downloads',
        download_config=tfds.download.DownloadConfig(
            manual_dir=contents.root))


def _progress(what: str, total: int) -> tqdm.tqdm:
  return tqdm.tqdm(desc=what, total=total, unit='scene', dynamic_ncols=True)


@contextlib.contextmanager
def _quiet(tfds) -> Iterator[None]:
  """Hides progress bars of TensorFlow Datasets, which show no totals."""
  tfds.disable_progress_bar()
  try:
    yield
  finally:
    tfds.enable_progress_bar()


def _put_in_place(built: pathlib.Path, folder: pathlib.Path) -> None:
  """Moves the built dataset to its final place."""
  folder.parent.mkdir(parents=True, exist_ok=True)
  if folder.exists():
    # Moved into the temporary folder, which is then deleted.
    folder.rename(built.with_name('replaced'))
  built.rename(folder)


def _describe(folder: pathlib.Path, contents: Contents) -> str:
  splits = ', '.join(
      f'{split} {len(scenes)}' for split, scenes in contents.scenes.items())
  size = sum(file.stat().st_size for file in folder.rglob('*')
             if file.is_file())
  lines = [f'Built {folder}: scenes: {splits}; views: '
           f'{", ".join(contents.views)}; {contents.bits} bits; '
           f'{size / 1e9:.2f} GB']
  if contents.partial:
    lines.append('note: part of the published dataset is missing, and the '
                 'built one records this.')
  lines += [f'note: {note}.' for note in contents.notes]
  return '\n'.join(lines)
