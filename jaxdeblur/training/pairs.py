"""Batches of training become views: defocus is rendered inside the step."""

from collections.abc import Callable, Mapping
import functools
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec
import numpy as np

from data_pipelines.loader import is_rendered, read_settings
from jaxdeblur import partitioning
from jaxdeblur.errors import UserError
from jaxdeblur.optics.bank import Bank, read_bank
from jaxdeblur.optics.random_scene import render_pairs
from jaxdeblur.optics.settings import DefocusSettings

Batch = Mapping[str, jax.Array]
MakeViews = Callable[[Batch, Any], Batch]


def views_as_they_are(batch: Batch, step: Any) -> Batch:
  """Returns the views of recorded pairs."""
  del step
  return batch


def make_views_of(
    data: Mapping[str, Any], seed: int, mesh: Mesh
) -> MakeViews:
  """Makes a function make_views(batch, step) -> views, to be jitted.

  Recorded pairs stay as they are. Rendered pairs depend on the seed, the step
  and the place in the batch alone, so that the step is the position in the
  data. Each device renders its own pairs.

  Args:
    data: config.data.
    seed: decides what is drawn, with the step.
    mesh: the devices that share a batch.

  Raises:
    UserError: the settings do not fit together, or `bank` cannot be used.
  """
  if not is_rendered(data):
    return views_as_they_are
  settings = read_settings(DefocusSettings, data)
  bank = open_bank(settings)
  shared = PartitionSpec(('data', 'fsdp'))
  render = jax.shard_map(
      functools.partial(
          render_pairs, settings=settings, bank=bank,
          in_turn=mesh.devices.flat[0].platform == 'cpu'),
      mesh=mesh, in_specs=(shared, shared), out_specs=shared, check_vma=False)

  def make_views(batch: Batch, step: Any) -> Batch:
    tiles = batch['tiles']
    views = render(tiles, make_pair_keys(seed, step, tiles.shape[0]))
    return {name: jax.lax.with_sharding_constraint(
        view, partitioning.pictures(mesh)) for name, view in views.items()}

  return make_views


def open_bank(settings: DefocusSettings) -> Bank | None:
  """Opens the bank of measured kernels, if the settings name one.

  Raises:
    UserError: it cannot be used with these settings.
  """
  if not settings.bank:
    return None
  bank = read_bank(settings.bank)
  if bank.size > settings.kernel_size:
    raise UserError(
        f'The kernels of {settings.bank} have {bank.size} px, more than the '
        f'{settings.kernel_size} px that a max_radius of '
        f'{settings.max_radius:g} px needs: raise max_radius.',
        argument='bank')
  if settings.dual_pixel and len(bank.views) != 2:
    raise UserError(
        f'{settings.bank} holds kernels of whole photographs: dual-pixel pairs '
        'need those of left and right views.', argument='bank')
  return bank


def make_pair_keys(seed: int, step: Any, count: int) -> jax.Array:
  """Makes the keys of the pairs of a step's batch, for `render_pair`.

  Of n hosts, each loads every n-th pair, and a batch holds one host's pairs
  after the other's. A pair has the same key on any number of hosts.
  """
  key = jax.random.fold_in(jax.random.key(seed), step)
  hosts = jax.process_count()
  place = np.arange(count).reshape(-1, hosts).T.reshape(-1)
  return jax.random.split(key, count)[place]
