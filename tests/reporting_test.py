"""What training says when its logs cannot be written."""

from clu import asynclib, metric_writers
from etils import epath
import jax.numpy as jnp
import pytest
import tensorflow as tf

from configs import starter
from jaxdeblur import partitioning
from jaxdeblur.models import registry
from jaxdeblur.training import reporting
from jaxdeblur.training.state import TrainState


class FullDisk:
  """Fails as clu's writers do: the thread that writes, or a flush."""

  def write_scalars(self, step, scalars):
    raise asynclib.AsyncError('File too large')

  def flush(self):
    raise tf.errors.OutOfRangeError(None, None, 'File too large')


def test_logs_that_cannot_be_written_are_one_sentence(tmp_path, monkeypatch):
  monkeypatch.setattr(
      metric_writers, 'create_default_writer', lambda *_, **__: FullDisk())
  monkeypatch.setattr(reporting, '_draw_pairs', lambda *_: {})
  reporter = reporting.Reporter(
      epath.Path(tmp_path), starter.get_config(), registry.create('drbnet'),
      partitioning.make_mesh(),
      TrainState(step=jnp.ones((), int), params={}, ema_params={},
                 opt_state=()))
  sentence = f'logs cannot be written to {tmp_path}; .* Is the disk full?'
  with pytest.raises(OSError, match=sentence):
    reporter.report((50, {'loss': jnp.ones(())}))
  with pytest.raises(OSError, match=sentence):
    reporter.close()
