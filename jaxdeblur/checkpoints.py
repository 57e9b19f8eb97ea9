"""Checkpoints that describe themselves.

A folder of weights holds Orbax items: `model`, the network's name and settings
as JSON; `params`, its parameters; and, if it has other variables (averages of
batch normalisation, constants), `collections`. A training checkpoint is such a
folder, whose `params` are the moving average. It has two more items:
`training`, the TrainState without the average, and `iterator`, the position in
the data.
"""

from collections.abc import Mapping
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

from jaxdeblur.errors import UserError
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
  path = make_absolute(path)
  if path.exists():
    raise CheckpointError(
        f'{path} exists already: name another folder or remove it first.')
  items = split_items(jax.tree.map(
      lambda x: np.asarray(x).astype(jnp.dtype(dtype)), dict(variables)))
  with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
    checkpointer.save(path, args=ocp.args.Composite(
        model=ocp.args.JsonSave(dict(settings)),
        **{name: ocp.args.StandardSave(item) for name, item in items.items()}))


def split_items(variables: Variables) -> dict[str, Variables]:
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
          for name, item in split_items(target).items()}))
    return {'params': items['params'], **(items.get('collections') or {})}
  except Exception as error:  # Damaged files raise errors of many libraries.
    raise CheckpointError(
        f'{folder} cannot be read as the parameters of '
        f'{type(model).__name__}: {first_line(error)}') from error


def abstract_variables(model: nn.Module) -> Variables:
  """Shapes and types of a network's variables, without computing them."""
  if isinstance(model, feature_networks.FeatureNetwork):
    return feature_networks.abstract_variables(model)
  height, width = model.smallest_multiple
  views = {name: jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)
           for name in model.required_views}
  return jax.eval_shape(model.init, jax.random.key(0), views)


def make_absolute(path: epath.PathLike) -> epath.Path:
  """Makes a path absolute for Orbax; gs://BUCKET and the like are already."""
  path = epath.Path(path)
  return path if '://' in str(path) else path.absolute()


def _find_weights(path: epath.PathLike, pick: str) -> epath.Path:
  path = make_absolute(path)
  if not path.exists():
    raise CheckpointError(
        f"{path} does not exist: give 'starter', a folder of weights or the "
        f'workdir of a training.{did_you_mean(path.name, SHIPPED)}')
  if (path / 'params').is_dir():
    return path
  for folder in (path / 'checkpoints', path):
    steps = list_steps(folder)
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


def list_steps(folder: epath.Path) -> list[int]:
  """Lists finished checkpoints; Orbax gives unfinished ones other names."""
  if not folder.is_dir():
    return []
  return [int(child.name) for child in folder.iterdir() if child.name.isdigit()]


def first_line(error: Exception) -> str:
  return (str(error).strip().splitlines() or [type(error).__name__])[0]


def is_begun(workdir: epath.PathLike) -> bool:
  """Whether a training has left a checkpoint in its workdir."""
  return bool(list_steps(make_absolute(workdir) / 'checkpoints'))
