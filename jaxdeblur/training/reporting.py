"""Reports of training: TensorBoard scalars and pictures, lines of progress."""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import functools
import time
from typing import Any

from clu import (
  asynclib,
  metric_writers,
  parameter_overview,
  periodic_actions,
)
from etils import epath
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import tensorflow as tf

from jaxdeblur.compilation import jit
from jaxdeblur.training.state import TrainState

_MOST_PICTURES = 8


class Reporter:
  """Writes scalars, pictures and progress into workdir."""

  def __init__(
      self,
      workdir: epath.Path,
      config: ml_collections.ConfigDict,
      model: Any,
      state: TrainState,
      make_shown: Callable[[], Mapping[str, jax.Array]],
  ):
    """Opens the logs; lists the parameters at the first step.

    Args:
      workdir: where the logs go.
      config: the config of the training.
      model: the network.
      state: the state before the first step of this run.
      make_shown: makes the views of the pairs whose pictures are written. It
        is called for the first pictures: rendering takes a compilation.

    Every method may raise an OSError: the logs cannot be written.
    """
    self._train = config.train
    self._folder = workdir
    self._profiling = False
    with self._explained_failure():
      self._writer = metric_writers.create_default_writer(
          workdir, just_logging=jax.process_index() > 0)
    if int(state.step) == 0:
      with self._explained_failure():
        self._writer.write_hparams(_flatten(config.to_dict()))
      parameter_overview.log_parameter_overview(
          state.params, include_stats=False)
    self._progress = periodic_actions.ReportProgress(
        num_train_steps=config.train.steps, every_steps=config.train.log_every,
        every_secs=None, writer=self._writer)
    self._last = (int(state.step), time.perf_counter())
    self._make_shown = functools.cache(make_shown)
    self._restore = jit(
        lambda variables, views: model.apply(variables, views).image)

  def report(
      self, step_scalars: tuple[int, Mapping[str, jax.Array]] | None
  ) -> None:
    """Reports a step's scalars, if it is a step to report."""
    if step_scalars is None:
      return
    step, scalars = step_scalars
    with self._explained_failure():
      self._progress(step)
      if step % self._train.log_every == 0:
        self._writer.write_scalars(step, {
            **{f'train/{name}': float(np.asarray(value))
               for name, value in scalars.items()},
            'train/pictures_per_second': self._measure_rate(step),
            **_measure_memory()})

  def report_validation(self, step: int, psnr: float | None) -> None:
    """Reports the PSNR, in dB, of the pairs for validation, if there is one."""
    if psnr is not None:
      with self._explained_failure():
        self._writer.write_scalars(step, {'validation/psnr': psnr})

  def profile(self, step: int, scalars: Any) -> None:
    """Starts or ends the profile before a step, if it is time.

    Args:
      step: the next step.
      scalars: scalars of the last step. Starting or ending a profile waits for
        them, since devices lag behind the program.
    """
    if self._train.profile_steps:
      first, last = self._train.profile_steps
      if step in (first, last + 1):
        jax.block_until_ready(scalars)
      if step == first:
        jax.profiler.start_trace(str(self._folder / 'profile'))
        self._profiling = True
      elif step == last + 1:
        self._end_profile()

  def write_pictures(self, step: int, state: TrainState) -> None:
    """Writes rows of input, restored and sharp, always for the same pairs.

    Several processes write none, since each holds only a part of the pictures.
    """
    shown = self._make_shown()
    restored = self._restore(state.published, shown)
    if not restored.is_fully_addressable:
      return
    rows = jnp.concatenate(
        [shown['center'], restored, shown['sharp']], axis=2)
    pictures = np.asarray(rows)[:_MOST_PICTURES]
    with self._explained_failure():
      self._writer.write_images(step, {'input, restored, sharp': pictures})

  def close(self) -> None:
    """Ends a profile that is running, and writes the rest of the logs."""
    self._end_profile()
    with self._explained_failure():
      self._writer.flush()
      self._writer.close()

  @contextlib.contextmanager
  def _explained_failure(self) -> Iterator[None]:
    try:
      yield
    except (asynclib.AsyncError, tf.errors.OpError) as error:
      raise OSError(
          f'The logs cannot be written to {self._folder}; checkpoints are '
          'kept. Is the disk full?') from error

  def _end_profile(self) -> None:
    if self._profiling:
      jax.profiler.stop_trace()
    self._profiling = False

  def _measure_rate(self, step: int) -> float:
    """Measures pictures per second since the last call."""
    (last_step, then), now = self._last, time.perf_counter()
    self._last = (step, now)
    return (step - last_step) * self._train.batch_size / (now - then)


def _measure_memory() -> dict[str, int]:
  """Reads the peak memory of this process's first device, if it is known."""
  statistics = jax.local_devices()[0].memory_stats() or {}
  return {f'device/{name}': statistics[name]
          for name in ('peak_bytes_in_use',) if name in statistics}


def _flatten(config: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  flat = {}
  for name, value in config.items():
    if isinstance(value, Mapping):
      flat |= _flatten(value, f'{prefix}{name}.')
    else:
      known = isinstance(value, bool | int | float | str)
      flat[prefix + name] = value if known else str(value)
  return flat
