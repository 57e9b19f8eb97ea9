"""Batches for training: in random order, deterministic, resumable."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any, TypeVar

import grain

from data_pipelines.batches import Batches
from data_pipelines.datasets.catalogue import NAMES, open_dataset
from data_pipelines.depth_maps import DepthTiles
from data_pipelines.light_fields import LightFieldViews
from data_pipelines.pairs import FolderPairs, PairSource
from data_pipelines.patches import open_patches
from data_pipelines.recorded import CropPair, CropSettings
from data_pipelines.sources import TileSource, list_tiles
from data_pipelines.tiles import CutDepthTile, CutLightField, CutTiles
from jaxdeblur.errors import UserError
from jaxdeblur.optics.settings import DefocusSettings
from jaxdeblur.suggestion import choose_one

Settings = TypeVar('Settings', DefocusSettings, CropSettings)


def views_of(data: Mapping[str, Any]) -> tuple[str, ...]:
  """Names the views that a batch can hold."""
  if is_rendered(data):
    dual = ('left', 'right') if data.get('dual_pixel') else ()
    return ('center', *dual, 'sharp')
  return _with_center(open_pairs(data).views)


def is_rendered(data: Mapping[str, Any]) -> bool:
  """Whether the pairs are rendered from photographs, not recorded."""
  return data.get('name', 'rendered') == 'rendered'


def open_pairs(
    data: Mapping[str, Any], views: Sequence[str] | None = None
) -> PairSource:
  """Opens the recorded pairs that a config names.

  Args:
    data: config.data. `name` is 'folder' or 'patches', with `folder`; or a
      dataset's name, with `data_dir` and `split`.
    views: views to decode; all by default.

  Raises:
    UserError: there are no pairs of that name, or no folder is given.
    MissingFileError: there are no pairs in the folder.
  """
  name = data['name']
  kinds = {'folder': FolderPairs, 'patches': open_patches}
  known = ('rendered', *kinds, *NAMES)
  if name not in known[1:]:
    raise UserError(
        f'There are no pairs {name!r}: {choose_one(name, known)}',
        argument='name')
  field = 'folder' if name in kinds else 'data_dir'
  if not data.get(field):
    raise UserError(
        f'The pairs {name!r} need {field}, a folder.', argument=field)
  if name in kinds:
    return kinds[name](data['folder'], views)
  return open_dataset(
      name, data.get('split', 'train'), data['data_dir'], views)


def open_training_data(
    data: Mapping[str, Any],
    *,
    batch_size: int,
    seed: int,
    shard: int = 0,
    shards: int = 1,
    views: Sequence[str] | None = None,
) -> Batches:
  """Opens an endless iterator of batches: views, or tiles to render from.

  The n-th batch depends only on the seed, not on workers, threads or time. The
  n-th batches of all processes together hold the same pairs, whatever the
  number of processes. Epochs follow each other without a gap, so no pair is
  left over.

  Args:
    data: config.data. `name` is 'rendered' (the default), with `photos` (a
      folder), `most_per_series`, `tile` (see `list_tiles`), and the fields of
      DefocusSettings. Or it is a name for `open_pairs`, with the fields of
      CropSettings. `workers` is the number of processes that make the batches;
      0 makes them in threads of this process.
    batch_size: pairs in a batch of this process.
    seed: seed of order, crops and changes.
    shard: the number of this process's part of the data, from 0.
    shards: number of processes.
    views: views of recorded pairs to return; others are not decoded. None
      returns all in `views_of`.

  Returns:
    An iterator of dicts. For recorded pairs they hold views, float32
    [batch_size, height, width, 3] in [0, 1]. For rendered pairs they hold
    'tiles', uint8 [batch_size, layers, h, w, 3]: see `render_pairs`.

  Raises:
    UserError: the pairs lack requested views, or the ground truth.
  """
  if is_rendered(data):
    pairs = _cut_tiles(data, seed, shard, shards)
  else:
    pairs = _crop_pairs(data, seed, shard, shards, views)
  return Batches(
      pairs.batch(batch_size, drop_remainder=True), data.get('workers', 0))


def _open_tiles(data, settings):
  """Opens what the tiles are cut from, and how."""
  if settings.scene == 'light_field':
    return LightFieldViews(data['photos']), CutLightField(settings)
  tiles = list_tiles(
      data['photos'], most_per_series=data.get('most_per_series', 0),
      enlarge_to=data.get('tile', 0))
  if settings.scene == 'depth':
    if not data.get('depth_maps'):
      raise UserError(
          'Scenes with depth need depth_maps, the folder of their maps.',
          argument='depth_maps')
    source = DepthTiles(
        tiles, data['depth_maps'], data.get('depth_kind', 'disparity'))
    return source, CutDepthTile(settings)
  source = TileSource(tiles)
  return source, CutTiles(source, settings)


def _cut_tiles(data, seed, shard, shards) -> grain.MapDataset:
  source, cut = _open_tiles(data, read_settings(DefocusSettings, data))
  return (
      grain.MapDataset.source(source)
      .seed(seed)
      .shuffle()
      # This keeps everything. Grain derives each step's seed from the number of
      # steps before it, and one step less would change existing trainings.
      .slice(slice(None))
      .repeat()
      .random_map(cut)
      .slice(slice(shard, None, shards)))


def _crop_pairs(data, seed, shard, shards, views) -> grain.MapDataset:
  has = open_pairs(data).views
  views = views or _with_center(has)
  missing = sorted(set(views) - set(_with_center(has)) - {'sharp'})
  if missing:
    raise UserError(
        f'The pairs {data["name"]!r} have no '
        f'{", ".join(missing)}, which training needs, only {", ".join(has)}.')
  if 'sharp' not in has:
    raise UserError(
        f'The pairs {data["name"]!r} have no ground truth '
        '(sharp): they can be restored, not trained on.')
  needed = set(views)
  if 'center' not in has:  # It is made from left and right.
    needed.discard('center')
  if needed != set(views) or needed & {'left', 'right'}:
    needed |= {'left', 'right'}
  settings = read_settings(CropSettings, data)
  return (
      grain.MapDataset.source(open_pairs(data, sorted(needed)))
      .seed(seed)
      .shuffle()
      .repeat()
      .random_map(CropPair(settings, views))
      .slice(slice(shard, None, shards)))


def _with_center(views: Sequence[str]) -> tuple[str, ...]:
  """Adds the center view if left and right views can make it."""
  if 'center' in views or not {'left', 'right'} <= set(views):
    return tuple(views)
  return ('center', *views)


def read_settings(
    kind: type[Settings], data: Mapping[str, Any]
) -> Settings:
  """Reads settings from a config, by the fields of their class."""
  names = {field.name for field in dataclasses.fields(kind)}
  return kind(**{
      name: tuple(value) if isinstance(value, list) else value
      for name, value in data.items() if name in names})
