"""Batches of recorded pairs: the same whoever makes them; what they hold."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import cv2
import dataset_trees
import grain
import numpy as np
import pytest

from data_pipelines.batches import Batches
from data_pipelines.datasets.catalogue import open_dataset
from data_pipelines.datasets.prepare import prepare
from data_pipelines.loader import open_training_data, views_of
from data_pipelines.pairs import Pair
from data_pipelines.recorded import CropPair, CropSettings, keep_bits
from jaxdeblur.benchmark import loader as benchmark
from jaxdeblur.config import base

pytestmark = pytest.mark.slow

SCENES = 7  # Divides by neither the batches nor the processes.
ALL_CHANGES = dict(
    mirror_share=0.5, flip_share=0.5, input_noise_share=0.5, grey_share=0.5,
    scale_share=0.5)


def draw_scene(seed, height=40, width=48):
  coarse = np.random.default_rng(seed).random((10, 12, 3), np.float32)
  picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
  return (65535 * np.clip(picture, 0, 1)).astype(np.uint16)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Dual-pixel pairs: the sharp scene's red level names it."""
  folder = tmp_path_factory.mktemp('pairs')
  for view in ('left', 'right', 'sharp'):
    (folder / view).mkdir()
    for scene in range(SCENES):
      picture = draw_scene(scene)
      if view == 'sharp':
        picture[..., 0] = 8000 * (scene + 1)
      cv2.imwrite(str(folder / view / f'{scene}.png'), picture[..., ::-1])
  return folder


def open_folder(folder, batch_size=2, seed=3, shard=0, shards=1, views=None,
                **changes):
  data = dict(name='folder', folder=str(folder), crop=(16, 24)) | changes
  return contextlib.closing(open_training_data(
      data, batch_size=batch_size, seed=seed, shard=shard, shards=shards,
      views=views))


def take(batches, count):
  return [next(batches) for _ in range(count)]


def assert_same(batches, expected):
  for batch, other in zip(batches, expected, strict=True):
    assert set(batch) == set(other)
    for view in other:
      np.testing.assert_array_equal(batch[view], other[view])


def scenes_of(batches):
  return [round(float(sharp[..., 0].mean()) * 65535 / 8000) - 1
          for batch in batches for sharp in batch['sharp']]


def test_workers_change_nothing_not_even_after_a_stop(folder):
  """Random changes, order and place are the same with 0, 2 and 4 processes,
  and when a training that stopped goes on with another number of them."""
  with open_folder(folder, **ALL_CHANGES) as batches:
    expected = take(batches, 9)  # More than two epochs.
  with open_folder(folder, **ALL_CHANGES, workers=2) as batches:
    assert_same(take(batches, 3), expected[:3])
    place = batches.get_state()
    assert_same(take(batches, 2), expected[3:5])  # Made, but not kept.
  for workers in (0, 4):
    with open_folder(folder, **ALL_CHANGES, workers=workers) as batches:
      batches.set_state(place)
      assert batches.get_state() == place
      assert_same(take(batches, 6), expected[3:])


def test_another_seed_gives_other_batches(folder):
  with open_folder(folder) as one, open_folder(folder, seed=4) as other:
    assert not np.array_equal(next(one)['sharp'], next(other)['sharp'])


def test_three_hosts_together_read_what_one_reads(folder):
  """In every step, with the same random changes; epochs run on, so that
  nothing is left over though 7 scenes do not divide by 3 or 6."""
  with open_folder(folder, batch_size=6, **ALL_CHANGES) as one:
    whole = take(one, 7)
  parts = []
  for shard in range(3):
    with open_folder(
        folder, shard=shard, shards=3, **ALL_CHANGES) as batches:
      parts.append(take(batches, 7))
  for step, batch in enumerate(whole):
    for view in batch:
      joined = np.stack([part[step][view] for part in parts], axis=1)
      np.testing.assert_array_equal(
          joined.reshape(batch[view].shape), batch[view])


def test_every_epoch_has_every_scene_once_in_another_order(folder):
  with open_folder(folder, batch_size=SCENES) as batches:
    epochs = [scenes_of([batch]) for batch in take(batches, 3)]
  for epoch in epochs:
    assert sorted(epoch) == list(range(SCENES))
  assert epochs[0] != epochs[1] != epochs[2]


def test_workers_load_no_tensorflow_and_start_no_device(folder):
  """JAX itself comes with Grain; its devices belong to the parent."""
  with contextlib.closing(Batches(
      grain.MapDataset.range(2).map(_look_around).batch(1), 1)) as batches:
    seen = next(batches)
  assert seen == {'tensorflow': False, 'devices': False, 'threads': 1}


def test_a_built_dataset_is_read_by_workers_without_tensorflow(tmp_path):
  dataset_trees.dpdd_canon(tmp_path / 'in')
  prepare('dpdd_canon', tmp_path, tmp_path / 'in', partial=True)
  data = dict(name='dpdd_canon', data_dir=tmp_path, split='train', workers=1,
              crop=(4, 6))
  with contextlib.closing(open_training_data(
      data, batch_size=3, seed=0, views=('center', 'sharp'))) as batches:
    assert next(batches)['center'].shape == (3, 4, 6, 3)
  source = grain.MapDataset.source(
      open_dataset('dpdd_canon', 'train', tmp_path))
  with contextlib.closing(Batches(
      source.map(_look_around).batch(1), 1)) as batches:
    assert not next(batches)['tensorflow']


def _look_around(_):
  bridge = sys.modules.get('jax._src.xla_bridge')
  return {
      'tensorflow': np.bool_('tensorflow' in sys.modules),
      'devices': np.bool_(bridge is not None and bool(bridge._backends)),
      'threads': np.int64(cv2.getNumThreads())}


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
  """They would wait for ever to hand over a batch that nobody takes.

  What asks all processes of a group to end is left to the parent.
  """
  script = tmp_path / 'parent.py'
  script.write_text(
      'import os, signal, multiprocessing, time\n'
      'from data_pipelines.batches import prepare_worker\n'
      'def wait():\n'
      '  prepare_worker(0, 1)\n'
      '  for number in signal.SIGINT, signal.SIGTERM:\n'
      '    os.kill(os.getpid(), number)\n'
      '  print(os.getpid(), flush=True)\n'
      '  time.sleep(60)\n'
      'if __name__ == "__main__":\n'
      '  multiprocessing.get_context("spawn").Process(target=wait).start()\n'
      '  time.sleep(60)\n')
  environment = os.environ | {'PYTHONPATH': os.pathsep.join(sys.path)}
  with subprocess.Popen(
      [sys.executable, script], stdout=subprocess.PIPE, env=environment,
  ) as parent:
    worker = int(parent.stdout.readline())
    parent.kill()
  for _ in range(100):
    try:
      os.kill(worker, 0)
    except ProcessLookupError:
      return
    time.sleep(0.05)
  os.kill(worker, signal.SIGKILL)
  pytest.fail('The worker outlived its parent.')


def test_a_damaged_file_stops_training_with_its_name(tmp_path):
  """Also when a worker process finds it."""
  for view in ('blurry', 'sharp'):
    (tmp_path / view).mkdir()
    (tmp_path / view / 'a.png').write_bytes(b'damaged')
  for workers in (0, 1):
    with open_folder(tmp_path, batch_size=1, workers=workers) as batches:
      with pytest.raises(ValueError, match=r'a\.png is no picture'):
        next(batches)


def crop(views, seed=0, wanted=None, **changes):
  settings = CropSettings(**(dict(
      crop=(16, 24), mirror_share=0, flip_share=0) | changes))
  return CropPair(settings, wanted or tuple(views)).random_map(
      Pair('scene', views), np.random.default_rng(seed))


def test_crops_are_windows_of_what_is_stored():
  """One place in all views, every place possible, floats of full depth."""
  y, x = np.mgrid[:20, :30]
  places = np.stack([y, x, 0 * x], axis=-1).astype(np.uint16)
  corners = set()
  for seed in range(200):
    views = crop({'center': places, 'sharp': places}, seed)
    window = np.round(views['sharp'] * 65535).astype(int)
    np.testing.assert_array_equal(views['center'], views['sharp'])
    np.testing.assert_array_equal(
        window - window[0, 0], places[:16, :24].astype(int))
    corners.add(tuple(window[0, 0, :2]))
    assert views['sharp'].dtype == np.float32
  assert {0, 4} == {y for y, _ in corners if y in (0, 4)}
  assert {0, 6} == {x for _, x in corners if x in (0, 6)}
  assert max(corners) <= (4, 6)


def test_a_mirrored_pair_keeps_the_sign_of_its_disparity():
  """The right view's content lies 2 px right of the left one's, mirrored or
  not; upside down, too."""
  scene = draw_scene(0)
  views = {'left': scene[:, 2:], 'right': scene[:, :-2],
           'sharp': scene[:, 1:-1]}
  for share in (0, 1):
    for flip in (0, 1):
      changed = crop(views, mirror_share=share, flip_share=flip)
      np.testing.assert_array_equal(
          changed['left'][:, :-2], changed['right'][:, 2:])
      np.testing.assert_array_equal(
          changed['left'][:, :-1], changed['sharp'][:, 1:])
  plain, mirrored = (crop(views, mirror_share=share) for share in (0, 1))
  np.testing.assert_array_equal(mirrored['sharp'], plain['sharp'][:, ::-1])
  np.testing.assert_array_equal(mirrored['left'], plain['right'][:, ::-1])


def test_noise_is_on_the_inputs_alone():
  grey = np.full((40, 48, 3), 30000, np.uint16)
  views = crop(
      {view: grey for view in ('left', 'right', 'sharp')}, crop=(40, 48),
      input_noise_share=1, input_noise=(0.05, 0.05))
  np.testing.assert_array_equal(views['sharp'], np.float32(30000 / 65535))
  for view in ('left', 'right'):
    noise = views[view] - views['sharp']
    assert noise.std() == pytest.approx(0.05, rel=0.05)
    assert abs(noise.mean()) < 0.005
  assert not np.array_equal(views['left'], views['right'])


def test_grey_pictures_have_equal_channels_and_their_luma():
  views = {'center': draw_scene(0), 'sharp': draw_scene(1)}
  changed, plain = (crop(views, grey_share=share) for share in (1, 0))
  for view in views:
    for channel in (1, 2):
      np.testing.assert_array_equal(
          changed[view][..., 0], changed[view][..., channel])
    np.testing.assert_allclose(
        changed[view][..., 0],
        cv2.cvtColor(plain[view], cv2.COLOR_RGB2GRAY), atol=1e-6)


def test_scaling_down_keeps_views_aligned_and_light():
  """One scale for all views: what was equal stays equal; 26 of 40 rows are
  averaged into 16, and smooth content keeps its place."""
  ramp = np.linspace(0, 65535, 48)[None, :, None].repeat(40, 0).repeat(3, 2)
  ramp = ramp.astype(np.uint16)
  steps = []
  for seed in range(20):
    views = crop({'center': ramp, 'sharp': ramp}, seed, scale_share=1,
                 smallest_scale=0.6)
    np.testing.assert_array_equal(views['center'], views['sharp'])
    assert views['sharp'].shape == (16, 24, 3)
    steps.append(np.diff(views['sharp'][0, :, 0]).mean() * 47)
  assert 1.0 <= min(steps) < 1.2 and 1.4 < max(steps) <= 1 / 0.6 + 0.05
  # A picture that barely fits is not scaled at all.
  np.testing.assert_array_equal(
      crop({'sharp': ramp}, crop=(40, 48), scale_share=1)['sharp'],
      (ramp / np.float32(65535)).astype(np.float32))


def test_one_change_leaves_the_others_as_they_are():
  views = {'center': draw_scene(0), 'sharp': draw_scene(1)}
  with_noise = crop(views, 5, input_noise_share=1, mirror_share=0.5)
  without = crop(views, 5, mirror_share=0.5)
  np.testing.assert_array_equal(with_noise['sharp'], without['sharp'])


def test_a_missing_center_is_the_mean_of_left_and_right():
  left, right = draw_scene(0), draw_scene(1)
  views = crop({'left': left, 'right': right, 'sharp': left}, seed=1,
               wanted=('center', 'left', 'right'))
  np.testing.assert_allclose(
      views['center'], (views['left'] + views['right']) / 2, atol=1e-7)
  given = crop({'left': left, 'right': right, 'center': right}, seed=1)
  np.testing.assert_array_equal(given['center'], given['right'])


def test_eight_bits_are_the_upper_ones():
  """As OpenCV reads 16-bit files unless it is told otherwise."""
  picture = np.uint16([0, 255, 256, 65535])
  assert keep_bits(picture, 8).tolist() == [0, 0, 1, 255]
  assert keep_bits(picture, 8).dtype == np.uint8
  assert keep_bits(picture, 16) is picture
  assert keep_bits(np.uint8([7]), 8).tolist() == [7]
  views = crop({'sharp': draw_scene(0)}, bit_depth=8)
  np.testing.assert_allclose(
      views['sharp'] * 255, np.round(views['sharp'] * 255), atol=1e-4)


def test_only_what_is_needed_is_decoded(folder, tmp_path):
  """A network of one view does not wait for the others' decoding."""
  assert views_of(dict(name='folder', folder=folder)) == (
      'center', 'left', 'right', 'sharp')
  shutil.copytree(folder / 'left', tmp_path / 'blurry')
  shutil.copytree(folder / 'sharp', tmp_path / 'sharp')
  for view in ('left', 'right'):
    (tmp_path / view).mkdir()
    for scene in range(SCENES):
      (tmp_path / view / f'{scene}.png').write_bytes(b'damaged')
  with open_folder(tmp_path, views=('center', 'sharp')) as batches:
    assert set(next(batches)) == {'center', 'sharp'}


@pytest.mark.parametrize('changes, sentence', [
    (dict(crop=(41, 16)), 'is 40 x 48 px, smaller than a crop of 41 x 16 px'),
    (dict(name='lfdo'), r"no pairs 'lfdo': choose one of rendered, folder, "
     r'patches, .*\. Did you mean lfdof\?'),
    (dict(name='patches'), 'is no folder of prepared patches'),
    (dict(crop=(16, 16, 16, 16)), r'expected height and width, px'),
    (dict(bit_depth=12), r'bit_depth is 12: choose 8 or 16'),
    (dict(workers=-1), r'workers is -1: give 0 or a number'),
])
def test_what_cannot_be_read_is_said(folder, changes, sentence):
  with pytest.raises((ValueError, OSError), match=sentence):
    with open_folder(folder, **changes) as batches:
      next(batches)


def test_a_folder_must_be_named():
  with pytest.raises(ValueError, match=r"pairs 'folder' need folder, a folder"):
    open_folder('')


def test_pairs_without_what_training_needs_are_refused(tmp_path):
  (tmp_path / 'blurry').mkdir()
  cv2.imwrite(str(tmp_path / 'blurry' / 'a.png'), draw_scene(0))
  with pytest.raises(ValueError, match=r'no ground truth \(sharp\)'):
    open_folder(tmp_path)
  with pytest.raises(ValueError, match='have no left, right, which training'):
    open_folder(tmp_path, views=('center', 'left', 'right', 'sharp'))


def test_the_benchmark_times_pictures_and_patches(monkeypatch):
  monkeypatch.setattr(benchmark, '_SIZE', (514, 520))
  monkeypatch.setattr(benchmark, '_SECONDS', 0.05)
  config = base.get_config()
  config.bench.workers = (0,)
  rows = [line.split('|') for line in benchmark.measure(config)
          if line.startswith('|')][2:]
  assert [row[1].strip() for row in rows] == ['pictures', 'patches']
  for row in rows:
    assert float(row[4]) > 0 and float(row[5]) > 0


def test_views_of_two_sizes_are_refused():
  views = {'center': draw_scene(0), 'sharp': draw_scene(0)[1:]}
  with pytest.raises(ValueError, match='center 40 x 48 px, sharp 39 x 48 px'):
    crop(views)
