"""Datasets built and read: as stored, all or nothing, without TensorFlow."""

import pathlib
import pickle
import signal
import subprocess
import sys
import unittest.mock

import cv2
import dataset_trees
from dataset_trees import write
import numpy as np
import pytest

from data_pipelines.datasets import catalogue
from data_pipelines.datasets.catalogue import open_dataset
from data_pipelines.datasets.prepare import prepare
from jaxdeblur.pictures import read_pixels

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parent.parent


def run(*arguments):
  return subprocess.run(
      [sys.executable, 'run.py', '--config', 'configs/starter.py', '--mode',
       'prepare', *map(str, arguments)],
      cwd=ROOT, check=False, capture_output=True, text=True)


@pytest.mark.parametrize('name', catalogue.NAMES)
def test_every_dataset_is_read_as_its_files_are(name, tmp_path):
  dataset_trees.TREES[name](tmp_path / 'in')
  prepare(name, tmp_path / 'data', tmp_path / 'in', partial=True)
  builder_class = catalogue.get_builder_class(name)
  contents = builder_class.find(tmp_path / 'in', partial=True)
  for split, scenes in contents.scenes.items():
    pairs = open_dataset(name, split, tmp_path / 'data')
    assert pairs.views == builder_class.VIEWS
    assert pairs.partial == contents.partial
    assert len(pairs) == len(scenes)
    for pair, scene in zip(pairs, scenes):
      assert pair.scene == scene.name
      assert pair.camera == builder_class.CAMERA
      for view, file in scene.files.items():
        stored = read_pixels(file)
        assert pair.views[view].dtype == stored.dtype
        np.testing.assert_array_equal(pair.views[view], stored)
    assert pairs.bits == 8 * stored.dtype.itemsize
  assert [child.name for child in (tmp_path / 'data').iterdir()] == [name]


@pytest.fixture
def realdof(tmp_path):
  """RealDOF's published 50 scenes, and where to build them."""
  dataset_trees.realdof(tmp_path / 'in', scenes=50)
  return tmp_path / 'in', tmp_path / 'data'


def test_building_and_reading_import_no_tensorflow(realdof):
  download, data_dir = realdof
  code = f"""
import pathlib, sys
from data_pipelines.datasets.catalogue import open_dataset
from data_pipelines.datasets.prepare import prepare
print(prepare('realdof', pathlib.Path({str(data_dir)!r}),
              pathlib.Path({str(download)!r})))
pair = open_dataset('realdof', 'test', {str(data_dir)!r})[49]
assert pair.views['sharp'].shape == (6, 8, 3)
assert 'tensorflow' not in sys.modules
"""
  result = subprocess.run(
      [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True,
      check=False)
  assert result.returncode == 0, result.stderr
  assert 'scenes: test 50; views: center, sharp; 8 bits' in result.stdout


def test_a_killed_build_leaves_nothing_that_loads(realdof):
  download, data_dir = realdof
  code = f"""
import pathlib, sys, time
from data_pipelines.datasets import prepare
from data_pipelines.datasets.pair_builder import PairBuilder
generate = PairBuilder._generate_examples
def stop_half_way(self, scenes):
  for i, example in enumerate(generate(self, scenes)):
    if i == 25:
      print('half', file=sys.__stdout__, flush=True)
      time.sleep(60)
    yield example
PairBuilder._generate_examples = stop_half_way
prepare.prepare('realdof', pathlib.Path({str(data_dir)!r}),
                pathlib.Path({str(download)!r}))
"""
  with subprocess.Popen(
      [sys.executable, '-c', code], cwd=ROOT, stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL, text=True) as process:
    assert process.stdout.readline() == 'half\n'
    process.send_signal(signal.SIGKILL)
  left, = data_dir.iterdir()
  assert left.name.startswith('.building_realdof_')
  assert any(left.rglob('*.array_record*'))
  for folder in (data_dir, left):
    with pytest.raises(FileNotFoundError, match='prepare realdof first'):
      open_dataset('realdof', 'test', folder)
  again = run('--dataset', 'realdof', '--data_dir', data_dir,
              '--input', download)
  assert again.returncode == 0, again.stderr
  assert f'note: {left} is of a run that was killed' in again.stdout
  assert len(open_dataset('realdof', 'test', data_dir)) == 50


def test_a_failed_build_keeps_the_one_before(realdof):
  download, data_dir = realdof
  prepare('realdof', data_dir, download)
  with pytest.raises(FileExistsError, match='exists already and is not'):
    prepare('realdof', data_dir, download)

  fault = unittest.mock.patch(
      'data_pipelines.datasets.pair_builder.PairBuilder._generate_examples',
      side_effect=OSError('disk full'))
  with fault, pytest.raises(OSError, match='disk full'):
    prepare('realdof', data_dir, download, overwrite=True)
  assert len(open_dataset('realdof', 'test', data_dir)) == 50

  sharp = write(download / 'RealDOF/target/1P0A0890.png', seed=99)
  prepare('realdof', data_dir, download, overwrite=True)
  np.testing.assert_array_equal(
      open_dataset('realdof', 'test', data_dir)[0].views['sharp'],
      read_pixels(sharp))
  assert [child.name for child in data_dir.iterdir()] == ['realdof']


def test_all_damaged_files_are_named_before_anything_is_built(realdof):
  download, data_dir = realdof
  folder = download / 'RealDOF'
  damaged = folder / 'source/1P0A0892.png'
  damaged.write_bytes(damaged.read_bytes()[:-30])
  write(folder / 'target/1P0A0894.png', shape=(6, 9, 3))
  write(folder / 'target/1P0A0896.png', np.uint16)
  (folder / 'target/1P0A0898.png').write_bytes(b'')
  with pytest.raises(ValueError) as caught:
    prepare('realdof', data_dir, download)
  message = str(caught.value)
  assert message.startswith('4 of 50 scenes cannot be used: ')
  for sentence in (
      f'{damaged} is damaged or cut short',
      '1P0A0894.png is 6 x 9 px, but ', 'source/1P0A0894.png 6 x 8 px.',
      '1P0A0896.png is uint16, but ', '1P0A0898.png is empty'):
    assert sentence in message
  assert not data_dir.exists()


def test_8_bits_are_not_taken_for_16(tmp_path):
  dataset_trees.dpdd_same_names(tmp_path / 'in', dtype=np.uint8)
  with pytest.raises(
      ValueError, match=r'\.png has 8 bits, where dpdd_canon has 16: .*plain '
      'folder of pairs'):
    prepare('dpdd_canon', tmp_path / 'data', tmp_path / 'in', partial=True)
  assert not (tmp_path / 'data').exists()


def test_calibration_goes_with_the_scenes(tmp_path):
  dataset_trees.pixel4_xin(tmp_path / 'in', scenes=17)
  (tmp_path / 'in/DP_data_pixel_4/calibration').chmod(0o555)
  prepare('pixel4_xin', tmp_path / 'data', tmp_path / 'in')
  pairs = open_dataset('pixel4_xin', 'test', tmp_path / 'data')
  assert not pairs.partial and len(pairs) == 17
  assert pairs[0].views['sharp'].shape == (8, 6, 3)
  white = cv2.imread(str(pairs.folder / 'calibration/white_sheet_left.png'),
                     cv2.IMREAD_UNCHANGED)
  assert white.shape == (12, 9) and white.dtype == np.uint16
  assert (pairs.folder / 'calibration').stat().st_mode & 0o200


def test_many_files_keep_the_order_of_the_scenes(realdof, monkeypatch):
  download, data_dir = realdof
  monkeypatch.setattr('data_pipelines.datasets.pair_builder._SHARD_BYTES', 2000)
  prepare('realdof', data_dir, download)
  pairs = open_dataset('realdof', 'test', data_dir)
  assert len(list(pairs.folder.glob('*.array_record*'))) > 3
  names = [pair.scene for pair in pairs]
  assert names == sorted(names) and len(names) == 50


def test_workers_open_the_files_themselves(realdof):
  download, data_dir = realdof
  prepare('realdof', data_dir, download)
  pairs = open_dataset('realdof', 'test', data_dir, views=['sharp'])
  expected = pairs[3]  # The files are open now.
  copy = pickle.loads(pickle.dumps(pairs))
  assert len(pickle.dumps(pairs)) < 1000
  assert copy.views == ('sharp',) and set(copy[3].views) == {'sharp'}
  np.testing.assert_array_equal(
      copy[3].views['sharp'], expected.views['sharp'])


def test_parts_of_a_split_are_opened_as_tfds_writes_them(realdof):
  download, data_dir = realdof
  prepare('realdof', data_dir, download)
  whole = open_dataset('realdof', 'test', data_dir)
  part = open_dataset('realdof', 'test[80%:]', data_dir)
  assert len(part) == 10 and part[0].scene == whole[40].scene
  assert whole[-1].scene == part[9].scene
  with pytest.raises(IndexError):
    part[10]


def test_what_cannot_be_opened_is_said(realdof):
  download, data_dir = realdof
  with pytest.raises(ValueError, match=r'Did you mean realdof\?'):
    open_dataset('realdoff', 'test', data_dir)
  with pytest.raises(
      FileNotFoundError, match='does not exist: prepare realdof first'):
    open_dataset('realdof', 'test', data_dir)
  prepare('realdof', data_dir, download)
  with pytest.raises(ValueError, match="no split 'train': it has test"):
    open_dataset('realdof', 'train', data_dir)
  with pytest.raises(ValueError, match='no left view: it has center, sharp'):
    open_dataset('realdof', 'test', data_dir, views=('left',))


def test_a_dataset_is_prepared_from_the_command_line(tmp_path):
  dataset_trees.dpdd_canon(tmp_path / 'in')
  where = ('--dataset', 'dpdd_canon', '--data_dir', tmp_path / 'data',
           '--input', tmp_path / 'in')
  refused = run(*where)
  assert refused.returncode == 1
  assert '3 scenes in its train split' in refused.stderr
  assert 'Traceback' not in refused.stderr and not (tmp_path / 'data').exists()
  done = run(*where, '--config.prepare.partial=True')
  assert done.returncode == 0, done.stderr
  assert 'scenes: train 3, val 2, test 2; views: center, ' in done.stdout
  assert 'note: part of the published dataset is missing' in done.stdout
  assert 'Checking: 100%' in done.stderr and 'Writing: 100%' in done.stderr
  again = run(*where, '--config.prepare.partial=True')
  assert again.returncode == 1
  assert 'not replaced. (add --overwrite to replace it)' in again.stderr
  assert run('--dataset', 'dpdd_canon').returncode == 2
