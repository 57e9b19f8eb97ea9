"""Defocus deblurring in JAX.

  import jaxdeblur
  model = jaxdeblur.load('starter')
  restored = model.restore(picture)

These names are imported when they are first used: `import jaxdeblur` alone
loads neither JAX nor TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from jaxdeblur.checkpoints import list_weights, load_weights, save_weights
  from jaxdeblur.errors import UserError
  from jaxdeblur.evaluation.evaluate import evaluate
  from jaxdeblur.metrics import mae, psnr, rmse_rel, ssim
  from jaxdeblur.models.registry import create as create_network
  from jaxdeblur.pictures import read as read_picture, write as write_picture
  from jaxdeblur.restoration.options import RestoreOptions
  from jaxdeblur.restoration.restorer import Restorer, load
  from jaxdeblur.training.loop import train

__version__ = '0.2.0'

# Name -> module, with the name in that module if it differs.
_EXPORTS = {
    'RestoreOptions': 'restoration.options',
    'Restorer': 'restoration.restorer',
    'UserError': 'errors',
    'create_network': 'models.registry:create',
    'evaluate': 'evaluation.evaluate',
    'list_weights': 'checkpoints',
    'load': 'restoration.restorer',
    'load_weights': 'checkpoints',
    'mae': 'metrics',
    'psnr': 'metrics',
    'read_picture': 'pictures:read',
    'rmse_rel': 'metrics',
    'save_weights': 'checkpoints',
    'ssim': 'metrics',
    'train': 'training.loop',
    'write_picture': 'pictures:write',
}

__all__ = [
    'RestoreOptions', 'Restorer', 'UserError', 'create_network', 'evaluate',
    'list_weights', 'load', 'load_weights', 'mae', 'psnr', 'read_picture',
    'rmse_rel', 'save_weights', 'ssim', 'train', 'write_picture']


def __getattr__(name: str) -> Any:
  if name not in _EXPORTS:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  module, _, attribute = _EXPORTS[name].partition(':')
  value = getattr(
      importlib.import_module(f'{__name__}.{module}'), attribute or name)
  globals()[name] = value
  return value


def __dir__() -> list[str]:
  return sorted({*globals(), *_EXPORTS})
