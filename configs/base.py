"""Fields that all experiments share; each sets what it needs otherwise."""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.data = dict(
      photos='photos',       # A folder of sharp photographs.
      most_per_series=150,   # Series of one subject must not prevail.
      tile=0,                # Enlarges the tiles listed, px; 0 does not.
      dual_pixel=False,
      disparity='both',      # Of dual-pixel views: which side of the focus.
      crop=(64, 64),         # Height and width.
      max_radius=6.0,
      sharp_share=0.15)
  config.train = dict(
      batch_size=8,          # Global: divides by the number of devices.
      start='random',
      init_from='',          # Weights to start from.
      trainable=(),          # All.
      update_statistics=True,
      loss='pyramid',
      pyramid_weights=(0.1, 0.1, 0.2, 1.0),  # From 1/8 to full size.
      loss_scales=3,
      reblurring_weight=0.1,
      schedule='cosine',
      period=200,            # Of 'cosine_restarts'.
      warmup_steps=200,
      final_learning_rate=1e-6,
      b2=0.99,
      weight_decay=1e-4,
      clip_norm=0.3,
      ema_decay=0.998,
      checkpoint_every=200,
      keep_checkpoints=2,
      log_every=50,
      picture_every=500)
  config.eval = dict(
      protocol='rendered_defocus',
      radii=(0.0, 2.0, 3.5, 5.0),  # Of the rendered discs, px.
      noise=1 / 255,               # Deviation, of a range of 1.
      seed=0)
  config.restore = dict(
      checkpoint='starter',  # Where the weights are, unless --workdir is given.
      tile=2048,             # Larger pictures are restored in tiles, px.
      fit='pad',
      show=False)            # What the network makes of them, as panels.
  config.bench = dict(size=(1152, 1792), repeats=3)
  config.prepare = dict(partial=False)
  config.convert = dict(dtype='float32')
  return config
