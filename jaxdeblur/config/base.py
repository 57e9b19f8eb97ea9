"""The base of all configs: every field there is, with its default.

The comment after a field, and below it, is its description; `--help` prints it
with the value that the chosen config has. A config that has a field which is
not here is refused. Fields of `model` are the network's settings, and those of
`train.losses` the declared losses' options: both are described where they are
defined.
"""

import ml_collections

from jaxdeblur import losses
from jaxdeblur.config.model import describe_model
from jaxdeblur.models import registry


def get_config() -> ml_collections.ConfigDict:
  """A config with all fields at their defaults."""
  config = ml_collections.ConfigDict()
  config.seed = 0            # Of parameters, data and noise.
  config.compilation_cache = ''  # A folder that keeps compiled programs.
  config.model = describe_model(  # The network and its settings.
      registry.DEFAULT)
  # How networks compute; no checkpoint stores it.
  config.compute = dict(
      dtype='float32',       # Of the convolutions: float32 or bfloat16.
      remat=False,           # Gradients compute features anew: less memory.
      dynamic_conv_method='auto')  # Or taps, unfold, pallas.
  # What training reads.
  config.data = dict(
      name='rendered',       # Pairs: rendered, folder, patches, or a dataset.
      workers=0,             # Processes that make batches; 0: threads of this.
      crop=(64, 64),         # Height and width of the pairs, px.
      # Recorded pairs:
      folder='',             # Of pairs, or of prepared patches.
      data_dir='',           # Folder of the built datasets.
      split='train',         # Of the dataset: train, val or test.
      bit_depth=16,          # 8: files of 16 bits lose their lower bits.
      mirror_share=0.5,      # Mirrored in x; left and right change places.
      flip_share=0.5,        # Turned upside down.
      input_noise_share=0.05,  # With noise added to the input, as IFAN.
      input_noise=(0.001, 0.0707),  # Range of its deviation, as IFAN.
      grey_share=0.3,        # Made grey, as IFAN.
      scale_share=0.5,       # Scaled down.
      smallest_scale=0.7,    # Of those scaled down.
      # Rendered pairs:
      photos='photos',       # Folder of sharp photographs.
      most_per_series=150,   # Tiles of one series, at most; 0: all.
      tile=0,                # Tiles are enlarged to this, px; 0: as listed.
      dual_pixel=False,      # Renders left and right views, too.
      disparity='both',      # Side of the focus: left_first, right_first, both.
      max_radius=6.0,        # Largest disc radius, px.
      sharp_share=0.15,      # Layers left sharp.
      two_layer_share=0.25,  # Pairs with two depths.
      edges=(0.7, 1.8),      # Range of the discs' soft borders, px.
      rims=(-0.2, 0.3),      # Range of their brightening towards the border.
      shrink=0.55,           # Smallest factor that photographs are shrunk by.
      sensor_noise_share=0.3,  # Pairs with a sensor's noise.
      photon_noise=(1e-5, 3e-4),  # Range of the photon noise's variance.
      read_noise=(1e-4, 1e-3),  # Range of the read noise's deviation.
      display_noise=2 / 255,  # Largest deviation of the other pairs' noise.
      jpeg_share=0.3,        # Pairs whose input has been a JPEG file.
      jpeg_qualities=(80, 98))  # Range of its quality, 1 to 100.
  # How it trains.
  config.train = dict(
      batch_size=8,          # Pairs a step, over all devices.
      steps=20_000,          # Number of steps.
      start='random',        # Of fresh parameters: random, or the network's.
      init_from='',          # Weights or workdir to start from.
      trainable=(),          # Beginnings of modules' names; all if none.
      update_statistics=True,  # Averages of batch normalisation move.
      losses=losses.default_options(),
      schedule='cosine',     # Of the learning rate: cosine, cosine_restarts
                             # or halving.
      period=200,            # Steps of a cycle of cosine_restarts.
      halve_at=(),           # Steps at which halving halves.
      learning_rate=1e-4,    # Its peak.
      warmup_steps=200,      # Steps up to the peak.
      final_learning_rate=1e-6,  # Its end.
      b2=0.99,               # AdamW's decay of squared gradients.
      weight_decay=1e-4,     # AdamW's, of kernels; biases do not decay.
      clip_norm=0.3,         # Largest norm of the gradient.
      accumulation_steps=1,  # Parts that a batch is taken in, one by one.
      ema_decay=0.998,       # Of the moving average that is published.
      checkpoint_every=200,  # Steps from one checkpoint to the next.
      keep_checkpoints=2,    # Latest ones that are kept.
      keep_best=1,           # Kept besides: the best in validation.
      profile_steps=(),      # First and last step of a profile: (100, 110).
      log_every=50,          # Steps from one line of scalars to the next.
      picture_every=500)     # Steps from one picture to the next.
  # Pairs that are scored while it trains.
  config.validation = dict(
      batches=0,             # At every checkpoint; 0: no validation.
      split='',              # Of a dataset, instead of data.split.
      folder='',             # Of pairs, instead of data.folder.
      photos='')             # Of photographs, instead of data.photos.
  # Devices; -1 stands for all that the others leave.
  config.mesh = dict(
      data=-1,               # Devices that share the batch.
      fsdp=1,                # Devices that share batch and parameters.
      height=1)              # Devices that share the rows of pictures.
  # Several processes that train as one.
  config.distributed = dict(
      coordinator='',        # '' for one process; 'auto', or HOST:PORT.
      processes=1,           # Their number.
      process=0)             # The number of this one, from 0.
  # Scores.
  config.eval = dict(
      protocol='rendered_defocus',  # See docs/evaluation.md.
      radii=(0.0, 2.0, 3.5, 5.0),  # Of rendered_defocus' discs, px.
      noise=1 / 255,         # Its deviation, of a range of 1.
      seed=0,                # Of that noise.
      split='test',          # Of the dataset.
      metrics=(),            # Names; the usual ones if none.
      lpips='',              # Folder of LPIPS's weights.
      method='network',      # Or input, wiener, richardson_lucy.
      disc_radius='estimate',  # Of deconvolutions: known, estimate, or px.
      compare='',            # Another result, its scores.json.
      pictures_shown=4)      # Of each condition, on the report's page.
  # Restoring, and what is scored.
  config.restore = dict(
      weights='',            # Name or folder, unless --workdir is given.
      pick='latest',         # Checkpoint of a training: latest or best.
      tile=2048,             # Larger pictures are restored in tiles, px;
                             # 0: never.
      fit='pad',             # To sizes that the network takes: pad or resize.
      panels=False)          # Draws what the network makes of each picture.
  # Building a dataset.
  config.prepare = dict(
      partial=False)         # Part of the published dataset is enough.
  # Cutting recorded pairs into patches.
  config.patches = dict(
      size=512,              # Height and width, px.
      overlap=0.6,           # Share of a patch that the next one covers.
      drop_share=0.3)        # Left out: the least textured of each picture.
  # Measuring.
  config.bench = dict(
      what='forward',        # Or train_step, scaling, loader, compilation.
      target='',             # Compiles for it instead: tpu-v5e, tpu-v5p,
                             # tpu-v6e or cuda; of compilation, a TPU slice.
      size=(1152, 1792),     # Height and width of forward's pictures, px.
      batch_size=1,          # Pictures of forward.
      warm_up=5,             # Runs before those that are timed (Tab. 12).
      repeats=30,            # Runs that are timed (Tab. 12).
      layers=False,          # Lists every operation.
      sizes=(256, 512, 1024, 2048, 4096, 8192),  # Sides of scaling, px.
      workers=(0, 1, 2))     # Numbers of the loader's processes to try.
  # Converting weights.
  config.convert = dict(
      dtype='float32',       # Of the parameters on disk.
      heads='')              # File of LPIPS's heads, with AlexNet as --input.
  config.train.losses.pyramid.weight = 1.0
  return config
