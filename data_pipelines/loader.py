"""Batches for training, in random order, deterministic, resumable."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import grain

from data_pipelines.rendered import DefocusSettings, RenderDefocus
from data_pipelines.sources import TileSource, list_tiles


def views_of(data: Mapping[str, Any]) -> tuple[str, ...]:
  """Names what a batch holds."""
  dual = ('left', 'right') if data.get('dual_pixel') else ()
  return ('center', *dual, 'sharp')


def open_training_data(
    data: Mapping[str, Any],
    *,
    batch_size: int,
    seed: int,
    shard: int = 0,
    shards: int = 1,
) -> grain.DatasetIterator:
  """Opens an endless iterator of batches of views.

  The n-th batch depends on the seed alone, not on threads or time. The
  iterator's get_state and set_state are what a checkpoint keeps.

  Args:
    data: config.data: `photos` (a folder), `most_per_series`, `tile` (see
      `list_tiles`), and the fields of DefocusSettings.
    batch_size: pairs in a batch of this process.
    seed: of order, crops, blur and noise.
    shard: which of the `shards` parts of every epoch this process reads.
    shards: number of processes.

  Returns:
    An iterator of dicts of what `views_of` names, float32
    [batch_size, height, width, 3] in [0, 1].
  """
  tiles = TileSource(list_tiles(
      data['photos'], most_per_series=data.get('most_per_series', 0),
      enlarge_to=data.get('tile', 0)))
  if len(tiles) < shards:
    raise ValueError(
        f'{len(tiles)} tiles cannot be shared by {shards} processes.')
  pairs = (
      grain.MapDataset.source(tiles)
      .seed(seed)
      .shuffle()
      .slice(slice(shard, None, shards))
      .repeat()
      .random_map(RenderDefocus(tiles, defocus_settings(data)))
      .batch(batch_size, drop_remainder=True))
  return iter(pairs.to_iter_dataset(
      grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)))


def defocus_settings(data: Mapping[str, Any]) -> DefocusSettings:
  """Reads the fields of DefocusSettings that a config gives."""
  names = {field.name for field in dataclasses.fields(DefocusSettings)}
  return DefocusSettings(**{
      name: tuple(value) if isinstance(value, list) else value
      for name, value in data.items() if name in names})
