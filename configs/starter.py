r"""The starter weights: a narrow DRBNet trained on rendered defocus.

Published: none; this network and its data are ours.

  python run.py --config configs/starter.py --workdir WORKDIR \
      --config.data.photos=FOLDER
"""

import ml_collections

from configs import base


def get_config() -> ml_collections.ConfigDict:
  config = base.get_config()
  config.model = dict(name='drbnet', views=('center',), width=12)
  config.train.update(
      steps=20_000,
      start='identity',      # Returns the photograph before it learns.
      learning_rate=7e-4)
  return config
