"""Variants of the papers' tables, set on the command line, learn for a step."""

import cv2
import jax
import numpy as np
import pytest

from jaxdeblur import compilation
from jaxdeblur.config import command_line
from jaxdeblur.models import registry
from jaxdeblur.training import loop

pytestmark = pytest.mark.slow

_SHORT = (
    '--config.train.steps=1', '--config.train.batch_size=1',
    '--config.train.checkpoint_every=1', '--config.train.log_every=1',
    '--config.train.picture_every=99', '--config.train.warmup_steps=0')

# K3DN's own losses compile twice as long; one of the variants has them.
_SIMPLE_LOSS = (
    '--config.train.losses.deblurring.weight=0',
    '--config.train.losses.reblurring.weight=0',
    '--config.train.losses.pyramid.weight=1')

# Each value of Tab. 9 (windows), ends and some of Tab. 10 (kernels) and Tab. 11
# (PSF blocks), and what only the published network or only print has.
K3DN = {
    'window 9 x 9, kernels of 3, a PSF block': (
        'window=(9,9)', 'kernel_size=3', 'num_psf_blocks=1'),
    'window 14 x 18, kernels of 13, Wiener': (
        'window=(14,18)', 'kernel_size=13', 'psf_mode=wiener',
        'num_psf_blocks=2'),
    'window 18 x 18, kernels of 5, shifts to both sides': (
        'window=(18,18)', 'kernel_size=5', 'cost_shifts=(-2,-1,0,1,2)'),
    'window 27 x 27, kernels of 7, extractor as printed': (
        'window=(27,27)', 'kernel_size=7', 'feature_extractor=table13',
        'num_psf_blocks=3'),
}


@pytest.fixture(autouse=True)
def _compile_quickly(monkeypatch):
  """Whether it learns does not depend on how fast."""
  monkeypatch.setattr(compilation, 'CPU_OPTIONS', {
      **compilation.CPU_OPTIONS, 'xla_backend_optimization_level': 0})


def _train(recipe, workdir, *fields):
  config, _ = command_line.load(recipe, [*_SHORT, *fields])
  state = loop.train(config, workdir)
  assert all(np.isfinite(leaf).all()
             for leaf in jax.tree.leaves(jax.device_get(state.params)))
  return config, state


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
  folder = tmp_path_factory.mktemp('photos')
  coarse = np.random.default_rng(0).random((40, 40, 3), np.float32)
  cv2.imwrite(str(folder / 'a.png'), 255 * cv2.resize(coarse, (256, 256)))
  return folder


@pytest.fixture(scope='module')
def pairs(tmp_path_factory):
  folder = tmp_path_factory.mktemp('pairs')
  random = np.random.default_rng(0)
  for view in ('blurry', 'left', 'right', 'sharp'):
    (folder / view).mkdir()
    cv2.imwrite(str(folder / view / 'a.png'),
                random.integers(0, 256, (40, 40, 3), np.uint8))
  return folder



@pytest.mark.parametrize('name', K3DN)
def test_k3dn_as_in_tables_9_to_11(photos, tmp_path, name):
  fields = K3DN[name]
  settings = ('base_channels=2', 'num_blocks=1', *fields)
  model = [f'--config.model.{field}' for field in settings]
  config, _ = command_line.load('k3dn:tiny', model)
  height, width = registry.create(
      **config.model.to_dict()).smallest_multiple
  config, state = _train(
      'k3dn:tiny', tmp_path / 'run', *model,
      f'--config.data.photos={photos}', '--config.data.tile=0',
      '--config.data.max_radius=2.0',
      f'--config.data.crop=({height},{width})',
      *(() if 'Wiener' in name else _SIMPLE_LOSS))
  blocks = [name for name in state.params if name.startswith('psf')]
  assert len(blocks) == (config.model.num_psf_blocks or 2)
  spectrum = state.params['psf1']['kernels']['spectrum']
  assert spectrum.shape[1] == config.model.kernel_size + 1


@pytest.mark.parametrize('recipe, views', [
    ('drbnet_lfdof:baseline', ('center',)),
    ('drbnet_dpdd:baseline', ('center',)),
    ('drbnet_dpdd:dual,baseline', ('center', 'left', 'right')),
])
def test_the_baseline_of_drbnets_recipes(pairs, tmp_path, recipe, views):
  config, state = _train(
      recipe, tmp_path / 'run', '--config.model.width=1',
      '--config.data.name=folder', f'--config.data.folder={pairs}',
      '--config.data.crop=(16,16)')
  assert config.model.name == 'drbnet_baseline'
  assert tuple(config.model.views) == views
  assert int(state.step) == 1


def test_the_baseline_of_the_second_stage(pairs, tmp_path):
  """It starts from the first one's weights, by the features alone."""
  fields = ('--config.model.width=1', '--config.data.name=folder',
            f'--config.data.folder={pairs}', '--config.data.crop=(32,32)')
  _train('drbnet_lfdof:baseline', tmp_path / 'first', *fields)
  config, state = _train(
      'drbnet_lfdof_dpdd:dual,baseline', tmp_path / 'second', *fields,
      f"--config.train.init_from={tmp_path / 'first'}",
      "--config.train.losses.feature.layers=('conv1',)")
  assert config.train.losses.pyramid.weight == 0
  assert int(state.step) == 1
