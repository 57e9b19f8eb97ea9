"""LPIPS's weights: torchvision's AlexNet and the heads -> our variables.

They come in two files: AlexNet as torchvision saves it ('features.0.weight'),
and the heads as LPIPS's authors publish them for version 0.1
('lin0.model.1.weight'). Or they come in one file, the state dict of the whole
metric ('net.slice1.0.weight' and the heads).
"""

from collections.abc import Mapping
import re
from typing import Any

import numpy as np

from jaxdeblur.convert import names
from jaxdeblur.errors import UserError
from jaxdeblur.metrics import lpips
from jaxdeblur.models.published_names import CONV, Kind, Parameter, Table

# [1, in, 1, 1] -> [in, 1].
_HEAD: Kind = {
    'weight': Parameter('params', 'kernel', (1, 0), single=(2, 3))}

TABLE = Table(
    rows=[
        ('features.{layer}', 'conv{layer}', CONV),
        ('lin{head}.model.1', 'head{head}', _HEAD),
    ],
    numbers={
        # PyTorch also counts activations and maxima.
        'layer': {0: 1, 3: 2, 6: 3, 8: 4, 10: 5},
        'head': {0: 1, 1: 2, 2: 3, 3: 4, 4: 5},
    },
)


def is_lpips(state_dict: Mapping[str, Any]) -> bool:
  """Whether these are weights of AlexNet, of LPIPS's heads, or of both."""
  shape = np.shape(state_dict.get('features.0.weight'))
  return (shape[2:] == (11, 11) or 'lin0.model.1.weight' in state_dict
          or 'net.slice1.0.weight' in state_dict)


def convert(state_dict: Mapping[str, Any]) -> dict:
  """Turns AlexNet's weights and the heads into variables of `Lpips`.

  Args:
    state_dict: {PyTorch name: array}, from one file or from both together.

  Returns:
    {'params': ...}, nested dicts of float32 arrays.

  Raises:
    UserError: one of the two is missing, or names or shapes are wrong.
  """
  arrays = {_rename(name): array
            for name, array in names.clean(state_dict).items()
            if not _is_left_out(name)}
  for part, name, source in (
      ('backbone, AlexNet,', 'features.0.weight',
       "torchvision's alexnet weights"),
      ('heads', 'lin0.model.1.weight',
       'v0.1/alex.pth of the authors of LPIPS')):
    if name not in arrays:
      raise UserError(
          f'The {part} of LPIPS is missing ({name}): give {source} as well.',
          argument='heads')
  return names.convert(arrays, TABLE, lpips.shapes(), 'LPIPS with AlexNet')


def _rename(name: str) -> str:
  """Gives AlexNet's layers, such as 'net.slice2.3', torchvision's names."""
  return re.sub(r'^net\.slice\d\.', 'features.', name)


def _is_left_out(name: str) -> bool:
  """Whether it is of the classifier, a constant, or a head's second name."""
  return name.startswith(('classifier.', 'scaling_layer.', 'lins.'))
