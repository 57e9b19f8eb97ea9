"""Patches: where they lie, which stay, and that they are whole or not there."""

import json
import multiprocessing
import os
import signal

import cv2
import dataset_trees
import numpy as np
import pytest

from data_pipelines import patches
from data_pipelines.datasets.prepare import prepare
from data_pipelines.loader import open_training_data
from data_pipelines.pairs import FolderPairs, Pair
from data_pipelines.patches import PatchSettings, open_patches, prepare_patches
from jaxdeblur import jobs
from jaxdeblur.config import base

SETTINGS = PatchSettings(size=20)


def draw(seed, height=50, width=61):
  """Texture that grows to the right: a picture with patches to leave out."""
  random = np.random.default_rng(seed)
  growing = np.linspace(0, 1, width)[:, None]
  texture = random.random((height, width, 3)) * growing
  return (65535 * texture).astype(np.uint16)


@pytest.fixture
def folder(tmp_path):
  folder = tmp_path / 'pairs'
  for view in ('left', 'right', 'sharp'):
    (folder / view).mkdir(parents=True)
    for scene in 'ab':
      seed = sum(map(ord, view + scene))
      cv2.imwrite(str(folder / view / f'{scene}.png'), draw(seed))
  return folder


def keep_by_loops(sharp, size, stride, drop_share):
  """The rule as the specification says it, in plain loops."""
  corners = []
  for y in range(0, sharp.shape[0], stride):
    for x in range(0, sharp.shape[1], stride):
      corner = (min(y, sharp.shape[0] - size), min(x, sharp.shape[1] - size))
      if corner not in corners:
        corners.append(corner)
  scores = [1.0] * len(corners)
  for aperture in (3, 7, 11, 15):
    sums = []
    for y, x in corners:
      patch = sharp[y:y + size, x:x + size]
      grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)
      across = cv2.Sobel(grey, cv2.CV_64F, 1, 0, ksize=aperture)
      down = cv2.Sobel(grey, cv2.CV_64F, 0, 1, ksize=aperture)
      sums.append(np.sqrt(across ** 2 + down ** 2).sum())
    for i, value in enumerate(sums):
      scores[i] *= (value - min(sums)) / (max(sums) - min(sums))
  for _ in range(int(drop_share * len(corners))):
    worst = scores.index(min(scores))
    del scores[worst], corners[worst]
  return corners


def test_published_pictures_have_the_published_patches():
  """DPDD's 1680 x 1120 px, 512 px at a stride of 204: 7 x 4, the last flush."""
  assert PatchSettings().stride == 204
  assert patches.place_patches(1680, 512, 204) == [
      0, 204, 408, 612, 816, 1020, 1168]
  assert patches.place_patches(1120, 512, 204) == [0, 204, 408, 608]
  assert patches.place_patches(512, 512, 204) == [0]
  assert patches.place_patches(716, 512, 204) == [0, 204]  # No patch twice.
  textures = np.random.default_rng(0).random((28, 4))
  chosen = patches.choose_textured(textures, 0.3)
  assert len(chosen) == 28 - 8


@pytest.mark.parametrize('seed', range(3))
def test_patches_are_those_of_the_rule_stated_in_loops(seed):
  sharp = draw(seed)
  pair = Pair('scene', {'center': draw(9), 'sharp': sharp})
  kept = keep_by_loops(sharp, 20, SETTINGS.stride, 0.3)
  cut = list(patches.cut_patches(pair, SETTINGS))
  assert [patch.scene for patch in cut] == [
      f'scene_y{y:04}_x{x:04}' for y, x in kept]
  for patch, (y, x) in zip(cut, kept, strict=True):
    for view, picture in pair.views.items():
      np.testing.assert_array_equal(
          patch.views[view], picture[y:y + 20, x:x + 20])


def test_patches_without_any_texture_do_not_divide_by_nothing():
  flat = np.full((50, 61, 3), 500, np.uint16)
  cut = list(patches.cut_patches(Pair('flat', {'sharp': flat}), SETTINGS))
  assert len(cut) == 35 - 10  # 5 x 7 of them.


def test_a_folder_of_patches_reads_as_pairs_to_the_bit(folder, tmp_path):
  source = FolderPairs(folder)
  count = prepare_patches(source, tmp_path / 'patches', SETTINGS)
  expected = {patch.scene: patch for scene in (source[0], source[1])
              for patch in patches.cut_patches(scene, SETTINGS)}
  read = open_patches(tmp_path / 'patches')
  assert len(read) == count == len(expected) and read.views == source.views
  for index in range(count):
    pair = read[index]
    for view in source.views:
      np.testing.assert_array_equal(
          pair.views[view], expected[pair.scene].views[view])
  record = json.loads((tmp_path / 'patches' / patches.RECORD).read_text())
  assert record == {
      'size': 20, 'overlap': 0.6, 'drop_share': 0.3, 'scenes': 2,
      'patches': count, 'views': ['left', 'right', 'sharp']}
  batches = open_training_data(
      dict(name='patches', folder=tmp_path / 'patches', crop=(16, 16)),
      batch_size=3, seed=0)
  assert next(batches)['center'].shape == (3, 16, 16, 3)
  batches.close()


def test_the_job_cuts_folders_and_datasets(folder, tmp_path, capsys):
  dataset_trees.dpdd_canon(tmp_path / 'in')
  prepare('dpdd_canon', tmp_path, tmp_path / 'in', partial=True)
  config = base.get_config()
  config.model = {}
  config.patches.size = 5
  sources = {'from_folder': dict(input=folder),
             'from_dataset': dict(dataset='dpdd_canon', data_dir=tmp_path)}
  for name, source in sources.items():
    output = tmp_path / name
    assert jobs.run(
        'patches', config, jobs.Arguments(output=output, **source)) == 0
    count = len(open_patches(output))
    assert f'scenes into {count} patches: train on them' in (
        capsys.readouterr().out)
  assert jobs.run('patches', config, jobs.Arguments(output=output)) == 2


def cut_until_killed(folder, output):
  """Dies when the first scene is written and the second is not."""
  def die(pair, settings):
    if pair.scene == 'b':
      os.kill(os.getpid(), signal.SIGKILL)
    return cut(pair, settings)

  cut, patches.cut_patches = patches.cut_patches, die
  os.cpu_count = lambda: 1  # One scene after the other.
  prepare_patches(FolderPairs(folder), output, SETTINGS)


def test_what_was_killed_half_way_does_not_load_and_does_not_hinder(
    folder, tmp_path):
  output = tmp_path / 'patches'
  process = multiprocessing.get_context('spawn').Process(
      target=cut_until_killed, args=(folder, output))
  process.start()
  process.join()
  assert process.exitcode == -signal.SIGKILL
  (unfinished,) = set(tmp_path.iterdir()) - {folder}
  assert list((unfinished / 'sharp').iterdir())  # It had begun.
  for place in (output, unfinished):
    with pytest.raises(FileNotFoundError, match='no folder of prepared patch'):
      open_patches(place)
  count = prepare_patches(FolderPairs(folder), output, SETTINGS)
  assert len(open_patches(output)) == count
  assert set(tmp_path.iterdir()) == {folder, output}


def test_what_fails_leaves_nothing_behind(folder, tmp_path):
  (folder / 'left' / 'b.png').write_bytes(b'damaged')
  with pytest.raises(ValueError, match=r'left/b\.png is no picture'):
    prepare_patches(FolderPairs(folder), tmp_path / 'patches', SETTINGS)
  assert set(tmp_path.iterdir()) == {folder}


def test_missing_patches_are_counted(folder, tmp_path):
  count = prepare_patches(FolderPairs(folder), tmp_path / 'patches', SETTINGS)
  first = sorted(
      file.name for file in (tmp_path / 'patches' / 'sharp').iterdir())[0]
  for view in ('left', 'right', 'sharp'):
    (tmp_path / 'patches' / view / first).unlink()
  with pytest.raises(
      ValueError, match=f'holds {count - 1} patches, but {count} were'):
    open_patches(tmp_path / 'patches')


def test_what_cannot_be_cut_is_said(folder, tmp_path):
  source = FolderPairs(folder)
  with pytest.raises(ValueError, match='a is 50 x 61 px, smaller than a patch'):
    prepare_patches(source, tmp_path / 'out', PatchSettings(size=51))
  with pytest.raises(ValueError, match='scene a has no ground truth'):
    prepare_patches(
        FolderPairs(folder, ('left',)), tmp_path / 'out', SETTINGS)
  with pytest.raises(FileExistsError, match='pairs exists already'):
    prepare_patches(source, folder, SETTINGS)
  with pytest.raises(ValueError, match=r'overlap is 1\.0: expected a share'):
    PatchSettings(overlap=1.0)
