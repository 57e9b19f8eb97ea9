r"""The starter weights: a narrow DRBNet trained on rendered defocus.

Published: none; this network and its data are ours. Measured by us on the 24
Kodak photographs with rendered blur, PSNR of input -> output: disc radius 2 px
26.83 -> 29.24 dB, 3.5 px 24.58 -> 27.82 dB, 5 px 23.51 -> 26.75 dB. Sharp
pictures come back at 43.31 dB. Training took 96 minutes on two cores of a CPU
beside other work. The pairs were those of an earlier renderer, with discs up to
6 px and no camera; what this config renders today has not been trained to its
end. jaxdeblur/weights/starter.md lists the photographs.

  python run.py --config configs/starter.py --workdir WORKDIR \
      --config.data.photos=FOLDER
"""

import ml_collections

from jaxdeblur.config import base
from jaxdeblur.config.model import describe_model


def get_config() -> ml_collections.ConfigDict:
  config = base.get_config()
  config.model = describe_model('drbnet', views=('center',), width=12)
  config.train.update(
      steps=20_000,
      start='identity',      # Returns the photograph before it learns.
      learning_rate=7e-4)
  config.restore.weights = 'starter'
  return config
