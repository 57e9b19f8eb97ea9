"""Compiled programs that are kept on disk, for the next start."""

# Seconds of compilation from which a program is kept. JAX's own threshold, 1 s,
# leaves out what a start on a CPU mostly consists of.
_WORTH_KEEPING = 0.1


def keep_compilations(folder: str) -> None:
  """Lets JAX keep what it compiles, and look there first.

  Must come before the first compilation. Where a CPU compiles, the programs are
  for its instructions: another kind of machine needs a folder of its own.

  Args:
    folder: where to; '' does nothing.
  """
  if not folder:
    return
  import jax  # Only here: not every job needs it.
  jax.config.update('jax_compilation_cache_dir', folder)
  jax.config.update('jax_persistent_cache_min_compile_time_secs',
                    _WORTH_KEEPING)
