"""What training minimises."""

from collections.abc import Callable, Mapping
from typing import Any

from flax import linen as nn
import jax
import ml_collections

from jaxdeblur import losses
from jaxdeblur.models.restored import Restored

LOSSES = ('pyramid', 'k3dn')

Objective = Callable[..., tuple[jax.Array, tuple[jax.Array, Any, dict]]]


def make_objective(
    model: nn.Module, train: ml_collections.ConfigDict
) -> Objective:
  """Makes objective(params, collections, views) -> (loss, more).

  `more` is the restored pictures, the collections as the step leaves them
  (batch normalisation's averages move on, unless `update_statistics` is off),
  and scalars to report.

  Args:
    model: the network.
    train: config.train: `loss`, and what it needs: 'pyramid' needs
      `pyramid_weights`; 'k3dn' needs `loss_scales` and `reblurring_weight`, and
      reblurs if that is above 0.

  Raises:
    ValueError: the loss is unknown.
  """
  if train.loss not in LOSSES:
    raise ValueError(
        f'config.train.loss is {train.loss!r}: choose one of '
        f'{", ".join(LOSSES)}.')
  if train.loss == 'k3dn' and not model.reblurs:
    raise ValueError(
        f"config.train.loss 'k3dn' is for networks that reblur; "
        f'{type(model).__name__} does not: choose pyramid.')
  reblurs = train.loss == 'k3dn' and train.reblurring_weight > 0
  options = {'reblur': True} if reblurs else {}

  def objective(params, collections, views):
    variables = {'params': params, **collections}
    if train.update_statistics and 'batch_stats' in collections:
      restored, updated = model.apply(
          variables, views, train=True, mutable=['batch_stats'], **options)
      collections = {**collections, **updated}
    else:
      restored = model.apply(variables, views, **options)
    loss, scalars = compare(restored, views)
    return loss, (restored.image, collections, scalars)

  def compare(restored: Restored, views: Mapping[str, jax.Array]):
    # The estimates are not clipped: a clipped value has no gradient.
    if train.loss == 'pyramid':
      return losses.pyramid_charbonnier(
          restored.pyramid, views['sharp'], tuple(train.pyramid_weights)), {}
    deblurring = losses.deblurring_loss(
        restored.pyramid[-1], views['sharp'], train.loss_scales)
    if not reblurs:
      return deblurring, {}
    # Ours: the paper does not say which blurred picture is meant.
    reblurring = losses.reblurring_loss(restored.reblurred, views['center'])
    return deblurring + train.reblurring_weight * reblurring, {
        'deblurring_loss': deblurring, 'reblurring_loss': reblurring}

  return objective
