"""An installed copy: what is in the wheel is enough, without TensorFlow."""

import os
import pathlib
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parent.parent

# What the core does not bring.
_EXTRAS = ('tensorflow', 'tensorboard', 'tensorflow_datasets', 'clu', 'grain',
           'skimage', 'matplotlib', 'jinja2', 'torch')


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
  """A folder that holds the package as installing the wheel would put it."""
  folder = tmp_path_factory.mktemp('wheel')
  # The wheel is made of a copy: building leaves files beside the sources.
  source = folder / 'source'
  files = subprocess.run(
      ['git', 'ls-files', '-co', '--exclude-standard'], cwd=ROOT, text=True,
      capture_output=True, check=True).stdout.splitlines()
  for name in files:
    if (ROOT / name).is_file() and not name.startswith('tests/'):
      (source / name).parent.mkdir(parents=True, exist_ok=True)
      (source / name).write_bytes((ROOT / name).read_bytes())
  subprocess.run(
      [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-index',
       '--no-build-isolation', '-w', folder, source], check=True)
  wheel, = folder.glob('*.whl')
  with zipfile.ZipFile(wheel) as archive:
    archive.extractall(folder / 'installed')
  return folder / 'installed'


def _run(installed, folder, *arguments, without=()):
  code = f"""
import sys
for name in {without!r}:
  sys.modules[name] = None  # As if it were not installed.
from jaxdeblur.cli import main
import jaxdeblur
assert jaxdeblur.__file__.startswith({str(installed)!r})
main(prog_name='jaxdeblur')
"""
  return subprocess.run(
      [sys.executable, '-c', code, *map(str, arguments)], cwd=folder,
      env={**os.environ, 'PYTHONPATH': str(installed)}, text=True,
      capture_output=True, check=False)


def test_it_restores_without_any_extra(installed, tmp_path):
  cv2.imwrite(str(tmp_path / 'photo.png'), np.random.default_rng(0).integers(
      0, 256, (32, 48, 3), np.uint8))
  result = _run(installed, tmp_path, 'restore', 'photo.png', '-o', 'out',
                without=_EXTRAS)
  assert result.returncode == 0, result.stderr
  assert 'Restored 1 of 1' in result.stdout
  assert (tmp_path / 'out' / 'photo.png').is_file()


def test_a_training_without_its_extra_says_what_to_install(
    installed, tmp_path):
  result = _run(installed, tmp_path, 'train', 'starter', '--workdir', 'run',
                without=_EXTRAS)
  assert result.returncode == 1
  assert "pip install -e '.[train]'" in result.stderr
  assert 'Traceback' not in result.stderr


def test_its_recipes_train(installed, tmp_path):
  (tmp_path / 'photos').mkdir()
  cv2.imwrite(
      str(tmp_path / 'photos' / 'a.png'), np.random.default_rng(0).integers(
          0, 256, (256, 256, 3), np.uint8))
  result = _run(
      installed, tmp_path, 'train', 'drbnet_lfdof:baseline', '--workdir', 'run',
      '--config.data.name=rendered', '--config.data.photos=photos',
      '--config.data.crop=(16,16)', '--config.data.max_radius=2.0',
      '--config.model.width=1', '--config.train.batch_size=1',
      '--config.train.steps=2', '--config.train.checkpoint_every=2')
  assert result.returncode == 0, result.stderr
  assert (tmp_path / 'run' / 'checkpoints' / '2').is_dir()
