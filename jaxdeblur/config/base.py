"""The base of all configs: every field with its default.

The comment after a field, and below it, describes the field; `--help` prints it
with the value of the chosen config. A config with any other field is refused.
The fields of `model` are the network's settings, and those of `train.losses`
are the options of the declared losses. Both are described where they are
defined.
"""

import ml_collections

from jaxdeblur import losses
from jaxdeblur.config.model import describe_model
from jaxdeblur.models import registry


def get_config() -> ml_collections.ConfigDict:
  """A config with all fields at their defaults."""
  config = ml_collections.ConfigDict()
  config.seed = 0            # Random seed of parameters, data and noise.
  config.compilation_cache = ''  # Folder of compiled programs; '' keeps none.
  config.model = describe_model(  # The network and its settings.
      registry.DEFAULT)
  # How the network computes; checkpoints do not store this.
  config.compute = dict(
      dtype='float32',       # Number type of convolutions: float32 or bfloat16.
      remat=False,           # Saves memory in training: features are computed
                             # again for the gradients.
      dynamic_conv_method='auto')  # How kernels of pixels are applied: auto,
                             # taps, unfold or pallas.
  # What training reads.
  config.data = dict(
      name='rendered',       # Source of pairs: rendered, folder, patches, or a
                             # dataset's name.
      workers=0,             # Processes that make batches; 0: threads of the
                             # training process.
      crop=(64, 64),         # Height and width of each pair, px.
      # Recorded pairs:
      folder='',             # Folder of pairs, or of prepared patches.
      data_dir='',           # Folder of the built datasets.
      split='train',         # Split of the dataset: train, val or test.
      bit_depth=16,          # Bits kept of each channel: 8 or 16.
      mirror_share=0.5,      # Share of pairs mirrored in x; left and right
                             # views change places.
      flip_share=0.5,        # Share of pairs turned upside down.
      input_noise_share=0.05,  # Share of pairs with noise added to the input,
                             # as in IFAN.
      input_noise=(0.001, 0.0707),  # Range of that noise's standard deviation,
                             # as in IFAN.
      grey_share=0.3,        # Share of pairs made grey, as in IFAN.
      scale_share=0.5,       # Share of pairs scaled down.
      smallest_scale=0.7,    # Smallest factor by which they are scaled.
      # Rendered pairs:
      photos='photos',       # Folder of sharp photographs.
      scene='layers',        # What a scene is made of: layers of photographs,
                             # photographs with depth maps (depth), or a
                             # light_field.
      depth_maps='',         # Folder of depth maps with the photographs' names.
      depth_kind='disparity',  # What they hold: disparity or depth.
      disparities=(-2.0, 2.0),  # Range of a light field's disparity in focus,
                             # px from view to view.
      apertures=(0.5, 1.0),  # Range of its aperture, as a share of its views.
      most_per_series=150,   # Most tiles of one series of photographs; 0: all.
      tile=0,                # Tiles are enlarged to this side, px; 0: never.
      dual_pixel=False,      # Renders left and right views as well.
      disparity='both',      # Side of the plane in focus that layers lie on:
                             # left_first, right_first or both.
      softness=(1.0, 1.4),   # Range of how softly the aperture is split into
                             # views; 1.19 as on the Pixel 4.
      view_gain=1.15,        # Largest ratio of the views' brightness.
      min_radius=0.5,        # Smallest radius of the blur, px.
      max_radius=20.0,       # Largest radius, px; drawn by its logarithm.
      sharp_share=0.15,      # Share of layers left sharp.
      layer_shares=(0.7, 0.2, 0.07, 0.03),  # Shares of pairs with 1, 2, 3 and 4
                             # layers of depth.
      thin_share=0.3,        # Share of the layers in front that are thin.
      slope_share=0.1,       # Share of pairs whose farthest layer slopes.
      slope=4.0,             # Largest difference of radius over a slope, px.
      edges=(0.7, 1.8),      # Range of the blur's border width in focus, px.
      edge_shares=(0.0, 0.4),  # Range of the border's growth with the radius.
      rims=(-0.2, 0.3),      # Range of how much the blur brightens towards its
                             # border.
      polygon_share=0.3,     # Share of pairs with straight aperture blades.
      blades=(5, 9),         # Range of the number of blades.
      vignetting_share=0.3,  # Share of pairs whose blur changes towards the
                             # corners: cat's eye, bright side, stretch.
      vignetting=0.8,        # Largest shift of the cat's eye in the corners.
      tilt=0.5,              # Largest brightness of one side in the corners.
      stretch=1.15,          # Largest stretch of the blur in the corners.
      gaussian_share=0.1,    # Share of pairs with Gaussian blur.
      colour_spread=0.1,     # Largest difference of red's and blue's radii.
      bank='',               # File of measured kernels (npz); '' for none.
      bank_share=0.0,        # Share of pairs blurred with them.
      highlight_share=0.2,   # Share of pairs with highlights above white.
      highlight_gain=8.0,    # How much brighter than white, at most.
      shrink=0.55,           # Smallest factor by which photographs are shrunk.
      sensor_noise_share=0.3,  # Share of pairs with noise like a sensor's.
      photon_noise=(1e-5, 3e-4),  # Range of the photon noise's variance.
      read_noise=(1e-4, 1e-3),  # Range of the read noise's standard deviation.
      mosaic_share=0.5,      # Share of such noise that neighbours share.
      display_noise=2 / 255,  # Largest standard deviation of the noise in the
                             # other pairs.
      tone_share=0.3,        # Share of pairs with an S-shaped tone curve.
      tone=0.6,              # Its largest strength.
      denoising_share=0.2,   # Share of pairs that the camera denoised.
      denoising=0.02,        # Largest difference that it smooths away.
      sharpening_share=0.3,  # Share of pairs that the camera sharpened.
      sharpening=1.0,        # Largest strength of its unsharp mask.
      zoom_share=0.15,       # Share of pairs enlarged after the blur.
      zoom=1.4,              # Largest factor.
      jpeg_share=0.3,        # Share of pairs whose input passes through JPEG.
      jpeg_qualities=(75, 98))  # Range of the JPEG quality, 1 to 100.
  # How the network is trained.
  config.train = dict(
      batch_size=8,          # Pairs in each step, over all devices.
      steps=20_000,          # Number of steps.
      start='random',        # How fresh parameters start: random, or a start
                             # that the network offers.
      init_from='',          # Weights or workdir to start from; '' for none.
      trainable=(),          # Modules to train, by the beginnings of their
                             # names; () trains all.
      update_statistics=True,  # Batch normalisation updates its averages.
      losses=losses.default_options(),
      schedule='cosine',     # Learning rate over time: cosine, cosine_restarts
                             # or halving.
      period=200,            # Steps in each cycle of cosine_restarts.
      halve_at=(),           # Steps at which halving halves the learning rate.
      learning_rate=1e-4,    # Peak learning rate.
      warmup_steps=200,      # Steps up to the peak of the learning rate.
      final_learning_rate=1e-6,  # Learning rate at the end of the schedule.
      b2=0.99,               # AdamW's decay rate of the mean squared gradients.
      weight_decay=1e-4,     # AdamW's weight decay; biases do not decay.
      clip_norm=0.3,         # The gradient is clipped to this norm.
      accumulation_steps=1,  # Parts of each batch, taken in turn: less memory.
      ema_decay=0.998,       # Decay of the parameters' moving average, which
                             # restoring uses.
      checkpoint_every=200,  # Steps between checkpoints.
      keep_checkpoints=2,    # Latest checkpoints that are kept.
      keep_best=1,           # Best checkpoints in validation that are kept.
      profile_steps=(),      # First and last step to profile: (100, 110).
      log_every=50,          # Steps between lines of scalars.
      picture_every=500)     # Steps between pictures.
  # Pairs that are scored during training.
  config.validation = dict(
      batches=0,             # Batches scored at every checkpoint; 0: none.
      split='',              # Split of the dataset, instead of data.split.
      folder='',             # Folder of pairs, instead of data.folder.
      photos='')             # Folder of photographs, instead of data.photos.
  # Devices; -1 means all devices that the other fields leave.
  config.mesh = dict(
      data=-1,               # Devices that share each batch.
      fsdp=1,                # Devices that share each batch and the parameters.
      height=1)              # Devices that share the rows of pictures.
  # Several processes that train as one.
  config.distributed = dict(
      coordinator='',        # '' for one process; else auto, or HOST:PORT.
      processes=1,           # Number of processes.
      process=0)             # Number of this process, counted from 0.
  # Scoring restored pictures.
  config.eval = dict(
      protocol='rendered_defocus',  # Which pictures are scored, and how; see
                             # docs/evaluation.md.
      radii=(0.0, 2.0, 3.5, 5.0),  # Disc radii of rendered_defocus, px.
      noise=1 / 255,         # Standard deviation of the noise in
                             # rendered_defocus; pictures are in [0, 1].
      seed=0,                # Random seed of that noise.
      split='test',          # Split of the dataset to score.
      metrics=(),            # Names of metrics; () takes the usual ones.
      lpips='',              # Folder of the LPIPS weights.
      method='network',      # What restores: network, input (leaves the picture
                             # as it is), wiener or richardson_lucy.
      disc_radius='estimate',  # Blur radius for wiener and richardson_lucy:
                             # known, estimate, or a number of px.
      exchange_views=False,  # Exchanges left and right of dual-pixel pairs.
      compare='',            # Another result to compare with: its scores.json.
      pictures_shown=4)      # Pictures of each condition on the report's page.
  # Restoring, in the jobs restore and eval.
  config.restore = dict(
      weights='',            # Name or folder of weights, unless --workdir is
                             # given.
      pick='latest',         # Which checkpoint of a training: latest or best.
      tile=2048,             # Side of the tiles that larger pictures are
                             # restored in, px; 0: no tiles.
      fit='pad',             # How pictures get a size that the network takes:
                             # pad or resize.
      panels=False)          # Draws how the network restored each picture.
  # Building a dataset.
  config.prepare = dict(
      partial=False)         # Accepts a part of the published dataset.
  # Cutting recorded pairs into patches.
  config.patches = dict(
      size=512,              # Height and width of each patch, px.
      overlap=0.6,           # Share of a patch that the next one covers.
      drop_share=0.3)        # Share of each picture's patches to leave out:
                             # those with the least texture.
  # Measuring a camera's blur from photographs of the disc chart.
  config.calibrate = dict(
      draw=False,            # Draws the chart instead, as PNG and PDF.
      grid=(8, 13),          # Rows and columns of cells of the photograph, each
                             # with a kernel.
      smoothness=1.0,        # How smooth kernels are; more hides noise.
      depths=(),             # Distance of the chart in each photograph, for one
                             # setting of the focus; () for unknown.
      signs=())              # Where each photograph is in focus, seen from the
                             # chart: front, focus or back; () for unknown.
  # Measuring speed and memory.
  config.bench = dict(
      what='forward',        # Benchmark: forward, train_step, scaling, loader
                             # or compilation.
      target='',             # Compiles for another device: tpu-v5e, tpu-v5p,
                             # tpu-v6e or cuda; for compilation, a TPU slice.
      size=(1152, 1792),     # Height and width of the pictures of forward, px.
      batch_size=1,          # Number of pictures of forward.
      warm_up=5,             # Runs before the timed ones (K3DN's Tab. 12).
      repeats=30,            # Timed runs (K3DN's Tab. 12).
      layers=False,          # Lists every operation of the network.
      sizes=(256, 512, 1024, 2048, 4096, 8192),  # Sides of the square pictures
                             # of scaling, px.
      workers=(0, 1, 2))     # Numbers of worker processes to try for loader.
  # Converting weights.
  config.convert = dict(
      dtype='float32',       # Number type of the parameters on disk.
      heads='')              # File of the LPIPS heads, when --input is AlexNet.
  config.train.losses.pyramid.weight = 1.0
  return config
