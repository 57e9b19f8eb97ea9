"""The training loop."""

from collections.abc import Mapping, Sequence
import functools
import itertools
import math
import pathlib
from typing import Any

from absl import logging
import jax
import ml_collections
import numpy as np

from data_pipelines.loader import open_training_data, views_of
from jaxdeblur import partitioning
from jaxdeblur.checkpoints import TrainingCheckpoints, load_weights
from jaxdeblur.models import registry
from jaxdeblur.training.features import load_variables
from jaxdeblur.training.optimizer import make_optimizer
from jaxdeblur.training.reporting import Reporter
from jaxdeblur.training.state import TrainState, create_state, start_from
from jaxdeblur.training.step import make_train_step, views_to_train


class NonFiniteLossError(FloatingPointError):
  """The loss became NaN or infinite."""


def train(
    config: ml_collections.ConfigDict, workdir: str | pathlib.Path
) -> TrainState:
  """Trains as `config` says, from the latest checkpoint in `workdir` if any.

  Args:
    config: of `configs/`; fields `seed`, `model`, `data`, `train`.
    workdir: where checkpoints and TensorBoard logs go.

  Returns:
    The last state.

  Raises:
    NonFiniteLossError: the loss is NaN or infinite; no later state is saved.
    CheckpointError: `workdir` holds checkpoints of another network.
    ValueError: the batch cannot be shared by the devices, or the config names
      an unknown network.
  """
  workdir = pathlib.Path(workdir)
  mesh = partitioning.make_mesh()
  _check_batch_size(config.train.batch_size, mesh.size)
  model = registry.create(**config.model.to_dict())
  data = config.data.to_dict()
  _check_views(model.required_views, views_of(data))
  batches = open_training_data(
      data, seed=config.seed, views=views_to_train(model),
      batch_size=config.train.batch_size // jax.process_count(),
      shard=jax.process_index(), shards=jax.process_count())
  features = jax.device_put(
      load_variables(config.train), partitioning.replicated(mesh))
  optimizer = make_optimizer(config.train)
  state = _create_sharded_state(model, optimizer, config, mesh)
  checkpoints = TrainingCheckpoints(
      workdir, config.model.to_dict(), keep=config.train.keep_checkpoints)
  if checkpoints.latest_step() is not None:
    state, place = checkpoints.restore(state)
    batches.set_state(place)
    logging.info('Resumed from step %d.', int(state.step))
  elif config.train.init_from:
    state = start_from(
        state, load_weights(config.train.init_from), model.required_views)

  # Donated: the next state is written where the last one was.
  train_step = jax.jit(
      make_train_step(model, optimizer, config.train), donate_argnums=0)
  first, last = int(state.step), config.train.steps
  reporter = Reporter(workdir, config, model, mesh, first, last)
  pending = None  # The step whose scalars are not read yet.
  try:
    for step in itertools.count(first + 1):
      if step > last:
        break
      state, scalars = train_step(
          state, partitioning.put_batch(next(batches), mesh), features)
      # One step late, so that the device never waits for the host to read.
      _check_finite(pending, checkpoints)
      reporter.report(pending)
      pending = (step, scalars)
      if step % config.train.checkpoint_every == 0 or step == last:
        _check_finite(pending, checkpoints)
        checkpoints.save(state, batches.get_state())
      if step % config.train.picture_every == 0:
        reporter.write_pictures(step, state)
    _check_finite(pending, checkpoints)
    reporter.report(pending)
  finally:
    checkpoints.close()
    reporter.close()
    batches.close()
  return state


def _create_sharded_state(model, optimizer, config, mesh) -> TrainState:
  create = jax.jit(
      functools.partial(
          create_state, model, optimizer, start=config.train.start,
          trainable=tuple(config.train.trainable)),
      out_shardings=partitioning.replicated(mesh))
  # The default generator's code compiles four times as long.
  return create(jax.random.key(config.seed, impl='rbg'))


def _check_batch_size(batch_size: int, devices: int) -> None:
  if batch_size % devices:
    raise ValueError(
        f'config.train.batch_size is {batch_size}, which {devices} devices '
        'cannot share: choose a multiple.')


def _check_views(required: Sequence[str], given: Sequence[str]) -> None:
  missing = sorted(set(required) - set(given))
  if missing:
    raise ValueError(
        f'The network reads the views {", ".join(required)}; the training data '
        f'has no {", ".join(missing)}, only {", ".join(given)}: choose other '
        'config.model.views, or other data (config.data.name; of rendered '
        'pairs, set config.data.dual_pixel).')


def _check_finite(
    pending: tuple[int, Mapping[str, Any]] | None,
    checkpoints: TrainingCheckpoints,
) -> None:
  if pending is None:
    return
  step, scalars = pending
  loss = float(np.asarray(scalars['loss']))
  if not math.isfinite(loss):
    good = checkpoints.latest_step()
    kept = (f'The checkpoint of step {good} is kept' if good is not None
            else 'There is no checkpoint yet')
    raise NonFiniteLossError(
        f'The loss became {loss} at step {step}. {kept}: train on with a lower '
        'config.train.learning_rate or config.train.clip_norm.')
