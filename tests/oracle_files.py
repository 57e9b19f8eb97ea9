"""The files of an oracle: some are kept with the tests, more lie elsewhere.

The folder `../shared/oracles` has all of them, where it is. Those in
`tests/data` are small or made small, as its README says: of a large array every
N-th row and column, NAME_subN, and the mean of each channel, NAME_mean.
"""

from collections.abc import Mapping
import pathlib
import re

import numpy as np
import pytest

DATA = pathlib.Path(__file__).parent / 'data'
SHARED = pathlib.Path(__file__).resolve().parents[2] / 'shared/oracles'


class Oracle:
  """The files of one published network; a test that finds none is skipped."""

  def __init__(self, name: str):
    self._folders = DATA / name, SHARED / name

  def __truediv__(self, file: str) -> pathlib.Path:
    """The file with its arrays whole, otherwise as it is kept here."""
    return self._found(file)[-1]

  def arrays(self, case: str) -> dict[str, np.ndarray]:
    """What is kept of a case, and what lies elsewhere, as they are stored."""
    arrays = {}
    for path in self._found(f'{case}.npz'):
      with np.load(path) as stored:
        arrays |= stored
    return arrays

  def _found(self, file):
    paths = [folder / file for folder in self._folders]
    found = [path for path in paths if path.is_file()]
    if not found:
      pytest.skip(f'there is no {paths[0]} and no {paths[1]}')
    return found


def small(
    arrays: Mapping[str, np.ndarray], step: int, most: int
) -> dict[str, np.ndarray]:
  """Makes arrays [..., h, w] of more than `most` numbers small, for a file."""
  made = {}
  for name, array in arrays.items():
    if array.size <= most or array.ndim < 4:
      made[name] = array
    else:
      made[f'{name}_sub{step}'] = array[..., ::step, ::step]
      made[f'{name}_mean'] = array.mean((-2, -1), dtype=np.float64)
  return made


def whole(name: str) -> str:
  """The name of the array that one called `name` was made of."""
  return re.sub(r'_(sub\d+|mean)$', '', name)


def like(name: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
  """What a file calls `name`, of arrays [..., h, w, c] that are whole."""
  made = name.removeprefix(whole(name))
  array = np.asarray(arrays[whole(name)])
  if made == '_mean':
    return array.mean((-3, -2), dtype=np.float64)
  step = int(made.removeprefix('_sub') or 1)
  return array[..., ::step, ::step, :] if step > 1 else array
