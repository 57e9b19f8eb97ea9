"""How the time of restoring grows with the size of the picture."""

from collections.abc import Iterator
import dataclasses
import os
import time
from typing import Any

from etils import epath
import jax
import ml_collections
import numpy as np
import tqdm

from jaxdeblur.benchmark.measurement import process_peak_bytes
from jaxdeblur.benchmark.programs import describe_network, fill
from jaxdeblur.checkpoints import Weights, abstract_variables
from jaxdeblur.errors import UserError
from jaxdeblur.models.compute import create_as_configured
from jaxdeblur.restoration.options import RestoreOptions
from jaxdeblur.restoration.restorer import Restorer
from jaxdeblur.restoration.tiling import plan_spans

_SECONDS = 20.0  # Longest time for repeating one size.


@dataclasses.dataclass(frozen=True)
class Size:
  """Times of restoring a square picture.

  Attributes:
    side: side of the picture, px.
    tiled: whether it was restored in tiles.
    warm_up_seconds: time of one window, with compilation; None if its program
      was compiled already.
    seconds: time of each run.
    process_peak: largest resident memory of the process so far, bytes.
  """
  side: int
  tiled: bool
  warm_up_seconds: float | None
  seconds: tuple[float, ...]
  process_peak: int

  @property
  def megapixels(self) -> float:
    return self.side ** 2 / 1e6

  @property
  def median(self) -> float:
    return float(np.median(self.seconds))


@dataclasses.dataclass(frozen=True)
class Scaling:
  """Times of restoring pictures of several sizes, larger ones in tiles.

  Attributes:
    network: the network's name and settings.
    dtype: number type of its convolutions.
    device: the device.
    tile: see `RestoreOptions`.
    load: the machine's load average (1 minute) before and after.
    sizes: the sizes, ascending.
  """
  network: str
  dtype: str
  device: str
  tile: int | None
  load: tuple[float, float]
  sizes: tuple[Size, ...]

  def describe(self) -> Iterator[str]:
    """Yields the lines of a Markdown table, one row per size."""
    yield (f'Restoring with {self.network}, {self.dtype}, on {self.device}, '
           f'in tiles of {self.tile} px, load {self.load[0]:.1f} to '
           f'{self.load[1]:.1f}:')
    yield ('| picture [px] | in tiles | runs | median [s] | a megapixel [s] | '
           'peak of the process [GiB] |')
    yield '| --- | --- | ---: | ---: | ---: | ---: |'
    for size in self.sizes:
      yield (f'| {size.side} x {size.side} | {"yes" if size.tiled else "no"} '
             f'| {len(size.seconds)} | '
             f'{size.median:.4g} | {size.median / size.megapixels:.3g} | '
             f'{size.process_peak / 2 ** 30:.2f} |')

  def to_json(self) -> dict[str, Any]:
    """All figures, for JSON."""
    sizes = [{**dataclasses.asdict(size), 'median_seconds': size.median,
              'seconds_per_megapixel': size.median / size.megapixels}
             for size in self.sizes]
    return {'what': 'scaling', **dataclasses.asdict(self), 'sizes': sizes}


def measure(config: ml_collections.ConfigDict) -> Scaling:
  """Restores square pictures of noise with a network of arbitrary parameters.

  Pictures larger than `restore.tile` are restored in tiles. One compiled
  program serves all tiles, so memory is bounded, apart from the picture itself.
  If a size needs another program, one window is restored first to compile it.
  Then runs are timed until `bench.repeats` or 20 s are reached.

  Args:
    config: `model`, `compute`, `restore.tile` (px, 0 for none), and `sizes`
      (px) and `repeats` of `bench`.

  Raises:
    UserError: there are no sizes, or no runs.
  """
  bench = config.bench
  if not bench.sizes or bench.repeats < 1:
    raise UserError(
        f'config.bench.sizes is {tuple(bench.sizes)} and config.bench.repeats '
        f'{bench.repeats}: name one size and one run at least.')
  model = create_as_configured(config)
  restorer = Restorer(Weights(
      config.model.to_dict(), model, fill(abstract_variables(model)),
      epath.Path('nowhere')))
  tile = RestoreOptions(tile=config.restore.tile).tile
  load = os.getloadavg()[0]
  sizes, compiled = [], set()
  for side in tqdm.tqdm(
      sorted(bench.sizes), unit='size', disable=None, leave=False):
    sizes.append(_measure_size(
        restorer, side, tile, compiled, bench.repeats))
  return Scaling(
      describe_network(config), str(config.compute.dtype),
      jax.devices()[0].device_kind, tile, (load, os.getloadavg()[0]),
      tuple(sizes))


def _measure_size(restorer, side, tile, compiled, repeats) -> Size:
  noise = np.random.default_rng(0).integers(
      256, size=(side, side, 3), dtype=np.uint8)
  height, width = window = _window(restorer.weights.model, side, tile)
  warm_up = None
  if window not in compiled:
    warm_up = _time(restorer, noise[:height, :width], None)
    compiled.add(window)
  seconds, ending = [], time.perf_counter() + _SECONDS
  while not seconds or (
      len(seconds) < repeats and time.perf_counter() < ending):
    seconds.append(_time(restorer, noise, tile))
  return Size(side, height < side, warm_up, tuple(seconds),
              process_peak_bytes())


def _time(restorer, picture, tile) -> float:
  """Times restoring in seconds; all views are the same picture."""
  names = restorer.weights.model.required_views
  views = dict.fromkeys(names, picture)
  started = time.perf_counter()
  restorer.restore(views=views, tile=tile)
  return time.perf_counter() - started


def _window(model, side, tile) -> tuple[int, ...]:
  """Height and width of one window, px."""
  sides = [side + -side % multiple for multiple in model.padded_multiple]
  if tile is None:
    return tuple(sides)
  spans = [plan_spans(length, tile, model.halo or 0, multiple)[0].window
           for length, multiple in zip(sides, model.padded_multiple)]
  return tuple(span.stop - span.start for span in spans)
