"""How several devices share the calls of our kernels."""

from collections.abc import Callable
import re

import jax
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import NamedSharding, PartitionSpec


def by_batch(sharding_rule: str) -> Callable[[Callable], Callable]:
  """Makes a decorator that splits a function's batch over devices.

  XLA cannot split the call of a kernel. Arrays that are also split along other
  axes, such as a picture's rows, are gathered along these.

  Args:
    sharding_rule: the axes of arguments and results by name, the batch first,
      as in 'b c y x, b k h w -> b c h w'.
  """
  def decorate(function):
    def partition(mesh, operands, results):
      specs = [x.sharding.spec for x in jax.tree.leaves((operands, results))]
      # Their shardings may differ, and may split rows in spite of the rule.
      batch = next((spec[0] for spec in specs if spec and spec[0]), None)
      split = NamedSharding(mesh, PartitionSpec(batch))
      return (mesh, function, jax.tree.map(lambda _: split, results),
              jax.tree.map(lambda _: split, operands))

    axes = dict.fromkeys(re.findall(r'\w', sharding_rule))  # Each once.
    partitioned = custom_partitioning(function)
    partitioned.def_partition(
        partition, sharding_rule=sharding_rule,
        need_replication_factors=tuple(axes)[1:])
    return partitioned
  return decorate
