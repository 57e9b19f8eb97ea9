"""One step of training, pure and ready to be jitted."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import ml_collections
import optax

from jaxdeblur import partitioning
from jaxdeblur.compilation import jit
from jaxdeblur.metrics import psnr
from jaxdeblur.models.network import Network
from jaxdeblur.training.objective import Objective, make_objective
from jaxdeblur.training.optimizer import make_schedule
from jaxdeblur.training.pairs import MakeViews, views_as_they_are
from jaxdeblur.training.state import (
  TrainState,
  select_statistics,
  split_params,
)

Views = Mapping[str, jax.Array]
Scalars = dict[str, jax.Array]


def views_to_train(model: Network) -> tuple[str, ...]:
  """Names the views of a batch to train a network on.

  These are the views that it reads, the ground truth, and the view that is
  restored, which the result is compared with.
  """
  return tuple(dict.fromkeys((*model.required_views, 'center', 'sharp')))


def make_train_step(
    model: Network,
    optimizer: optax.GradientTransformation,
    train: ml_collections.ConfigDict,
    mesh: Mesh,
    make_views: MakeViews = views_as_they_are,
) -> Callable[..., tuple[TrainState, Scalars]]:
  """Makes train_step(state, batch, frozen) -> (state, scalars).

  `make_views` makes the views of a batch, for the number of the step; see
  `make_views_of`. For the state see TrainState. `frozen` holds the variables of
  the losses' frozen networks; they are an argument, since XLA is slow with
  large constants. The scalars are loss (and its parts), gradient_norm,
  learning_rate, and the mean PSNR in dB of the restored pictures (`psnr`) and
  of the inputs (`input_psnr`).
  """
  schedule = make_schedule(train)
  differentiate = make_gradient(
      make_objective(model, train), mesh, train.accumulation_steps)

  def train_step(
      state: TrainState, batch: Views, frozen: Any = None
  ) -> tuple[TrainState, Scalars]:
    made = make_views(batch, state.step)
    views = {name: made[name] for name in views_to_train(model)}
    # Frozen parameters have neither gradients nor an optimizer's state.
    trained, fixed = split_params(state.params, train.trainable)
    ema_trained, _ = split_params(state.ema_params, train.trainable)
    gradient, collections, scalars = differentiate(
        trained, fixed, state.collections, views, frozen)
    updates, opt_state = optimizer.update(gradient, state.opt_state, trained)
    trained = optax.apply_updates(trained, updates)
    # The average has a short memory at first. Otherwise the untrained start
    # would stay in it for long.
    step = state.step + 1
    decay = jnp.minimum(train.ema_decay, (1 + step) / (10 + step))
    ema_trained, ema_statistics = optax.incremental_update(
        (trained, select_statistics(collections)),
        (ema_trained, state.ema_statistics), 1 - decay)
    scalars = {
        **scalars,
        'gradient_norm': optax.tree.norm(gradient),
        'learning_rate': schedule(state.step),
    }
    return TrainState(
        step=step, params={**state.params, **trained},
        ema_params={**state.ema_params, **ema_trained},
        ema_statistics=ema_statistics, collections=collections,
        opt_state=opt_state), scalars

  return train_step


def jit_train_step(
    model: Network,
    optimizer: optax.GradientTransformation,
    train: ml_collections.ConfigDict,
    mesh: Mesh,
    shardings: Any,
    make_views: MakeViews = views_as_they_are,
) -> Callable[..., tuple[TrainState, Scalars]]:
  """Jits the function from `make_train_step`, whose arguments it takes.

  The state is donated: the next state takes the memory of the last one.

  Args:
    shardings: how the state is spread over the mesh, before and after a step.
    make_views: see `make_train_step`.
  """
  return jit(
      make_train_step(model, optimizer, train, mesh, make_views),
      donate_argnums=0,
      out_shardings=(shardings, partitioning.replicated(mesh)),
      platform=mesh.devices.flat[0].platform)


def make_gradient(
    objective: Objective, mesh: Mesh, accumulation_steps: int = 1
) -> Callable[..., tuple[Any, Any, Scalars]]:
  """Makes gradient(trained, fixed, collections, views, frozen).

  It returns the gradient of the trained parameters, the collections after the
  step, and the scalars of the loss.

  Args:
    objective: see `make_objective`.
    mesh: the devices that share the work.
    accumulation_steps: the number of parts that a batch is split into. They are
      computed one after the other, and their gradients are averaged. This needs
      less memory. The result differs only by rounding, and by batch
      normalisation, which uses the statistics of each part.
  """
  def loss_fn(trained, fixed, collections, views, frozen):
    params = partitioning.gather({**fixed, **trained}, mesh)
    loss, (image, collections, parts) = objective(
        params, collections, views, frozen)
    scalars = {
        'loss': loss,
        **parts,
        'psnr': psnr(image, views['sharp']).mean(),
        'input_psnr': psnr(views['center'], views['sharp']).mean(),
    }
    return loss, (collections, scalars)

  differentiate = jax.value_and_grad(loss_fn, has_aux=True)

  def gradient(trained, fixed, collections, views, frozen=None):
    if accumulation_steps == 1:
      (_, (collections, scalars)), slopes = differentiate(
          trained, fixed, collections, views, frozen)
      return slopes, collections, scalars

    def add_part(carry, part):
      collections, total = carry
      (_, (collections, scalars)), slopes = differentiate(
          trained, fixed, collections, part, frozen)
      return (collections, jax.tree.map(jnp.add, total, slopes)), scalars

    (collections, total), scalars = jax.lax.scan(
        add_part, (collections, jax.tree.map(jnp.zeros_like, trained)),
        _split_batch(views, accumulation_steps))
    slopes = jax.tree.map(lambda x: x / accumulation_steps, total)
    return slopes, collections, jax.tree.map(jnp.mean, scalars)

  return gradient


def _split_batch(views: Views, parts: int) -> Views:
  """[b, h, w, 3] -> [parts, b / parts, h, w, 3].

  A device holds neighbours. They go to different parts, so that each device has
  its share of every part.
  """
  return {
      name: jnp.swapaxes(
          view.reshape(-1, parts, *view.shape[1:]), 0, 1)
      for name, view in views.items()}
