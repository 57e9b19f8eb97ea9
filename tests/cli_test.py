"""The command line: exit codes, sentences, and what is not imported."""

import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from configs import drbnet, k3dn, starter
from jaxdeblur.checkpoints import load_weights, save_weights
from jaxdeblur.config.check import check_config
from jaxdeblur.convert import torch_drbnet, torch_k3dn
from jaxdeblur.models import registry
from jaxdeblur.models.k3dn import VARIANTS

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parent.parent
CONFIG = ('--config', 'configs/starter.py')


def run(*arguments):
  return subprocess.run(
      [sys.executable, 'run.py', *map(str, arguments)], cwd=ROOT, check=False,
      capture_output=True, text=True)


@pytest.mark.parametrize('arguments, sentence', [
    ((), '--config is needed'),
    (('--config', 'configs/absent.py'), 'configs/absent.py does not exist'),
    (('--config', 'configs/drbnet.py:triple'), "Unknown variant 'triple'"),
    ((*CONFIG, '--mode', 'polish'),
     "Unknown mode 'polish': choose one of train, restore, eval, "),
    ((*CONFIG, '--config.train.stpes=3'), 'stpes'),
    ((*CONFIG, '--config.train.steps=many'), "'many'"),
    ((*CONFIG, '--inptu', 'x'), "Unknown command line flag 'inptu'"),
    ((*CONFIG, '--mode', 'restore', '--input', 'x'), 'needs --output'),
    ((*CONFIG, '--mode', 'train'), 'needs --workdir'),
    ((*CONFIG, 'photo.png'), "Unexpected argument 'photo.png'"),
])
def test_wrong_usage_exits_with_2(arguments, sentence):
  result = run(*arguments)
  assert result.returncode == 2
  assert sentence in result.stderr
  assert 'Traceback' not in result.stderr


def test_a_folder_here_comes_before_the_shipped_weights(tmp_path):
  """A training's workdir may be called as these are."""
  (tmp_path / 'starter').mkdir()
  result = subprocess.run(
      [sys.executable, ROOT / 'run.py', '--config',
       ROOT / 'configs' / 'starter.py', '--mode', 'restore', '--workdir',
       'starter', '--input', ROOT / 'examples', '--output', 'out'],
      cwd=tmp_path, check=False, capture_output=True, text=True)
  assert result.returncode == 1
  assert f'{tmp_path}/starter holds no checkpoint' in result.stderr


@pytest.mark.parametrize('arguments, sentence', [
    (('restore', '--input', 'absent.png', '--output', 'out', '--workdir', 'no'),
     'no does not exist'),
    (('eval', '--input', 'absent', '--output', 'out'), 'absent is no folder'),
    (('train', '--workdir', 'out', '--config.distributed.coordinator=auto'),
     'JAX finds no cluster here: give the address of the first process'),
    (('convert', '--input', 'absent.pth', '--output', 'out'),
     'There is no weight file absent.pth'),
])
def test_what_fails_exits_with_1(arguments, sentence):
  result = run(*CONFIG, '--mode', *arguments)
  assert result.returncode == 1
  assert sentence in result.stderr and 'Traceback' not in result.stderr
  assert not (ROOT / 'out').exists()


def test_unknown_fields_of_a_config_are_named_together():
  config = starter.get_config()
  config.unlock()
  config.train.learnin_rate = 1e-3
  config.evil = {}
  with pytest.raises(
      ValueError, match=r'Unknown in the config: config\.evil \(did you mean '
      r'config\.eval\?\); config\.train\.learnin_rate \(did you mean '
      r'config\.train\.learning_rate\?\)'):
    check_config(config)


@pytest.mark.parametrize('config', [
    starter.get_config(), drbnet.get_config(), drbnet.get_config('baseline'),
    *(k3dn.get_config(f'{size}{options}') for size in VARIANTS
      for options in ('', ',single', ',stage2', ',single,stage2'))])
def test_every_config_names_a_network_and_known_fields(config):
  check_config(config)
  registry.create(**config.model.to_dict())


def test_the_package_imports_neither_jax_nor_tensorflow():
  code = ("import sys, jaxdeblur; "
          "assert not {'jax', 'tensorflow'} & set(sys.modules)")
  subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)


def test_a_restore_imports_no_tensorflow(make_weights, tmp_path):
  weights = make_weights()
  save_weights(tmp_path / 'weights', weights.settings, weights.variables)
  cv2.imwrite(str(tmp_path / 'photo.png'), np.zeros((16, 24, 3), np.uint8))
  arguments = [
      'run.py', *CONFIG, '--mode', 'restore', '--workdir',
      str(tmp_path / 'weights'), '--input', str(tmp_path / 'photo.png'),
      '--output', str(tmp_path / 'out')]
  code = f"""
import atexit, runpy, sys
sys.argv = {arguments!r}
atexit.register(lambda: print('loaded', 'tensorflow' in sys.modules))
runpy.run_path('run.py', run_name='__main__')
"""
  result = subprocess.run(
      [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True,
      check=False)
  assert result.returncode == 0, result.stderr
  assert 'loaded False' in result.stdout
  assert 'Restored 1 of 1 in ' in result.stdout
  assert (tmp_path / 'out' / 'photo.png').exists()


@pytest.mark.parametrize('converter, network', [
    (torch_drbnet, dict(name='drbnet', width=2)),
    (torch_k3dn, dict(
        name='k3dn', views=('left', 'right'), base_channels=2, num_blocks=1,
        num_psf_blocks=1, srp=True)),
])
def test_weights_are_converted_from_the_command_line(
    make_weights, tmp_path, converter, network):
  weights = make_weights(**network)
  np.savez(tmp_path / 'torch.npz', **converter.revert(weights.variables))
  convert = (*CONFIG, '--mode', 'convert', '--input', tmp_path / 'torch.npz',
             '--output', tmp_path / 'converted')
  result = run(*convert)
  assert result.returncode == 0, result.stderr
  assert weights.digest() in result.stdout
  assert load_weights(tmp_path / 'converted').digest() == weights.digest()

  again = run(*convert)
  assert again.returncode == 1 and 'exists already' in again.stderr
