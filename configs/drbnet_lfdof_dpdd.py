r"""DRBNet on LFDOF, then on DPDD: the third row of the supplement's section 5.

Ruan et al. 2022. Published for RealDOF, one photograph in: 25.745 dB PSNR,
0.771 SSIM (Tab. S1). Measured by us: not yet. Variants: `single`, `dual`,
`baseline` and `dual,baseline`.

It starts from what configs/drbnet_lfdof.py has trained:

  python run.py --config configs/drbnet_lfdof.py --workdir LFDOF_WORKDIR \
      --config.data.data_dir=DATA
  python run.py --config configs/drbnet_lfdof_dpdd.py:single \
      --workdir WORKDIR --config.data.data_dir=DATA \
      --config.train.init_from=LFDOF_WORKDIR

The paper states the data, and a VGG feature loss in place of the absolute
error. It does not state the loss's layers, weights and distance; ours are in
jaxdeblur/losses.py. By default the features are those of SqueezeNet, which
comes with jaxdeblur. For those of VGG-19, convert the file that torchvision
downloads:

  python run.py --config configs/drbnet.py --mode convert \
      --input vgg19.pth --output VGG19

and add --config.train.losses.feature.network=vgg19
--config.train.losses.feature.weights=VGG19.

Steps and learning rate are ours: a sixth of IFAN's steps at half its rate, for
a network that is trained already. All else is as in configs/drbnet_dpdd.py.
`adapt_params` in jaxdeblur/models/drbnet/network.py says what `dual` takes over
from a network for one photograph; this is ours, too.
"""

import ml_collections

from configs import recorded


def get_config(variant: str = 'single') -> ml_collections.ConfigDict:
  config = recorded.drbnet('dpdd_canon', variant)
  config.train.update(
      init_from='LFDOF_WORKDIR',
      start='random',        # All of it is taken over.
      steps=100_000,
      learning_rate=5e-5,
      halve_at=(60_000, 80_000))
  config.train.losses.pyramid.weight = 0.0
  # Its gradient is then about as large as that of the absolute error.
  config.train.losses.feature.weight = 0.01
  return config
