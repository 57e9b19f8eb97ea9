"""Weights of other programs, and of ours, into folders of weights."""

from collections.abc import Mapping
import pathlib
import types
from typing import Any

from jaxdeblur import checkpoints
from jaxdeblur.convert import (
  caffe_squeezenet,
  torch_drbnet,
  torch_k3dn,
  torch_lpips,
  torch_vgg19,
  weights_file,
)
from jaxdeblur.metrics import lpips


def convert_file(
    source: pathlib.Path,
    output: pathlib.Path,
    dtype: str = 'float32',
    heads: str = '',
) -> str:
  """Writes a folder of weights that `jaxdeblur.load` reads.

  The weights of AlexNet become those of the metric LPIPS, which evaluation
  reads.

  Args:
    source: the published network's weights (.pth, .npz or .safetensors with
      PyTorch's names), torchvision's of VGG-19, or a checkpoint of ours, of
      which only the weights are taken.
    output: the folder; it must not exist yet.
    dtype: of the parameters on disk; 'float16' halves the size.
    heads: the file of LPIPS's heads, where the source is AlexNet.

  Returns:
    A sentence on what was written.

  Raises:
    FileNotFoundError, ValueError: the source is missing, damaged or another
      network's, or the output exists.
  """
  if source.is_dir():
    weights = checkpoints.load_weights(source)
    settings, variables = weights.settings, weights.variables
  else:
    state_dict = weights_file.read(source)
    if torch_lpips.is_lpips(state_dict):
      return _convert_lpips(state_dict, heads, output)
    converter = _choose_converter(state_dict)
    settings = converter.settings(state_dict)
    variables = converter.convert(state_dict)
  checkpoints.save_weights(output, settings, variables, dtype)
  weights = checkpoints.load_weights(output)
  return (f'Wrote {settings} with weights {weights.digest()} ({dtype}) to '
          f'{output}')


def _convert_lpips(state_dict, heads, output) -> str:
  if heads:
    state_dict = {**state_dict, **weights_file.read(heads)}
  lpips.save(output, torch_lpips.convert(state_dict))
  return f'Wrote LPIPS with AlexNet (float32) to {output}'


def _choose_converter(state_dict: Mapping[str, Any]) -> types.ModuleType:
  """Tells the networks apart by the names of their layers."""
  names = {name.removeprefix('module.') for name in state_dict}
  if any(name.startswith('feat_extract.') for name in names):
    return torch_k3dn
  if 'features.0.weight' in names:
    return torch_vgg19
  if 'conv1_w' in names:
    return caffe_squeezenet
  return torch_drbnet
