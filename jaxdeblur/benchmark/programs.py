"""The programs that are measured, with the shapes of what they take."""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding
import ml_collections

from jaxdeblur import partitioning
from jaxdeblur.checkpoints import abstract_variables
from jaxdeblur.compilation import jit
from jaxdeblur.models.compute import Compute
from jaxdeblur.models.network import Network
from jaxdeblur.training.features import load_frozen
from jaxdeblur.training.optimizer import make_optimizer
from jaxdeblur.training.state import create_state
from jaxdeblur.training.step import jit_train_step, views_to_train


@dataclasses.dataclass(frozen=True)
class Program:
  """A jitted function, and what it takes.

  Attributes:
    function: jitted.
    arguments: shapes, types and shardings of what it takes.
    carries: whether its first result takes the first argument's place the next
      time, and its memory at once, as a training's state does.
    network: the network's settings, as one reads them.
    batch_size: pictures at a time.
    height: of the pictures, px.
    width: of the pictures, px.
    parameters: how many the network has.
    dtype: of its convolutions.
  """
  function: Callable[..., Any]
  arguments: tuple[Any, ...]
  carries: bool
  network: str
  batch_size: int
  height: int
  width: int
  parameters: int
  dtype: str

  @property
  def megapixels(self) -> float:
    return self.batch_size * self.height * self.width / 1e6

  @property
  def title(self) -> str:
    return (f'{self.network}: {self.batch_size} x {self.height} x {self.width} '
            f'px, {self.dtype}')

  def to_json(self) -> dict[str, Any]:
    """All but the function and what it takes."""
    return {field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ('function', 'arguments', 'carries')}

  def make_arguments(self) -> tuple[Any, ...]:
    """Arrays of these shapes; no figure depends on what they hold.

    But on what overflows or vanishes it may, and neither does.
    """
    return fill(self.arguments)


def make_forward(
    config: ml_collections.ConfigDict, devices: Sequence[jax.Device]
) -> Program:
  """The network as it restores: views in, a picture out.

  Args:
    config: `model`, `compute`, and `bench`: `batch_size` and `size` (height and
      width, px; multiples of what the network takes).
    devices: the first one is used.
  """
  model = create_network(config)
  sharding = SingleDeviceSharding(devices[0])
  height, width = config.bench.size
  variables = _put_on(abstract_variables(model), sharding)
  views = {
      name: jax.ShapeDtypeStruct(
          (config.bench.batch_size, height, width, 3), jnp.float32,
          sharding=sharding) for name in model.required_views}
  # The picture alone is asked for, as when restoring.
  return Program(
      jit(lambda variables, views: model.apply(variables, views).image,
          platform=devices[0].platform),
      (variables, views), carries=False,
      **_describe(config, variables['params'], config.bench.batch_size,
                  config.bench.size))


def make_step(
    config: ml_collections.ConfigDict, devices: Sequence[jax.Device]
) -> Program:
  """A step of training with its optimizer, as the training makes it.

  Args:
    config: `model`, `compute`, `train`, `mesh` and `data.crop`, as for
      training.
    devices: which share the batch, as `config.mesh` says.
  """
  train, crop = config.train, tuple(config.data.crop)
  mesh = partitioning.make_mesh(config.mesh.to_dict(), devices)
  partitioning.check_batch(
      mesh, train.batch_size, train.accumulation_steps, crop[0])
  model = create_network(config)
  optimizer = make_optimizer(train)
  state = jax.eval_shape(functools.partial(
      create_state, model, optimizer, trainable=tuple(train.trainable)),
      jax.random.key(0))
  shardings = partitioning.shardings_of(state, mesh)
  whole = partitioning.replicated(mesh)
  views = {
      name: jax.ShapeDtypeStruct(
          (train.batch_size, *crop, 3), jnp.float32,
          sharding=partitioning.pictures(mesh))
      for name in views_to_train(model)}
  step = jit_train_step(model, optimizer, train, mesh, shardings)
  return Program(
      step,
      (jax.tree.map(_with_sharding, state, shardings), views,
       _put_on(load_frozen(train.losses), whole)),
      carries=True,
      **_describe(config, state.params, train.batch_size, crop))


PROGRAMS = {'forward': make_forward, 'train_step': make_step}


def create_network(config: ml_collections.ConfigDict) -> Network:
  """The network of `config.model` that computes as `config.compute` says."""
  return Compute(**config.compute).create(config.model.to_dict())


def describe_network(config: ml_collections.ConfigDict) -> str:
  """The network's name and settings, as one reads them."""
  settings = dict(config.model.to_dict())
  name = settings.pop('name')
  if config.compute.dynamic_conv_method != 'auto':
    settings['dynamic_conv_method'] = config.compute.dynamic_conv_method
  return ' '.join([name, *(
      f'{key}={_join(value)}' for key, value in settings.items()
      if value is not None)])


def fill(shapes: Any) -> Any:
  """Arrays of these shapes, for parameters that need not be any good."""
  return jax.tree.map(_fill, shapes)


def _describe(config, params, batch_size, size):
  return dict(
      network=describe_network(config), batch_size=batch_size, height=size[0],
      width=size[1], dtype=str(config.compute.dtype),
      parameters=sum(math.prod(x.shape) for x in jax.tree.leaves(params)))


def _join(value):
  return (','.join(map(str, value)) if isinstance(value, list | tuple)
          else value)


def _put_on(tree, sharding):
  return jax.tree.map(lambda x: _with_sharding(x, sharding), tree)


def _with_sharding(array, sharding):
  return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding)


def _fill(array):
  # Means of features, halved: these neither vanish nor overflow on their way.
  fan_in = math.prod(array.shape[:-1]) if len(array.shape) > 1 else 50
  value = 0.5 / fan_in if jnp.issubdtype(array.dtype, jnp.floating) else 0
  return jnp.full(
      array.shape, value, array.dtype,
      device=getattr(array, 'sharding', None))
