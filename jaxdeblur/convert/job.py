"""Converts weights of other programs, or our checkpoints, to weight folders."""

from collections.abc import Mapping
import pathlib
from typing import Any

from jaxdeblur import checkpoints
from jaxdeblur.convert import (
  caffe_squeezenet,
  published,
  torch_lpips,
  torch_vgg19,
  weights_file,
)
from jaxdeblur.errors import UserError
from jaxdeblur.metrics import lpips
from jaxdeblur.models import registry

# A layer in the weights of a feature network -> the module that converts them.
_FEATURE_NETWORKS = {
    'features.0.weight': torch_vgg19, 'conv1_w': caffe_squeezenet}


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
    source: a network's published weights (.pth, .npz or .safetensors with
      PyTorch's names), torchvision's weights of VGG-19, or a checkpoint of
      ours, of which only the weights are taken.
    output: the folder; it must not exist yet.
    dtype: number type of the parameters on disk; 'float16' halves the size.
    heads: the file of LPIPS's heads, if the source is AlexNet.

  Returns:
    A sentence on what was written.

  Raises:
    UserError: the source is missing, damaged or of another network, or the
      output exists.
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


def _choose_converter(state_dict: Mapping[str, Any]) -> Any:
  """Chooses the converter by the names of the layers."""
  names = {name.removeprefix('module.') for name in state_dict}
  for layer, converter in _FEATURE_NETWORKS.items():
    if layer in names:
      return converter
  found = published.recognise(state_dict)
  if found is None:
    known = [name for name in registry.names() if registry.get(name).published]
    raise UserError(
        f'The weights are of no network that is known here: expected those of '
        f'{", ".join(known)}, VGG-19, SqueezeNet or LPIPS; found the arrays '
        f'{", ".join(map(repr, list(state_dict)[:3])) or "none"}.')
  return found
