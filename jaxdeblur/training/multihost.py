"""Several processes that train as one."""

import os
import sys
from typing import NoReturn

import jax
import ml_collections

from jaxdeblur.errors import UserError

ALONE = ''
AUTOMATIC = 'auto'

# Seconds after which a process that does not answer counts as dead.
_HEARTBEAT = 60

# Seconds that a process waits for the others before it ends.
_SHUTDOWN = 30


def start_processes(distributed: ml_collections.ConfigDict) -> None:
  """Joins the processes that a config names; does nothing for a single one.

  It must be called before anything else asks JAX for devices.

  Args:
    distributed: config.distributed. `coordinator` is '' for a single process,
      'auto' if JAX finds the cluster itself (TPU slices, Slurm, Kubernetes), or
      the address HOST:PORT of the first process. `processes` is the number of
      processes, and `process` the number of this one, from 0.

  Raises:
    UserError: the numbers do not fit together, or JAX finds no cluster.
  """
  if distributed.coordinator == ALONE:
    return
  if distributed.coordinator == AUTOMATIC:
    _find_cluster()
    return
  count, index = distributed.processes, distributed.process
  if not 0 <= index < count:
    raise UserError(
        f'config.distributed.process is {index} of {count} processes: count '
        'from 0, and set config.distributed.processes to their number.')
  # CPUs exchange arrays with Gloo; other devices have their own ways.
  jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  jax.distributed.initialize(
      distributed.coordinator, count, index,
      heartbeat_timeout_seconds=_HEARTBEAT,
      shutdown_timeout_seconds=_SHUTDOWN)


def _find_cluster() -> None:
  try:
    jax.distributed.initialize(
        heartbeat_timeout_seconds=_HEARTBEAT,
        shutdown_timeout_seconds=_SHUTDOWN)
  except ValueError as error:
    raise UserError(
        "config.distributed.coordinator is 'auto', and JAX finds no cluster "
        'here: give the address of the first process, HOST:PORT, or leave it '
        'empty for a single process.') from error


def leave(code: int) -> NoReturn:
  """Ends this process with an exit code.

  If one of several processes failed, it ends at once: JAX would wait for the
  others, which wait for this one's next step.
  """
  if code and jax.distributed.is_initialized():
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
  sys.exit(code)
