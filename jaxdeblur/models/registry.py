"""Networks by name."""

from flax import linen as nn
import jax.numpy as jnp

from jaxdeblur.models import drbnet

_NETWORKS = {
    'drbnet': drbnet.DRBNet,
    'drbnet_baseline': drbnet.DRBNetBaseline,
}


def create(name: str, **settings) -> nn.Module:
  """Creates the network `name` with its settings; see the network's class.

  Settings may come from JSON or a config: `views` may be a list, `dtype` a
  name such as 'bfloat16'.

  Raises:
    ValueError: no network has this name, or it has no such setting.
  """
  if name not in _NETWORKS:
    raise ValueError(
        f'Unknown network {name!r}: choose one of {", ".join(_NETWORKS)}.')
  network = _NETWORKS[name]
  known = [field for field in network.__dataclass_fields__
           if field not in ('parent', 'name')]
  unknown = sorted(set(settings) - set(known))
  if unknown:
    raise ValueError(
        f'The network {name!r} has no setting {", ".join(unknown)}; it has '
        f'{", ".join(known)}.')
  settings = dict(settings)
  if 'views' in settings:
    settings['views'] = tuple(settings['views'])
  if 'dtype' in settings:
    settings['dtype'] = jnp.dtype(settings['dtype'])
  return network(**settings)
