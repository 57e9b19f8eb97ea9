"""Local similarities against a plain loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur.ops.local_similarity import local_similarity


def _features(*shape, seed):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _loop(query, key, reach):
  batch, height, width, _ = query.shape
  side = 2 * reach + 1
  similarity = np.zeros((batch, height, width, side ** 2), np.float64)
  for y, x, dy, dx in np.ndindex(height, width, side, side):
    similarity[:, y, x, dy * side + dx] = (
        query[:, y, x] * key[:, y + dy, x + dx]).mean(axis=-1)
  return similarity


@pytest.mark.slow
# Widths below, at and beyond whole runs of pixels.
@pytest.mark.parametrize('width', [1, 32, 35])
@pytest.mark.parametrize('reach', [0, 1, 4])
def test_is_the_mean_product_with_each_neighbour(width, reach):
  query = _features(2, 5, width, 3, seed=1)
  key = _features(2, 5 + 2 * reach, width + 2 * reach, 3, seed=2)
  np.testing.assert_allclose(
      local_similarity(jnp.asarray(query), jnp.asarray(key)),
      _loop(query, key, reach), atol=1e-6)


@pytest.mark.slow
def test_gradients_are_those_of_shifted_products():
  query = jnp.asarray(_features(1, 4, 7, 3, seed=1))
  key = jnp.asarray(_features(1, 6, 9, 3, seed=2))
  weights = jnp.asarray(_features(1, 4, 7, 9, seed=3))

  def shifted(query, key):
    return jnp.stack(
        [(query * key[:, i:i + 4, j:j + 7]).mean(axis=-1)
         for i in range(3) for j in range(3)], axis=-1)

  def gradients(function):
    return jax.grad(
        lambda *x: (weights * function(*x)).sum(), argnums=(0, 1))(query, key)

  for ours, expected in zip(gradients(local_similarity), gradients(shifted)):
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_sums_bfloat16_in_float32():
  query = jnp.ones((1, 2, 3, 400), jnp.bfloat16)
  key = jnp.ones((1, 4, 5, 400), jnp.bfloat16)
  similarity = local_similarity(query, key)
  assert similarity.dtype == jnp.float32
  np.testing.assert_array_equal(similarity, 1)


def test_refuses_unequal_borders():
  with pytest.raises(ValueError, match='expected an equal border'):
    local_similarity(jnp.zeros((1, 4, 5, 2)), jnp.zeros((1, 6, 8, 2)))
