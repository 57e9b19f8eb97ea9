"""Two processes, as two hosts, that train as one: killed, and gone on with."""

import json
import multiprocessing
import os
import signal
import socket

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


def train_as(process, port, folder, name, event):
  """Trains as one of two processes; `event` happens to one before step 5.

  Without a port, as the only one.
  """
  jax.config.update('jax_num_cpu_devices', 1)
  config = starter.get_config()
  config.model = dict(name='drbnet_baseline', views=('center',), width=2)
  config.data.update(
      photos=str(folder / 'photos'), crop=(16, 16), max_radius=2.0)
  config.train.update(
      batch_size=4, steps=LAST_STEP, warmup_steps=2, checkpoint_every=2,
      log_every=1, picture_every=100, start='random', pyramid_weights=(1.0,))
  if port:
    config.distributed.update(
        coordinator=f'127.0.0.1:{port}', processes=2, process=process)
  put_batch, report, made, losses = (
      partitioning.put_batch, Reporter.report, [], {})

  def put_batch_or_more(batch, mesh):
    made.append(None)
    if len(made) == 5 and process == 1 and event:
      os.kill(os.getpid(), event)
    return put_batch(batch, mesh)

  def report_and_collect(self, step_scalars):
    if step_scalars is not None:
      losses[step_scalars[0]] = float(step_scalars[1]['loss'])
    report(self, step_scalars)

  partitioning.put_batch = put_batch_or_more
  Reporter.report = report_and_collect
  state = loop.train(config, folder / name)
  (folder / f'{name}_{process}.json').write_text(json.dumps(
      {'step': int(state.step), 'losses': losses}))


def train_both(folder, name, event=None):
  """Returns both processes' exit codes, ended as a cluster would."""
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
  spawn = multiprocessing.get_context('spawn')
  processes = [
      spawn.Process(target=train_as, args=(i, port, folder, name, event))
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
  alone = multiprocessing.get_context('spawn').Process(
      target=train_as, args=(0, None, folder, 'alone', None))
  alone.start()
  alone.join()
  losses = json.loads((folder / 'alone_0.json').read_text())['losses']
  assert losses == pytest.approx(uninterrupted, rel=1e-4)


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


def test_a_process_without_a_number_of_its_own_is_said():
  config = starter.get_config().distributed
  config.update(coordinator='127.0.0.1:1', processes=2, process=2)
  with pytest.raises(ValueError, match='process is 2 of 2 processes: count'):
    start_processes(config)
