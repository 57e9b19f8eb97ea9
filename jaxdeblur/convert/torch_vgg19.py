"""VGG-19's weights: torchvision's PyTorch names <-> our Flax variables."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxdeblur.convert import names
from jaxdeblur.models.feature_networks import VGG19, abstract_variables
from jaxdeblur.models.published_names import CONV, Table

# PyTorch also counts activations and poolings as layers.
TABLE = Table(
    rows=[
        # PyTorch layer, Flax path, kind.
        ('features.0', 'conv1_1', CONV),
        ('features.2', 'conv1_2', CONV),
        ('features.5', 'conv2_1', CONV),
        ('features.7', 'conv2_2', CONV),
        ('features.10', 'conv3_1', CONV),
        ('features.12', 'conv3_2', CONV),
        ('features.14', 'conv3_3', CONV),
        ('features.16', 'conv3_4', CONV),
        ('features.19', 'conv4_1', CONV),
        ('features.21', 'conv4_2', CONV),
        ('features.23', 'conv4_3', CONV),
        ('features.25', 'conv4_4', CONV),
        ('features.28', 'conv5_1', CONV),
        ('features.30', 'conv5_2', CONV),
        ('features.32', 'conv5_3', CONV),
        ('features.34', 'conv5_4', CONV),
    ],
    numbers={},
)


def convert(state_dict: Mapping[str, Any]) -> dict:
  """Turns torchvision's weights into variables of `VGG19`.

  Args:
    state_dict: {PyTorch name: array of any float type}; the classifier,
      `classifier.*`, is left out.

  Returns:
    {'params': ...}, nested dicts of float32 arrays.

  Raises:
    UserError: names are missing, unknown or misshapen, and it lists all of
      them; or the dict is empty or wrapped in another.
  """
  features = {name: array for name, array in names.clean(state_dict).items()
              if not name.startswith('classifier.')}
  return names.convert(features, TABLE, abstract_variables(VGG19()), 'VGG-19')


def revert(variables: Mapping) -> dict[str, np.ndarray]:
  """Turns variables of `VGG19` into PyTorch's arrays: `convert`, backwards."""
  return names.revert(variables, TABLE)


def settings(state_dict: Mapping[str, Any]) -> dict[str, Any]:
  """The network's name as settings."""
  del state_dict
  return {'name': 'vgg19'}


def shapes() -> dict[str, tuple[int, ...]]:
  """Lists the PyTorch names and shapes."""
  expected = names.places(TABLE, abstract_variables(VGG19()))
  return {name: place.torch_shape for name, place in expected.items()}
