"""The network of a config, as it is trained."""

from flax import linen as nn
import ml_collections

from jaxdeblur.models import registry


def create_network(config: ml_collections.ConfigDict) -> nn.Module:
  """Creates the network to train.

  How it computes is no part of its settings, and so of no checkpoint: weights
  trained in bfloat16 restore in float32.

  Args:
    config: `model`, see `registry.create`; `dtype`, of its convolutions; and
      `train.remat`, for networks that have it.

  Raises:
    ValueError: there is no such network, or it has no such setting.
  """
  settings = config.model.to_dict() | {'dtype': config.dtype}
  if config.train.remat:
    settings['remat'] = True
  return registry.create(**settings)
