"""AdamW, and its learning rate at each step."""

import jax.numpy as jnp
import ml_collections
import optax

from jaxdeblur.errors import UserError


def make_schedule(train: ml_collections.ConfigDict) -> optax.Schedule:
  """Makes the schedule of the learning rate.

  Args:
    train: config.train: `schedule`, `learning_rate` (the peak),
      `warmup_steps`, `final_learning_rate`. 'cosine' rises linearly from 0,
      then falls to the final rate at `steps`. 'cosine_restarts' is
      `cosine_with_restarts` with `period` steps, never below the final rate.
      'halving' rises linearly from 0 and is halved at each of `halve_at`.

  Raises:
    UserError: the schedule is unknown, or the warm-up is longer than the
      training.
  """
  if train.schedule == 'cosine_restarts':
    return cosine_with_restarts(
        train.learning_rate, train.final_learning_rate, train.warmup_steps,
        train.period)
  if train.schedule == 'halving':
    halved = optax.piecewise_constant_schedule(
        train.learning_rate, {step: 0.5 for step in train.halve_at})
    warmup = max(train.warmup_steps, 1)
    return lambda step: halved(step) * jnp.minimum(step / warmup, 1)
  if train.schedule != 'cosine':
    raise UserError(
        f'config.train.schedule is {train.schedule!r}: choose cosine, '
        'cosine_restarts or halving.')
  if not 0 <= train.warmup_steps < train.steps:
    raise UserError(
        f'config.train.warmup_steps is {train.warmup_steps} and '
        f'config.train.steps {train.steps}: warm up in fewer steps than all.')
  return optax.warmup_cosine_decay_schedule(
      init_value=0.0, peak_value=train.learning_rate,
      warmup_steps=train.warmup_steps, decay_steps=train.steps,
      end_value=train.final_learning_rate)


def cosine_with_restarts(
    peak: float, floor: float, warmup_steps: int, period: int
) -> optax.Schedule:
  """Rises linearly from `floor` to `peak`, then falls back by half a cosine.

  It starts again in each period. This is K3DN's 'cosine annealing with
  warm-ups' (Yang et al. 2023, supplement A), in the form that PyTorch programs
  use under that name; K3DN's arguments are 3e-4, 6e-5, 100 and 200 steps.
  """
  cycle = optax.warmup_cosine_decay_schedule(
      init_value=floor, peak_value=peak, warmup_steps=warmup_steps,
      decay_steps=period, end_value=floor)
  return lambda step: cycle(step % period)


def make_optimizer(
    train: ml_collections.ConfigDict,
) -> optax.GradientTransformation:
  """AdamW after clipping the gradient's norm to `clip_norm`.

  Biases are not decayed: a decayed bias darkens the picture.
  """
  def decays(params):
    return {
        name: decays(value) if isinstance(value, dict) else name != 'bias'
        for name, value in params.items()}

  return optax.chain(
      optax.clip_by_global_norm(train.clip_norm),
      optax.adamw(
          make_schedule(train), b1=0.9, b2=train.b2,
          weight_decay=train.weight_decay, mask=decays))
