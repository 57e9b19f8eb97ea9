r"""The starter weights: a narrow DRBNet trained on rendered defocus.

Published: none; this network and its data are ours.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.model = dict(name='drbnet', views=('center',), width=12)
  config.data = dict(
      photos='photos',       # A folder of sharp photographs.
      most_per_series=150,   # Series of one subject must not prevail.
      crop=64,
      max_radius=6.0,
      sharp_share=0.15)
  config.train = dict(
      batch_size=8,          # Global: divides by the number of devices.
      steps=20_000,
      start='identity',      # Returns the photograph before it learns.
      learning_rate=7e-4,
      warmup_steps=200,
      final_learning_rate=1e-6,
      b2=0.99,
      weight_decay=1e-4,
      clip_norm=0.3,
      ema_decay=0.998,
      pyramid_weights=(0.1, 0.1, 0.2, 1.0),  # From 1/8 to full size.
      checkpoint_every=200,
      keep_checkpoints=2,
      log_every=50,
      picture_every=500)
  config.eval = dict(
      radii=(0.0, 2.0, 3.5, 5.0),  # Of the rendered discs, px.
      noise=1 / 255,               # Deviation, of a range of 1.
      seed=0)
  config.restore = dict(
      checkpoint='starter',  # Where the weights are, unless --workdir is given.
      tile=2048,             # Larger pictures are restored in tiles, px.
      fit='pad')
  config.convert = dict(dtype='float32')
  return config
