"""The checkpoints that a training writes, and goes on from."""

from collections.abc import Iterator, Mapping
import contextlib
from typing import Any

from etils import epath
import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import (
  AnyPreservationPolicy,
  BestN,
  LatestN,
)

from jaxdeblur.checkpoints import (
  CheckpointError,
  first_line,
  list_steps,
  make_absolute,
  split_items,
)
from jaxdeblur.errors import MissingPackageError
from jaxdeblur.models import registry


class TrainingCheckpoints:
  """A training's checkpoints in workdir/checkpoints/STEP.

  Attributes:
    settings: settings of the trained network.
  """

  def __init__(
      self,
      workdir: epath.PathLike,
      settings: Mapping[str, Any],
      keep: int = 2,
      keep_best: int = 0,
  ):
    """Opens the checkpoints of `workdir`.

    Args:
      workdir: the training's folder, which is made if it does not exist.
      settings: settings of the trained network.
      keep: number of latest checkpoints to keep.
      keep_best: number of checkpoints with the highest PSNR in validation to
        keep as well.

    Raises:
      OSError: nothing can be written there.
      MissingPackageError: it is a bucket, and Orbax lacks a package for it.
    """
    self.settings = registry.complete_settings(settings)
    folder = make_absolute(workdir) / 'checkpoints'
    folder.mkdir(parents=True, exist_ok=True)
    kept = [LatestN(n=keep), BestN(
        n=keep_best, get_metric_fn=_read_psnr,
        keep_checkpoints_without_metrics=False)]
    try:
      self._manager = ocp.CheckpointManager(
          folder, options=ocp.CheckpointManagerOptions(
              best_fn=_read_psnr,
              preservation_policy=AnyPreservationPolicy(kept)))
    except ImportError as error:
      raise MissingPackageError(
          f'Checkpoints in {folder} need pip install google-cloud-storage '
          f'({first_line(error)}).') from error

  def latest_step(self) -> int | None:
    return self._manager.latest_step()

  def save(
      self,
      state: Any,
      iterator_state: Mapping[str, Any],
      validation_psnr: float | None = None,
  ) -> None:
    """Saves a TrainState; writes in the background.

    Args:
      state: the state to save, at its step.
      iterator_state: the position in the data.
      validation_psnr: PSNR in validation, dB; None without validation.

    Raises:
      CheckpointError: this checkpoint or the last one cannot be written.
    """
    metrics = None if validation_psnr is None else {'psnr': validation_psnr}
    items = ocp.args.Composite(
        model=ocp.args.JsonSave(self.settings),
        training=ocp.args.StandardSave(_unpublished(state)),
        iterator=ocp.args.JsonSave(dict(iterator_state)),
        **{name: ocp.args.StandardSave(item)
           for name, item in _published(state).items()})
    with self._explained_failure():  # Of this checkpoint or of the last one.
      self._manager.save(int(state.step), args=items, metrics=metrics)

  def restore(self, state: Any) -> tuple[Any, dict[str, Any]]:
    """Restores the latest checkpoint.

    Args:
      state: a TrainState, real or abstract, whose arrays have the shapes and
        shardings to restore to.

    Returns:
      The TrainState and the iterator's state.

    Raises:
      CheckpointError: the checkpoint is of a network with other settings, is
        damaged, or its optimizer trained other parameters.
    """
    step = self.latest_step()
    saved = self._read(step, model=ocp.args.JsonRestore())['model']
    self._check_network(step, saved)
    items = self._read(
        step, iterator=ocp.args.JsonRestore(),
        **{name: ocp.args.StandardRestore(target)
           for name, target in self._describe_targets(step, state).items()})
    collections = dict(items.get('collections') or {})
    training = dict(items['training'])
    # Up to version 0.1.0, checkpoints averaged only the parameters.
    live = training.pop(_LIVE, None) or {
        name: collections[name] for name in state.ema_statistics}
    averaged = {name: jax.tree.map(jnp.copy, collections[name])
                for name in state.ema_statistics}
    state = state.replace(
        ema_params=items['params'], ema_statistics=averaged,
        collections=collections | live, **training)
    return state, items['iterator']

  def _check_network(self, step: int, saved: Mapping[str, Any]) -> None:
    saved = registry.complete_settings(saved)
    differing = [name for name in dict.fromkeys((*saved, *self.settings))
                 if saved.get(name) != self.settings.get(name)]
    if differing:
      told = ', '.join(
          f'{name} {saved.get(name)}, not {self.settings.get(name)}'
          for name in differing)
      raise CheckpointError(
          f'The checkpoint of step {step} in {self._manager.directory} is of '
          f'another network than the config asks for ({told}): choose another '
          'workdir or the same network.', argument='workdir')

  def _describe_targets(self, step: int, state: Any) -> dict[str, Any]:
    """Describes the shapes and shardings of the arrays to read."""
    training = _unpublished(state)
    if _LIVE in training and not self._has_live_statistics(step):
      del training[_LIVE]
    return jax.tree.map(
        ocp.utils.to_shape_dtype_struct,
        {'training': training, **_published(state)})

  def _has_live_statistics(self, step: int) -> bool:
    folder = epath.Path(self._manager.directory) / str(step) / 'training'
    try:
      return f"'{_LIVE}'" in (folder / '_METADATA').read_text()
    except OSError:
      return True  # Reading it will then say what is wrong.

  def _read(self, step: int, **items: Any) -> Any:
    try:
      return self._manager.restore(step, args=ocp.args.Composite(**items))
    except Exception as error:  # Damaged files raise errors of many libraries.
      folder = epath.Path(self._manager.directory)
      others = [other for other in list_steps(folder) if other != step]
      then = f'go on from step {max(others)}' if others else 'start anew'
      raise CheckpointError(
          f'The checkpoint of step {step} cannot be read '
          f'({first_line(error)[:200]}): if the same modules are trained as '
          f'before, remove {folder / str(step)} to {then}.') from error

  def close(self) -> None:
    """Waits until everything is written.

    Raises:
      CheckpointError: something cannot be written.
    """
    with self._explained_failure():
      self._manager.wait_until_finished()
    self._manager.close()

  @contextlib.contextmanager
  def _explained_failure(self) -> Iterator[None]:
    try:
      yield
    except (ValueError, OSError) as error:
      finished = list_steps(epath.Path(self._manager.directory))
      kept = (f'that of step {max(finished)} is kept' if finished
              else 'there is none yet')
      raise CheckpointError(
          f'A checkpoint cannot be written to {self._manager.directory}; '
          f'{kept}. Is the disk full? {first_line(error)[:200]}') from error


def _read_psnr(metrics: Mapping[str, float]) -> float:
  return metrics['psnr']


# Batch normalisation's averages as used in training. The published ones are
# averaged over steps, like the parameters.
_LIVE = 'live_statistics'


def _published(state: Any) -> dict[str, Any]:
  return split_items(state.published)


def _unpublished(state: Any) -> dict[str, Any]:
  """Selects what is needed only to continue the training."""
  items = {'step': state.step, 'params': state.params,
           'opt_state': state.opt_state}
  live = {name: state.collections[name] for name in state.ema_statistics}
  return items | ({_LIVE: live} if live else {})
