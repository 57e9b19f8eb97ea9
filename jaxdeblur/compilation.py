"""How programs are compiled, and kept on disk for the next start."""

from collections.abc import Callable
from concurrent.futures import Future
import threading
from typing import Any

import jax

# On a CPU XLA has YNNPACK compute convolutions and products of matrices. With
# its own, DRBNet's forward pass takes three quarters of the time on two cores,
# less memory, and comes closer to exact sums (docs/performance.md).
CPU_OPTIONS = {'xla_cpu_experimental_ynn_fusion_type': ''}

# Seconds of compilation from which a program is kept. JAX's own threshold, 1 s,
# leaves out what a start on a CPU mostly consists of.
_WORTH_KEEPING = 0.1


def jit(
    function: Callable[..., Any], *, platform: str | None = None, **settings
) -> Callable[..., Any]:
  """`jax.jit` with the options that suit our networks; not within another.

  Args:
    function: pure.
    platform: what it is compiled for, as `jax.Device.platform`; by default
      what JAX runs on.
    **settings: of `jax.jit`.
  """
  compiled_for = platform or jax.default_backend()
  return jax.jit(
      function, compiler_options=CPU_OPTIONS if compiled_for == 'cpu' else None,
      **settings)


def compile_interruptibly(traced: jax.stages.Traced) -> jax.stages.Compiled:
  """Compiles a traced function while Ctrl-C still works.

  Python handles signals in its main thread alone, and XLA keeps the thread that
  it compiles in for minutes: so it has another one.
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
  """Lets JAX keep what it compiles, and look there first.

  Must come before the first compilation. Where a CPU compiles, the programs are
  for its instructions: another kind of machine needs a folder of its own.

  Args:
    folder: where to.
  """
  jax.config.update('jax_compilation_cache_dir', folder)
  jax.config.update('jax_persistent_cache_min_compile_time_secs',
                    _WORTH_KEEPING)
