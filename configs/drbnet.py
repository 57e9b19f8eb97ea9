r"""DRBNet at the paper's width (Ruan et al. 2022), trained on rendered defocus.

Published: none for this data; the paper trains on LFDOF, then on DPDD. Measured
by us: not yet. Variants: `single` reads one photograph; `baseline` is the same
network without dynamic residual blocks (Tab. S1, 'Our_b').

  python run.py --config configs/drbnet.py --workdir WORKDIR \
      --config.data.photos=FOLDER

This config also converts the published network's weights, and runs them:

  python run.py --config configs/drbnet.py --mode convert \
      --input drbnet.pth --output WEIGHTS
  python run.py --config configs/drbnet.py --mode restore --workdir WEIGHTS \
      --input PHOTO_OR_FOLDER --output FOLDER
"""

import ml_collections

from jaxdeblur.config import base
from jaxdeblur.config.model import describe_model
from jaxdeblur.errors import UserError
from jaxdeblur.suggestion import choose_one

_NETWORKS = {'single': 'drbnet', 'baseline': 'drbnet_baseline'}


def get_config(variant: str = 'single') -> ml_collections.ConfigDict:
  if variant not in _NETWORKS:
    raise UserError(
        f'Unknown variant {variant!r} of configs/drbnet.py: '
        f'{choose_one(variant, _NETWORKS)}')
  config = base.get_config()
  config.model = describe_model(
      _NETWORKS[variant], views=('center',), width=32)
  config.data.update(
      crop=(160, 160),
      bit_depth=8,           # As the published program reads.
      mirror_share=0.0, flip_share=0.0)  # As IFAN, the same lineage.
  config.train.update(
      steps=200_000,
      learning_rate=1e-4,    # As IFAN.
      checkpoint_every=1_000,
      picture_every=1_000)
  if variant == 'single':  # The baseline adds to the photograph as it is.
    config.train.start = 'identity'
  return config
