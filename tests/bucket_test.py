"""A workdir in a bucket, gs://, whose files lie in a folder here.

What cannot be tried without a network is what TensorStore does: it writes and
reads the arrays itself.
"""

import pathlib
import subprocess
import sys

from clu import metric_writers
from etils import epath
from etils.epath import testing
import jax
import orbax.checkpoint as ocp
import pytest

from configs import starter
from jaxdeblur import checkpoints
from jaxdeblur.checkpoints import (
  load_weights,
  save_weights,
)
from jaxdeblur.models import registry
from jaxdeblur.training import reporting
from jaxdeblur.training.checkpoints import TrainingCheckpoints
from jaxdeblur.training.state import TrainState

ROOT = pathlib.Path(__file__).parent.parent
WORKDIR = 'gs://bucket/run'


@pytest.fixture
def bucket(tmp_path):
  """The folder that gs://bucket is."""
  def redirect(function, path, *args, **options):
    path = str(path).replace('gs://bucket', str(tmp_path))
    return function(path, *args, **options)

  with testing.mock_epath(**{name: redirect for name in (
      'exists', 'isdir', 'listdir', 'makedirs', 'mkdir', 'open', 'stat')}):
    yield tmp_path


def test_the_command_line_keeps_the_address():
  code = """
from absl import app
import run
run.jobs.run = lambda mode, config, arguments, *_: print(arguments.workdir)
app.run(run.main, flags_parser=run._parse_flags)
"""
  result = subprocess.run(
      [sys.executable, '-c', code, '--config=configs/starter.py',
       f'--workdir={WORKDIR}'],
      cwd=ROOT, check=True, capture_output=True, text=True)
  assert result.stdout == f'{WORKDIR}\n'


def test_checkpoints_are_kept_in_the_bucket(bucket, monkeypatch):
  folders = []
  monkeypatch.setattr(ocp, 'CheckpointManager',
                      lambda folder, options: folders.append(str(folder)))
  TrainingCheckpoints(WORKDIR, {'name': 'drbnet'})
  assert folders == [f'{WORKDIR}/checkpoints']
  assert (bucket / 'run' / 'checkpoints').is_dir()


def test_what_a_bucket_needs_is_said(bucket, monkeypatch):
  monkeypatch.setitem(sys.modules, 'google.cloud.storage', None)
  with pytest.raises(ImportError, match='pip install google-cloud-storage'):
    TrainingCheckpoints(WORKDIR, {'name': 'drbnet'})


def test_a_trainings_latest_weights_are_found_in_the_bucket(
    bucket, make_weights, monkeypatch):
  weights = make_weights()
  for step in (4, 12):
    save_weights(bucket / 'run' / 'checkpoints' / str(step), weights.settings,
                 weights.variables)
  assert checkpoints.is_begun(WORKDIR)
  read = []
  monkeypatch.setattr(checkpoints, '_read_variables',
                      lambda folder, model: read.append(folder) or {})
  assert str(load_weights(WORKDIR).path) == f'{WORKDIR}/checkpoints/12'
  assert [str(folder) for folder in read] == [f'{WORKDIR}/checkpoints/12']


def test_logs_go_to_the_bucket(monkeypatch):
  addresses = []
  monkeypatch.setattr(
      metric_writers, 'create_default_writer',
      lambda folder, just_logging: addresses.append(str(folder)))
  reporting.Reporter(
      epath.Path(WORKDIR), starter.get_config(), registry.create('drbnet'),
      TrainState(step=jax.numpy.ones((), int), params={}, ema_params={},
                 opt_state=()), make_shown=dict)
  assert addresses == [WORKDIR]
