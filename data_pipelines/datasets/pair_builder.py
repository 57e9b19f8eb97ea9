"""The base of the builders of datasets.

A builder finds the pictures in a download, groups them into scenes, compares
their number with the published one, and writes the encoded files unchanged into
ArrayRecord. By default TensorFlow Datasets shuffles with TensorFlow, through
temporary files as large as the dataset. A ShardBasedBuilder does neither, and
keeps the order of the scenes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
import pathlib
import shutil
import textwrap
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines.datasets import trees
from data_pipelines.datasets.trees import Layout, NamedFiles, Scene, Tree
from jaxdeblur.errors import UserError

_SHARD_BYTES = 512 * 2**20


class DownloadError(UserError):
  """The download is not the dataset, or not all of it."""


@dataclasses.dataclass(frozen=True)
class Count:
  """The number of scenes in a split.

  Attributes:
    scenes: the number.
    source: its source; '' if it is from memory and not verified.
  """
  scenes: int
  source: str = ''


@dataclasses.dataclass(frozen=True)
class Contents:
  """The found contents of a dataset.

  Attributes:
    root: the folder of the tree.
    scenes: split -> its scenes.
    views: the views that every scene has.
    partial: whether a published part is missing.
    notes: sentences on differences from what is known about the dataset.
    bits: bits of the pictures' samples: 8 or 16.
  """
  root: pathlib.Path
  scenes: Mapping[str, Sequence[Scene]]
  views: tuple[str, ...]
  partial: bool
  notes: tuple[str, ...]
  bits: int


class PairBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
  """Builds a dataset of scenes from a folder that the user has downloaded.

  A subclass describes the dataset in its docstring and in the constants below.
  If patterns do not suffice, it reads names in its own way.
  """
  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES: ClassVar[dict[str, str]] = {'1.0.0': 'Initial release.'}

  HOMEPAGE: ClassVar[str]   # The page that publishes it.
  LICENCE: ClassVar[str]    # As stated, or 'Not stated'.
  CITATION: ClassVar[str]
  TREE: ClassVar[str]       # The expected folders, for people.
  VIEWS: ClassVar[tuple[str, ...]]
  BITS: ClassVar[int | None] = None  # None: as in the files.
  CAMERA: ClassVar[str] = ''
  LAYOUTS: ClassVar[Sequence[Layout]]
  # For every split; None if no number is published.
  COUNTS: ClassVar[Mapping[str, Count | None]]
  # Folders of the tree that are copied unchanged.
  EXTRAS: ClassVar[tuple[str, ...]] = ()
  # Whether a scene's ground truth may be smaller than its other views.
  SHARP_IS_CROP: ClassVar[bool] = False

  @tfds.core.utils.classproperty
  @classmethod
  def MANUAL_DOWNLOAD_INSTRUCTIONS(cls) -> str:
    """The page that publishes the dataset, and the expected tree."""
    tree = textwrap.indent(textwrap.dedent(cls.TREE).strip(), '  ')
    return f'It is published at {cls.HOMEPAGE}; expected is\n{tree}'

  def __init__(
      self,
      *,
      contents: Contents | None = None,
      on_scene: Callable[[], Any] = lambda: None,
      **options: Any,
  ):
    """See tfds.core.DatasetBuilder.

    Args:
      contents: the result of `find`. Without it, building calls `find`, and the
        dataset must be complete.
      on_scene: called when a scene is written.
      **options: options of tfds.core.DatasetBuilder.
    """
    self._contents, self._on_scene = contents, on_scene
    options.setdefault('file_format', 'array_record')
    super().__init__(**options)

  @classmethod
  def find(cls, folder: pathlib.Path, partial: bool = False) -> Contents:
    """Finds the dataset in a folder, only by the names of its files.

    Args:
      folder: the folder of the download.
      partial: whether a part of its splits, scenes and views is enough.

    Raises:
      DownloadError: the dataset is missing or incomplete.
      UserError: a scene lacks a view.
    """
    if not folder.is_dir():
      raise DownloadError(f'{folder} is no folder.')
    tree = trees.find_tree(folder, cls.LAYOUTS)
    if tree is None:
      raise DownloadError(
          f'{folder} does not hold {cls.name}; it holds '
          f'{trees.describe_folder(folder)}. '
          f'{cls.MANUAL_DOWNLOAD_INSTRUCTIONS}')
    places = cls.read_places(tree)
    named = {
        split: {view: files for view, files in cls.match(tree, split).items()
                if files}
        for split in tree.splits}
    views = tuple(view for view in cls.VIEWS
                  if all(view in files for files in named.values()))
    scenes = {
        split: trees.make_scenes(
            {view: files[view] for view in views}, places.get(split))
        for split, files in named.items()}
    missing = cls._list_missing(tree, named, scenes)
    if missing and not partial:
      raise DownloadError(
          f'{tree.root} holds {cls.name} in part: {"; ".join(missing)}. '
          'Complete the download, or build from what is there with '
          f'partial=True. {cls.MANUAL_DOWNLOAD_INSTRUCTIONS}',
          argument='partial')
    if not {'center', 'left', 'right'} & set(views):
      raise DownloadError(
          f'{tree.root} holds nothing out of focus that all splits have. '
          f'{cls.MANUAL_DOWNLOAD_INSTRUCTIONS}')
    return Contents(
        tree.root, scenes, views, bool(missing), cls._list_notes(scenes),
        cls.BITS or 8)

  @classmethod
  def match(cls, tree: Tree, split: str) -> NamedFiles:
    """Gives all views of a scene one key; most datasets' views have it."""
    return tree.splits[split]

  @classmethod
  def read_places(cls, tree: Tree) -> dict[str, dict[str, str]]:
    """Reads split -> scene -> 'indoor' or 'outdoor', if the download has it."""
    del tree
    return {}

  @classmethod
  def _list_missing(cls, tree, named, scenes) -> list[str]:
    missing = [f'no {split} split' for split in cls.COUNTS
               if split not in scenes]
    missing += [f'no {view} views in its {split} split'
                for split, files in named.items() for view in cls.VIEWS
                if view not in files]
    missing += [f'no folder {extra}' for extra in cls.EXTRAS
                if not (tree.root / extra).is_dir()]
    for split, found in scenes.items():
      count = cls.COUNTS[split]
      if not count or not count.source or len(found) == count.scenes:
        continue
      sentence = (f'{len(found)} scenes in its {split} split, where '
                  f'{count.source} has {count.scenes}')
      if len(found) > count.scenes:
        raise DownloadError(
            f'{tree.root} is not {cls.name}: {sentence}. '
            f'{cls.MANUAL_DOWNLOAD_INSTRUCTIONS}')
      missing.append(sentence)
    return missing

  @classmethod
  def _list_notes(cls, scenes) -> tuple[str, ...]:
    return tuple(
        f'{split} has {len(found)} scenes; {count.scenes} were expected, a '
        'number that is not verified'
        for split, found in scenes.items()
        if (count := cls.COUNTS[split]) and not count.source
        and len(found) != count.scenes)

  def _info(self) -> tfds.core.DatasetInfo:
    views, bits = self.VIEWS, self.BITS or 8
    if self._contents:
      views, bits = self._contents.views, self._contents.bits
    picture = functools.partial(
        tfds.features.Image, shape=(None, None, 3),
        dtype=np.uint16 if bits == 16 else np.uint8)
    return tfds.core.DatasetInfo(
        builder=self,
        description=textwrap.dedent(f'    {type(self).__doc__}').strip(),
        homepage=self.HOMEPAGE,
        citation=self.CITATION,
        license=self.LICENCE,
        disable_shuffling=True,
        features=tfds.features.FeaturesDict({
            **{view: picture() for view in views},
            **{text: tfds.features.Text()
               for text in ('scene', 'place', 'camera')}}),
        metadata=tfds.core.MetadataDict(
            views=list(views), bits=bits,
            partial=bool(self._contents and self._contents.partial)))

  def _shard_iterators_per_split(self, dl_manager) -> dict[str, list[Any]]:
    contents = self._contents or self.find(pathlib.Path(dl_manager.manual_dir))
    for extra in self.EXTRAS:
      if (contents.root / extra).is_dir():
        _copy_files(
            contents.root / extra, pathlib.Path(self.data_dir) / extra)
    return {
        split: [functools.partial(self._generate_examples, shard)
                for shard in _share(scenes)]
        for split, scenes in contents.scenes.items()}

  def _generate_examples(
      self, scenes: Sequence[Scene]
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    for scene in scenes:
      # Paths and not pictures, which TensorFlow would have to encode.
      yield scene.name, {
          **scene.files, 'scene': scene.name, 'place': scene.place,
          'camera': self.CAMERA}
      self._on_scene()


def _copy_files(source: pathlib.Path, target: pathlib.Path) -> None:
  """Copies files without permissions, since read-only ones stay in the way."""
  target.mkdir()
  for file in source.iterdir():
    if file.is_file():
      shutil.copyfile(file, target / file.name)


def _share(scenes: Sequence[Scene]) -> list[Sequence[Scene]]:
  """Divides scenes among files of about half a gigabyte."""
  size = sum(file.stat().st_size for scene in scenes
             for file in scene.files.values())
  number = min(max(1, round(size / _SHARD_BYTES)), len(scenes))
  return [scenes[i * len(scenes) // number:(i + 1) * len(scenes) // number]
          for i in range(number)]
