r"""K3DN (Yang et al. 2023) on rendered dual-pixel pairs.

Published: none for this data; the paper trains on DPDD, DDD-syn and RDPD.

A variant is a size (tiny, lightweight, large) and, after commas, options:
`single` is the single-image mode; `both_sides` compares the views by shifts of
-3 to 3 and learns both sides of the plane in focus, where the published network
compares 0 to 3 and learns one side; `stage2` is the second stage of training,
which freezes all but the SRP blocks and starts from the first stage's weights:

  python run.py --config configs/k3dn.py:tiny --workdir STAGE1 \
      --config.data.photos=FOLDER
  python run.py --config configs/k3dn.py:tiny,stage2 --workdir STAGE2 \
      --config.data.photos=FOLDER --config.train.init_from=STAGE1

Measured by us: only that it learns. We trained `tiny` for 400 steps with
--config.data.crop="(288,336)" --config.data.tile=400
--config.train.batch_size=1 --config.train.steps=400
--config.train.log_every=1, on two cores of a CPU in about 17 minutes. The mean
deblurring loss fell from 0.720 (steps 1 to 50) to 0.178 (steps 351 to 400), and
the mean reblurring loss from 0.0465 to 0.0017.

Iterations, learning rate, weight decay and clipping are those of the paper's
supplement, A, for DPDD. Batch and crop are ours: no source has them.
"""

import ml_collections

from jaxdeblur.config import base
from jaxdeblur.config.model import describe_model
from jaxdeblur.errors import UserError
from jaxdeblur.models.k3dn import VARIANTS

_OPTIONS = {'single', 'stage2', 'both_sides'}


def get_config(variant: str = 'tiny') -> ml_collections.ConfigDict:
  size, *options = variant.split(',')
  if size not in VARIANTS or set(options) - _OPTIONS:
    raise UserError(
        f'Unknown variant {variant!r} of a K3DN: give a size, one of '
        f'{", ".join(VARIANTS)}, then {" or ".join(sorted(_OPTIONS))} after '
        'commas.')
  config = base.get_config()
  single, stage2, both_sides = (
      name in options for name in ('single', 'stage2', 'both_sides'))
  config.model = describe_model(
      'k3dn', variant=size, srp=stage2,
      views=('center',) if single else ('left', 'right'))
  if both_sides:
    config.model.cost_shifts = tuple(range(-3, 4))
  config.data.update(
      crop=(576, 448), tile=640, dual_pixel=True, max_radius=12.0,
      # The side that the cost volume can compare.
      disparity='both' if both_sides else 'right_first',
      input_noise_share=0.0, grey_share=0.0, scale_share=0.0)
  config.train.update(
      batch_size=4,
      steps=10_200 if stage2 else 9_800,
      schedule='cosine_restarts', period=200, warmup_steps=100,
      learning_rate=3e-4, final_learning_rate=6e-5,
      b2=0.999,
      weight_decay=1e-6,     # Printed as 10^6.
      clip_norm=1e-2)
  losses = config.train.losses
  losses.pyramid.weight = 0.0
  losses.deblurring.weight = 1.0
  losses.reblurring.weight = 0.1
  if stage2:
    config.train.update(trainable=('srp',), update_statistics=False)
    losses.reblurring.weight = 0.0
  return config
