r"""K3DN on RDPD's synthetic pairs (Yang et al. 2023, supplement A).

Published numbers: none that we know of; they are in the main paper's tables.
Measured by us: not yet. Variants: a size (tiny, lightweight, large), then
`single` after a comma.

  python run.py --config configs/k3dn_rdpd.py:tiny --workdir WORKDIR \
      --config.data.data_dir=DATA

`--mode prepare --dataset rdpd` builds DATA; docs/datasets.md says how.

The paper states 40,000 iterations. These are ours: one stage, without SRP
blocks, since the paper says nothing of two; the rest, as in
configs/k3dn_dpdd.py.
"""

import ml_collections

from configs import recorded


def get_config(variant: str = 'tiny') -> ml_collections.ConfigDict:
  return recorded.k3dn_in_one_stage('rdpd', variant, steps=40_000)
