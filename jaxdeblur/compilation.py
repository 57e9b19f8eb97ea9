"""Compiles programs, and keeps them on disk for the next start."""

from collections.abc import Callable
from concurrent.futures import Future
import threading
from typing import Any

import jax

# On a CPU, XLA by default uses YNNPACK for convolutions and products of
# matrices. With XLA's own code, DRBNet's forward pass takes three quarters of
# the time on two cores, less memory, and comes closer to exact sums
# (docs/performance.md).
CPU_OPTIONS = {'xla_cpu_experimental_ynn_fusion_type': ''}

# Shortest compilation, in seconds, whose program is kept. JAX's own threshold,
# 1 s, leaves out most of the programs that a start on a CPU compiles.
_WORTH_KEEPING = 0.1


def jit(
    function: Callable[..., Any], *, platform: str | None = None, **settings
) -> Callable[..., Any]:
  """`jax.jit` with options for our networks; not for use inside another `jit`.

  Args:
    function: a pure function.
    platform: the platform to compile for, as in `jax.Device.platform`; by
      default the one that JAX runs on.
    **settings: settings of `jax.jit`.
  """
  compiled_for = platform or jax.default_backend()
  return jax.jit(
      function, compiler_options=CPU_OPTIONS if compiled_for == 'cpu' else None,
      **settings)


def compile_interruptibly(traced: jax.stages.Traced) -> jax.stages.Compiled:
  """Compiles a traced function while Ctrl-C still works.

  Python handles signals only in its main thread, and XLA may block the thread
  that it compiles in for minutes. So compilation runs in another thread.
  """
  result: Future = Future()

  def run():
    try:
      result.set_result(traced.lower().compile())
    except BaseException as error:
      result.set_exception(error)

  threading.Thread(target=run, daemon=True).start()
  return result.result()


def keep_compilations(folder: str) -> None:
  """Makes JAX keep compiled programs in a folder, and look there first.

  It must be called before the first compilation. Programs for a CPU use its
  instructions, so another kind of machine needs its own folder.

  Args:
    folder: the folder.
  """
  jax.config.update('jax_compilation_cache_dir', folder)
  jax.config.update('jax_persistent_cache_min_compile_time_secs',
                    _WORTH_KEEPING)
