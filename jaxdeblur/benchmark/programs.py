"""The programs to measure, with the shapes of their arguments."""

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
from jaxdeblur.models.compute import create_as_configured
from jaxdeblur.training.features import load_frozen
from jaxdeblur.training.optimizer import make_optimizer
from jaxdeblur.training.state import create_state
from jaxdeblur.training.step import jit_train_step, views_to_train


@dataclasses.dataclass(frozen=True)
class Program:
  """A jitted function and its arguments.

  Attributes:
    function: the jitted function.
    arguments: shapes, types and shardings of its arguments.
    carries: whether its first result is the first argument of the next run, and
      takes over that argument's memory, like the state of a training.
    network: the network's name and settings as text.
    batch_size: pictures in a batch.
    height: height of the pictures, px.
    width: width of the pictures, px.
    parameters: number of the network's parameters.
    dtype: number type of its convolutions.
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
    """Everything except the function and its arguments."""
    return {field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ('function', 'arguments', 'carries')}

  def make_arguments(self) -> tuple[Any, ...]:
    """Makes arrays of these shapes.

    Their values do not matter to any figure, as long as none overflows or
    vanishes, which they do not.
    """
    return fill(self.arguments)


def make_forward(
    config: ml_collections.ConfigDict, devices: Sequence[jax.Device]
) -> Program:
  """Makes the network's forward pass as in restoring: from views to a picture.

  Args:
    config: `model`, `compute`, and `batch_size` and `size` of `bench` (height
      and width, px; multiples of the network's `smallest_multiple`).
    devices: the first one is used.
  """
  model = create_as_configured(config)
  sharding = SingleDeviceSharding(devices[0])
  height, width = config.bench.size
  variables = _put_on(abstract_variables(model), sharding)
  views = {
      name: jax.ShapeDtypeStruct(
          (config.bench.batch_size, height, width, 3), jnp.float32,
          sharding=sharding) for name in model.required_views}
  # Returns only the picture, as in restoring.
  return Program(
      jit(lambda variables, views: model.apply(variables, views).image,
          platform=devices[0].platform),
      (variables, views), carries=False,
      **_describe(config, variables['params'], config.bench.batch_size,
                  config.bench.size))


def make_step(
    config: ml_collections.ConfigDict, devices: Sequence[jax.Device]
) -> Program:
  """Makes a training step with its optimizer, as in training.

  Args:
    config: `model`, `compute`, `train`, `mesh` and `data.crop`, as for
      training.
    devices: devices that share the batch, as `config.mesh` says.
  """
  train, crop = config.train, tuple(config.data.crop)
  mesh = partitioning.make_mesh(config.mesh.to_dict(), devices)
  partitioning.check_batch(
      mesh, train.batch_size, train.accumulation_steps, crop[0])
  model = create_as_configured(config)
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


def describe_network(config: ml_collections.ConfigDict) -> str:
  """The network's name and settings as text."""
  settings = dict(config.model.to_dict())
  name = settings.pop('name')
  if config.compute.dynamic_conv_method != 'auto':
    settings['dynamic_conv_method'] = config.compute.dynamic_conv_method
  return ' '.join([name, *(
      f'{key}={_join(value)}' for key, value in settings.items()
      if value is not None)])


def fill(shapes: Any) -> Any:
  """Makes arrays of these shapes, for parameters that need no meaning."""
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
  # Layers then halve means of features, which neither vanish nor overflow.
  fan_in = math.prod(array.shape[:-1]) if len(array.shape) > 1 else 50
  value = 0.5 / fan_in if jnp.issubdtype(array.dtype, jnp.floating) else 0
  return jnp.full(
      array.shape, value, array.dtype,
      device=getattr(array, 'sharding', None))
