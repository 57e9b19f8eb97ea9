"""One step of training, pure and ready to be jitted."""

from collections.abc import Callable, Mapping
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import optax

from jaxdeblur.metrics import psnr
from jaxdeblur.training.objective import make_objective
from jaxdeblur.training.optimizer import make_schedule
from jaxdeblur.training.state import TrainState, split_params

Views = Mapping[str, jax.Array]
Scalars = dict[str, jax.Array]


def views_to_train(model: Any) -> tuple[str, ...]:
  """Names the views of a batch to train a network on.

  Beside what it reads: the ground truth, and the view that is restored, which
  the result is compared with.
  """
  return tuple(dict.fromkeys((*model.required_views, 'center', 'sharp')))


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    train: ml_collections.ConfigDict,
) -> Callable[..., tuple[TrainState, Scalars]]:
  """Makes train_step(state, views, features) -> (state, scalars).

  State: see TrainState. Features: variables of the feature network, None
  without one; they are an argument, since XLA is slow with large constants. The
  scalars: loss (and its parts), gradient_norm, learning_rate, and the mean PSNR
  in dB of the restored pictures (`psnr`) beside that of the inputs
  (`input_psnr`).
  """
  schedule = make_schedule(train)
  objective = make_objective(model, train)

  def train_step(
      state: TrainState, views: Views, features: Any = None
  ) -> tuple[TrainState, Scalars]:
    # Frozen parameters have neither gradients nor an optimizer's state.
    trained, frozen = split_params(state.params, train.trainable)
    ema_trained, _ = split_params(state.ema_params, train.trainable)

    def loss_fn(trained):
      return objective(
          {**frozen, **trained}, state.collections, views, features)

    (loss, (image, collections, parts)), gradient = jax.value_and_grad(
        loss_fn, has_aux=True)(trained)
    updates, opt_state = optimizer.update(gradient, state.opt_state, trained)
    trained = optax.apply_updates(trained, updates)
    # A short memory at first, or the untrained start stays in it for long.
    step = state.step + 1
    decay = jnp.minimum(train.ema_decay, (1 + step) / (10 + step))
    ema_trained = optax.incremental_update(trained, ema_trained, 1 - decay)
    scalars = {
        'loss': loss,
        **parts,
        'gradient_norm': optax.tree.norm(gradient),
        'learning_rate': schedule(state.step),
        'psnr': psnr(image, views['sharp']).mean(),
        'input_psnr': psnr(views['center'], views['sharp']).mean(),
    }
    return TrainState(
        step=step, params={**state.params, **trained},
        ema_params={**state.ema_params, **ema_trained},
        collections=collections, opt_state=opt_state), scalars

  return train_step
