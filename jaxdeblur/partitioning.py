"""Devices as a mesh, and how arrays are spread over it.

The mesh has three axes. `data` and `fsdp` share the pictures of a batch. `fsdp`
also shares the parameters, their average and the optimizer's state: each device
keeps a part and gathers the rest where it is used. `height` shares the rows of
each picture; XLA exchanges the rows that convolutions see across a border. So a
picture may be larger than one device's memory.
"""

from collections.abc import Mapping, Sequence
import math
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
import numpy as np

from jaxdeblur.errors import UserError

AXES = ('data', 'fsdp', 'height')

# Smallest number of values to split; for fewer, splitting costs more than it
# saves.
_SMALLEST_SPLIT = 4096


def make_mesh(
    sizes: Mapping[str, int] | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> Mesh:
  """Makes a mesh of devices.

  Args:
    sizes: the length of each of `AXES`. One of them may be -1: all devices that
      the others leave. By default all devices lie along `data`.
    devices: the devices; by default all that JAX sees.

  Raises:
    UserError: the lengths do not multiply to the number of devices.
  """
  count = len(devices) if devices else jax.device_count()
  lengths = {axis: (sizes or {}).get(axis, 1) for axis in AXES}
  if not sizes:
    lengths['data'] = -1
  free = [axis for axis, length in lengths.items() if length == -1]
  given = math.prod(length for length in lengths.values() if length != -1)
  if len(free) == 1 and given > 0 and count % given == 0:
    lengths[free[0]] = count // given
  if math.prod(lengths.values()) != count or min(lengths.values()) < 1:
    raise UserError(
        f'The mesh is {_describe(sizes)}, which {count} devices cannot form: '
        'choose lengths whose product is that number, or -1 for one.',
        argument='mesh')
  return jax.make_mesh(
      tuple(lengths.values()), AXES, axis_types=(AxisType.Auto,) * len(AXES),
      devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
  """The sharding in which every device holds the whole array."""
  return NamedSharding(mesh, PartitionSpec())


def pictures(mesh: Mesh) -> NamedSharding:
  """The sharding in which devices hold rows of a part of [b, h, w, 3]."""
  return NamedSharding(mesh, PartitionSpec(('data', 'fsdp'), 'height'))


def pairs(mesh: Mesh) -> NamedSharding:
  """The sharding in which devices hold a part of [b, ...]."""
  return NamedSharding(mesh, PartitionSpec(('data', 'fsdp')))


def shardings_of(tree: Any, mesh: Mesh) -> Any:
  """Chooses how parameters, or arrays of their shapes, are spread over a mesh.

  Each array is split over `fsdp` along its longest axis that can be divided.
  Small arrays, and those without such an axis, are whole on every device.

  Args:
    tree: arrays or their shapes.
    mesh: a mesh from `make_mesh`.
  """
  parts = mesh.shape['fsdp']

  def split(array) -> NamedSharding:
    axes = [axis for axis, length in enumerate(array.shape)
            if length % parts == 0]
    if parts == 1 or array.size < _SMALLEST_SPLIT or not axes:
      return replicated(mesh)
    longest = max(axes, key=lambda axis: array.shape[axis])
    return NamedSharding(
        mesh, PartitionSpec(*[None] * longest, 'fsdp'))

  return jax.tree.map(split, tree)


def gather(params: Any, mesh: Mesh) -> Any:
  """Gathers parameters inside a jitted function, before they are used.

  Otherwise XLA splits convolutions by a kernel's channels and a picture's rows
  at once, which gives wrong results on CPUs (jax 0.10.2).
  """
  return jax.lax.with_sharding_constraint(params, replicated(mesh))


def check_batch(
    mesh: Mesh, batch_size: int, accumulation_steps: int, height: int
) -> None:
  """Raises a UserError if a mesh cannot share a batch of pictures."""
  shares = mesh.shape['data'] * mesh.shape['fsdp']
  if batch_size % (shares * accumulation_steps):
    raise UserError(
        f'batch_size is {batch_size}, which {shares} devices (the axes data x '
        f'fsdp of the mesh) in {accumulation_steps} parts (accumulation_steps) '
        'cannot share: choose a multiple.', argument='batch_size')
  if shares % jax.process_count():
    raise UserError(
        f'{jax.process_count()} processes cannot share a batch among {shares} '
        'devices (the axes data x fsdp of the mesh): choose a multiple.',
        argument='mesh')
  for sharing in mesh.devices.reshape(-1, mesh.shape['height']):
    hosts = {device.process_index for device in sharing}
    if len(hosts) > 1:
      raise UserError(
          f'The height of the mesh is {mesh.shape["height"]}, and the devices '
          f"that would share a picture's rows belong to {len(hosts)} "
          'processes, each of which reads pictures of its own: choose a '
          f'divisor of the {jax.local_device_count()} devices of a process.',
          argument='mesh')
  if height % mesh.shape['height']:
    raise UserError(
        f'Pictures are {height} px high, which {mesh.shape["height"]} devices '
        '(the height of the mesh) cannot share: choose a multiple.',
        argument='crop')


def put_batch(
    batch: Mapping[str, np.ndarray], mesh: Mesh
) -> dict[str, jax.Array]:
  """Places this process's part of a batch on its devices.

  Views [b, h, w, 3] are split as in `pictures`, other arrays by pairs alone.
  """
  processes = jax.process_count()
  return {
      name: jax.make_array_from_process_local_data(
          pictures(mesh) if view.ndim == 4 else pairs(mesh), view,
          (len(view) * processes, *view.shape[1:]))
      for name, view in batch.items()}


def split_rows(
    views: Mapping[str, jax.Array], mesh: Mesh
) -> dict[str, jax.Array]:
  """Lets a jitted function share the rows of its views [b, h, w, 3].

  Unlike `put_batch`, it takes any height.
  """
  sharding = NamedSharding(mesh, PartitionSpec(None, 'height'))
  return {name: jax.lax.with_sharding_constraint(view, sharding)
          for name, view in views.items()}


def _describe(sizes: Mapping[str, int] | None) -> str:
  return ', '.join(f'{axis}={length}' for axis, length in (sizes or {}).items())
