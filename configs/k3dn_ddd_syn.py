r"""K3DN on DDD-syn (Yang et al. 2023, supplement A).

Published numbers: none that we know of; they are in the main paper's tables.
Measured by us: not yet. Variants: a size (tiny, lightweight, large), then
`single` after a comma, which reads the mean of both views.

  python run.py --config configs/k3dn_ddd_syn.py:tiny --workdir WORKDIR \
      --config.data.data_dir=DATA

`--mode prepare --dataset ddd_syn` builds DATA; docs/datasets.md says how.

The paper states 4,000 iterations. These are ours: one stage, without SRP
blocks, since the paper says nothing of two; a crop that fits into the pictures
of 480 x 640 px; the rest, as in configs/k3dn_dpdd.py.
"""

import ml_collections

from configs import recorded


def get_config(variant: str = 'tiny') -> ml_collections.ConfigDict:
  config = recorded.k3dn_in_one_stage('ddd_syn', variant, steps=4_000)
  config.data.crop = (288, 448)
  return config
