r"""DRBNet on LFDOF: the first row of the supplement's section 5.

Ruan et al. 2022. It restores sharp detail, which differs from the ground truth
of real photographs ('domain difference', Fig. S7). Published numbers: none that
we know of. Measured by us: not yet.

  python run.py --config configs/drbnet_lfdof.py --workdir WORKDIR \
      --config.data.data_dir=DATA

`--mode prepare --dataset lfdof` builds DATA; docs/datasets.md says how. LFDOF
has no dual-pixel views, so the variants are `single` and `baseline`.
configs/drbnet_lfdof_dpdd.py:dual starts from `single` all the same.

The paper states the data, and an absolute error as the loss. Batch, crop, steps
and learning rate are those of IFAN. The pyramid's weights and the start are
ours.
"""

import ml_collections

from configs import recorded
from jaxdeblur.errors import UserError


def get_config(variant: str = 'single') -> ml_collections.ConfigDict:
  if variant.startswith('dual'):
    raise UserError(
        'LFDOF has no dual-pixel views: train configs/drbnet_lfdof.py:single, '
        'from which configs/drbnet_lfdof_dpdd.py:dual starts.')
  return recorded.drbnet('lfdof', variant)
