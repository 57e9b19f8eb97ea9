"""Devices as a mesh, and how arrays lie on them."""

from collections.abc import Mapping

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
import numpy as np


def make_mesh() -> Mesh:
  """Makes a mesh of all devices with one axis, 'data'."""
  devices = jax.device_count()
  return jax.make_mesh((devices,), ('data',), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
  """Every device holds the whole array."""
  return NamedSharding(mesh, PartitionSpec())


def batch_sharded(mesh: Mesh) -> NamedSharding:
  """Every device holds a part of the batch."""
  return NamedSharding(mesh, PartitionSpec('data'))


def put_batch(
    batch: Mapping[str, np.ndarray], mesh: Mesh
) -> dict[str, jax.Array]:
  """Places this process's part of a batch on its devices."""
  sharding = batch_sharded(mesh)
  return {name: jax.make_array_from_process_local_data(sharding, array)
          for name, array in batch.items()}
