"""What training changes from step to step."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from flax import linen as nn, struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdeblur.checkpoints import Weights
from jaxdeblur.models.drbnet import fit_to_views
from jaxdeblur.models.identity_start import start_as_identity

Params = Any

STARTS = ('random', 'identity')


@struct.dataclass
class TrainState:
  """The state after `step` steps.

  Attributes:
    step: int32, number of steps made.
    params: the network's parameters.
    ema_params: their exponential moving average, which is what is evaluated,
      restored with and published.
    opt_state: the optimizer's, of the parameters that are trained.
    collections: the network's other variables: averages of batch
      normalisation, constants. Empty for most networks.
  """
  step: Any  # As all of them, also a shape or a sharding in place of an array.
  params: Params
  ema_params: Params
  opt_state: optax.OptState
  collections: dict[str, Any] = struct.field(default_factory=dict)


def split_params(
    params: Params, trainable: Sequence[str]
) -> tuple[Params, Params]:
  """Splits parameters into those that are trained and those that are frozen.

  Args:
    params: the network's parameters.
    trainable: beginnings of the names of the modules that are trained; all if
      there are none.

  Raises:
    ValueError: no module's name begins so.
  """
  if not trainable:
    return dict(params), {}
  trained = {name: value for name, value in params.items()
             if name.startswith(tuple(trainable))}
  if not trained:
    raise ValueError(
        f'config.train.trainable is {tuple(trainable)}: no module of the '
        f'network begins so; it has {", ".join(params)}.')
  frozen = {name: value for name, value in params.items()
            if name not in trained}
  return trained, frozen


def create_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    start: str = 'random',
    trainable: Sequence[str] = (),
) -> TrainState:
  """Initialises the network's parameters and the optimizer.

  Args:
    model: the network.
    optimizer: what trains it.
    key: of the random numbers.
    start: 'random', or 'identity' for DRBNet; see `start_as_identity`.
    trainable: see `split_params`.

  Raises:
    ValueError: the start is unknown or not for this network.
  """
  if start not in STARTS:
    raise ValueError(
        f'config.train.start is {start!r}: choose one of {", ".join(STARTS)}.')
  height, width = model.size_multiple
  views = {name: jnp.zeros((1, height, width, 3))
           for name in model.required_views}
  collections = dict(model.init(key, views))
  params = collections.pop('params')
  if start == 'identity':
    params = start_as_identity(model, params)
  return TrainState(
      step=jnp.zeros((), jnp.int32), params=params,
      ema_params=jax.tree.map(jnp.copy, params),
      opt_state=optimizer.init(split_params(params, trainable)[0]),
      collections=collections)


def start_from(
    state: TrainState, weights: Weights, views: Sequence[str]
) -> TrainState:
  """Takes over the variables of trained weights.

  Modules that the weights lack, such as SRP blocks after the first stage, stay
  as initialised. Those of a DRBNet for one photograph also start one for
  dual-pixel views; see `fit_to_views`.

  Args:
    state: of an untrained network.
    weights: of a trained one.
    views: those that the untrained one reads.

  Raises:
    ValueError: the weights have modules that the network lacks, or their shapes
      differ.
  """
  if weights.settings['name'].startswith('drbnet'):
    weights = dataclasses.replace(weights, variables={
        **weights.variables, 'params': fit_to_views(weights.params, views)})
  # Parameters and average begin as one, in arrays of their own: the step
  # overwrites its arguments.
  params, ema_params = (
      _take_over(start, weights) for start in (state.params, state.ema_params))
  collections = {name: value for name, value in weights.variables.items()
                 if name != 'params'}
  return state.replace(
      params=params, ema_params=ema_params,
      collections=jax.tree.map(_copy_to, collections, state.collections))


def _take_over(params: Params, weights: Weights) -> Params:
  unknown = sorted(set(weights.params) - set(params))
  shapes = {
      name: jax.tree.map(jnp.shape, params[name])
      == jax.tree.map(jnp.shape, value)
      for name, value in weights.params.items() if name in params}
  differing = [name for name, same in shapes.items() if not same]
  if unknown or differing:
    raise ValueError(
        f'config.train.init_from, {weights.path}, holds the weights of another '
        f'network: it differs in {", ".join(unknown + differing)}.')
  return {
      name: jax.tree.map(_copy_to, weights.params.get(name, value), value)
      for name, value in params.items()}


def _copy_to(value: jax.Array, like: jax.Array) -> jax.Array:
  if value is like:  # Stays as initialised, on the devices of all processes.
    return jnp.copy(value)
  # By way of the host: weights are read to this process's devices alone.
  return jax.device_put(np.asarray(value), like.sharding)
