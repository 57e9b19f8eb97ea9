"""Carries weights between PyTorch's names and Flax's, by a network's table.

A table is a list of rows, (PyTorch layer, Flax path, kind of layer), that reads
like a map and in both directions:

    ('conv{level}_{i}.0', 'encoder/level{level}_conv{i}', CONV)

A word in braces stands for a number, the same one on both sides. Where a
network counts differently in PyTorch, its `numbers` say how.
"""

from collections.abc import Mapping, Sequence
import re
from typing import NamedTuple

from flax import traverse_util
import jax
import numpy as np


class Parameter(NamedTuple):
  """Where Flax keeps one array of a layer, and the order of its axes.

  Attributes:
    collection: 'params', or 'batch_stats'.
    name: the array's name in Flax.
    axes: which of PyTorch's axes becomes each of Flax's.
    mirrored: whether its first two axes in Flax, rows and columns, run
      backwards.
    single: those of PyTorch's axes that have length 1 and that Flax lacks.
  """
  collection: str
  name: str
  axes: tuple[int, ...]
  mirrored: bool = False
  single: tuple[int, ...] = ()

  def to_flax(self, array: np.ndarray) -> np.ndarray:
    array = array.transpose((*self.axes, *self.single))
    array = array.reshape(array.shape[:len(self.axes)])
    return array[::-1, ::-1] if self.mirrored else array

  def to_torch(self, array: np.ndarray) -> np.ndarray:
    array = array[::-1, ::-1] if self.mirrored else array
    array = array.transpose(np.argsort(self.axes))
    return np.expand_dims(array, self.single)

  def torch_shape(self, flax_shape: Sequence[int]) -> tuple[int, ...]:
    return self.to_torch(np.broadcast_to(0, flax_shape)).shape


# What PyTorch calls each array of a kind of layer -> what Flax does with it.
Kind = Mapping[str, Parameter]
BIAS = Parameter('params', 'bias', (0,))
# [out, in, row, column] -> [row, column, in, out].
CONV: Kind = {
    'weight': Parameter('params', 'kernel', (2, 3, 1, 0)),
    'bias': BIAS,
}
# [in, out, row, column] -> [row, column, in, out]. PyTorch scatters an input
# pixel through the kernel, Flax correlates with it: so it is mirrored.
CONV_TRANSPOSE: Kind = {
    'weight': Parameter('params', 'kernel', (2, 3, 0, 1), mirrored=True),
    'bias': BIAS,
}

# [out, in, plane, row, column] -> [plane, row, column, in, out].
CONV_3D: Kind = {'weight': Parameter('params', 'kernel', (2, 3, 4, 1, 0))}
DENSE: Kind = {'weight': Parameter('params', 'kernel', (1, 0)), 'bias': BIAS}
NORM: Kind = {
    'weight': Parameter('params', 'scale', (0,)),
    'bias': BIAS,
    'running_mean': Parameter('batch_stats', 'mean', (0,)),
    'running_var': Parameter('batch_stats', 'var', (0,)),
}

Row = tuple[str, str, Kind]


class Table(NamedTuple):
  """A network's map.

  Attributes:
    rows: (PyTorch layer, Flax path, kind) each.
    numbers: for a word in braces that is counted differently on the two sides:
      {number in PyTorch: number in Flax}.
    ignored: last parts of names in PyTorch that Flax has nothing for.
  """
  rows: Sequence[Row]
  numbers: Mapping[str, Mapping[int, int]]
  ignored: frozenset[str] = frozenset()


class Place(NamedTuple):
  """Where an array of PyTorch's belongs in Flax."""
  path: tuple[str, ...]
  parameter: Parameter
  torch_shape: tuple[int, ...]


def places(table: Table, variables: Mapping) -> dict[str, Place]:
  """Names every array of a network as PyTorch does.

  Args:
    table: the network's map.
    variables: its variables, or only their shapes (`jax.eval_shape`).

  Returns:
    {PyTorch name: its place in Flax}, in the table's order.

  Raises:
    ValueError: the table lacks a row for one of the arrays, or gives two of
      them one name.
  """
  found = {}
  for path, array in traverse_util.flatten_dict(dict(variables)).items():
    rank, name, parameter = _name(table, path)
    if name in found:
      raise ValueError(
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
    network: what errors call the network.

  Returns:
    Nested dicts of float32 arrays, shaped like `variables`.

  Raises:
    ValueError: names are missing, unknown or misshapen; it lists all of them.
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
    raise ValueError(
        f'The weights do not fit {network}:\n' + '\n'.join(lines))
  flat = {
      place.path: np.ascontiguousarray(place.parameter.to_flax(
          np.asarray(state_dict[name], np.float32)))
      for name, place in expected.items()}
  return traverse_util.unflatten_dict(flat)


def revert(variables: Mapping, table: Table) -> dict[str, np.ndarray]:
  """Turns a network's variables into PyTorch's arrays: `convert`, backwards.

  Gradients, and whatever else is shaped like the variables, revert as well.

  Returns:
    {PyTorch name: array of the variable's type}, in the table's order.

  Raises:
    ValueError: as `places`.
  """
  flat = traverse_util.flatten_dict(dict(variables))
  return {
      name: np.ascontiguousarray(
          place.parameter.to_torch(np.asarray(flat[place.path])))
      for name, place in places(table, variables).items()}


def clean(state_dict: Mapping) -> dict[str, np.ndarray]:
  """Drops the 'module.' that a parallel wrapper puts before every name.

  Raises:
    ValueError: it is empty, or it holds dicts of arrays instead of arrays.
  """
  if not state_dict:
    raise ValueError('The weights are empty: no names, no arrays.')
  nested = [name for name, value in state_dict.items()
            if isinstance(value, Mapping)]
  if nested:
    raise ValueError(
        f'The weights are wrapped: {", ".join(map(repr, nested))} '
        f'{"hold" if len(nested) > 1 else "holds"} a dict where an array was '
        'expected. Pass the inner dict that maps PyTorch names to arrays.')
  prefix = 'module.'
  if all(name.startswith(prefix) for name in state_dict):
    return {name.removeprefix(prefix): array
            for name, array in state_dict.items()}
  return dict(state_dict)


def shapes_of(module, *inputs) -> dict:
  """Shapes of the variables that a module has for inputs of these shapes."""
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
  raise ValueError(f'No row of the table is for {"/".join(path)}.')


def _torch_numbers(numbers, words):
  """Recounts Flax's numbers as PyTorch does; None if one of them has no row."""
  recounted = {}
  for word, number in words.items():
    backwards = {b: a for a, b in numbers.get(word, {}).items()}
    recounted[word] = backwards.get(int(number)) if backwards else int(number)
  return None if None in recounted.values() else recounted
