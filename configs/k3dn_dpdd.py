r"""K3DN on DPDD, in two stages (Yang et al. 2023, supplement A).

Published, from the center view alone (`single`; Tab. 8, PSNR and SSIM): tiny
25.85 dB, 0.794; lightweight 25.95 dB, 0.799; large 26.11 dB, 0.805. From the
dual-pixel views, lightweight: 26.84 dB (Tab. 9 to 11). Measured by us: not yet.

A variant is a size (tiny, lightweight, large) and, after commas, options:
`single` is the single-image mode; `stage2` is the second stage, which trains
the SRP blocks alone. The stages take 9,800 iterations, then 10,200:

  python run.py --config configs/k3dn_dpdd.py:tiny --workdir STAGE1 \
      --config.data.data_dir=DATA
  python run.py --config configs/k3dn_dpdd.py:tiny,stage2 --workdir STAGE2 \
      --config.data.data_dir=DATA --config.train.init_from=STAGE1

`--mode prepare --dataset dpdd_canon` builds DATA; docs/datasets.md says how.

The paper states iterations, stages, losses, AdamW, the learning rate and its
cycles, weight decay (printed as 10^6, read as 1e-6) and clipping. These are
ours: batch, crop, mirroring and turning upside down, and frozen statistics in
the second stage.
"""

import ml_collections

from configs import recorded


def get_config(variant: str = 'tiny') -> ml_collections.ConfigDict:
  return recorded.k3dn('dpdd_canon', variant)
