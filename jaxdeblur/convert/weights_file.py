"""Reads weight files: .npz, .safetensors, and PyTorch's if it is installed."""

from collections.abc import Mapping
import os
import pathlib
import pickle
import zipfile
import zlib

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from jaxdeblur.errors import MissingFileError, MissingPackageError, UserError

_TORCH_SUFFIXES = ('.pth', '.pt', '.ckpt')


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Reads a file of named arrays, such as a PyTorch state dict.

  .npz and .safetensors need nothing else. .pth, .pt and .ckpt need PyTorch,
  which is imported only for them. No pickled code is ever run. From a training
  checkpoint, only the weights under 'state_dict' are read.

  Args:
    path: the file; its suffix says the format.

  Returns:
    {name: array}, in the file's order. Floats of any width become float32;
    integers keep their type.

  Raises:
    MissingFileError: there is no such file.
    UserError: the suffix is unknown, the file is damaged, or it holds anything
      but arrays of numbers. Pickled Python objects are refused.
    MissingPackageError: the file needs PyTorch, which is not installed.
  """
  path = pathlib.Path(path)
  suffix = path.suffix.lower()
  if not path.is_file():
    raise MissingFileError(f'There is no weight file {path}.')
  if suffix == '.npz':
    arrays = _read_npz(path)
  elif suffix == '.safetensors':
    arrays = _read_safetensors(path)
  elif suffix in _TORCH_SUFFIXES:
    arrays = _read_torch(path)
  else:
    raise UserError(
        f'{path} is no weight file that can be read here: its suffix is '
        f'{suffix!r}, expected .npz, .safetensors, '
        f'{", ".join(_TORCH_SUFFIXES)}.')
  return {name: _as_numbers(path, name, array)
          for name, array in arrays.items()}


def _read_npz(path):
  # Checked first, because NumPy takes any other file for a pickle or an .npy.
  if not zipfile.is_zipfile(path):
    raise _damaged(path)
  try:
    with np.load(path, allow_pickle=False) as archive:
      return {name: archive[name] for name in archive.files}
  except ValueError as error:
    if 'Object arrays' in str(error):
      raise _pickled(path) from error
    raise _damaged(path) from error
  except (zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError) as error:
    raise _damaged(path) from error


def _read_safetensors(path):
  try:
    return safetensors.numpy.load_file(path)
  # KeyError: a number type that NumPy lacks.
  except (safetensors.SafetensorError, OSError, KeyError) as error:
    raise _damaged(path) from error


def _read_torch(path):
  try:
    import torch  # Imported here, since only these files need it.
  except ImportError as error:
    raise MissingPackageError(
        f'{path} is a PyTorch file, and PyTorch is not installed: pip install '
        "'torch>=2.4', or save the weights as .npz or .safetensors where "
        'PyTorch is.') from error
  try:
    content = torch.load(path, map_location='cpu', weights_only=True)
  except pickle.UnpicklingError as error:
    raise _pickled(path) from error
  # A damaged file may fail anywhere: as zip, pickle or tensors.
  except Exception as error:
    raise _damaged(path) from error
  if isinstance(content, Mapping) and isinstance(
      content.get('state_dict'), Mapping):
    content = content['state_dict']
  if not isinstance(content, Mapping):
    raise UserError(
        f'{path} holds a {type(content).__name__}, expected a dict of tensors '
        'by name: save it with torch.save(network.state_dict(), ...).')
  others = [f'{name!r} ({type(value).__name__})'
            for name, value in content.items()
            if not isinstance(value, torch.Tensor)]
  if others:
    raise UserError(
        f'{path} holds more than tensors: {", ".join(others)}. Save the dict '
        'of tensors alone, with torch.save(network.state_dict(), ...).')
  return {str(name): _to_numpy(tensor, torch)
          for name, tensor in content.items()}


def _to_numpy(tensor, torch):
  # NumPy has no bfloat16, so floats are widened first.
  tensor = tensor.detach()
  if tensor.is_floating_point():
    tensor = tensor.to(torch.float32)
  return tensor.numpy()


def _as_numbers(path, name, array):
  array = np.asarray(array)
  if jnp.issubdtype(array.dtype, jnp.floating):
    return array.astype(np.float32)
  if array.dtype.kind not in 'biu':
    raise UserError(
        f'{path} holds {name!r} of the type {array.dtype}, which are no real '
        'numbers: save it as float32.')
  return array


def _damaged(path):
  return UserError(
      f'{path} is damaged, or no {path.suffix} file: it cannot be read.')


def _pickled(path):
  return UserError(
      f'{path} holds pickled Python objects, which are refused because reading '
      'them can run code: save the arrays alone, for PyTorch with '
      'torch.save(network.state_dict(), ...).')
