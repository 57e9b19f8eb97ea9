"""Refuses fields of a config that nobody would read."""

from collections.abc import Iterator, Mapping

import ml_collections

from jaxdeblur.config import base
from jaxdeblur.errors import UserError
from jaxdeblur.models import registry
from jaxdeblur.suggestion import closest


def check_config(config: ml_collections.ConfigDict) -> None:
  """Raises a UserError that names every field that the base lacks.

  Fields of `model` are the network's settings, which the registry checks.
  """
  known = base.get_config()
  unknown = [field for field in list_leaves(config)
             if not field.startswith('model.') and not has_field(known, field)]
  if unknown:
    named = '; '.join(f'config.{field}{hint(field, known)}'
                      for field in unknown)
    raise UserError(f'Unknown in the config: {named}.')
  if 'model' in config and 'name' in config.model:
    registry.create(**config.model.to_dict())


def list_leaves(
    config: Mapping | ml_collections.ConfigDict, prefix: str = ''
) -> Iterator[str]:
  """Yields the names of all fields, such as 'train.steps'.

  An empty section is yielded by its own name.
  """
  for name, value in config.items():
    if isinstance(value, Mapping | ml_collections.ConfigDict) and len(value):
      yield from list_leaves(value, f'{prefix}{name}.')
    else:
      yield prefix + name


def has_field(config: ml_collections.ConfigDict, field: str) -> bool:
  """Whether a config has a field, or a section, of this name."""
  for part in field.split('.'):
    if not isinstance(config, ml_collections.ConfigDict) or part not in config:
      return False
    config = config[part]
  return True


def hint(field: str, config: ml_collections.ConfigDict) -> str:
  """' (did you mean config.train.steps?)', or '' where no field is close."""
  leaves = list(list_leaves(config))
  section, _, name = field.rpartition('.')
  # First look in the field's own section, then for its name in another one.
  siblings = {leaf.removeprefix(f'{section}.'): leaf for leaf in leaves
              if leaf.rpartition('.')[0] == section}
  same = [leaf for leaf in leaves if leaf.rpartition('.')[2] == name]
  alike = {leaf.rpartition('.')[2]: leaf for leaf in leaves}
  found = (siblings.get(closest(name, siblings)) or (same[0] if same else None)
           or closest(field, leaves) or alike.get(closest(name, alike)))
  if found is None:  # Perhaps the section is misspelt.
    top = closest(field.split('.')[0], config.keys())
    found = top and f'{top}.{name}'
    found = found if found and has_field(config, found) else top
  return f' (did you mean config.{found}?)' if found else ''
