"""What training shows: TensorBoard scalars and pictures, a line of progress."""

from collections.abc import Mapping, Sequence
import contextlib
import pathlib
from typing import Any

from clu import metric_writers, periodic_actions
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import ml_collections
import numpy as np

from data_pipelines.loader import open_training_data
from jaxdeblur import partitioning
from jaxdeblur.training.state import TrainState
from jaxdeblur.training.step import views_to_train

_PICTURE_SEED_OFFSET = 1_000_003  # Other pairs than those of training.
_MOST_PICTURES = 8


class Reporter:
  """Writes scalars, pictures and progress into workdir."""

  def __init__(
      self,
      workdir: pathlib.Path,
      config: ml_collections.ConfigDict,
      model: Any,
      mesh: Mesh,
      first_step: int,
      last_step: int,
  ):
    self._every = config.train.log_every
    self._mesh = mesh
    self._writer = metric_writers.create_default_writer(
        str(workdir), just_logging=jax.process_index() > 0)
    if first_step == 0:
      self._writer.write_hparams(_flatten(config.to_dict()))
    self._progress = periodic_actions.ReportProgress(
        num_train_steps=last_step, every_steps=self._every, every_secs=None,
        writer=self._writer)
    self._views = _draw_pairs(config, views_to_train(model))
    self._restore = jax.jit(
        lambda variables, views: model.apply(variables, views).image)

  def report(
      self, step_scalars: tuple[int, Mapping[str, jax.Array]] | None
  ) -> None:
    """Reports a step's scalars, if it is a step to report."""
    if step_scalars is None:
      return
    step, scalars = step_scalars
    self._progress(step)
    if step % self._every == 0:
      self._writer.write_scalars(
          step, {f'train/{name}': float(np.asarray(value))
                 for name, value in scalars.items()})

  def write_pictures(self, step: int, state: TrainState) -> None:
    """Writes rows of input, restored and sharp for pairs that stay the same."""
    restored = self._restore(
        {'params': state.ema_params, **state.collections},
        partitioning.put_batch(self._views, self._mesh))
    if not restored.is_fully_addressable:
      return  # Another process holds a part; pictures are for one host.
    rows = jnp.concatenate(
        [self._views['center'], restored, self._views['sharp']], axis=2)
    self._writer.write_images(
        step, {'input, restored, sharp': np.asarray(rows)[:_MOST_PICTURES]})

  def close(self) -> None:
    self._writer.flush()
    self._writer.close()


def _draw_pairs(config, views: Sequence[str]) -> dict[str, np.ndarray]:
  # Workers are not worth their start for one batch.
  batches = open_training_data(
      config.data.to_dict() | {'workers': 0}, views=views,
      seed=config.seed + _PICTURE_SEED_OFFSET,
      batch_size=config.train.batch_size // jax.process_count())
  with contextlib.closing(batches):
    return next(batches)


def _flatten(config: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  flat = {}
  for name, value in config.items():
    if isinstance(value, Mapping):
      flat |= _flatten(value, f'{prefix}{name}.')
    else:
      known = isinstance(value, bool | int | float | str)
      flat[prefix + name] = value if known else str(value)
  return flat
