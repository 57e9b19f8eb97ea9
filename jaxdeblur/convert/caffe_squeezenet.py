"""SqueezeNet's weights: Caffe's, as .npz <-> our Flax variables.

Caffe orders a kernel's axes as PyTorch does: [out, in, row, column]. That,
and that channels are blue, green, red, shows in the classes it gives to
photographs (tests/feature_networks_test.py).
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
    arrays: {Caffe's name: array}, such as 'fire2__conv1x1_1_w'; what
      classifies, `conv_final`, is left out.

  Returns:
    {'params': ...}, nested dicts of float32 arrays.

  Raises:
    UserError: names are missing, unknown or misshapen, all of them listed.
  """
  # The table's names end in .weight and .bias.
  features = {name[:-2] + _ENDINGS.get(name[-2:], name[-2:]): array
              for name, array in arrays.items() if name not in _CLASSIFIER}
  return names.convert(
      features, TABLE, abstract_variables(SqueezeNet()), 'SqueezeNet 1.0')


def settings(arrays: Mapping[str, Any]) -> dict[str, Any]:
  """Names the network."""
  del arrays
  return {'name': 'squeezenet'}
