"""Networks by name."""

from flax import linen as nn
import jax.numpy as jnp

from jaxdeblur.models import drbnet
from jaxdeblur.models.k3dn import K3DN, VARIANTS

_NETWORKS = {
    'drbnet': drbnet.DRBNet,
    'drbnet_baseline': drbnet.DRBNetBaseline,
    'k3dn': K3DN,
}
_VARIANTS = {'k3dn': VARIANTS}


def create(name: str, **settings) -> nn.Module:
  """Creates the network `name` with its settings; see the network's class.

  Settings may come from JSON or a config: `views` may be a list, `dtype` a
  name such as 'bfloat16'. K3DN's `variant` ('tiny', 'lightweight', 'large')
  stands for its base_channels and num_blocks.

  Raises:
    ValueError: no network has this name, or it has no such setting or variant.
  """
  if name not in _NETWORKS:
    raise ValueError(
        f'Unknown network {name!r}: choose one of {", ".join(_NETWORKS)}.')
  network = _NETWORKS[name]
  settings = _expand_variant(name, settings)
  known = [field for field in network.__dataclass_fields__
           if field not in ('parent', 'name')]
  unknown = sorted(set(settings) - set(known))
  if unknown:
    raise ValueError(
        f'The network {name!r} has no setting {", ".join(unknown)}; it has '
        f'{", ".join(known)}.')
  settings = {key: tuple(value) if isinstance(value, list) else value
              for key, value in settings.items()}
  if 'dtype' in settings:
    settings['dtype'] = _read_dtype(settings['dtype'])
  return network(**settings)


def _read_dtype(name) -> jnp.dtype:
  try:
    return jnp.dtype(name)
  except TypeError as error:
    raise ValueError(
        f'Unknown type {name!r} of a network: choose float32, bfloat16, '
        'float16 or float64.') from error


def _expand_variant(name, settings):
  variants = _VARIANTS.get(name, {})
  if not variants or 'variant' not in settings:
    return settings
  variant = settings['variant']
  if variant not in variants:
    raise ValueError(
        f'Unknown variant {variant!r} of {name!r}: choose one of '
        f'{", ".join(variants)}.')
  given = {key: value for key, value in settings.items() if key != 'variant'}
  return variants[variant] | given
