"""A network from outside goes through every job; no file of ours is edited."""

import json

import cv2
import jax
import numpy as np
import outside_network  # It registers itself.
import pytest

import jaxdeblur
from jaxdeblur import convert, jobs
from jaxdeblur.checkpoints import load_weights
from jaxdeblur.config import base
from jaxdeblur.config.model import describe_model
from jaxdeblur.models import registry
from jaxdeblur.training import checkpoints


def make_config(folder):
  config = base.get_config()
  config.model = describe_model('outsider', width=3)
  config.data.update(photos=str(folder), crop=(16, 16), max_radius=2.0)
  config.train.update(
      batch_size=2, steps=4, warmup_steps=1, checkpoint_every=2, log_every=1,
      picture_every=99, start='zero')
  config.eval.radii = (2.0,)
  config.restore.panels = True
  config.restore.tile = 16
  config.bench.update(size=(16, 24), warm_up=0, repeats=1)
  return config


def run(job, config, **arguments):
  assert jobs.run(job, config, jobs.Arguments(**arguments)) == 0


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
  folder = tmp_path_factory.mktemp('photos')
  for i in range(2):
    coarse = np.random.default_rng(i).random((24, 24, 3), np.float32)
    cv2.imwrite(
        str(folder / f'{i}.png'), 255 * cv2.resize(coarse, (70, 50)))
  (folder / 'tiles.csv').write_text(
      'file,y,x,size\n0.png,0,0,48\n1.png,0,0,48\n')
  return folder


@pytest.fixture(scope='module')
def workdir(photos, tmp_path_factory):
  """Trained for two steps, then resumed for two more."""
  folder = tmp_path_factory.mktemp('outsider')
  config = make_config(photos)
  config.train.steps = 2
  run('train', config, workdir=folder)
  config.train.steps = 4
  run('train', config, workdir=folder)
  return folder


@pytest.mark.slow
def test_it_trains_resumes_and_describes_itself(workdir):
  weights = load_weights(workdir)
  assert weights.path.name == '4'
  assert weights.settings == {'name': 'outsider', 'width': 3}
  assert isinstance(weights.model, outside_network.Outsider)
  # Its start was zero: what differs has been learnt.
  assert np.abs(weights.params['out']['kernel']).max() > 0
  # Statistics were averaged, too.
  mean = weights.variables['batch_stats']['norm']['mean']
  assert np.abs(mean).max() > 0


@pytest.mark.slow
def test_it_restores_in_tiles_and_draws_its_panel(photos, workdir, tmp_path):
  run('restore', make_config(photos), workdir=workdir, input=photos,
      output=tmp_path)
  names = {path.name for path in tmp_path.iterdir()}
  assert {'0.png', '0_before_after.png', '0_change.png'} <= names
  model = jaxdeblur.load(workdir)
  picture = cv2.imread(str(photos / '0.png'))[..., ::-1]
  whole = model.restore(picture)
  np.testing.assert_array_equal(model.restore(picture, tile=16), whole)
  np.testing.assert_array_equal(
      cv2.imread(str(tmp_path / '0.png'))[..., ::-1], whole)


@pytest.mark.slow
def test_it_is_scored_with_a_report(photos, workdir, tmp_path):
  run('eval', make_config(photos), workdir=workdir, input=photos,
      output=tmp_path / 'scores', report=tmp_path / 'page')
  result = json.loads((tmp_path / 'scores' / 'scores.json').read_text())
  assert result['provenance']['method']['name'] == 'outsider'
  assert 'outsider' in (tmp_path / 'page' / 'index.html').read_text()


@pytest.mark.slow
def test_it_is_measured(photos, tmp_path):
  config = make_config(photos)
  config.compute.dtype = 'bfloat16'
  for what in ('forward', 'train_step'):
    config.bench.what = what
    run('bench', config, output=tmp_path / what)
    record = json.loads((tmp_path / what / 'bench.json').read_text())
    assert record['result']['network'].startswith('outsider')


@pytest.mark.slow
def test_it_is_converted_to_pytorchs_names_and_back(workdir, tmp_path):
  weights = load_weights(workdir)
  arrays = convert.torch_outsider.revert(weights.variables)
  assert {'body.weight', 'bn.running_mean', 'tail.bias'} < set(arrays)
  np.savez(tmp_path / 'outsider.npz', **arrays)
  run('convert', base.get_config(), input=tmp_path / 'outsider.npz',
      output=tmp_path / 'weights')
  again = load_weights(tmp_path / 'weights')
  assert again.digest() == weights.digest()
  jax.tree.map(np.testing.assert_array_equal, again.variables,
               jax.device_get(weights.variables))


@pytest.mark.slow
def test_another_network_of_its_name_is_refused():
  with pytest.raises(ValueError, match="a network 'drbnet' already, DRBNet"):
    registry.register('drbnet', outside_network.Outsider)


@pytest.mark.slow
def test_it_can_only_compute_as_it_can(photos, tmp_path, capsys):
  config = make_config(photos)
  config.compute.remat = True
  code = jobs.run('train', config, jobs.Arguments(workdir=tmp_path / 'run'))
  assert code == 1
  error = capsys.readouterr().err
  assert "'outsider' has no remat" in error
  assert '--config.compute.remat' in error


@pytest.mark.slow
def test_checkpoints_of_the_first_version_go_on(photos, tmp_path, monkeypatch):
  """They averaged parameters alone, and stored some of the settings."""
  config = make_config(photos)
  config.train.steps = 2
  with monkeypatch.context() as patch:
    patch.setattr(checkpoints, '_unpublished', lambda state: {
        'step': state.step, 'params': state.params,
        'opt_state': state.opt_state})
    run('train', config, workdir=tmp_path)
  settings = tmp_path / 'checkpoints' / '2' / 'model' / 'metadata'
  assert json.loads(settings.read_text())['width'] == 3
  config.train.steps = 3
  run('train', config, workdir=tmp_path)
  assert load_weights(tmp_path).path.name == '3'


@pytest.mark.slow
def test_another_networks_checkpoint_is_refused(photos, workdir, capsys):
  config = make_config(photos)
  config.model.width = 4
  assert jobs.run('train', config, jobs.Arguments(workdir=workdir)) == 1
  assert '(width 3, not 4)' in capsys.readouterr().err
