"""A loss and a metric, each one definition, used from a config."""

import json

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur import jobs, losses
from jaxdeblur.checkpoints import load_weights
from jaxdeblur.config import base
from jaxdeblur.config.description import list_help
from jaxdeblur.config.model import describe_model
from jaxdeblur.metrics import metric
from jaxdeblur.metrics.metric import Metric


@pytest.fixture
def brightness_loss():
  @losses.declare('brightness')
  def compare_brightness(restored, views, *, power: float = 2.0):
    """Difference of the mean brightness.

    Args:
      restored: what the network returned.
      views: the batch's views.
      power: of the difference.
    """
    difference = restored.estimate.mean() - views['sharp'].mean()
    return jnp.abs(difference) ** power

  yield compare_brightness
  del losses.LOSSES['brightness']


@pytest.fixture
def contrast_metric():
  yield metric.register(Metric(
      'contrast', lambda picture: float(np.std(picture)), 'contrast [1]', 3,
      larger_is_better=True, needs_sharp=False))
  del metric.METRICS['contrast']


@pytest.fixture
def photos(tmp_path):
  folder = tmp_path / 'photos'
  folder.mkdir()
  cv2.imwrite(str(folder / 'a.png'), np.random.default_rng(0).integers(
      0, 256, (48, 48, 3), np.uint8))
  (folder / 'tiles.csv').write_text('file,y,x,size\na.png,0,0,48\n')
  return folder


def _config(photos):
  config = base.get_config()
  config.model = describe_model('drbnet_baseline', width=1)
  config.data.update(photos=str(photos), crop=(16, 16), max_radius=2.0)
  config.train.update(
      batch_size=1, steps=1, warmup_steps=0, checkpoint_every=1, log_every=1,
      picture_every=99)
  return config


@pytest.mark.slow
def test_a_declared_loss_is_in_the_base_and_trains(
    brightness_loss, photos, tmp_path):
  config = _config(photos)
  losses_of = config.train.losses
  assert losses_of.brightness.to_dict() == {'weight': 0.0, 'power': 2.0}
  losses_of.pyramid.weight, losses_of.brightness.weight = 0.0, 1.0
  described = '\n'.join(list_help(config))
  assert 'Difference of the mean brightness' in described
  assert 'config.train.losses.brightness.power=2' in described
  arguments = jobs.Arguments(workdir=tmp_path / 'run')
  assert jobs.run('train', config, arguments) == 0
  assert load_weights(tmp_path / 'run').path.name == '1'


def test_a_declared_metric_is_scored_and_printed(
    contrast_metric, photos, tmp_path, capsys):
  config = _config(photos)
  config.eval.update(
      method='input', metrics=('psnr', 'contrast'), radii=(2.0,))
  code = jobs.run('eval', config, jobs.Arguments(
      input=photos, output=tmp_path / 'scores', report=tmp_path / 'page'))
  assert code == 0
  assert 'contrast [1]' in capsys.readouterr().out
  assert 'contrast [1]' in (tmp_path / 'page' / 'index.html').read_text()
  scores = json.loads(
      (tmp_path / 'scores' / 'scores.json').read_text())['pictures'][0]
  assert scores['scores']['contrast'] > 0


def test_names_that_are_close_are_suggested(photos, tmp_path, capsys):
  config = _config(photos)
  config.eval.update(method='input', metrics=('ssmi',))
  code = jobs.run('eval', config, jobs.Arguments(
      input=photos, output=tmp_path / 'scores'))
  assert code == 1
  assert "'ssmi': choose one of psnr, ssim" in (
      error := capsys.readouterr().err)
  assert 'Did you mean ssim?' in error and '--config.eval.metrics' in error
