"""DPDD, as TensorFlow Datasets build it."""

import csv
import pathlib

import numpy as np

from data_pipelines.datasets import trees
from data_pipelines.datasets.pair_builder import (
  Count,
  DownloadError,
  PairBuilder,
)
from data_pipelines.datasets.trees import Layout, NamedFiles, Tree
from jaxdeblur.errors import UserError

_SPLITS = ('train', 'val', 'test')
_LISTS = "the authors' list of names"
_FARTHEST = 2  # Largest gap of a scene's two numbers in the authors' lists.


def _list_layouts() -> tuple[Layout, ...]:
  splits = {split: (split,) for split in _SPLITS}
  folders = [
      Layout({'center': '{split}_c/source/*',
              'left': f'{{split}}_l/source/*{left}',
              'right': f'{{split}}_r/source/*{right}',
              'sharp': '{split}_c/target/*'}, splits)
      for left, right in (('_L', '_R'), ('', ''))]
  repacked = [
      Layout({'center': f'{folder}inputC/*', 'left': f'{folder}inputL/*',
              'right': f'{folder}inputR/*', 'sharp': f'{folder}target/*'},
             splits if '{split}' in folder else {'test': ('',)})
      for folder in ('{split}/', '{split}/DPDD/', '')]
  return (*folders, *repacked)


class Builder(PairBuilder):
  """DPDD: dual-pixel photographs of 500 scenes, and the same taken sharp.

  Pictures have 1680 x 1120 px, 16 bits, sRGB. Each scene has a photograph with
  the wide aperture, its left and right dual-pixel views, and a photograph with
  the small aperture, the ground truth. The splits are train (350 scenes), val
  (74) and test (76), as in the authors' lists of names.

  In the authors' own tree the ground truth has the number of another
  photograph. It is paired by their lists, SPLIT_src.npy and SPLIT_trg.npy in
  file_names/, if they are beside the pictures; otherwise by order, which is the
  order of the lists. If all folders use the same names, it is paired by name.

  The download may say which scenes are indoors: in a table places.csv (columns
  scene, place), or, for the test split, in the authors' arrays indoor*.npy and
  outdoor*.npy (positions in the order of the names).
  """
  HOMEPAGE = (
      'https://github.com/Abdullah-Abuolaim/defocus-deblurring-dual-pixel')
  LICENCE = 'Not stated of the pictures; the code beside them is MIT.'
  CITATION = """\
@inproceedings{abuolaim2020defocus,
  title={Defocus Deblurring Using Dual-Pixel Data},
  author={Abuolaim, Abdullah and Brown, Michael S},
  booktitle={ECCV},
  pages={111--126},
  year={2020}
}"""
  TREE = """
      dd_dp_dataset_canon/SPLIT_c/source/NAME.png    both views' sum
      dd_dp_dataset_canon/SPLIT_l/source/NAME_L.png  left
      dd_dp_dataset_canon/SPLIT_r/source/NAME_R.png  right
      dd_dp_dataset_canon/SPLIT_c/target/OTHER.png   sharp
      SPLIT: train, val, test
      or one NAME in all folders, or these: SPLIT/inputC, SPLIT/inputL,
      SPLIT/inputR, SPLIT/target (without SPLIT: test)
  """
  VIEWS = ('center', 'left', 'right', 'sharp')
  BITS = 16
  CAMERA = 'Canon EOS 5D Mark IV'
  COUNTS = {'train': Count(350, _LISTS), 'val': Count(74, _LISTS),
            'test': Count(76, _LISTS)}
  LAYOUTS = _list_layouts()

  @classmethod
  def match(cls, tree: Tree, split: str) -> NamedFiles:
    named = tree.splits[split]
    if not {'center', 'sharp'} <= set(named):
      return named
    center, sharp = named['center'], named['sharp']
    if set(center) & set(sharp):
      return named
    partners = _read_partners(tree.root, split) or _pair_in_order(
        center, sharp, tree.root, split)
    return named | {'sharp': {
        key: sharp[partners[key]] for key in center
        if partners.get(key) in sharp}}

  @classmethod
  def read_places(cls, tree: Tree) -> dict[str, dict[str, str]]:
    table = tree.root / 'places.csv'
    if table.is_file():
      places = _read_table(table)
      return {split: places for split in tree.splits}
    files = tree.splits.get('test', {}).get('center', {})
    places = _read_labels(tree.root, sorted(files, key=trees.natural))
    return {'test': places}


def _read_partners(root, split) -> dict[trees.Key, trees.Key]:
  """Reads the key of each scene's ground truth, if there are the lists."""
  for folder in (root, root.parent):
    lists = [folder / 'file_names' / f'{split}_{kind}.npy'
             for kind in ('src', 'trg')]
    if all(file.is_file() for file in lists):
      sources, targets = (np.load(file) for file in lists)
      return {(str(source),): (str(target),)
              for source, target in zip(sources, targets)}
  return {}


def _pair_in_order(center, sharp, root, split) -> dict[trees.Key, trees.Key]:
  """Pairs pictures in the order of their names."""
  sources, targets = (sorted(named, key=trees.natural)
                      for named in (center, sharp))
  if len(sources) != len(targets):
    raise DownloadError(
        f'{root}: {split} has {len(sources)} pictures in source and '
        f'{len(targets)} in target: complete the download.')
  for source, target in zip(sources, targets):
    numbers = [int(''.join(filter(str.isdigit, key[0]))[-4:] or 0)
               for key in (source, target)]
    if abs(numbers[0] - numbers[1]) > _FARTHEST:
      raise DownloadError(
          f'{center[source]} and {sharp[target]}, next to each other in order, '
          'are of no one scene: pictures are missing. Complete the download.')
  return dict(zip(sources, targets))


def _read_table(table: pathlib.Path) -> dict[str, str]:
  with table.open(newline='') as lines:
    rows = list(csv.DictReader(lines))
  if not all(row.get('scene') and row.get('place') in ('indoor', 'outdoor')
             for row in rows):
    raise UserError(
        f'{table} needs the columns scene and place; a place is indoor or '
        'outdoor.')
  return {row['scene']: row['place'] for row in rows}


def _read_labels(root, keys) -> dict[str, str]:
  """Reads places by position from 1 (issue 11 of the authors' repository).
  """
  for folder in (root, root / 'test', root / 'test' / 'DPDD'):
    lists = {place: sorted(folder.glob(f'{place}*.npy'))
             for place in ('indoor', 'outdoor')}
    if not all(lists.values()):
      continue
    at = {int(position): place for place, files in lists.items()
          for position in np.load(files[0]).ravel()}
    if sorted(at) != list(range(1, len(keys) + 1)):
      raise UserError(
          f'{lists["indoor"][0]} and {lists["outdoor"][0]} do not name each of '
          f'the {len(keys)} test pictures once: take them away, or complete '
          'the download.')
    return {trees.name_scene(key): at[i] for i, key in enumerate(keys, 1)}
  return {}
