"""Plain folders of pairs: what is found, and what is said of what is not."""

import cv2
import numpy as np
import pytest

from data_pipelines.pairs import FolderPairs, as_float
from jaxdeblur.pictures import read_pixels


def write(path, shape=(6, 8, 3), dtype=np.uint16, seed=0):
  path.parent.mkdir(parents=True, exist_ok=True)
  samples = np.random.default_rng(seed).integers(
      0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
  cv2.imwrite(str(path), samples)
  return samples


def test_views_of_one_name_are_a_pair_as_stored(tmp_path):
  stored = {}
  for scene in 'ab':
    for folder in ('left', 'right', 'sharp'):
      stored[scene, folder] = write(
          tmp_path / folder / f'{scene}.png', seed=len(stored))
  pairs = FolderPairs(tmp_path)
  assert len(pairs) == 2 and pairs.views == ('left', 'right', 'sharp')
  pair = pairs[1]
  assert pair.scene == 'b'
  for view in pairs.views:
    assert pair.views[view].dtype == np.uint16
    np.testing.assert_array_equal(
        pair.views[view], stored['b', view][..., ::-1])  # OpenCV has BGR.


def test_pairs_need_no_ground_truth(tmp_path):
  write(tmp_path / 'blurry' / 'a.png')
  assert FolderPairs(tmp_path).views == ('center',)


def test_alpha_is_left_out_and_grey_repeated(tmp_path):
  rgba = write(tmp_path / 'rgba.png', (4, 5, 4), np.uint8)
  np.testing.assert_array_equal(
      read_pixels(tmp_path / 'rgba.png'), rgba[..., 2::-1])
  grey = write(tmp_path / 'grey.png', (4, 5), np.uint16)
  np.testing.assert_array_equal(
      read_pixels(tmp_path / 'grey.png'), np.repeat(grey[..., None], 3, -1))


def test_floats_reach_from_0_to_1():
  assert as_float(np.array([0, 255], np.uint8)).tolist() == [0, 1]
  assert as_float(np.array([0, 65535], np.uint16)).tolist() == [0, 1]


def test_half_a_pair_is_named(tmp_path):
  write(tmp_path / 'blurry' / 'a.png')
  write(tmp_path / 'blurry' / 'b.png')
  write(tmp_path / 'sharp' / 'a.png')
  with pytest.raises(ValueError, match='1 of 2 scenes have no sharp view, b'):
    FolderPairs(tmp_path)


def test_two_files_of_one_name_are_refused(tmp_path):
  write(tmp_path / 'blurry' / 'a.png')
  write(tmp_path / 'blurry' / 'a.tif')
  with pytest.raises(ValueError, match='have one name'):
    FolderPairs(tmp_path)


def test_sizes_that_differ_within_a_pair_are_named(tmp_path):
  write(tmp_path / 'blurry' / 'a.png')
  write(tmp_path / 'sharp' / 'a.png', (6, 9, 3))
  with pytest.raises(ValueError, match=(
      r'sharp/a\.png is 6 x 9 px, but .*blurry/a\.png is 6 x 8')):
    FolderPairs(tmp_path)[0]


def test_a_folder_of_something_else_is_described(tmp_path):
  (tmp_path / 'pictures').mkdir()
  with pytest.raises(FileNotFoundError, match='found pictures'):
    FolderPairs(tmp_path)
  with pytest.raises(FileNotFoundError, match='is no folder'):
    FolderPairs(tmp_path / 'absent')
  (tmp_path / 'blurry').mkdir()
  with pytest.raises(FileNotFoundError, match='without pictures'):
    FolderPairs(tmp_path)


def test_a_damaged_file_is_named(tmp_path):
  (tmp_path / 'a.png').write_bytes(b'\x89PNG\r\n\x1a\n damaged')
  with pytest.raises(ValueError, match=r'a\.png is damaged'):
    read_pixels(tmp_path / 'a.png')
  with pytest.raises(ValueError, match=r'b\.png does not exist'):
    read_pixels(tmp_path / 'b.png')
