"""What rendering the pairs costs beside the training step around it.

  python -m studies.rendering_cost --config starter
  python -m studies.rendering_cost --config drbnet --crop 256 --planes 4

counts the arithmetic and the bytes of XLA's unoptimised programs, which need no
device: for the renderer and for the rest of the step. Planes of a scene are
rendered in a loop, whose body is counted once and multiplied here. On an
accelerator, a batch takes as many passes as the scene with the most planes.
With --measure, the renderer is also timed on this machine; `jaxdeblur bench
RECIPE --what train_step` times the rest.
"""

import argparse
import time

import jax
import numpy as np

from jaxdeblur import partitioning
from jaxdeblur.compilation import jit
from jaxdeblur.config import command_line
from jaxdeblur.models.compute import create_as_configured
from jaxdeblur.optics.pair_plan import Draws, PairPlan
from jaxdeblur.optics.random_scene import render_pairs
from jaxdeblur.optics.settings import DefocusSettings
from jaxdeblur.training.optimizer import make_optimizer
from jaxdeblur.training.state import create_state
from jaxdeblur.training.step import make_train_step, views_to_train


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--config', default='starter')
  parser.add_argument('--crop', type=int, default=0)
  parser.add_argument('--planes', type=float, default=0)
  parser.add_argument('--measure', action='store_true')
  arguments = parser.parse_args()
  config, _ = command_line.load(arguments.config)
  if arguments.crop:
    config.data.crop = (arguments.crop,) * 2
  settings = DefocusSettings(
      crop=tuple(config.data.crop), dual_pixel=config.data.dual_pixel)
  batch = config.train.batch_size
  renderer, tiles, keys = _make_renderer(settings, batch)
  planes = arguments.planes or float(
      _count_planes(settings, 4096).mean())
  step, state, views = _make_step(config, batch)
  # The difference of two counts with other loops would need two programs: all
  # but the loop is small, so that the whole is multiplied.
  rows = {
      f'renderer, {planes:.2f} planes': _count(renderer, tiles, keys) * planes,
      'rest of the step': _count(step, state, views)}
  print(f'{batch} pairs of {settings.crop[0]} x {settings.crop[1]} px, '
        f'windows of {settings.window[0]} px; {jax.devices()[0].platform}')
  for name, (flops, size) in rows.items():
    print(f'{name}: {flops / 1e9:.1f} GFLOP, {size / 1e9:.2f} GB')
  first, second = rows.values()
  print(f'renderer / rest: {first[0] / second[0]:.3f} of the arithmetic, '
        f'{first[1] / second[1]:.3f} of the bytes')
  if arguments.measure:
    _measure(renderer, tiles, keys)


def _make_renderer(settings, batch):
  in_turn = jax.devices()[0].platform == 'cpu'
  renderer = lambda tiles, keys: render_pairs(  # noqa: E731
      tiles, keys, settings, in_turn=in_turn)
  random = np.random.default_rng(0)
  tiles = random.integers(
      0, 256, (batch, settings.layers, *settings.window, 3), np.uint8)
  return renderer, tiles, jax.random.split(jax.random.key(0), batch)


def _count_planes(settings: DefocusSettings, scenes: int) -> np.ndarray:
  keys = jax.random.split(jax.random.key(1), scenes)
  return np.asarray(jax.jit(jax.vmap(lambda key: PairPlan.make(
      Draws.from_key(key, settings), settings).scene.count))(keys))


def _make_step(config, batch):
  mesh = partitioning.make_mesh(devices=jax.devices()[:1])
  model = create_as_configured(config)
  optimizer = make_optimizer(config.train)
  # Its shapes suffice to count.
  state = jax.eval_shape(lambda key: create_state(
      model, optimizer, key, start='random'), jax.random.key(0))
  view = jax.ShapeDtypeStruct((batch, *config.data.crop, 3), np.float32)
  return (make_train_step(model, optimizer, config.train, mesh), state,
          dict.fromkeys(views_to_train(model), view))


def _count(function, *arguments) -> np.ndarray:
  """Floating-point operations and bytes of a program before optimisation."""
  cost = jax.jit(function).lower(*arguments).cost_analysis()
  return np.array([cost['flops'], cost['bytes accessed']])


def _measure(function, *arguments) -> None:
  compiled = jit(function)
  jax.block_until_ready(compiled(*arguments))
  seconds = []
  for _ in range(20):
    started = time.perf_counter()
    jax.block_until_ready(compiled(*arguments))
    seconds.append(time.perf_counter() - started)
  print(f'renderer: {1e3 * np.median(seconds):.1f} ms (median of 20)')


if __name__ == '__main__':
  main()
