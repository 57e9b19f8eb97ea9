"""Converts weights between PyTorch's names and Flax's, by a network's table.

A network declares its table; see `models.published_names`.
"""

from collections.abc import Mapping
import re
from typing import NamedTuple

from flax import traverse_util
import jax
import numpy as np

from jaxdeblur.errors import UserError
from jaxdeblur.models.published_names import Parameter, Table


class Place(NamedTuple):
  """The place in Flax of an array from PyTorch."""
  path: tuple[str, ...]
  parameter: Parameter
  torch_shape: tuple[int, ...]


def places(table: Table, variables: Mapping) -> dict[str, Place]:
  """Finds the PyTorch name of every array of a network.

  Args:
    table: the network's map.
    variables: its variables, or only their shapes (`jax.eval_shape`).

  Returns:
    {PyTorch name: its place in Flax}, in the table's order.

  Raises:
    UserError: the table lacks a row for an array, or gives two arrays one name.
  """
  found = {}
  for path, array in traverse_util.flatten_dict(dict(variables)).items():
    rank, name, parameter = _name(table, path)
    if name in found:
      raise UserError(
          f'The table names both {"/".join(path)} and '
          f'{"/".join(found[name][1].path)} {name}: a row is too wide.')
    found[name] = rank, Place(path, parameter,
                              parameter.torch_shape(array.shape))
  ordered = sorted(found, key=lambda name: (found[name][0], name))
  return {name: found[name][1] for name in ordered}


def convert(
    state_dict: Mapping[str, np.ndarray],
    table: Table,
    variables: Mapping,
    network: str,
) -> dict:
  """Turns PyTorch's arrays into a network's variables.

  Args:
    state_dict: {PyTorch name: array}, as `clean` returns it.
    table: the network's map.
    variables: shapes of the network's variables (`jax.eval_shape`).
    network: the network's name in errors.

  Returns:
    Nested dicts of float32 arrays, shaped like `variables`.

  Raises:
    UserError: names are missing, unknown or misshapen; it lists all of them.
  """
  expected = places(table, variables)
  problems = {
      'missing': [name for name in expected if name not in state_dict],
      'unknown': [
          name for name in state_dict if name not in expected
          and name.rpartition('.')[2] not in table.ignored],
      'misshapen': [
          f'{name} is {np.shape(state_dict[name])}, expected '
          f'{place.torch_shape}'
          for name, place in expected.items()
          if name in state_dict
          and np.shape(state_dict[name]) != place.torch_shape],
  }
  if any(problems.values()):
    lines = [
        f'  {len(names)} {problem}: {", ".join(names)}'
        for problem, names in problems.items() if names]
    raise UserError(
        f'The weights do not fit {network}:\n' + '\n'.join(lines))
  flat = {
      place.path: np.ascontiguousarray(place.parameter.to_flax(
          np.asarray(state_dict[name], np.float32)))
      for name, place in expected.items()}
  return traverse_util.unflatten_dict(flat)


def revert(variables: Mapping, table: Table) -> dict[str, np.ndarray]:
  """Turns a network's variables into PyTorch's arrays: `convert`, backwards.

  It also works for gradients, and for anything else shaped like the variables.

  Returns:
    {PyTorch name: array of the variable's type}, in the table's order.

  Raises:
    UserError: as `places`.
  """
  flat = traverse_util.flatten_dict(dict(variables))
  return {
      name: np.ascontiguousarray(
          place.parameter.to_torch(np.asarray(flat[place.path])))
      for name, place in places(table, variables).items()}


def clean(state_dict: Mapping) -> dict[str, np.ndarray]:
  """Drops the 'module.' that a parallel wrapper puts before every name.

  Raises:
    UserError: the dict is empty, or holds dicts of arrays instead of arrays.
  """
  if not state_dict:
    raise UserError('The weights are empty: no names, no arrays.')
  nested = [name for name, value in state_dict.items()
            if isinstance(value, Mapping)]
  if nested:
    raise UserError(
        f'The weights are wrapped: {", ".join(map(repr, nested))} '
        f'{"hold" if len(nested) > 1 else "holds"} a dict where an array was '
        'expected. Pass the inner dict that maps PyTorch names to arrays.')
  prefix = 'module.'
  if all(name.startswith(prefix) for name in state_dict):
    return {name.removeprefix(prefix): array
            for name, array in state_dict.items()}
  return dict(state_dict)


def shapes_of(module, *inputs) -> dict:
  """Shapes of a module's variables for inputs of these shapes."""
  return jax.eval_shape(module.init, jax.random.key(0), *inputs)


def _name(table, path):
  """Returns the row's number, the PyTorch name and the array's handling."""
  collection, *modules, leaf = path
  layer = '/'.join(modules)
  for i, (torch_layer, flax_layer, kind) in enumerate(table.rows):
    match = re.fullmatch(
        re.sub(r'\\{(\w+)\\}', r'(?P<\1>\\d+)', re.escape(flax_layer)), layer)
    words = match and _torch_numbers(table.numbers, match.groupdict())
    if words is None:
      continue
    for torch_leaf, parameter in kind.items():
      if (parameter.collection, parameter.name) == (collection, leaf):
        return i, f'{torch_layer.format(**words)}.{torch_leaf}', parameter
  raise UserError(f'No row of the table is for {"/".join(path)}.')


def _torch_numbers(numbers, words):
  """Converts Flax's numbers to PyTorch's; None if one of them has no row."""
  recounted = {}
  for word, number in words.items():
    backwards = {b: a for a, b in numbers.get(word, {}).items()}
    recounted[word] = backwards.get(int(number)) if backwards else int(number)
  return None if None in recounted.values() else recounted
