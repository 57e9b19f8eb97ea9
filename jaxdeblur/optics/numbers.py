"""Random numbers of one pair, drawn at once: one program instead of dozens."""

from collections.abc import Sequence
import itertools

import jax.numpy as jnp
from jaxtyping import Array, Float


class Numbers:
  """Hands out numbers that were drawn together, one after the other."""

  def __init__(self, drawn: Float[Array, ' n']):
    """Takes numbers uniform in [0, 1); asking for more is an IndexError."""
    self._drawn = drawn
    self._used = itertools.count()

  def chance(self, share: float) -> Array:
    """1.0 in this share of cases, else 0.0."""
    return (self._next() < share).astype(jnp.float32)

  def uniform(self, limits: Sequence[float]) -> Array:
    low, high = limits
    return low + (high - low) * self._next()

  def log_uniform(self, limits: Sequence[float]) -> Array:
    """Uniform by its logarithm."""
    low, high = jnp.log(jnp.asarray(limits, jnp.float32))
    return jnp.exp(low + (high - low) * self._next())

  def integer(self, low: int, high: int) -> Array:
    """A whole number from `low` to `high`, both included."""
    number = low + jnp.floor(self._next() * (high - low + 1)).astype(int)
    return jnp.minimum(number, high)

  def choice(self, values: Sequence[float]) -> Array:
    return jnp.asarray(values, jnp.float32)[self.integer(0, len(values) - 1)]

  def index(self, shares: Sequence[float]) -> Array:
    """A whole number from 0, drawn with these shares."""
    bounds = jnp.cumsum(jnp.asarray(shares, jnp.float32))
    below = self._next() * bounds[-1] >= bounds
    return jnp.minimum(below.sum(), len(shares) - 1)

  def _next(self) -> Array:
    index = next(self._used)
    if index >= self._drawn.shape[0]:
      raise IndexError(f'Only {self._drawn.shape[0]} numbers were drawn.')
    return self._drawn[index]
