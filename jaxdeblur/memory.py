"""Running out of memory, told apart from other failures."""

import jax


def is_out_of_memory(error: BaseException) -> bool:
  """Whether the host's or a device's memory did not suffice."""
  if isinstance(error, MemoryError):
    return True
  return (isinstance(error, jax.errors.JaxRuntimeError)
          and 'RESOURCE_EXHAUSTED' in str(error))
