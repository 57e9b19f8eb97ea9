"""Distinguishes a lack of memory from other failures."""

import jax


def is_out_of_memory(error: BaseException) -> bool:
  """Whether the host or a device ran out of memory."""
  if isinstance(error, MemoryError):
    return True
  return (isinstance(error, jax.errors.JaxRuntimeError)
          and 'RESOURCE_EXHAUSTED' in str(error))
