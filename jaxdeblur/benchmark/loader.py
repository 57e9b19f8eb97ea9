"""How fast training batches come from recorded pairs."""

from collections.abc import Iterator
import contextlib
import os
import pathlib
import tempfile
import time

import cv2
import ml_collections
import numpy as np

from data_pipelines.loader import open_training_data
from data_pipelines.pairs import FolderPairs
from data_pipelines.patches import PatchSettings, prepare_patches

_SCENES = 4
_SIZE = (1120, 1680)  # As in DPDD.
_VIEWS = ('left', 'right', 'sharp')
_SECONDS = 5.0  # Least time for which batches are taken.


def measure(config: ml_collections.ConfigDict) -> Iterator[str]:
  """Measures decoding of 16-bit PNG triples, and batches of these and patches.

  The pictures are made for this, in DPDD's size, with noise like a sensor's in
  their lower bits. They are read from the memory of the operating system, not
  from a cold disk. Batches hold left, right and sharp views, which are only
  cropped and mirrored.

  Args:
    config: `data.crop`, `train.batch_size`, and `bench.workers`, the numbers of
      worker processes to try.

  Yields:
    The lines of a report, in Markdown.
  """
  crop, batch_size = tuple(config.data.crop), config.train.batch_size
  with tempfile.TemporaryDirectory() as folder:
    sources = {name: pathlib.Path(folder) / name
               for name in ('pictures', 'patches')}
    _write_scenes(sources['pictures'])
    prepare_patches(
        FolderPairs(sources['pictures']), sources['patches'], PatchSettings())
    yield (f'Triples of {_SIZE[1]} x {_SIZE[0]} px, 16-bit PNG, and patches of '
           f'them; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}:')
    for name, source in sources.items():
      yield (f'One of the {name} takes {_cost_decoding(source):.1f} ms of a '
             'core to decode.')
    yield f'Crops of {crop[0]} x {crop[1]} px, {batch_size} in a batch:'
    yield ('| from | workers | first batch [s] | crops a second | '
           'core time a crop [ms] |')
    yield '| --- | ---: | ---: | ---: | ---: |'
    for name, source in sources.items():
      for workers in config.bench.workers:
        first, rate, cost = _time_batches(source, crop, batch_size, workers)
        shown = '' if workers else f'{cost:.1f}'  # Unknown for workers.
        yield f'| {name} | {workers} | {first:.1f} | {rate:.1f} | {shown} |'


def _write_scenes(folder: pathlib.Path) -> None:
  for view in _VIEWS:
    (folder / view).mkdir(parents=True)
  for scene in range(_SCENES):
    random = np.random.default_rng(scene)
    coarse = random.random((70, 105, 3), np.float32)
    picture = 65535 * cv2.resize(
        coarse, _SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    for view in _VIEWS:
      noise = 120 * random.standard_normal(picture.shape, np.float32)
      cv2.imwrite(str(folder / view / f'{scene}.png'),
                  np.clip(picture + noise, 0, 65535).astype(np.uint16))


def _cost_decoding(folder: pathlib.Path) -> float:
  """Returns the milliseconds of a core that decoding one picture takes."""
  pairs = FolderPairs(folder)
  started = time.process_time()
  for index in range(_SCENES):
    _ = pairs[index]
  seconds = time.process_time() - started
  return 1e3 * seconds / (_SCENES * len(pairs.views))


def _time_batches(
    folder, crop, batch_size, workers
) -> tuple[float, float, float]:
  """Times batches.

  Returns:
    Seconds to the first batch, crops per second after it, and milliseconds of a
    core that this process spends on one crop.
  """
  batches = open_training_data(
      dict(name='folder', folder=folder, crop=crop, workers=workers),
      batch_size=batch_size, seed=0, views=_VIEWS)
  with contextlib.closing(batches):
    started = time.perf_counter()
    next(batches)
    first = time.perf_counter() - started
    # Skips batches that were made ahead, which would seem to take no time.
    for _ in range(2 * workers or 4):
      next(batches)
    count, started, spent = 0, time.perf_counter(), time.process_time()
    while (seconds := time.perf_counter() - started) < _SECONDS:
      next(batches)
      count += 1
    spent = time.process_time() - spent
  crops = count * batch_size
  return first, crops / seconds, 1e3 * spent / crops
