"""What training writes to its logs, and says when they cannot be written."""

from clu import asynclib, metric_writers
import cv2
from etils import epath
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from configs import starter
from jaxdeblur.models import registry
from jaxdeblur.training import loop, reporting
from jaxdeblur.training.state import TrainState

pytestmark = pytest.mark.slow


class FullDisk:
  """Fails as clu's writers do: the thread that writes, or a flush."""

  def write_scalars(self, step, scalars):
    raise asynclib.AsyncError('File too large')

  def flush(self):
    raise tf.errors.OutOfRangeError(None, None, 'File too large')


def test_logs_that_cannot_be_written_are_one_sentence(tmp_path, monkeypatch):
  monkeypatch.setattr(
      metric_writers, 'create_default_writer', lambda *_, **__: FullDisk())
  reporter = reporting.Reporter(
      epath.Path(tmp_path), starter.get_config(), registry.create('drbnet'),
      TrainState(step=jnp.ones((), int), params={}, ema_params={},
                 opt_state=()), make_shown=dict)
  sentence = f'logs cannot be written to {tmp_path}; .* Is the disk full?'
  with pytest.raises(OSError, match=sentence):
    reporter.report((50, {'loss': jnp.ones(())}))
  with pytest.raises(OSError, match=sentence):
    reporter.close()


def test_a_training_can_be_seen(tmp_path):
  """Its scalars, pictures and profile are where TensorBoard looks for them."""
  cv2.imwrite(
      str(tmp_path / 'photo.png'),
      np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8))
  config = starter.get_config()
  config.model = dict(name='drbnet_baseline', views=('center',), width=2)
  config.data.update(photos=str(tmp_path), crop=(16, 16), max_radius=2.0)
  config.train.update(
      start='random', batch_size=2, steps=3, warmup_steps=1,
      checkpoint_every=3, log_every=2, picture_every=3, profile_steps=(2, 2))
  config.validation.batches = 1
  workdir = tmp_path / 'workdir'
  loop.train(config, workdir)
  logged = _read_events(workdir)
  scalars = ('loss', 'gradient_norm', 'learning_rate', 'psnr', 'input_psnr',
             'pictures_per_second')
  assert logged >= {
      *((f'train/{name}', 2) for name in scalars),
      ('validation/psnr', 3), ('input, restored, sharp', 3)}
  assert list((workdir / 'profile').glob('**/*.xplane.pb'))


def _read_events(folder):
  """The names that were logged, and at which steps."""
  return {
      (value.tag, event.step)
      for file in folder.glob('events.out.tfevents.*')
      for event in tf.compat.v1.train.summary_iterator(str(file))
      for value in event.summary.value}
