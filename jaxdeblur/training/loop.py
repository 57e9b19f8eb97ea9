"""The training loop."""

from collections.abc import Callable, Sequence
import contextlib
import dataclasses
import functools
import math
import time

from absl import logging
from etils import epath
import jax
import ml_collections
import numpy as np

from data_pipelines.batches import Batches
from data_pipelines.loader import open_training_data, views_of
from jaxdeblur import partitioning
from jaxdeblur.checkpoints import (
  SHIPPED,
  Weights,
  is_begun,
  load_weights,
)
from jaxdeblur.compilation import compile_interruptibly, jit
from jaxdeblur.errors import UserError
from jaxdeblur.models import registry
from jaxdeblur.models.compute import create_as_configured
from jaxdeblur.training.checkpoints import TrainingCheckpoints
from jaxdeblur.training.features import load_frozen
from jaxdeblur.training.multihost import start_processes
from jaxdeblur.training.optimizer import make_optimizer
from jaxdeblur.training.pairs import make_views_of
from jaxdeblur.training.preemption import Preemption
from jaxdeblur.training.reporting import Reporter
from jaxdeblur.training.settings_check import check_settings
from jaxdeblur.training.state import TrainState, create_state, start_from
from jaxdeblur.training.step import (
  Scalars,
  jit_train_step,
  views_to_train,
)
from jaxdeblur.training.validation import make_validation

# Number of the batch whose pictures are logged; its crops differ from those of
# the first epochs.
_SHOWN_BATCH = 1_000_003


class NonFiniteLossError(UserError, FloatingPointError):
  """The loss, or its gradient, became NaN or infinite."""


def train(
    config: ml_collections.ConfigDict, workdir: epath.PathLike
) -> TrainState:
  """Trains as `config` says, from the latest checkpoint in `workdir` if any.

  On SIGTERM it saves and returns early. The next call continues the training.

  Args:
    config: a config as in `configs/`. It reads the fields `seed`, `model`,
      `compute`, `data`, `train`, `mesh`, `distributed`, `validation`.
    workdir: where checkpoints and TensorBoard logs go: a folder, or a place in
      a bucket, gs://BUCKET/FOLDER. All processes need the same one.

  Returns:
    The last state.

  Raises:
    NonFiniteLossError: the loss or its gradient is NaN or infinite; no later
      state is saved.
    CheckpointError: `workdir` holds checkpoints of another network.
    OSError: nothing can be written in `workdir`.
    UserError: the devices cannot share the batch, or the config names
      something that does not exist, or exists twice.
  """
  start_processes(config.distributed)
  workdir = epath.Path(workdir)
  mesh = partitioning.make_mesh(config.mesh.to_dict())
  model = create_as_configured(config)
  check_settings(config)
  partitioning.check_batch(
      mesh, config.train.batch_size, config.train.accumulation_steps,
      config.data.crop[0])
  # Copied by way of the host, since each process reads them to its own devices.
  frozen = jax.device_put(
      jax.device_get(load_frozen(config.train.losses)),
      partitioning.replicated(mesh))
  batches = _open_data(config, model)
  make_views = make_views_of(config.data.to_dict(), config.seed, mesh)
  optimizer = make_optimizer(config.train)
  state, shardings = _create_sharded_state(model, optimizer, config, mesh)
  validate = make_validation(config, model, mesh)
  if config.train.init_from and not is_begun(workdir):
    state = start_from(
        model, state, _load_first_weights(config.train.init_from))
  first = partitioning.put_batch(batches.make(_SHOWN_BATCH), mesh)
  # Traced first, so that impossible settings leave no folder behind.
  traced = jit_train_step(
      model, optimizer, config.train, mesh, shardings, make_views).trace(
          state, first, frozen)
  checkpoints = TrainingCheckpoints(
      workdir, registry.complete_settings(config.model.to_dict()),
      keep=config.train.keep_checkpoints,
      keep_best=config.train.keep_best)
  if checkpoints.latest_step() is not None:
    state, position = checkpoints.restore(state)
    batches.set_state(position)
    logging.info('Resumed from step %d.', int(state.step))
  with contextlib.ExitStack() as last, contextlib.ExitStack() as stack:
    # These are closed in the opposite order. If several fail, the last failure
    # is reported: that of the checkpoints, if logs cannot be written either.
    stack.callback(batches.close)
    stack.callback(checkpoints.close)
    reporter = Reporter(
        workdir, config, model, state,
        lambda: jit(make_views)(first, np.uint32(_SHOWN_BATCH)))
    stack.callback(reporter.close)
    compiled = _compile(traced)
    run = _Run(
        config.train, mesh, lambda state, views: compiled(state, views, frozen),
        batches, checkpoints, reporter, validate)
    # From here on SIGTERM saves first and waits until all is written. It ends a
    # compilation at once.
    return run.make_steps(state, last.enter_context(Preemption()))


def _compile(traced: jax.stages.Traced) -> jax.stages.Compiled:
  logging.info('Compiling the training step: seconds on a CPU, up to some '
               'minutes for a large network. XLA may warn that this is slow.')
  started = time.perf_counter()
  compiled = compile_interruptibly(traced)
  logging.info('Compiled in %.0f s.', time.perf_counter() - started)
  return compiled


@dataclasses.dataclass(frozen=True)
class _Run:
  """All that the steps of a training use."""
  settings: ml_collections.ConfigDict
  mesh: jax.sharding.Mesh
  train_step: Callable[..., tuple[TrainState, Scalars]]
  batches: Batches
  checkpoints: TrainingCheckpoints
  reporter: Reporter
  validate: Callable[[TrainState], float] | None

  def make_steps(
      self, state: TrainState, preemption: Preemption
  ) -> TrainState:
    pending = None  # The last step, whose scalars are not read yet.
    for step in range(int(state.step) + 1, self.settings.steps + 1):
      self.reporter.profile(step, pending)
      state, scalars = self.train_step(
          state, partitioning.put_batch(next(self.batches), self.mesh))
      # Scalars are read one step late. So the device never waits for the host,
      # and the next batch is made and sent while the device computes.
      self._report(pending)
      pending = (step, scalars)
      stopping = preemption.reached(step)
      if stopping or self._is_checkpoint(step):
        _check_finite(pending, self.checkpoints)
        self._save(step, state, validates=not stopping)
      if step % self.settings.picture_every == 0:
        self.reporter.write_pictures(step, state)
      if stopping:
        break
    self._report(pending)
    return state

  def _is_checkpoint(self, step: int) -> bool:
    every, last = self.settings.checkpoint_every, self.settings.steps
    return step % every == 0 or step == last

  def _report(self, pending: tuple[int, Scalars] | None) -> None:
    _check_finite(pending, self.checkpoints)
    self.reporter.report(pending)

  def _save(self, step: int, state: TrainState, validates: bool) -> None:
    score = self.validate(state) if self.validate and validates else None
    self.checkpoints.save(state, self.batches.get_state(), score)
    self.reporter.report_validation(step, score)


def _load_first_weights(name: str) -> Weights:
  if name in SHIPPED and epath.Path(name).exists():
    raise UserError(
        f'config.train.init_from is {name!r}, which is both the weights that '
        'come with jaxdeblur and a folder here: give the absolute path of the '
        'folder, or move it.')
  return load_weights(name)


def _open_data(config, model) -> Batches:
  data = config.data.to_dict()
  _check_views(model.required_views, views_of(data))
  return open_training_data(
      data, seed=config.seed, views=views_to_train(model),
      batch_size=config.train.batch_size // jax.process_count(),
      shard=jax.process_index(), shards=jax.process_count())


def _create_sharded_state(model, optimizer, config, mesh):
  """Returns the first state, and how its arrays are spread over the mesh."""
  create = functools.partial(
      create_state, model, optimizer, start=config.train.start,
      trainable=tuple(config.train.trainable))
  # The default generator takes four times as long to compile.
  key = jax.random.key(config.seed, impl='rbg')
  shardings = partitioning.shardings_of(jax.eval_shape(create, key), mesh)
  return jax.jit(create, out_shardings=shardings)(key), shardings


def _check_views(required: Sequence[str], given: Sequence[str]) -> None:
  missing = sorted(set(required) - set(given))
  if missing:
    raise UserError(
        f'The network reads the views {", ".join(required)}; the training data '
        f'has no {", ".join(missing)}, only {", ".join(given)}: choose other '
        'config.model.views, or other data (config.data.name; for rendered '
        'pairs, set config.data.dual_pixel).')


def _check_finite(
    pending: tuple[int, Scalars] | None,
    checkpoints: TrainingCheckpoints,
) -> None:
  if pending is None:
    return
  step, scalars = pending
  for scalar, name in (('loss', 'loss'),
                       ('gradient_norm', 'norm of the gradient')):
    value = float(np.asarray(scalars[scalar]))
    if math.isfinite(value):
      continue
    good = checkpoints.latest_step()
    kept = (f'The checkpoint of step {good} is kept' if good is not None
            else 'There is no checkpoint yet')
    raise NonFiniteLossError(
        f'The {name} became {value} at step {step}. {kept}: train on with a '
        'lower config.train.learning_rate or config.train.clip_norm.')
