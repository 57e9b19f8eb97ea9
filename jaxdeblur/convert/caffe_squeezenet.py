"""SqueezeNet's weights: Caffe's as .npz -> our Flax variables.

Caffe orders a kernel's axes like PyTorch: [out, in, row, column]. Its channels
are blue, green, red. The classes of photographs confirm both
(tests/feature_networks_test.py).
"""

from collections.abc import Mapping
from typing import Any

from jaxdeblur.convert import names
from jaxdeblur.models.feature_networks import SqueezeNet, abstract_variables
from jaxdeblur.models.published_names import CONV, Table

TABLE = Table(
    rows=[
        # Caffe's layer, Flax path, kind.
        ('conv1', 'conv1', CONV),
        ('fire{fire}__conv1x1_1', 'fire{fire}/squeeze1x1', CONV),
        ('fire{fire}__conv1x1_2', 'fire{fire}/expand1x1', CONV),
        ('fire{fire}__conv3x3_2', 'fire{fire}/expand3x3', CONV),
    ],
    numbers={},
)
_ENDINGS = {'_w': '.weight', '_b': '.bias'}
_CLASSIFIER = ('conv_final_w', 'conv_final_b')


def convert(arrays: Mapping[str, Any]) -> dict:
  """Turns Caffe's weights into variables of `SqueezeNet`.

  Args:
    arrays: {Caffe's name: array}, such as 'fire2__conv1x1_1_w'; the classifier,
      `conv_final`, is left out.

  Returns:
    {'params': ...}, nested dicts of float32 arrays.

  Raises:
    UserError: names are missing, unknown or misshapen; it lists all of them.
  """
  # The table's names end in .weight and .bias.
  features = {name[:-2] + _ENDINGS.get(name[-2:], name[-2:]): array
              for name, array in arrays.items() if name not in _CLASSIFIER}
  return names.convert(
      features, TABLE, abstract_variables(SqueezeNet()), 'SqueezeNet 1.0')


def settings(arrays: Mapping[str, Any]) -> dict[str, Any]:
  """The network's name as settings."""
  del arrays
  return {'name': 'squeezenet'}
