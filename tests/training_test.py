"""The real training loop, on a temporary folder: stop, resume, diverge."""

import multiprocessing
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import starter
from jaxdeblur import jobs, partitioning
from jaxdeblur.checkpoints import (
  CheckpointError,
  load_weights,
)
from jaxdeblur.log_lines import choose_log_lines
from jaxdeblur.models import registry
from jaxdeblur.training import loop, validation
from jaxdeblur.training.checkpoints import TrainingCheckpoints
from jaxdeblur.training.optimizer import make_optimizer
from jaxdeblur.training.reporting import Reporter
from jaxdeblur.training.state import create_state

pytestmark = pytest.mark.slow

LAST_STEP = 6


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


def train_until_killed(photos, workdir, step):
  """Trains in a process of its own that is killed before `step` is made."""
  put_batch, made = partitioning.put_batch, []

  def put_or_die(batch, mesh):
    made.append(None)
    if len(made) == step + 1:  # The first is for the pictures shown.
      os.kill(os.getpid(), signal.SIGKILL)
    return put_batch(batch, mesh)

  partitioning.put_batch = put_or_die
  loop.train(make_config(photos), workdir)


def train_on_two_devices(photos, workdir):
  """Trains in a process of its own that sees two devices."""
  jax.config.update('jax_num_cpu_devices', 2)
  config = make_config(photos)
  config.train.batch_size = 3
  with pytest.raises(ValueError, match='is 3, which 2 devices '):
    loop.train(config, workdir)

  interrupt_before_batch(6)  # Step 5: the first is for the pictures shown.
  with pytest.raises(KeyboardInterrupt):
    loop.train(make_config(photos), workdir)


def interrupt_before_batch(number):
  put_batch, made = partitioning.put_batch, []

  def put_or_interrupt(batch, mesh):
    made.append(put_batch(batch, mesh))
    assert len(made[-1]['tiles'].sharding.device_set) == 2
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
    photos, tmp_path, losses, uninterrupted):
  """The losses of the resumed steps are those of an uninterrupted run, to the
  bit: parameters, optimizer, average and place in the data all come back."""
  whole, expected = uninterrupted
  # Killed after step 5, between the checkpoints of steps 4 and 6. The picture
  # of step 3 is a batch too.
  exit_code = run_process(train_until_killed, photos, tmp_path, 6)
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


def train_until_asked_to_stop(photos, workdir):
  """A cloud's SIGTERM comes while step 3 is made, and while that is written.

  It comes to all processes of the group, and so to those that make batches.
  """
  os.setpgid(0, 0)
  put_batch, close, made = (
      partitioning.put_batch, TrainingCheckpoints.close, [])

  def put_or_ask(batch, mesh):
    made.append(None)
    if len(made) == 4:  # Step 3: the first is for the pictures shown.
      os.killpg(0, signal.SIGTERM)
    return put_batch(batch, mesh)

  def ask_again_and_close(self):
    os.killpg(0, signal.SIGTERM)
    close(self)

  partitioning.put_batch = put_or_ask
  TrainingCheckpoints.close = ask_again_and_close
  arguments = jobs.Arguments(workdir=workdir)
  config = make_config(photos)
  config.data.workers = 1
  sys.exit(jobs.run('train', config, arguments))


def test_sigterm_saves_and_exits_with_0(
    photos, tmp_path, losses, uninterrupted, capfd):
  assert run_process(train_until_asked_to_stop, photos, tmp_path) == 0
  assert 'Stopped at step 3 of 6, as asked' in capfd.readouterr().out
  assert load_weights(tmp_path).path.name == '3'
  loop.train(make_config(photos), tmp_path)
  assert losses == {step: uninterrupted[1][step] for step in (4, 5, 6)}


def test_the_best_checkpoint_in_validation_is_kept_beside_the_latest(
    photos, tmp_path, monkeypatch):
  scores = iter([20.0, 30.0, 25.0])
  monkeypatch.setattr(
      loop, 'make_validation', lambda *_: lambda state: next(scores))
  config = make_config(photos)
  config.train.update(keep_checkpoints=1, keep_best=1)
  loop.train(config, tmp_path)
  assert load_weights(tmp_path).path.name == '6'
  assert load_weights(tmp_path, pick='best').path.name == '4'
  kept = [path.name for path in (tmp_path / 'checkpoints').iterdir()]
  assert sorted(kept) == ['4', '6']


def test_validation_scores_the_same_pairs_every_time(photos):
  config = make_config(photos)
  config.validation.batches = 2
  model = registry.create('drbnet_baseline', width=2)
  mesh = partitioning.make_mesh()
  validate = validation.make_validation(config, model, mesh)
  state = create_state(
      model, make_optimizer(config.train), jax.random.key(0))
  assert validate(state) == validate(state) > 5
  dark = state.replace(ema_params=jax.tree.map(
      lambda x: x - 10 if x.shape == (3,) else x, state.ema_params))
  assert validate(dark) < validate(state)


@pytest.mark.parametrize('changes, sentence', [
    ({'data.name': 'folder', 'data.folder': 'here'},
     r"training, folder 'here': name others in config\.validation\.folder"),
    ({'data.name': 'dpdd', 'validation.split': 'train'},
     "pairs of training, split 'train'"),
    ({'data.name': 'folder', 'validation.split': 'val'},
     r"split is 'val', but .*name=folder are chosen by config\.validation\."),
    ({'validation.folder': 'there'}, r'chosen by config\.validation\.photos'),
    ({'validation.batches': -1}, 'batches is -1: give their number, or 0'),
])
def test_validation_on_pairs_of_training_is_refused(photos, changes, sentence):
  config = make_config(photos)
  config.validation.batches = 1
  config.update_from_flattened_dict(changes)
  model = registry.create('drbnet_baseline', width=2)
  with pytest.raises(ValueError, match=sentence):
    validation.make_validation(config, model, partitioning.make_mesh())


def test_weights_that_were_never_validated_have_no_best(photos, tmp_path):
  config = make_config(photos)
  config.train.steps = 3
  loop.train(config, tmp_path)
  with pytest.raises(CheckpointError, match='has been validated: train with'):
    load_weights(tmp_path, pick='best')


def test_a_checkpoint_written_half_is_not_chosen(photos, tmp_path, losses):
  config = make_config(photos)
  config.train.steps = 3
  loop.train(config, tmp_path)
  folder = tmp_path / 'checkpoints'
  # What Orbax leaves when it is killed: its folder has another name.
  shutil.copytree(folder / '3', folder / '5.orbax-checkpoint-tmp-1')
  assert load_weights(tmp_path).path.name == '3'
  losses.clear()
  loop.train(make_config(photos), tmp_path)
  assert min(losses) == 4


def test_a_workdir_that_cannot_be_written_is_said(photos, tmp_path, capsys):
  (tmp_path / 'file').write_text('precious')
  code = jobs.run('train', make_config(photos), jobs.Arguments(
      workdir=tmp_path / 'file'))
  assert code == 1
  assert f'{tmp_path / "file"}' in capsys.readouterr().err
  assert (tmp_path / 'file').read_text() == 'precious'


def train_on_a_full_disk(photos, workdir):
  """Files cannot grow over 4 KiB: as a disk that is full, to a program."""
  photos, workdir = pathlib.Path(photos), pathlib.Path(workdir)
  config = make_config(photos)
  config.train.steps = 4
  assert jobs.run('train', config, jobs.Arguments(workdir=workdir)) == 0
  signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
  config.train.update(steps=6, picture_every=100)  # Logs still fit.
  choose_log_lines(training=False)
  sys.exit(jobs.run('train', config, jobs.Arguments(workdir=workdir)))


def test_a_full_disk_stops_and_keeps_what_there_was(photos, tmp_path):
  # By pipes: what is printed into a file would meet the limit, too.
  result = subprocess.run(
      [sys.executable, '-c', 'import sys, training_test; '
       'training_test.train_on_a_full_disk(*sys.argv[1:])',
       photos, tmp_path],
      env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
      capture_output=True, text=True, check=False)
  assert result.returncode == 1
  assert re.search(
      r'^error: A checkpoint cannot be written to .*; that of step 4 is kept\. '
      r'Is the disk full\?', result.stderr, re.MULTILINE)
  assert 'Traceback' not in result.stderr  # Of any thread or library.
  assert load_weights(tmp_path).path.name == '4'


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(
    photos, tmp_path, monkeypatch):
  make_views_of = loop.make_views_of

  def make_spoiled_views_of(*arguments):
    make_views = make_views_of(*arguments)

    def make_or_spoil(batch, step):
      factor = jnp.where(step == 4, jnp.nan, 1)  # Step 5, counted from 0.
      return jax.tree.map(lambda view: view * factor, make_views(batch, step))

    return make_or_spoil

  monkeypatch.setattr(loop, 'make_views_of', make_spoiled_views_of)
  with pytest.raises(
      loop.NonFiniteLossError, match=r'became nan at step 5\. The checkpoint '
      r'of step 4 is kept: train on with a lower config\.train\.learning_rate'):
    loop.train(make_config(photos), tmp_path)

  weights = load_weights(tmp_path)
  assert weights.path.name == '4'
  for leaf in jax.tree.leaves(weights.params):
    assert np.isfinite(leaf).all()


def test_a_gradient_that_is_no_number_is_not_saved(
    photos, tmp_path, monkeypatch):
  """Though the loss, of the parameters before that step, is one."""
  def make_step(*_):
    return jax.jit(lambda state, views, frozen: (
        state.replace(step=state.step + 1),
        {'loss': jnp.float32(0.1), 'gradient_norm': jnp.float32(np.inf)}))

  monkeypatch.setattr(loop, 'jit_train_step', make_step)
  config = make_config(photos)
  config.train.checkpoint_every = 1
  with pytest.raises(
      loop.NonFiniteLossError, match=r'The norm of the gradient became inf at '
      r'step 1\. There is no checkpoint yet: train on with a lower'):
    loop.train(config, tmp_path)
  with pytest.raises(CheckpointError):
    load_weights(tmp_path)


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
      CheckpointError, match=r'than the config asks for \(width 3, not 4\)'):
    loop.train(config, tmp_path)


def test_first_weights_that_may_be_two_are_said(photos, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'starter').mkdir()
  config = make_config(photos)
  config.train.init_from = 'starter'
  with pytest.raises(ValueError, match="'starter', which is both the weights"):
    loop.train(config, tmp_path / 'workdir')
  assert not (tmp_path / 'workdir').exists()


@pytest.mark.parametrize('change, sentence', [
    ({'model.views': ('center', 'left', 'right')}, 'has no left, right, only'),
    ({'train.start': 'zero'}, "config.train.start is 'zero'"),
    ({'train.warmup_steps': 9}, 'warm up in fewer steps'),
    ({'train.losses.pyramid.scales': (1.0,)},
     '1 weights of scales for 4 estimates'),
    ({'data.photos': 'nowhere'}, 'nowhere is no folder'),
    ({'train.picture_every': 0}, r'train\.picture_every is 0: give a number'),
    ({'train.accumulation_steps': 0}, 'accumulation_steps is 0: give a number'),
    ({'train.profile_steps': (3,)}, r'profile_steps is \(3,\): give the first'),
    ({'train.profile_steps': (5, 9)}, 'the last of the 6 steps to profile'),
    ({'data.crop': (50, 48)}, 'takes heights that are multiples of 8 '),
    ({'data.crop': (48,)}, r'crop is \(48,\): give a height and a width'),
    ({'compute.dtype': 'float17'},
     "Unknown type 'float17' of a network: choose float"),
])
def test_what_cannot_be_trained_is_said(photos, tmp_path, change, sentence):
  config = make_config(photos)
  config.update_from_flattened_dict(change)
  with pytest.raises((ValueError, FileNotFoundError), match=sentence):
    loop.train(config, tmp_path / 'workdir')
  assert not (tmp_path / 'workdir').exists()


def test_too_little_memory_is_said(tmp_path, monkeypatch, capsys):
  def train(config, workdir):
    raise jax.errors.JaxRuntimeError(
        'RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.')

  monkeypatch.setattr(loop, 'train', train)
  arguments = jobs.Arguments(workdir=tmp_path)
  assert jobs.run('train', starter.get_config(), arguments) == 1
  assert 'smaller --config.train.batch_size' in capsys.readouterr().err
