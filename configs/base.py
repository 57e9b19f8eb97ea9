"""Fields that all experiments share; each sets what it needs otherwise."""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.dtype = 'float32'   # Or bfloat16: of the networks' convolutions.
  config.data = dict(
      name='rendered',       # Or folder, patches, a dataset's name.
      workers=0,             # Processes that make batches; 0: threads of this.
      crop=(64, 64),         # Height and width.
      # Recorded pairs:
      folder='',             # Of pairs, or of prepared patches.
      data_dir='',           # Where datasets are.
      split='train',
      bit_depth=16,
      mirror_share=0.5,      # Left and right change places.
      flip_share=0.5,
      input_noise_share=0.05,  # This and the next two as IFAN.
      input_noise=(0.001, 0.0707),
      grey_share=0.3,
      scale_share=0.5,
      smallest_scale=0.7,
      # Rendered pairs:
      photos='photos',       # A folder of sharp photographs.
      most_per_series=150,   # Series of one subject must not prevail.
      tile=0,                # Enlarges the tiles listed, px; 0 does not.
      dual_pixel=False,
      disparity='both',      # Of dual-pixel views: which side of the focus.
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
      feature_loss='',       # By no feature network.
      feature_weights='',    # Those that come with the package.
      feature_layers=(),     # The network's usual ones.
      feature_weight=0.01,   # Its gradient is about the absolute error's.
      loss_scales=3,
      reblurring_weight=0.1,
      schedule='cosine',
      period=200,            # Of 'cosine_restarts'.
      halve_at=(),           # Steps, of 'halving'.
      warmup_steps=200,
      final_learning_rate=1e-6,
      b2=0.99,
      weight_decay=1e-4,
      clip_norm=0.3,
      remat=False,           # Less memory for gradients, more work.
      accumulation_steps=1,  # Parts that a batch is taken in.
      ema_decay=0.998,
      checkpoint_every=200,
      keep_checkpoints=2,
      keep_best=1,           # Besides, if there is validation.
      profile_steps=(),      # First and last, e.g. (100, 110).
      log_every=50,
      picture_every=500)
  config.validation = dict(
      batches=0,             # At every checkpoint.
      split='',              # Of recorded pairs, instead of training's.
      folder='',
      photos='')
  config.mesh = dict(data=-1, fsdp=1, height=1)  # -1: all other devices.
  config.distributed = dict(
      coordinator='',        # One process; 'auto', or HOST:PORT.
      processes=1,
      process=0)
  config.eval = dict(
      protocol='rendered_defocus',
      radii=(0.0, 2.0, 3.5, 5.0),  # Of the rendered discs, px.
      noise=1 / 255,               # Deviation, of a range of 1.
      seed=0,
      split='test',                # Of the dataset.
      metrics=(),                  # PSNR, SSIM, MAE; without truth, NIQE.
      lpips='',                    # The folder of LPIPS's weights.
      method='network',            # Or input, wiener, richardson_lucy.
      disc_radius='estimate',      # Or known, or in px.
      compare='',                  # Another result, its scores.json.
      pictures_shown=4)            # Of each condition, on the report's page.
  config.restore = dict(
      checkpoint='starter',  # Where the weights are, unless --workdir is given.
      pick='latest',         # Of a training; or best, in validation.
      tile=2048,             # Larger pictures are restored in tiles, px.
      fit='pad',
      show=False)            # What the network makes of them, as panels.
  config.prepare = dict(
      partial=False,         # Whether part of a dataset is enough.
      patch_size=0,          # Above 0, patches of this size are cut, px.
      overlap=0.6,
      drop_share=0.3)        # Of every picture's patches, the least textured.
  config.bench = dict(
      what='forward',        # Or loader, compilation.
      target='v5e-4',        # TPU slice that a compilation is for.
      size=(1152, 1792),
      repeats=3,
      workers=(0, 1, 2))
  config.convert = dict(
      dtype='float32',
      heads='')              # The file of LPIPS's, with AlexNet as --input.
  return config
