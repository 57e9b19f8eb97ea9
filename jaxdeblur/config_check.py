"""The fields a config may have, and a check for those it may not."""

import difflib

import ml_collections

# Section -> field -> what it is. `model` is checked by the registry.
FIELDS: dict[str, dict[str, str]] = {
    'data': {
        'name': 'rendered, folder, patches, or a dataset\'s name',
        'workers': 'processes that make batches; 0: threads of this one',
        'crop': 'height and width of the training pairs, px',
        'folder': 'of recorded pairs, or of prepared patches',
        'data_dir': 'where datasets are',
        'split': 'of the dataset: train, val or test',
        'bit_depth': '16, or 8: 16-bit files lose their lower bits',
        'mirror_share': 'share mirrored in x, left and right exchanged',
        'flip_share': 'share turned upside down',
        'input_noise_share': 'share of recorded pairs with noise added',
        'input_noise': 'range of its deviation, of a range of 1',
        'grey_share': 'share of recorded pairs made grey',
        'scale_share': 'share of recorded pairs scaled down',
        'smallest_scale': 'of recorded pairs scaled down',
        'photos': 'folder of sharp photographs',
        'most_per_series': 'at most so many tiles of one series, 0 for all',
        'tile': 'size that tiles are enlarged to, px; 0 leaves them',
        'dual_pixel': 'whether left and right views are rendered',
        'disparity': 'side of the focus: left_first, right_first, both',
        'max_radius': 'largest disc radius, px',
        'sharp_share': 'share of layers left sharp',
        'two_layer_share': 'share of pairs with two depths',
        'edges': 'range of the discs\' soft borders, px',
        'rims': 'range of the discs\' brightening towards the border',
        'shrink': 'smallest factor by which photographs are shrunk',
        'sensor_noise_share': 'share of pairs with noise of a sensor',
        'photon_noise': 'range of the photon noise\'s variance',
        'read_noise': 'range of the read noise\'s deviation',
        'display_noise': 'largest deviation of the even noise',
        'jpeg_share': 'share of pairs whose input has been a JPEG file',
        'jpeg_qualities': 'range of its quality, 1 to 100',
    },
    'train': {
        'batch_size': 'pairs a step, over all devices',
        'steps': 'number of steps',
        'start': 'parameters at first: random, or identity',
        'init_from': 'weights or workdir to start from, if any',
        'trainable': 'beginnings of the modules trained, all if none',
        'update_statistics': 'whether batch normalisation\'s averages move',
        'loss': 'pyramid or k3dn',
        'feature_loss': 'network whose features are compared, if any: '
                        'squeezenet or vgg19',
        'feature_weights': 'its weights, the shipped ones if none',
        'feature_layers': 'its layers compared, the usual ones if none',
        'feature_weight': 'of the feature loss',
        'loss_scales': 'number of scales of K3DN\'s loss',
        'reblurring_weight': 'of K3DN\'s reblurring loss',
        'schedule': 'of the learning rate: cosine, cosine_restarts or halving',
        'period': 'steps from one restart to the next',
        'halve_at': 'steps at which the learning rate is halved',
        'learning_rate': 'its peak',
        'warmup_steps': 'steps up to the peak',
        'final_learning_rate': 'its end',
        'b2': 'AdamW\'s decay of the squared gradients',
        'weight_decay': 'AdamW\'s, biases excepted',
        'clip_norm': 'largest norm of the gradient',
        'remat': 'whether gradients compute features anew, for less memory',
        'accumulation_steps': 'parts that a batch is taken in, one by one',
        'ema_decay': 'of the parameters\' moving average',
        'pyramid_weights': 'of the losses from 1/8 to full size',
        'checkpoint_every': 'steps between checkpoints',
        'keep_checkpoints': 'number of latest checkpoints kept',
        'keep_best': 'number of checkpoints kept with the best validation',
        'profile_steps': 'first and last step of a profile, none if empty',
        'log_every': 'steps between logged scalars',
        'picture_every': 'steps between logged pictures',
    },
    'validation': {
        'batches': 'batches that are scored at every checkpoint, 0 for none',
        'split': 'of the dataset, instead of config.data.split',
        'folder': 'of pairs, instead of config.data.folder',
        'photos': 'folder of photographs, instead of config.data.photos',
    },
    'mesh': {
        'data': 'devices that share the batch; -1 is what the others leave',
        'fsdp': 'devices that share batch and parameters',
        'height': 'devices that share the rows of pictures',
    },
    'distributed': {
        'coordinator': 'address of the first of several processes, or auto',
        'processes': 'their number',
        'process': 'the number of this one, from 0',
    },
    'eval': {
        'protocol': 'drbnet_paper, k3dn_paper, k3dn_paper_single, full, '
                    'pixel4_xin or rendered_defocus',
        'radii': 'disc radii of the rendered defocus, px',
        'noise': 'deviation of the noise added, of a range of 1',
        'seed': 'of the noise',
        'split': 'which split of the dataset is scored',
        'metrics': 'psnr, ssim, mae, rmse_rel, lpips, niqe; the usual if none',
        'lpips': 'folder of LPIPS\'s weights, where it is among the metrics',
        'method': 'what is scored: network, input, wiener, richardson_lucy',
        'disc_radius': 'of the deconvolutions, px; or known, or estimate',
        'compare': 'the scores.json to compare with',
        'pictures_shown': 'of each condition, on the report\'s page',
    },
    'restore': {
        'checkpoint': 'the weights, unless --workdir is given',
        'pick': 'which checkpoint of a training: latest or best',
        'tile': 'pictures larger than this are restored in tiles, px; 0 never',
        'show': 'whether to write what the network makes of each picture, too',
        'fit': 'how pictures get a size that the network takes: pad or resize',
    },
    'prepare': {
        'partial': 'whether part of a dataset is enough',
        'patch_size': 'height and width of the patches to cut, px; 0: none',
        'overlap': 'share of a patch that the next one covers, too',
        'drop_share': 'share of patches left out, the least textured',
    },
    'bench': {
        'what': 'forward, train_step, scaling, loader or compilation',
        'target': 'what to compile for instead: a TPU chip (tpu-v5e, tpu-v5p, '
                  'tpu-v6e) or cuda; of compilation, a TPU slice',
        'size': 'of forward: height and width of the pictures, px',
        'batch_size': 'of forward: pictures at a time',
        'dynamic_conv_method': 'instead of the network\'s own, if any',
        'warm_up': 'runs before those that are timed',
        'repeats': 'runs that are timed',
        'layers': 'whether every operation is listed, too',
        'sizes': 'of scaling: sides of the square pictures, px',
        'workers': 'of the loader: numbers of processes to try',
    },
    'convert': {
        'dtype': 'of the parameters on disk',
        'heads': 'LPIPS\'s linear layers, a file, where AlexNet is converted',
    },
}
_TOP = ('seed', 'model', 'dtype', 'compilation_cache', *FIELDS)


def check_config(config: ml_collections.ConfigDict) -> None:
  """Raises a ValueError that names every unknown field of a config."""
  problems = [_describe('config', name, _TOP)
              for name in config if name not in _TOP]
  for section, known in FIELDS.items():
    problems += [_describe(f'config.{section}', name, known)
                 for name in config.get(section, {}) if name not in known]
  if problems:
    raise ValueError(f'Unknown in the config: {"; ".join(problems)}.')


def _describe(section, name, known) -> str:
  close = difflib.get_close_matches(name, known, n=1)
  hint = f' (did you mean {close[0]}?)' if close else ''
  return f'{section}.{name}{hint}'
