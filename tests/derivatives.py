"""Second derivatives by each way that JAX nests its modes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Arrays = tuple[jax.Array, ...]


def curves(
    function: Callable[..., jax.Array], inputs: Arrays, directions: Arrays
) -> tuple[Any, Any, Any]:
  """The curvature of the sum of sin(function(*inputs)), along the directions.

  Forward over reverse, reverse over forward, reverse over reverse.
  """
  def loss(inputs):
    return jnp.sin(function(*inputs)).sum()

  def slope(inputs):
    return jax.jvp(loss, (inputs,), (directions,))[1]

  def product(inputs):
    return sum(map(jnp.vdot, jax.grad(loss)(inputs), directions))

  return (jax.jvp(jax.grad(loss), (inputs,), (directions,))[1],
          jax.grad(slope)(inputs), jax.grad(product)(inputs))
