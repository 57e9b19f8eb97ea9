"""How several devices share the calls of our kernels."""

from collections.abc import Callable
import re

import jax
from jax.experimental.custom_partitioning import custom_partitioning


def by_batch(sharding_rule: str) -> Callable[[Callable], Callable]:
  """Makes a decorator that splits a function's batch over devices.

  XLA cannot do that to a kernel's call.

  Args:
    sharding_rule: the axes of arguments and results by name, the batch first,
      as in 'b c y x, b k h w -> b c h w'.
  """
  def decorate(function):
    def partition(mesh, operands, results):
      return (mesh, function, jax.tree.map(lambda x: x.sharding, results),
              jax.tree.map(lambda x: x.sharding, operands))

    axes = dict.fromkeys(re.findall(r'\w', sharding_rule))  # Each once.
    partitioned = custom_partitioning(function)
    partitioned.def_partition(
        partition, sharding_rule=sharding_rule,
        need_replication_factors=tuple(axes)[1:])
    return partitioned
  return decorate
