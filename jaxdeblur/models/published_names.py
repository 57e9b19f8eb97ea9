"""The names of a network's parameters in its published weights.

The network declares them in a table: a list of rows (PyTorch layer, Flax path,
kind of layer). It reads like a map, in both directions:

    ('conv{level}_{i}.0', 'encoder/level{level}_conv{i}', CONV)

A word in braces stands for a number, the same on both sides. If a network
counts differently in PyTorch, its `numbers` say how. `convert` converts weights
with such a table.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

import numpy as np


class Parameter(NamedTuple):
  """Where Flax keeps one array of a layer, and the order of its axes.

  Attributes:
    collection: 'params', or 'batch_stats'.
    name: the array's name in Flax.
    axes: for each axis in Flax, its number in PyTorch.
    mirrored: whether rows and columns, the first two axes in Flax, run
      backwards.
    single: PyTorch's axes of length 1 that Flax lacks.
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


# PyTorch's name of each array in a kind of layer -> its place in Flax.
Kind = Mapping[str, Parameter]
BIAS = Parameter('params', 'bias', (0,))
# [out, in, row, column] -> [row, column, in, out].
CONV: Kind = {
    'weight': Parameter('params', 'kernel', (2, 3, 1, 0)),
    'bias': BIAS,
}
# [in, out, row, column] -> [row, column, in, out]. PyTorch scatters each input
# pixel through the kernel; Flax correlates with it, so it is mirrored.
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
    rows: rows of (PyTorch layer, Flax path, kind).
    numbers: for each word in braces that the two sides count differently:
      {number in PyTorch: number in Flax}.
    ignored: last parts of PyTorch names without a counterpart in Flax.
  """
  rows: Sequence[Row]
  numbers: Mapping[str, Mapping[int, int]] = {}
  ignored: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class PublishedNames:
  """What a network declares about its published weights.

  Attributes:
    title: the network's name in errors.
    table: the map of names.
    first_layer: the PyTorch name of an array that identifies the network: all
      its state dicts have it, and no other network's do.
    read_settings: function from a state dict {PyTorch name: array} to the
      network's settings, without its name.
    fallback: if the first layer does not show the settings, missing and unknown
      names are reported for these.

  `read_settings` raises a UserError if the state dict fits no such network.
  """
  title: str
  table: Table
  first_layer: str
  read_settings: Callable[[Mapping[str, Any]], dict[str, Any]]
  fallback: Mapping[str, Any] | None = None
