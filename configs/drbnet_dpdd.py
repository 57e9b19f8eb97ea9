r"""DRBNet on DPDD alone: the second row of the supplement's section 5.

Ruan et al. 2022. Published numbers: none that we know to be of this row.
Measured by us: not yet. Variants: `single` reads one photograph, `dual` the
dual-pixel views as well; `baseline` and `dual,baseline` leave the dynamic
residual blocks out.

  python run.py --config configs/drbnet_dpdd.py:single --workdir WORKDIR \
      --config.data.data_dir=DATA

DATA is what `--mode prepare --dataset dpdd_canon` has built; docs/datasets.md
says how.

Stated: the data. Batch, crop, steps and learning rate as IFAN, which trains on
DPDD; the loss is that of configs/drbnet_lfdof.py.
"""

import ml_collections

from configs import recorded


def get_config(variant: str = 'single') -> ml_collections.ConfigDict:
  return recorded.drbnet('dpdd_canon', variant)
