"""The datasets by name, and access to built ones."""

from collections.abc import Sequence
import functools
import importlib
import pathlib
from typing import Any

from data_pipelines.pairs import Pair
from jaxdeblur.errors import MissingFileError, UserError
from jaxdeblur.pictures import decode_pixels
from jaxdeblur.suggestion import choose_one

NAMES = (
    'cuhk', 'ddd_syn', 'dpd_disp', 'dpdd_canon', 'dpdd_pixel', 'lfdof',
    'pixel4_xin', 'rdpd', 'realdof')


class DatasetPairs:
  """The scenes of one split of a built dataset, by index.

  It reads ArrayRecord, which needs no TensorFlow. It can be pickled, since each
  process opens the files itself at its first read.

  Attributes:
    folder: folder of the built dataset; it may hold more than scenes, such as
      calibration.
    name: name of the dataset.
    split: split of the dataset.
    views: the views that every pair has.
    bits: bits of the pictures' samples: 8 or 16.
    partial: whether a published part was missing when it was built.
  """

  def __init__(
      self,
      folder: pathlib.Path,
      split: str,
      views: Sequence[str] | None = None,
  ):
    """Opens a split.

    Args:
      folder: folder of the built dataset.
      split: a split, or a part of it in TensorFlow Datasets' notation, such as
        'train[:80%]'.
      views: views to decode; all by default.

    Raises:
      UserError: the dataset has no such split or view.
    """
    info = _read_info(folder)
    self.folder, self.split, self.name = folder, split, info.name
    self.bits = info.metadata['bits']
    self.partial = info.metadata['partial']
    has = tuple(info.metadata['views'])
    self.views = has if views is None else tuple(views)
    lacks = [view for view in self.views if view not in has]
    if lacks:
      raise UserError(
          f'{self.name} in {folder} has no {lacks[0]} view: it has '
          f'{", ".join(has)}.')
    if split.split('[')[0] not in info.splits:
      raise UserError(
          f'{self.name} in {folder} has no split {split!r}: it has '
          f'{", ".join(info.splits)}.')
    self._length = info.splits[split].num_examples

  def __len__(self) -> int:
    return self._length

  def __getitem__(self, index: int) -> Pair:
    record = self._records[range(self._length)[index]]
    scene, place, camera = (
        record[text].decode() for text in ('scene', 'place', 'camera'))
    views = {
        view: decode_pixels(record[view], f'{self.name}: {view} of {scene}')
        for view in self.views}
    return Pair(scene, views, place, camera)

  def __getstate__(self) -> dict[str, Any]:
    return {name: value for name, value in vars(self).items()
            if name != '_records'}

  @functools.cached_property
  def _records(self) -> Sequence[dict[str, bytes]]:
    import tensorflow_datasets as tfds
    builder = tfds.builder_from_directory(self.folder)
    # Their decoder would keep alpha, and decode views that nobody reads.
    return builder.as_data_source(self.split, decoders={
        view: tfds.decode.SkipDecoding()
        for view in builder.info.metadata['views']})


def open_dataset(
    name: str,
    split: str,
    data_dir: str | pathlib.Path,
    views: Sequence[str] | None = None,
) -> DatasetPairs:
  """Opens a split of a dataset that has been built.

  Args:
    name: one of `NAMES`.
    split: see `DatasetPairs`.
    data_dir: the folder of the built datasets.
    views: see `DatasetPairs`.

  Raises:
    UserError: there is no dataset, split or view of this name.
    MissingFileError: the dataset has not been built.
  """
  folder = built_folder(name, data_dir)
  if not (folder / 'dataset_info.json').is_file():
    raise MissingFileError(
        f'{folder} does not exist: prepare {name} first, from your download.',
        argument='data_dir')
  return DatasetPairs(folder, split, views)


def built_folder(name: str, data_dir: str | pathlib.Path) -> pathlib.Path:
  """The folder of a built dataset: DATA_DIR/NAME/VERSION."""
  return pathlib.Path(data_dir) / name / str(get_builder_class(name).VERSION)


def get_builder_class(name: str) -> Any:
  """The builder of a dataset, a subclass of `pair_builder.PairBuilder`.

  Raises:
    UserError: there is no dataset of this name.
  """
  if name not in NAMES:
    raise UserError(
        f'There is no dataset {name!r}: {choose_one(name, NAMES)}',
        argument='dataset')
  module = importlib.import_module(
      f'data_pipelines.datasets.{name}.{name}_dataset_builder')
  return module.Builder


def _read_info(folder: pathlib.Path) -> Any:
  import tensorflow_datasets as tfds
  return tfds.builder_from_directory(folder).info
