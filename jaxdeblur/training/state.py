"""What training changes from step to step."""

from typing import Any

from flax import linen as nn, struct
import jax
import jax.numpy as jnp
import optax

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
    opt_state: the optimizer's.
  """
  step: jax.Array
  params: Params
  ema_params: Params
  opt_state: optax.OptState


def create_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    start: str = 'random',
) -> TrainState:
  """Initialises the network's parameters and the optimizer.

  Args:
    model: the network.
    optimizer: what trains it.
    key: of the random numbers.
    start: 'random', or 'identity' for DRBNet; see `start_as_identity`.

  Raises:
    ValueError: the start is unknown or not for this network.
  """
  if start not in STARTS:
    raise ValueError(
        f'config.train.start is {start!r}: choose one of {", ".join(STARTS)}.')
  height, width = model.size_multiple
  views = {name: jnp.zeros((1, height, width, 3))
           for name in model.required_views}
  params = model.init(key, views)['params']
  if start == 'identity':
    params = start_as_identity(model, params)
  return TrainState(
      step=jnp.zeros((), jnp.int32), params=params,
      ema_params=jax.tree.map(jnp.copy, params),
      opt_state=optimizer.init(params))
