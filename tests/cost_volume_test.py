"""Cost volumes and windows, against plain loops."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur.ops.cost_volume import cost_volume
from jaxdeblur.ops.windows import join_windows, split_windows


@pytest.mark.parametrize('shifts', [(0, 1, 2, 3), (-2, -1, 0, 1), (9,)])
def test_every_entry_is_a_pair_or_zero(shifts):
  left, right = np.random.default_rng(0).random((2, 2, 3, 7, 4), np.float32)
  expected = np.zeros((2, len(shifts), 3, 7, 8), np.float32)
  for d, shift in enumerate(shifts):
    for x in range(7):
      if 0 <= x - shift < 7:
        expected[:, d, :, x, :4] = left[:, :, x]
        expected[:, d, :, x, 4:] = right[:, :, x - shift]
  volume = cost_volume(jnp.asarray(left), jnp.asarray(right), shifts)
  np.testing.assert_array_equal(volume, expected)


def test_windows_run_row_by_row():
  x = np.random.default_rng(0).random((2, 6, 8, 3), np.float32)
  windows = split_windows(jnp.asarray(x), 3, 2)
  expected = [x[b, 3 * i:3 * i + 3, 2 * j:2 * j + 2]
              for b in range(2) for i in range(2) for j in range(4)]
  np.testing.assert_array_equal(windows, expected)
  np.testing.assert_array_equal(join_windows(windows, 2, 4), x)


def test_what_cannot_be_split_is_said():
  with pytest.raises(ValueError, match='6 x 8 cannot be split into windows'):
    split_windows(jnp.zeros((1, 6, 8, 1)), 4, 2)
  with pytest.raises(ValueError, match='5 windows cannot be joined'):
    join_windows(jnp.zeros((5, 4, 2, 1)), 2, 2)
