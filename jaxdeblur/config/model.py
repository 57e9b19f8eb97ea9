"""The section `model` of a config: a network with all of its settings."""

import dataclasses
import typing

import ml_collections
from ml_collections import config_dict

from jaxdeblur.models import registry


def describe_model(name: str, **settings) -> ml_collections.ConfigDict:
  """Names a network and all of its settings, so that each can be overridden.

  Args:
    name: the network's name.
    **settings: settings that differ from the network's defaults. If the network
      has variants, `variant` stands for several settings.

  Returns:
    `config.model`. Options for how it computes are in `config.compute` instead.

  Raises:
    UserError: there is no such network, setting or variant.
  """
  complete = registry.complete_settings({'name': name, **settings})
  hints = typing.get_type_hints(registry.get(name))
  section = ml_collections.ConfigDict()
  for field, value in complete.items():
    if value is None:  # Without a type, flags could never set it.
      kind, = (part for part in typing.get_args(hints[field])
               if part is not type(None))
      section[field] = config_dict.placeholder(kind)
    else:
      section[field] = tuple(value) if isinstance(value, list) else value
  return section


def list_settings(name: str) -> dict[str, str]:
  """A network's settings by name, as its docstring describes them."""
  from jaxdeblur.config.description import read_entries
  network = registry.get(name)
  described = read_entries(network.__doc__ or '', 'Attributes')
  return {field.name: described.get(field.name, '')
          for field in dataclasses.fields(network)}
