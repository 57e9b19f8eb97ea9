"""What training minimises."""

from collections.abc import Callable, Mapping
from typing import Any

from flax import linen as nn
import jax
import ml_collections

from jaxdeblur import losses
from jaxdeblur.models import feature_networks
from jaxdeblur.models.restored import Restored

LOSSES = ('pyramid', 'k3dn')

Objective = Callable[..., tuple[jax.Array, tuple[jax.Array, Any, dict]]]


def make_objective(
    model: nn.Module, train: ml_collections.ConfigDict
) -> Objective:
  """Makes objective(params, collections, views, features) -> (loss, more).

  `features` are the variables of the feature network, None without one. `more`
  is the restored pictures, the collections as the step leaves them (batch
  normalisation's averages move on, unless `update_statistics` is off), and
  scalars to report: the loss's parts, unweighted, if there are several.

  Args:
    model: the network.
    train: config.train: `loss`, and what it needs: 'pyramid' needs
      `pyramid_weights`; 'k3dn' needs `loss_scales` and `reblurring_weight`, and
      reblurs if that is above 0. `feature_loss`, the name of a feature network,
      adds `feature_weight` times the loss of its `feature_layers`.

  Raises:
    ValueError: the loss is unknown, or nothing is left of it.
  """
  if train.loss not in LOSSES:
    raise ValueError(
        f'config.train.loss is {train.loss!r}: choose one of '
        f'{", ".join(LOSSES)}.')
  if train.loss == 'k3dn' and not model.reblurs:
    raise ValueError(
        f"config.train.loss 'k3dn' is for networks that reblur; "
        f'{type(model).__name__} does not: choose pyramid.')
  if train.loss == 'pyramid' and not (
      any(train.pyramid_weights) or train.feature_loss):
    raise ValueError(
        'config.train.pyramid_weights are all 0 and there is no '
        'config.train.feature_loss: nothing would be learnt.')
  reblurs = train.loss == 'k3dn' and train.reblurring_weight > 0
  options = {'reblur': True} if reblurs else {}
  feature_network = (
      feature_networks.create(train.feature_loss) if train.feature_loss
      else None)

  def objective(params, collections, views, features=None):
    variables = {'params': params, **collections}
    if train.update_statistics and 'batch_stats' in collections:
      restored, updated = model.apply(
          variables, views, train=True, mutable=['batch_stats'], **options)
      collections = {**collections, **updated}
    else:
      restored = model.apply(variables, views, **options)
    parts = compare(restored, views, features)
    loss = sum(weight * part for weight, part in parts.values())
    scalars = {name: part for name, (_, part) in parts.items()}
    return loss, (
        restored.image, collections, scalars if len(scalars) > 1 else {})

  def compare(
      restored: Restored, views: Mapping[str, jax.Array], features
  ) -> dict[str, tuple[float, jax.Array]]:
    """The loss's parts by name, each after its weight."""
    # The estimates are not clipped: a clipped value has no gradient.
    estimate, sharp = restored.pyramid[-1], views['sharp']
    parts = {}
    if train.loss == 'pyramid' and any(train.pyramid_weights):
      parts['pyramid_loss'] = 1, losses.pyramid_charbonnier(
          restored.pyramid, sharp, tuple(train.pyramid_weights))
    if train.loss == 'k3dn':
      parts['deblurring_loss'] = 1, losses.deblurring_loss(
          estimate, sharp, train.loss_scales)
    if reblurs:
      # Ours: the paper does not say which blurred picture is meant.
      parts['reblurring_loss'] = train.reblurring_weight, (
          losses.reblurring_loss(restored.reblurred, views['center']))
    if feature_network is not None:
      parts['feature_loss'] = train.feature_weight, losses.feature_loss(
          feature_network, features, estimate, sharp,
          tuple(train.feature_layers))
    return parts

  return objective
