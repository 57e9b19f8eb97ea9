"""The frozen network of the feature loss."""

import ml_collections

from jaxdeblur.checkpoints import Variables, load_weights
from jaxdeblur.models import feature_networks

_SHIPPED = 'squeezenet'


def load_variables(train: ml_collections.ConfigDict) -> Variables | None:
  """Reads the variables of the network that features are compared by.

  Args:
    train: config.train: `feature_loss` (a feature network's name, or '') and
      `feature_weights` (its weights; '' for those that come with the package).

  Returns:
    The network's variables; None without a feature loss.

  Raises:
    ValueError: the network is unknown, or the weights are missing or another
      network's.
  """
  name, path = train.feature_loss, train.feature_weights
  if not name:
    return None
  if name not in feature_networks.NAMES:
    raise ValueError(
        f'config.train.feature_loss is {name!r}: choose one of '
        f"{', '.join(feature_networks.NAMES)}, or '' for none.")
  if not path and name != _SHIPPED:
    raise ValueError(
        f'config.train.feature_loss {name} needs weights, which do not come '
        'with jaxdeblur. Make them from the file that torchvision downloads, '
        'python run.py --config configs/drbnet.py --mode convert '
        f'--input {name}.pth --output WEIGHTS, then set '
        '--config.train.feature_weights=WEIGHTS.')
  weights = load_weights(path or _SHIPPED)
  if weights.settings['name'] != name:
    raise ValueError(
        f'config.train.feature_weights, {weights.path}, holds the weights of '
        f'{weights.settings["name"]}; config.train.feature_loss asks for '
        f'{name}.')
  return weights.variables
