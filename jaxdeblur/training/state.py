"""The state that training changes from step to step."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdeblur.checkpoints import Weights
from jaxdeblur.errors import UserError
from jaxdeblur.models.network import Network
from jaxdeblur.suggestion import choose_one

Params = Any

_STATISTICS = 'batch_stats'


@struct.dataclass
class TrainState:
  """The state after `step` steps.

  Attributes:
    step: int32, the number of steps made.
    params: the network's parameters.
    ema_params: their exponential moving average, which is used for evaluation
      and restoring, and is published.
    opt_state: the optimizer's state for the trained parameters.
    collections: the network's other variables: averages of batch
      normalisation, constants. Empty for most networks.
    ema_statistics: the moving average of batch normalisation's averages, as
      {'batch_stats': ...}, since averaged parameters need averaged statistics.
      Empty for a network without batch normalisation.
  """
  step: Any  # Like all fields, it may hold shapes or shardings, not arrays.
  params: Params
  ema_params: Params
  opt_state: optax.OptState
  collections: dict[str, Any] = struct.field(default_factory=dict)
  ema_statistics: dict[str, Any] = struct.field(default_factory=dict)

  @property
  def published(self) -> dict[str, Any]:
    """The averaged variables, which are evaluated and published."""
    return {'params': self.ema_params, **self.collections,
            **self.ema_statistics}


def select_statistics(collections: dict[str, Any]) -> dict[str, Any]:
  """Selects the collections to average."""
  return {name: value for name, value in collections.items()
          if name == _STATISTICS}


def split_params(
    params: Params, trainable: Sequence[str]
) -> tuple[Params, Params]:
  """Splits parameters into those that are trained and those that are frozen.

  Args:
    params: the network's parameters.
    trainable: modules whose names begin with one of these are trained; () means
      all modules.

  Raises:
    UserError: no module's name begins with one of these.
  """
  if not trainable:
    return dict(params), {}
  trained = {name: value for name, value in params.items()
             if name.startswith(tuple(trainable))}
  if not trained:
    raise UserError(
        f'config.train.trainable is {tuple(trainable)}: no module of the '
        f'network begins so; it has {", ".join(params)}.')
  frozen = {name: value for name, value in params.items()
            if name not in trained}
  return trained, frozen


def create_state(
    model: Network,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    start: str = 'random',
    trainable: Sequence[str] = (),
) -> TrainState:
  """Initialises the network's parameters and the optimizer.

  Args:
    model: the network.
    optimizer: the optimizer that trains it.
    key: the key of the random numbers.
    start: one of the network's `starts`.
    trainable: see `split_params`.

  Raises:
    UserError: the network has no such start.
  """
  if start not in model.starts:
    raise UserError(
        f'config.train.start is {start!r}; for {type(model).__name__} '
        f'{choose_one(start, model.starts)}')
  height, width = model.smallest_multiple
  views = {name: jnp.zeros((1, height, width, 3))
           for name in model.required_views}
  collections = dict(model.init(key, views))
  params = model.starts[start](model, collections.pop('params'))
  return TrainState(
      step=jnp.zeros((), jnp.int32), params=params,
      ema_params=jax.tree.map(jnp.copy, params),
      opt_state=optimizer.init(split_params(params, trainable)[0]),
      collections=collections,
      ema_statistics=jax.tree.map(jnp.copy, select_statistics(collections)))


def start_from(
    model: Network, state: TrainState, weights: Weights
) -> TrainState:
  """Takes over the variables of trained weights.

  Modules that the weights lack, such as SRP blocks after the first stage, stay
  as initialised. If possible, weights of a related network are fitted to this
  one; see `Network.adapt_params`.

  Args:
    model: the untrained network.
    state: its state.
    weights: the trained weights.

  Raises:
    UserError: the weights have modules that the network lacks, or their shapes
      differ.
  """
  weights = dataclasses.replace(weights, variables={
      **weights.variables,
      'params': model.adapt_params(state.params, weights.params)})
  # Parameters and average begin equal, but in separate arrays, since the step
  # overwrites its arguments.
  params, ema_params = (
      _take_over(start, weights) for start in (state.params, state.ema_params))
  collections = {name: value for name, value in weights.variables.items()
                 if name != 'params'}
  return state.replace(
      params=params, ema_params=ema_params,
      collections=jax.tree.map(_copy_to, collections, state.collections),
      ema_statistics=jax.tree.map(
          _copy_to, select_statistics(collections), state.ema_statistics))


def _take_over(params: Params, weights: Weights) -> Params:
  unknown = sorted(set(weights.params) - set(params))
  shapes = {
      name: jax.tree.map(jnp.shape, params[name])
      == jax.tree.map(jnp.shape, value)
      for name, value in weights.params.items() if name in params}
  differing = [name for name, same in shapes.items() if not same]
  if unknown or differing:
    raise UserError(
        f'config.train.init_from, {weights.path}, holds the weights of another '
        f'network: it differs in {", ".join(unknown + differing)}.')
  return {
      name: jax.tree.map(_copy_to, weights.params.get(name, value), value)
      for name, value in params.items()}


def _copy_to(value: jax.Array, like: jax.Array) -> jax.Array:
  if value is like:  # It stays as initialised, on all processes' devices.
    return jnp.copy(value)
  # By way of the host, since weights are read only to this process's devices.
  return jax.device_put(np.asarray(value), like.sharding)
