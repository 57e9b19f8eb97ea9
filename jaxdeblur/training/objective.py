"""The objective that training minimises."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import ml_collections

from jaxdeblur.errors import UserError
from jaxdeblur.losses import LOSSES
from jaxdeblur.models.network import Network

Objective = Callable[..., tuple[jax.Array, tuple[jax.Array, Any, dict]]]


def make_objective(
    model: Network, train: ml_collections.ConfigDict
) -> Objective:
  """Makes objective(params, collections, views, frozen) -> (loss, more).

  `frozen` holds the variables of the frozen networks by loss; {} if there are
  none. `more` holds the restored pictures, the collections after the step
  (batch normalisation updates its averages unless `update_statistics` is off),
  and scalars to report: the unweighted losses, if there are several.

  Args:
    model: the network.
    train: config.train: `losses`, of which only those with a weight count, and
      `update_statistics`.

  Raises:
    UserError: a loss is unknown or not for this network, or none has a weight.
  """
  counting = choose_losses(model, train.losses)
  options = ({'reblur': True}
             if any(LOSSES[name].reblurs for name in counting) else {})

  def objective(params, collections, views, frozen=None):
    variables = {'params': params, **collections}
    if train.update_statistics and 'batch_stats' in collections:
      restored, updated = model.apply(
          variables, views, train=True, mutable=['batch_stats'], **options)
      collections = {**collections, **updated}
    else:
      restored = model.apply(variables, views, **options)
    parts = {}
    for name, (_, settings) in counting.items():
      constants = (frozen[name],) if LOSSES[name].frozen else ()
      parts[f'{name}_loss'] = LOSSES[name].function(
          restored, views, *constants, **settings)
    weights = [weight for weight, _ in counting.values()]
    loss = sum(weight * part for weight, part in zip(weights, parts.values()))
    return loss, (
        restored.image, collections, parts if len(parts) > 1 else {})

  return objective


def choose_losses(
    model: Network, losses: ml_collections.ConfigDict
) -> dict[str, tuple[float, Mapping[str, Any]]]:
  """Chooses the losses with a weight: name -> weight and options.

  Raises:
    UserError: a loss is unknown or not for this network, or none has a weight.
  """
  counting = {}
  for name, section in losses.items():
    if name not in LOSSES:
      raise UserError(
          f'config.train.losses has {name!r}, which is no declared loss: there '
          f'are {", ".join(LOSSES)}.')
    settings = {option: tuple(value) if isinstance(value, list) else value
                for option, value in section.to_dict().items()}
    weight = settings.pop('weight')
    if not weight:
      continue
    if LOSSES[name].reblurs and not model.can_reblur:
      raise UserError(
          f'config.train.losses.{name} is for networks that reblur; '
          f'{type(model).__name__} does not: set '
          f'config.train.losses.{name}.weight to 0.')
    counting[name] = weight, settings
  if not counting:
    raise UserError(
        'The weights of config.train.losses are all 0: nothing would be '
        f'learnt. Give one of {", ".join(losses)} a weight.')
  return counting
