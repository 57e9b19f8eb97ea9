"""Two processes, as two hosts, that train as one: killed, and gone on with."""

import json
import multiprocessing
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

import cv2
import jax
import numpy as np
import pytest

from configs import starter
from jaxdeblur import partitioning
from jaxdeblur.checkpoints import load_weights
from jaxdeblur.training import loop
from jaxdeblur.training.multihost import start_processes
from jaxdeblur.training.reporting import Reporter

pytestmark = pytest.mark.slow

LAST_STEP = 6


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('hosts')
  (folder / 'photos').mkdir()
  for i in range(4):
    coarse = np.random.default_rng(i).random((24, 24, 3), np.float32)
    picture = np.uint8(255 * cv2.resize(coarse, (64, 64)))
    cv2.imwrite(str(folder / 'photos' / f'{i}.png'), picture)
  (folder / 'photos' / 'tiles.csv').write_text('file,y,x,size\n' + ''.join(
      f'{i}.png,0,0,64\n' for i in range(4)))
  return folder


def train_as(process, port, folder, name, event=None, changes=()):
  """Trains as one of two processes; `event` happens to one before step 5.

  Without a port, as the only one. The changes are the config's.
  """
  jax.config.update('jax_num_cpu_devices', 1)
  partitioning._SMALLEST_SPLIT = 2  # Even this network's parameters, by fsdp.
  config = starter.get_config()
  config.model = dict(name='drbnet_baseline', views=('center',), width=2)
  config.data.update(
      photos=str(folder / 'photos'), crop=(16, 16), max_radius=2.0)
  config.train.update(
      batch_size=4, steps=LAST_STEP, warmup_steps=2, checkpoint_every=2,
      log_every=1, picture_every=100, start='random')
  config.update_from_flattened_dict(dict(changes))
  if port:
    config.distributed.update(
        coordinator=f'127.0.0.1:{port}', processes=2, process=process)
  put_batch, report, made, losses = (
      partitioning.put_batch, Reporter.report, [], {})

  def put_batch_or_more(batch, mesh):
    made.append(None)
    if len(made) == 6 and process == 1 and event:
      os.kill(os.getpid(), event)
    return put_batch(batch, mesh)

  def report_and_collect(self, step_scalars):
    if step_scalars is not None:
      losses[step_scalars[0]] = float(step_scalars[1]['loss'])
    report(self, step_scalars)

  def collect_score(self, step, score):
    if score is not None:
      losses[f'validation {step}'] = score

  partitioning.put_batch = put_batch_or_more
  Reporter.report = report_and_collect
  Reporter.report_validation = collect_score
  state = loop.train(config, folder / name)
  (folder / f'{name}_{process}.json').write_text(json.dumps(
      {'step': int(state.step), 'losses': losses}))


def train_alone(folder, name, changes=()):
  process = multiprocessing.get_context('spawn').Process(
      target=train_as, args=(0, None, folder, name, None, changes))
  process.start()
  process.join()
  return json.loads((folder / f'{name}_0.json').read_text())['losses']


def find_port():
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    return free.getsockname()[1]


def train_both(folder, name, event=None, changes=()):
  """Returns both processes' exit codes, ended as a cluster would."""
  port = find_port()
  spawn = multiprocessing.get_context('spawn')
  processes = [
      spawn.Process(
          target=train_as, args=(i, port, folder, name, event, changes))
      for i in range(2)]
  for process in processes:
    process.start()
  processes[1].join()
  if processes[1].exitcode:  # One host is lost: the job is restarted whole.
    processes[0].kill()
  processes[0].join()
  return [process.exitcode for process in processes]


def read_results(folder, name):
  results = [json.loads((folder / f'{name}_{i}.json').read_text())
             for i in range(2)]
  assert results[0] == results[1]
  return results[0]


@pytest.fixture(scope='module')
def uninterrupted(folder):
  assert train_both(folder, 'uninterrupted') == [0, 0]
  results = read_results(folder, 'uninterrupted')
  assert sorted(results['losses'], key=int) == [
      str(step) for step in range(1, LAST_STEP + 1)]
  return results['losses']


def test_two_hosts_train_as_one_does(folder, uninterrupted):
  """On the same pairs in every step; sums in another order are rounded."""
  assert train_alone(folder, 'alone') == pytest.approx(uninterrupted, rel=1e-4)


def test_two_hosts_have_all_that_one_has(folder, uninterrupted):
  """First weights, features, parts of a batch, validation, split parameters."""
  changes = {
      'train.init_from': str(folder / 'uninterrupted'), 'train.steps': 2,
      'train.warmup_steps': 1, 'train.accumulation_steps': 2,
      'train.losses.feature.weight': 0.01,
      'train.losses.feature.layers': ('conv1',),
      'validation.batches': 1}
  alone = train_alone(folder, 'alone_with_more', changes)
  assert alone.keys() == {'1', '2', 'validation 2'}
  changes['mesh.fsdp'] = 2
  assert train_both(folder, 'with_more', changes=changes) == [0, 0]
  together = read_results(folder, 'with_more')['losses']
  assert together == pytest.approx(alone, rel=1e-4)


def test_a_lost_host_loses_no_more_than_the_steps_since_the_last_checkpoint(
    folder, uninterrupted):
  assert train_both(folder, 'killed', signal.SIGKILL) == [
      -signal.SIGKILL, -signal.SIGKILL]
  assert load_weights(folder / 'killed').path.name in ('2', '4')
  assert train_both(folder, 'killed') == [0, 0]
  losses = read_results(folder, 'killed')['losses']
  assert '6' in losses and '1' not in losses
  assert losses == {step: uninterrupted[step] for step in losses}


def test_one_host_that_must_go_stops_all_in_good_order(folder, uninterrupted):
  """After the same step, with a checkpoint of it."""
  assert train_both(folder, 'preempted', signal.SIGTERM) == [0, 0]
  step = read_results(folder, 'preempted')['step']
  assert load_weights(folder / 'preempted').path.name == str(step)
  assert train_both(folder, 'preempted') == [0, 0]
  losses = read_results(folder, 'preempted')['losses']
  assert losses == {step: uninterrupted[step] for step in losses}


def test_a_host_that_fails_ends_at_once(folder, tmp_path):
  """It does not wait for the others, which wait for its part of a step."""
  command = [
      sys.executable, 'run.py', '--config', 'configs/starter.py',
      '--workdir', str(tmp_path / 'workdir'), '--config.train.batch_size=2',
      f'--config.distributed.coordinator=127.0.0.1:{find_port()}',
      '--config.distributed.processes=2']
  photos = (str(folder / 'photos'), str(tmp_path / 'nowhere'))
  processes = [
      subprocess.Popen(
          [*command, f'--config.distributed.process={i}',
           f'--config.data.photos={photos[i]}'],
          cwd=pathlib.Path(__file__).parents[1], stdout=subprocess.DEVNULL,
          stderr=subprocess.PIPE, text=True)
      for i in range(2)]
  try:
    _, said = processes[1].communicate(timeout=60)
  finally:
    for process in processes:
      process.kill()
      process.communicate()
  assert processes[1].returncode == 1
  assert re.search(r'^error: .*nowhere is no folder', said, re.MULTILINE)
  assert not (tmp_path / 'workdir').exists()


def test_a_process_without_a_number_of_its_own_is_said():
  config = starter.get_config().distributed
  config.update(coordinator='127.0.0.1:1', processes=2, process=2)
  with pytest.raises(ValueError, match='process is 2 of 2 processes: count'):
    start_processes(config)
