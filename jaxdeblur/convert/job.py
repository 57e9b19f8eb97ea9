"""Weights of other programs, and of ours, into folders of weights."""

import pathlib

from jaxdeblur import checkpoints
from jaxdeblur.convert import torch_drbnet, weights_file


def convert_file(
    source: pathlib.Path, output: pathlib.Path, dtype: str = 'float32'
) -> str:
  """Writes a folder of weights that `jaxdeblur.load` reads.

  Args:
    source: the published network's weights (.pth, .npz or .safetensors with
      PyTorch's names), or a checkpoint of ours, of which only the weights are
      taken.
    output: the folder; it must not exist yet.
    dtype: of the parameters on disk; 'float16' halves the size.

  Returns:
    A sentence on what was written.

  Raises:
    FileNotFoundError, ValueError: the source is missing, damaged or another
      network's, or the output exists.
  """
  if source.is_dir():
    weights = checkpoints.load_weights(source)
    settings, params = weights.settings, weights.params
  else:
    state_dict = weights_file.read(source)
    settings = torch_drbnet.settings(state_dict)
    params = torch_drbnet.convert(state_dict)['params']
  checkpoints.save_weights(output, settings, params, dtype)
  weights = checkpoints.load_weights(output)
  return (f'Wrote {settings} with weights {weights.digest()} ({dtype}) to '
          f'{output}')
