"""Defocus deblurring in JAX.

  import jaxdeblur
  model = jaxdeblur.load('starter')
  restored = model.restore(picture)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from jaxdeblur.restoration.restorer import Restorer

__all__ = ['load']
__version__ = '0.1.0'


def load(path: str) -> 'Restorer':
  """Loads 'starter' or a checkpoint's folder; see restoration.restorer.load."""
  # Imported here: `import jaxdeblur` alone need not wait for JAX.
  from jaxdeblur.restoration import restorer
  return restorer.load(path)

