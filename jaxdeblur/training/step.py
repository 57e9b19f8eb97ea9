"""One step of training, pure and ready to be jitted."""

from collections.abc import Callable, Mapping

from flax import linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import optax

from jaxdeblur.losses import pyramid_charbonnier
from jaxdeblur.metrics import psnr
from jaxdeblur.training.optimizer import make_schedule
from jaxdeblur.training.state import Params, TrainState

Views = Mapping[str, jax.Array]
Scalars = dict[str, jax.Array]


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    train: ml_collections.ConfigDict,
) -> Callable[[TrainState, Views], tuple[TrainState, Scalars]]:
  """Makes train_step(state, views) -> (state, scalars); see TrainState.

  The scalars: loss, gradient_norm, learning_rate, and the mean PSNR in dB of
  the restored pictures (`psnr`) beside that of the inputs (`input_psnr`).
  """
  schedule = make_schedule(train)
  weights = tuple(train.pyramid_weights)

  def loss_fn(params: Params, views: Views):
    restored = model.apply({'params': params}, views)
    # The estimates are not clipped: a clipped value has no gradient.
    loss = pyramid_charbonnier(restored.pyramid, views['sharp'], weights)
    return loss, restored.image

  def train_step(
      state: TrainState, views: Views
  ) -> tuple[TrainState, Scalars]:
    (loss, image), gradient = jax.value_and_grad(loss_fn, has_aux=True)(
        state.params, views)
    updates, opt_state = optimizer.update(
        gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    # A short memory at first, or the untrained start stays in it for long.
    step = state.step + 1
    decay = jnp.minimum(train.ema_decay, (1 + step) / (10 + step))
    ema_params = optax.incremental_update(params, state.ema_params, 1 - decay)
    scalars = {
        'loss': loss,
        'gradient_norm': optax.tree.norm(gradient),
        'learning_rate': schedule(state.step),
        'psnr': psnr(image, views['sharp']).mean(),
        'input_psnr': psnr(views['center'], views['sharp']).mean(),
    }
    return TrainState(step, params, ema_params, opt_state), scalars

  return train_step
