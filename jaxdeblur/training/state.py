"""What training changes from step to step."""

from typing import Any

from flax import linen as nn, struct
import jax
import jax.numpy as jnp
import optax

Params = Any


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
    model: nn.Module, optimizer: optax.GradientTransformation, key: jax.Array
) -> TrainState:
  """Initialises the network's parameters and the optimizer."""
  height, width = model.size_multiple
  views = {name: jnp.zeros((1, height, width, 3))
           for name in model.required_views}
  params = model.init(key, views)['params']
  return TrainState(
      step=jnp.zeros((), jnp.int32), params=params,
      ema_params=jax.tree.map(jnp.copy, params),
      opt_state=optimizer.init(params))
