"""Checkpoints that describe themselves.

A folder of weights holds Orbax items: `model`, the network's name and settings
as JSON; `params`, its parameters; and, if it has other variables (averages of
batch normalisation, constants), `collections`. A training checkpoint is such a
folder, whose `params` are the moving average. It has two more items:
`training`, the TrainState without the average, and `iterator`, the position in
the data.
"""

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import hashlib
import json
import math
import pathlib
from typing import Any

from etils import epath
from flax import linen as nn, traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import (
  AnyPreservationPolicy,
  BestN,
  LatestN,
)

from jaxdeblur.errors import MissingPackageError, UserError
from jaxdeblur.models import compute as how, feature_networks, registry
from jaxdeblur.suggestion import choose_one, did_you_mean

PICKS = ('latest', 'best')

_FOLDER = epath.Path(__file__).parent / 'weights'
SHIPPED = ('starter', 'squeezenet')  # Weights that come with the package.

Variables = Mapping[str, Any]  # Nested dicts of arrays.


class CheckpointError(UserError):
  """A checkpoint is missing, damaged, or of another network."""


@dataclasses.dataclass(frozen=True)
class Weights:
  """A network and its trained parameters.

  Attributes:
    settings: the network's name and settings, as for `registry.create`; or the
      name of a feature network.
    model: the network.
    variables: 'params' and the network's other collections, float32.
    path: the folder that they were read from.
  """
  settings: Mapping[str, Any]
  model: nn.Module
  variables: Variables
  path: epath.Path

  @property
  def params(self) -> Variables:
    return self.variables['params']

  def digest(self) -> str:
    """The first 16 digits of SHA-256 over the variables' names and values."""
    digest = hashlib.sha256()
    flat = traverse_util.flatten_dict(dict(self.variables), sep='/')
    for name in sorted(flat):
      digest.update(name.encode())
      digest.update(np.ascontiguousarray(flat[name], np.float32).tobytes())
    return digest.hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class ShippedWeights:
  """Weights that come with the package.

  Attributes:
    name: their name for `jaxdeblur.load`.
    network: the network's name.
    views: the views that it reads.
    parameters: the number of its parameters.
    size: size of the folder, bytes.
  """
  name: str
  network: str
  views: tuple[str, ...]
  parameters: int
  size: int


def list_weights() -> list[ShippedWeights]:
  """Lists the weights that come with the package and restore pictures."""
  return [
      described for name in SHIPPED
      if (described := _describe_shipped(name)) is not None]


def _describe_shipped(name: str) -> ShippedWeights | None:
  folder = _FOLDER / name
  settings = json.loads((folder / 'model' / 'metadata').read_text())
  if settings['name'] in feature_networks.NAMES:
    return None
  model = registry.create(**settings)
  params = jax.tree.leaves(abstract_variables(model)['params'])
  return ShippedWeights(
      name, settings['name'], model.required_views,
      sum(math.prod(array.shape) for array in params),
      sum(file.stat().st_size for file in pathlib.Path(folder).rglob('*')
          if file.is_file()))


def save_weights(
    path: epath.PathLike,
    settings: Mapping[str, Any],
    variables: Variables,
    dtype: str = 'float32',
) -> None:
  """Writes a folder of weights, whole or not at all.

  Args:
    path: the folder; it must not exist yet.
    settings: the network's name and settings.
    variables: 'params' and the network's other collections, if any.
    dtype: number type of the variables on disk; reading always gives float32.
  """
  path = _absolute(path)
  if path.exists():
    raise CheckpointError(
        f'{path} exists already: name another folder or remove it first.')
  items = _split(jax.tree.map(
      lambda x: np.asarray(x).astype(jnp.dtype(dtype)), dict(variables)))
  with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
    checkpointer.save(path, args=ocp.args.Composite(
        model=ocp.args.JsonSave(dict(settings)),
        **{name: ocp.args.StandardSave(item) for name, item in items.items()}))


def _split(variables: Variables) -> dict[str, Variables]:
  """Groups variables into the items that they are saved in."""
  others = {name: value for name, value in variables.items()
            if name != 'params'}
  items = {'params': variables['params']}
  return items | ({'collections': others} if others else {})


def load_weights(
    path: epath.PathLike,
    pick: str = 'latest',
    compute: how.Compute = how.DEFAULT,
) -> Weights:
  """Reads weights by name, or from a folder of weights or of a training.

  Args:
    path: 'starter' or 'squeezenet', the weights that come with the package; a
      folder of weights; a training checkpoint; or a training's workdir.
    pick: the checkpoint of a training to read: 'latest', or 'best', which has
      the highest PSNR in validation.
    compute: how the network computes; its parameters stay float32.

  Raises:
    CheckpointError: there is no checkpoint, or it cannot be read.
    UserError: there is no such pick, or the network cannot compute this way.
  """
  if pick not in PICKS:
    raise UserError(
        f'pick is {pick!r}: {choose_one(pick, PICKS)}', argument='pick')
  folder = _find_weights(
      _FOLDER / str(path) if str(path) in SHIPPED else path, pick)
  try:
    settings = json.loads((folder / 'model' / 'metadata').read_text())
  except (OSError, ValueError) as error:
    raise CheckpointError(
        f'{folder} is no checkpoint of jaxdeblur: its model/metadata, which '
        f'names the network, cannot be read ({error}).') from error
  compares = settings['name'] in feature_networks.NAMES
  model = (feature_networks.create(**settings) if compares
           else compute.create(settings))
  return Weights(settings, model, _read_variables(folder, model), folder)


def _read_variables(folder: epath.Path, model: nn.Module) -> Variables:
  # On one device, whatever mesh wrote them.
  sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  target = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
      abstract_variables(model))
  try:
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
      items = checkpointer.restore(folder, args=ocp.args.Composite(**{
          name: ocp.args.StandardRestore(item)
          for name, item in _split(target).items()}))
    return {'params': items['params'], **(items.get('collections') or {})}
  except Exception as error:  # Damaged files raise errors of many libraries.
    raise CheckpointError(
        f'{folder} cannot be read as the parameters of '
        f'{type(model).__name__}: {_first_line(error)}') from error


def abstract_variables(model: nn.Module) -> Variables:
  """Shapes and types of a network's variables, without computing them."""
  if isinstance(model, feature_networks.FeatureNetwork):
    return feature_networks.abstract_variables(model)
  height, width = model.smallest_multiple
  views = {name: jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)
           for name in model.required_views}
  return jax.eval_shape(model.init, jax.random.key(0), views)


def _absolute(path: epath.PathLike) -> epath.Path:
  """Makes a path absolute for Orbax; gs://BUCKET and the like are already."""
  path = epath.Path(path)
  return path if '://' in str(path) else path.absolute()


def _find_weights(path: epath.PathLike, pick: str) -> epath.Path:
  path = _absolute(path)
  if not path.exists():
    raise CheckpointError(
        f"{path} does not exist: give 'starter', a folder of weights or the "
        f'workdir of a training.{did_you_mean(path.name, SHIPPED)}')
  if (path / 'params').is_dir():
    return path
  for folder in (path / 'checkpoints', path):
    steps = _list_steps(folder)
    if steps and pick == 'best':
      return _find_best(folder, steps)
    if steps:
      return folder / str(max(steps))
  raise CheckpointError(
      f'{path} holds no checkpoint of jaxdeblur: neither weights nor the '
      'checkpoints of a training.')


def _find_best(folder: epath.Path, steps: list[int]) -> epath.Path:
  scores = {}
  for step in steps:
    metrics = folder / str(step) / 'metrics' / 'metrics'
    if metrics.is_file():
      scores[step] = json.loads(metrics.read_text())['psnr']
  if not scores:
    raise CheckpointError(
        f'No checkpoint in {folder} has been validated: train with validation, '
        "or pick 'latest'.", argument='pick')
  return folder / str(max(scores, key=lambda step: (scores[step], step)))


def _list_steps(folder: epath.Path) -> list[int]:
  """Lists finished checkpoints; Orbax gives unfinished ones other names."""
  if not folder.is_dir():
    return []
  return [int(child.name) for child in folder.iterdir() if child.name.isdigit()]


def _first_line(error: Exception) -> str:
  return (str(error).strip().splitlines() or [type(error).__name__])[0]


def is_begun(workdir: epath.PathLike) -> bool:
  """Whether a training has left a checkpoint in its workdir."""
  return bool(_list_steps(_absolute(workdir) / 'checkpoints'))


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
    folder = _absolute(workdir) / 'checkpoints'
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
          f'({_first_line(error)}).') from error

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
      others = [other for other in _list_steps(folder) if other != step]
      then = f'go on from step {max(others)}' if others else 'start anew'
      raise CheckpointError(
          f'The checkpoint of step {step} cannot be read '
          f'({_first_line(error)[:200]}): if the same modules are trained as '
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
      finished = _list_steps(epath.Path(self._manager.directory))
      kept = (f'that of step {max(finished)} is kept' if finished
              else 'there is none yet')
      raise CheckpointError(
          f'A checkpoint cannot be written to {self._manager.directory}; '
          f'{kept}. Is the disk full? {_first_line(error)[:200]}') from error


def _read_psnr(metrics: Mapping[str, float]) -> float:
  return metrics['psnr']


# Batch normalisation's averages as used in training. The published ones are
# averaged over steps, like the parameters.
_LIVE = 'live_statistics'


def _published(state: Any) -> dict[str, Any]:
  return _split(state.published)


def _unpublished(state: Any) -> dict[str, Any]:
  """Selects what is needed only to continue the training."""
  items = {'step': state.step, 'params': state.params,
           'opt_state': state.opt_state}
  live = {name: state.collections[name] for name in state.ema_statistics}
  return items | ({_LIVE: live} if live else {})
