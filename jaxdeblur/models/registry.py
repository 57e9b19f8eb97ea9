"""Networks by name."""

from collections.abc import Callable, Mapping
import dataclasses
import functools
import importlib.metadata
from typing import Any

import jax.numpy as jnp

from jaxdeblur.errors import UserError
from jaxdeblur.models.drbnet import DRBNet, DRBNetBaseline
from jaxdeblur.models.k3dn import K3DN
from jaxdeblur.models.network import COMPUTE_FIELDS, Network
from jaxdeblur.suggestion import choose_one

DEFAULT = 'drbnet'  # The network of configs that name none.
ENTRY_POINTS = 'jaxdeblur.networks'  # Group for packages with networks.

_NETWORKS: dict[str, type[Network]] = {
    'drbnet': DRBNet,
    'drbnet_baseline': DRBNetBaseline,
    'k3dn': K3DN,
}


def register(
    name: str, network: type[Network] | None = None
) -> Callable[[type[Network]], type[Network]] | type[Network]:
  """Makes a network known by a name. With the name alone it is a decorator.

  Raises:
    ValueError: another network has the name, or the class is no `Network`.
  """
  if network is None:
    return functools.partial(register, name)
  if not issubclass(network, Network):
    raise ValueError(
        f'{network.__name__} is no subclass of jaxdeblur.models.network.'
        'Network: it cannot be registered.')
  taken = _NETWORKS.get(name)
  # A config file that registers a network may be read more than once.
  if taken and (taken.__module__, taken.__qualname__) != (
      network.__module__, network.__qualname__):
    raise ValueError(
        f'There is a network {name!r} already, {taken.__name__}: register '
        f'{network.__name__} by another name.')
  _NETWORKS[name] = network
  return network


def names() -> tuple[str, ...]:
  """All names, including those from installed packages."""
  _load_entry_points()
  return tuple(_NETWORKS)


def get(name: str) -> type[Network]:
  """The class of the network `name`.

  Raises:
    UserError: no network has this name.
  """
  if name not in _NETWORKS:
    _load_entry_points()
  if name not in _NETWORKS:
    raise UserError(
        f'Unknown network {name!r}: {choose_one(name, _NETWORKS)}',
        argument='name')
  return _NETWORKS[name]


def create(name: str, **settings) -> Network:
  """Creates the network `name` with its settings; see the network's class.

  Settings may come from JSON or a config: `views` may be a list, `dtype` a
  name such as 'bfloat16'. If the network has variants, `variant` stands for
  several settings; settings given beside it override them.

  Raises:
    UserError: no network has this name, or it has no such setting or variant.
  """
  network = get(name)
  settings = _expand_variant(name, network, settings)
  known = list_fields(network)
  unknown = sorted(set(settings) - set(known))
  if unknown:
    raise UserError(
        f'The network {name!r} has no setting {", ".join(unknown)}; it has '
        f'{", ".join(known)}.', argument=unknown[0])
  settings = {key: tuple(value) if isinstance(value, list) else value
              for key, value in settings.items()}
  if 'dtype' in settings:
    settings['dtype'] = read_dtype(settings['dtype'])
  return network(**settings)


def complete_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
  """A network's name and all of its settings, as a checkpoint stores them.

  Args:
    settings: the name and some settings. A variant is expanded; fields in
      `COMPUTE_FIELDS` are left out.

  Raises:
    UserError: as `create`.
  """
  network = create(**settings)
  fields = {field: getattr(network, field)
            for field in list_fields(type(network))
            if field not in COMPUTE_FIELDS}
  return {'name': settings['name'], **{
      field: list(value) if isinstance(value, tuple) else value
      for field, value in fields.items()}}


def list_fields(network: type[Network]) -> list[str]:
  """Names a network's settings, including those in `COMPUTE_FIELDS`."""
  return [field.name for field in dataclasses.fields(network)
          if field.name not in ('parent', 'name')]


def read_dtype(name: Any) -> jnp.dtype:
  """The type that a name such as 'bfloat16' means.

  Raises:
    UserError: no type of floating-point numbers has this name.
  """
  try:
    dtype = jnp.dtype(name)
    known = jnp.issubdtype(dtype, jnp.floating)
  except TypeError:
    known = False
  if not known:
    raise UserError(
        f'Unknown type {name!r} of a network: choose float32, bfloat16, '
        'float16 or float64.', argument='dtype')
  return dtype


def _expand_variant(name, network, settings):
  if not network.variants or 'variant' not in settings:
    return settings
  variant = settings['variant']
  if variant not in network.variants:
    raise UserError(
        f'Unknown variant {variant!r} of {name!r}: '
        f'{choose_one(variant, network.variants)}', argument='variant')
  given = {key: value for key, value in settings.items() if key != 'variant'}
  return network.variants[variant] | given


@functools.cache
def _load_entry_points() -> None:
  for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
    register(point.name, point.load())
