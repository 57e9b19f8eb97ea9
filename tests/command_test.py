"""The command `jaxdeblur`: the same jobs, for people."""

import json
import signal
import subprocess
import sys

from click.testing import CliRunner
import cv2
import numpy as np
import pytest

from jaxdeblur import cli
from jaxdeblur.checkpoints import load_weights
from jaxdeblur.convert import torch_drbnet


@pytest.fixture
def photo(tmp_path):
  path = tmp_path / 'photo.png'
  cv2.imwrite(str(path), np.random.default_rng(0).integers(
      0, 256, (24, 40, 3), np.uint8))
  return path


def run(*arguments):
  result = CliRunner().invoke(cli.main, list(map(str, arguments)))
  if result.exception and not isinstance(result.exception, SystemExit):
    raise result.exception
  return result


def test_pictures_are_restored_without_a_config(
    weights_folder, photo, tmp_path):
  other = tmp_path / 'other'
  other.mkdir()
  cv2.imwrite(str(other / 'b.png'), np.zeros((16, 16, 3), np.uint8))
  result = run('restore', photo, other, '-o', tmp_path / 'out', '--weights',
               weights_folder, '--panels', '--tile', 16)
  assert result.exit_code == 0, result.output
  assert '<Restorer: drbnet width=2; ' in result.output
  assert 'Restored 2 of 2' in result.output
  names = {path.name for path in (tmp_path / 'out').iterdir()}
  assert {'photo.png', 'photo_before_after.png', 'b.png'} <= names
  record = json.loads((tmp_path / 'out' / 'restored.json').read_text())
  assert record['photo.png']['tile'] == 16


def test_any_field_may_follow(weights_folder, photo, tmp_path):
  result = run('restore', '--config.restore.fit=resize', photo, '-o',
               tmp_path / 'out', '-w', weights_folder)
  assert result.exit_code == 0 and 'fit by resize' in result.output


@pytest.mark.parametrize('arguments, sentence', [
    (('resotre',), 'Did you mean restore?'),
    (('restore', '-o', 'out'), 'Name a picture or a folder of them'),
    (('restore', 'x.png'), "Missing option '--output'"),
    (('restore', 'x.png', '-o', 'out', '--config.restore.tyle=3'),
     'did you mean config.restore.tile?'),
    (('eval', '-o', 'out'), 'Name a folder of pictures'),
    (('train', 'startr', '--workdir', 'x'), 'Did you mean starter?'),
    (('train', 'starter'), "Missing option '--workdir'"),
    (('recipes', 'k3d'), 'Did you mean k3dn?'),
])
def test_wrong_usage_exits_with_2(arguments, sentence):
  result = run(*arguments)
  assert result.exit_code == 2
  assert sentence in result.output


@pytest.mark.parametrize('arguments, sentence', [
    (('restore', 'absent.png', '-o', 'out', '-w', 'nowhere'),
     'nowhere does not exist'),
    (('restore', 'x.png', '-o', 'out', '--config.train.steps=3'),
     'would ignore config.train.steps'),
    (('info', 'nowhere'), 'nowhere does not exist'),
])
def test_what_fails_exits_with_1(arguments, sentence):
  result = run(*arguments)
  assert result.exit_code == 1
  assert sentence in result.output and 'Traceback' not in result.output


def test_debug_keeps_the_traceback():
  result = run('--debug', 'restore', 'x.png', '-o', 'out', '-w', 'nowhere')
  assert result.exit_code == 1
  assert 'Traceback' in result.output and 'does not exist' in result.output


def test_weights_say_what_they_are(weights_folder):
  assert 'starter: drbnet, views center' in run('info').output
  assert 'receptive field 144 px' in run('info', weights_folder).output


def test_recipes_are_listed_with_their_fields():
  assert 'k3dn_dpdd: K3DN on DPDD' in run('recipes').output
  fields = run('recipes', 'drbnet:baseline').output
  assert '--config.model.name=drbnet_baseline' in fields
  assert '--config.train.clip_norm=0.3' in fields


def test_weights_are_converted(make_weights, tmp_path):
  weights = make_weights()
  np.savez(tmp_path / 'drbnet.npz', **torch_drbnet.revert(weights.variables))
  result = run('convert', tmp_path / 'drbnet.npz', '-o', tmp_path / 'weights')
  assert result.exit_code == 0, result.output
  assert load_weights(tmp_path / 'weights').digest() == weights.digest()


def test_pictures_are_scored_and_compared(photo, tmp_path):
  for name, method in (('one', 'input'), ('two', 'input')):
    result = run('eval', photo.parent, '-o', tmp_path / 'scores' / name,
                 '--method', method, '--config.eval.radii=(2.0,)')
    assert result.exit_code == 0, result.output
  again = run('eval', photo.parent, '-o', tmp_path / 'scores' / 'one',
              '--method', 'input')
  assert again.exit_code == 1 and 'add --overwrite' in again.output
  result = run('compare', tmp_path / 'scores' / 'one',
               tmp_path / 'scores' / 'two')
  assert result.exit_code == 0 and '+0.00' in result.output


def _start_training(photos, workdir):
  # A shell starts what it runs in the background with SIGINT ignored.
  code = ('import signal; '
          'signal.signal(signal.SIGINT, signal.default_int_handler); '
          "from jaxdeblur.cli import main; main(prog_name='jaxdeblur')")
  process = subprocess.Popen(
      [sys.executable, '-c', code, 'train', 'drbnet', '--workdir', workdir,
       f'--config.data.photos={photos}', '--config.data.crop=(16,16)',
       '--config.data.max_radius=2.0', '--config.train.batch_size=1'],
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
  for line in process.stdout:
    if 'Compiling the training step' in line:
      return process
  raise AssertionError(f'ended with {process.wait()}')


@pytest.fixture
def photos(tmp_path):
  folder = tmp_path / 'photos'
  folder.mkdir()
  cv2.imwrite(str(folder / 'a.png'), np.random.default_rng(0).integers(
      0, 256, (256, 256, 3), np.uint8))
  return folder


@pytest.mark.slow
def test_ctrl_c_ends_with_one_line_and_130(photos, tmp_path):
  process = _start_training(photos, tmp_path / 'run')
  process.send_signal(signal.SIGINT)
  printed, _ = process.communicate()
  assert process.returncode == 130
  assert 'Interrupted: --mode train is not finished.' in printed
  assert 'Traceback' not in printed


@pytest.mark.slow
def test_sigterm_ends_a_compilation_at_once(photos, tmp_path):
  """There is nothing to save yet."""
  process = _start_training(photos, tmp_path / 'run')
  process.send_signal(signal.SIGTERM)
  process.communicate()
  assert process.returncode == -signal.SIGTERM
