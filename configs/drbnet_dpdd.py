r"""DRBNet on DPDD alone: the second row of the supplement's section 5.

Ruan et al. 2022. Published numbers: none that we know to be of this row.
Measured by us: not yet. Variants: `single` reads one photograph, and `dual`
reads the dual-pixel views as well; `baseline` and `dual,baseline` are the same
without dynamic residual blocks.

  python run.py --config configs/drbnet_dpdd.py:single --workdir WORKDIR \
      --config.data.data_dir=DATA

`--mode prepare --dataset dpdd_canon` builds DATA; docs/datasets.md says how.

The paper states the data. Batch, crop, steps and learning rate are those of
IFAN, which trains on DPDD. The loss is that of configs/drbnet_lfdof.py.
"""

import ml_collections

from configs import recorded


def get_config(variant: str = 'single') -> ml_collections.ConfigDict:
  return recorded.drbnet('dpdd_canon', variant)
