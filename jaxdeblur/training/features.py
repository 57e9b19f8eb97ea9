"""The frozen networks whose features losses compare."""

import ml_collections

from jaxdeblur.checkpoints import Variables, load_weights
from jaxdeblur.errors import UserError
from jaxdeblur.losses import LOSSES
from jaxdeblur.models import feature_networks
from jaxdeblur.suggestion import choose_one

_SHIPPED = 'squeezenet'


def load_frozen(losses: ml_collections.ConfigDict) -> dict[str, Variables]:
  """Reads the variables of frozen networks, for losses with a weight.

  Args:
    losses: config.train.losses.

  Returns:
    Loss -> variables.

  Raises:
    UserError: a network is unknown, or its weights are missing or belong to
      another network.
  """
  return {
      name: _load(f'config.train.losses.{name}', section)
      for name, section in losses.items()
      if name in LOSSES and LOSSES[name].frozen and section.weight}


def _load(section: str, options: ml_collections.ConfigDict) -> Variables:
  name, path = options['network'], options['weights']
  if name not in feature_networks.NAMES:
    raise UserError(
        f'{section}.network is {name!r}: '
        f'{choose_one(name, feature_networks.NAMES)}')
  if not path and name != _SHIPPED:
    raise UserError(
        f'{section}.network {name} needs weights, which do not come with '
        'jaxdeblur. Convert the file that torchvision downloads, '
        f'{name}.pth, with the mode convert, and name the folder in '
        f'{section}.weights.')
  weights = load_weights(path or _SHIPPED)
  if weights.settings['name'] != name:
    raise UserError(
        f'{section}.weights, {weights.path}, holds the weights of '
        f'{weights.settings["name"]}; {section}.network asks for {name}.')
  return weights.variables
