"""The real training loop, on a temporary folder: stop, resume, diverge."""

import multiprocessing
import os
import shutil
import signal

import cv2
import jax
import numpy as np
import pytest

from configs import starter
from jaxdeblur import partitioning
from jaxdeblur.checkpoints import CheckpointError, load_weights
from jaxdeblur.training import loop
from jaxdeblur.training.reporting import Reporter

LAST_STEP = 6


@pytest.fixture(scope='module', autouse=True)
def compilations(tmp_path_factory):
  """Every run compiles the same step: once is enough."""
  folder = tmp_path_factory.mktemp('compilations')
  jax.config.update('jax_compilation_cache_dir', str(folder))
  yield folder
  jax.config.update('jax_compilation_cache_dir', None)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
  folder = tmp_path_factory.mktemp('photos')
  for i in range(3):
    coarse = np.random.default_rng(i).random((24, 24, 3), np.float32)
    cv2.imwrite(str(folder / f'{i}.png'), 255 * cv2.resize(coarse, (96, 96)))
  (folder / 'tiles.csv').write_text('file,y,x,size\n' + ''.join(
      f'{i}.png,{y},16,64\n' for i in range(3) for y in (0, 24)))
  return folder


@pytest.fixture
def losses(monkeypatch):
  """Each reported step's loss, exactly."""
  return collect_losses(monkeypatch)


def collect_losses(monkeypatch):
  collected = {}
  report = Reporter.report

  def collect(self, step_scalars):
    if step_scalars is not None:
      step, scalars = step_scalars
      collected[step] = float(scalars['loss'])
    report(self, step_scalars)

  monkeypatch.setattr(Reporter, 'report', collect)
  return collected


def make_config(photos):
  config = starter.get_config()
  config.model.width = 3
  config.data.update(photos=str(photos), crop=(16, 16), max_radius=2.0)
  config.train.update(
      batch_size=2, steps=LAST_STEP, warmup_steps=2, checkpoint_every=2,
      log_every=1, picture_every=3)
  return config


def train_until_killed(photos, workdir, compilations, step):
  """Trains in a process of its own that is killed before `step` is made."""
  jax.config.update('jax_compilation_cache_dir', str(compilations))
  put_batch, made = partitioning.put_batch, []

  def put_or_die(batch, mesh):
    made.append(None)
    if len(made) == step:
      os.kill(os.getpid(), signal.SIGKILL)
    return put_batch(batch, mesh)

  partitioning.put_batch = put_or_die
  loop.train(make_config(photos), workdir)


def train_on_two_devices(photos, workdir):
  """Trains in a process of its own that sees two devices."""
  jax.config.update('jax_num_cpu_devices', 2)
  config = make_config(photos)
  config.train.batch_size = 3
  with pytest.raises(ValueError, match='is 3, which 2 devices cannot share'):
    loop.train(config, workdir)

  interrupt_before_batch(6)  # Step 5: the fourth is step 3's picture.
  with pytest.raises(KeyboardInterrupt):
    loop.train(make_config(photos), workdir)


def interrupt_before_batch(number):
  put_batch, made = partitioning.put_batch, []

  def put_or_interrupt(batch, mesh):
    made.append(put_batch(batch, mesh))
    assert len(made[-1]['center'].sharding.device_set) == 2
    if len(made) == number:
      raise KeyboardInterrupt
    return made[-1]

  partitioning.put_batch = put_or_interrupt


def run_process(target, *args):
  process = multiprocessing.get_context('spawn').Process(
      target=target, args=args)
  process.start()
  process.join()
  return process.exitcode


@pytest.fixture(scope='module')
def uninterrupted(photos, tmp_path_factory):
  """The last state and the losses of a training that ran through."""
  with pytest.MonkeyPatch.context() as monkeypatch:
    losses = collect_losses(monkeypatch)
    state = loop.train(
        make_config(photos), tmp_path_factory.mktemp('uninterrupted'))
  assert sorted(losses) == list(range(1, LAST_STEP + 1))
  return state, losses


def test_a_killed_training_goes_on_as_if_nothing_had_been(
    photos, compilations, tmp_path, losses, uninterrupted):
  """The losses of the resumed steps are those of an uninterrupted run, to the
  bit: parameters, optimizer, average and place in the data all come back."""
  whole, expected = uninterrupted
  # Killed after step 5, between the checkpoints of steps 4 and 6. The picture
  # of step 3 is a batch too.
  exit_code = run_process(
      train_until_killed, photos, tmp_path, compilations, 7)
  assert exit_code == -signal.SIGKILL

  resumed = loop.train(make_config(photos), tmp_path)
  assert losses and 3 <= min(losses) <= 5  # It did not start anew.
  assert losses == {step: expected[step] for step in losses}
  jax.tree.map(
      np.testing.assert_array_equal, resumed.ema_params, whole.ema_params)
  jax.tree.map(np.testing.assert_array_equal, resumed.params, whole.params)


def test_a_training_on_two_devices_goes_on_on_one(
    photos, tmp_path, losses, uninterrupted):
  """Devices share the batch; sums in another order differ by rounding."""
  assert run_process(train_on_two_devices, photos, tmp_path) == 0
  assert load_weights(tmp_path).path.name == '4'
  loop.train(make_config(photos), tmp_path)
  assert sorted(losses) == [5, 6]
  for step, loss in losses.items():
    assert loss == pytest.approx(uninterrupted[1][step], rel=1e-3)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(
    photos, tmp_path, monkeypatch):
  put_batch, made = partitioning.put_batch, []

  def put_or_spoil(batch, mesh):
    made.append(None)
    if len(made) == 6:  # Step 5: the fourth call is for step 3's picture.
      batch = {name: view * np.nan for name, view in batch.items()}
    return put_batch(batch, mesh)

  monkeypatch.setattr(partitioning, 'put_batch', put_or_spoil)
  with pytest.raises(
      loop.NonFiniteLossError, match=r'became nan at step 5\. The checkpoint '
      r'of step 4 is kept: train on with a lower config\.train\.learning_rate'):
    loop.train(make_config(photos), tmp_path)

  weights = load_weights(tmp_path)
  assert weights.path.name == '4'
  for leaf in jax.tree.leaves(weights.params):
    assert np.isfinite(leaf).all()


def test_recorded_pairs_train_the_same_in_workers(
    photos, tmp_path, monkeypatch):
  """From a plain folder of pairs, which one line of the command names."""
  for folder in ('blurry', 'sharp'):
    shutil.copytree(photos, tmp_path / folder)
  runs = []
  for workers in (0, 1):
    config = make_config(photos)
    config.data.update(
        name='folder', folder=str(tmp_path), workers=workers)
    config.train.update(steps=3, checkpoint_every=3)
    with monkeypatch.context() as patch:
      runs.append(collect_losses(patch))
      loop.train(config, tmp_path / f'workdir{workers}')
  assert sorted(runs[0]) == [1, 2, 3] and runs[0] == runs[1]
  config.model.views = ('center', 'left', 'right')
  with pytest.raises(ValueError, match=r'no left, right, only center, sharp'):
    loop.train(config, tmp_path / 'other')


def test_another_networks_training_is_not_continued(photos, tmp_path):
  config = make_config(photos)
  loop.train(config, tmp_path)
  config.model.width = 4
  with pytest.raises(
      CheckpointError, match=r"'width': 3.*asks for.*'width': 4"):
    loop.train(config, tmp_path)


@pytest.mark.parametrize('change, sentence', [
    ({'model.views': ('center', 'left', 'right')}, 'has no left, right, only'),
    ({'train.start': 'zero'}, "config.train.start is 'zero'"),
    ({'train.warmup_steps': 9}, 'warm up in fewer steps'),
    ({'train.pyramid_weights': (1.0,)}, '1 pyramid weights for 4 estimates'),
    ({'data.photos': 'nowhere'}, 'nowhere is no folder'),
])
def test_what_cannot_be_trained_is_said(photos, tmp_path, change, sentence):
  config = make_config(photos)
  config.update_from_flattened_dict(change)
  with pytest.raises((ValueError, FileNotFoundError), match=sentence):
    loop.train(config, tmp_path / 'workdir')
