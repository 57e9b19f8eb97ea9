"""Converts a network's published weights to our variables and back."""

from collections.abc import Mapping
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdeblur.convert import names
from jaxdeblur.errors import UserError
from jaxdeblur.models import registry
from jaxdeblur.models.published_names import Table


class PublishedWeights:
  """Converts the published weights of one network.

  Attributes:
    name: the network's name in the registry.
    TABLE: its map of names.
  """

  def __init__(self, name: str):
    """Takes a network's name.

    Raises:
      UserError: there is no such network, or it has no published weights.
    """
    published = registry.get(name).published
    if published is None:
      raise UserError(
          f'No published weights of the network {name!r} are known.')
    self.name = name
    self._published = published

  @property
  def TABLE(self) -> Table:
    return self._published.table

  def convert(self, state_dict: Mapping[str, Any]) -> dict:
    """Turns published PyTorch weights into the network's variables.

    The network's settings are read from the names and shapes; see `settings`.
    All names may begin with the 'module.' of a parallel wrapper.

    Args:
      state_dict: {PyTorch name: array of any float type}; `weights_file.read`
        returns one.

    Returns:
      {'params': ...} and the network's other collections, nested dicts of
      float32 arrays, for `registry.create(**settings(state_dict))`.

    Raises:
      UserError: names are missing, unknown or misshapen, and it lists all of
        them; or the dict is empty or wrapped in another.
    """
    state_dict = names.clean(state_dict)
    try:
      settings = self._published.read_settings(state_dict)
    except UserError:
      if self._published.fallback is None:
        raise
      # `names.convert` reports this with everything else that is wrong.
      settings = dict(self._published.fallback)
    described = ', '.join(f'{key} {value}' for key, value in settings.items())
    return names.convert(
        state_dict, self.TABLE, self._shapes(settings),
        f'{self._published.title} with {described}')

  def revert(self, variables: Mapping) -> dict[str, np.ndarray]:
    """Turns the network's variables into PyTorch's arrays.

    Returns:
      {PyTorch name: array of the variable's type}.

    Raises:
      UserError: the variables are of another network.
    """
    return names.revert(variables, self.TABLE)

  def settings(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the network's name and settings, as for `registry.create`.

    Raises:
      UserError: the first layer is missing or fits no such network.
    """
    return {'name': self.name,
            **self._published.read_settings(names.clean(state_dict))}

  def shapes(self, **settings) -> dict[str, tuple[int, ...]]:
    """Lists the PyTorch names and shapes of a network with these settings."""
    expected = names.places(self.TABLE, self._shapes(settings))
    return {name: place.torch_shape for name, place in expected.items()}

  def _shapes(self, settings: Mapping[str, Any]) -> dict:
    return _shapes(self.name, tuple(sorted(
        (key, tuple(value) if isinstance(value, list) else value)
        for key, value in settings.items())))


@functools.lru_cache(maxsize=16)
def _shapes(name: str, settings: tuple[tuple[str, Any], ...]) -> dict:
  """Shapes of the variables; traced once for each network."""
  module = registry.create(name, **dict(settings))
  picture = jax.ShapeDtypeStruct(
      (1, *module.smallest_multiple, 3), jnp.float32)
  return names.shapes_of(
      module, {view: picture for view in module.required_views})


def recognise(state_dict: Mapping[str, Any]) -> PublishedWeights | None:
  """Recognises a network's published weights by a layer that all have."""
  known = {name.removeprefix('module.') for name in state_dict}
  for name in registry.names():
    published = registry.get(name).published
    if published is not None and published.first_layer in known:
      return PublishedWeights(name)
  return None
