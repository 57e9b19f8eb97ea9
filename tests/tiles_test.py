"""Photographs and the tiles that defocus is rendered from."""

import contextlib

import cv2
import numpy as np
import pytest

from data_pipelines.loader import open_training_data
from data_pipelines.sources import TileSource, list_photographs, list_tiles
from data_pipelines.tiles import CutTiles, cut_window
from data_pipelines.transforms import mirror_views, quantise
from jaxdeblur.errors import UserError
from jaxdeblur.optics.settings import DefocusSettings

SETTINGS = DefocusSettings(crop=(24, 24), max_radius=3.0)
SIDE = SETTINGS.window[0]  # 40 px.


@pytest.fixture
def photos(tmp_path):
  """Four photographs of 96 x 80 px in a folder."""
  for i in range(4):
    cv2.imwrite(str(tmp_path / f'photo_{i}.png'), _draw_picture(96, 80, i))
  return tmp_path


def _draw_picture(height, width, seed):
  coarse = np.random.default_rng(seed).random((12, 10, 3), np.float32)
  return np.uint8(255 * np.clip(cv2.resize(coarse, (width, height)), 0, 1))


def test_quantise_rounds():
  np.testing.assert_allclose(
      quantise(np.float32([0.0019, 0.002, 2.0])) * 255, [0, 1, 255])


def test_a_tile_too_small_for_the_crop_is_refused():
  tile = np.zeros((24, 24, 3), np.uint8)
  with pytest.raises(UserError, match='take smaller crops, a smaller max_rad'):
    CutTiles([tile], SETTINGS).random_map(tile, np.random.default_rng(0))


def test_tiles_of_all_layers_hold_crop_and_margin():
  tiles = [_draw_picture(64, 64, seed) for seed in range(3)]
  cut = CutTiles(tiles, SETTINGS).random_map(
      tiles[0], np.random.default_rng(0))['tiles']
  assert cut.shape == (4, SIDE, SIDE, 3) and cut.dtype == np.uint8


def test_windows_are_turned_and_shrunk():
  """A tile whose left half is red: each quarter turn moves it."""
  tile = np.zeros((80, 80, 3), np.uint8)
  tile[:, :40, 0] = 255
  seen, settings = set(), DefocusSettings(crop=(24, 24), max_radius=3.0)
  for seed in range(20):
    window = cut_window(tile, 0.5, np.random.default_rng(seed), settings)
    assert window.shape == (SIDE, SIDE, 3)
    middle = SIDE // 2
    at = (window[middle, 0, 0], window[0, middle, 0],
          window[middle, -1, 0], window[-1, middle, 0])
    seen.add(tuple(value > 127 for value in at))
  assert len(seen) >= 4
  # The whole of the tile, half as large, and what is left of a smaller shrink.
  small = cut_window(tile, 0.1, np.random.default_rng(0), settings)
  assert 0.45 < (small[..., 0] > 127).mean() < 0.55


def test_tiles_of_a_list_or_a_grid(photos):
  assert len(list_tiles(photos, size=40)) == 4 * 2 * 2
  (photos / 'tiles.csv').write_text(
      'file,y,x,size\nphoto_0.png,8,16,32\nphoto_1.png,64,0,32\n')
  tiles = list_tiles(photos)
  pixels = TileSource(tiles)[0]
  np.testing.assert_array_equal(
      pixels, cv2.imread(str(photos / 'photo_0.png'))[8:40, 16:48, ::-1])


def test_series_do_not_prevail(photos):
  assert len(list_tiles(photos, size=40, most_per_series=3)) == 3


@pytest.mark.parametrize('table, sentence', [
    ('file,y,x\nphoto_0.png,0,0\n', 'needs the columns file, y, x, size'),
    ('file,y,x,size\nphoto_0.png,a,0,8\n', 'needs the columns'),
])
def test_a_bad_list_of_tiles_is_refused(photos, table, sentence):
  (photos / 'tiles.csv').write_text(table)
  with pytest.raises(ValueError, match=sentence):
    list_tiles(photos)


def test_a_tile_outside_its_photograph_is_refused(photos):
  (photos / 'tiles.csv').write_text('file,y,x,size\nphoto_0.png,80,0,32\n')
  with pytest.raises(ValueError, match='lies outside'):
    TileSource(list_tiles(photos))[0]


def test_no_photographs_are_said(tmp_path):
  with pytest.raises(FileNotFoundError, match='is no folder'):
    list_photographs(tmp_path / 'absent')
  with pytest.raises(FileNotFoundError, match='holds no photographs'):
    list_photographs(tmp_path)


def _open(photos, **changes):
  data = {'photos': str(photos), 'crop': (24, 24), 'max_radius': 3.0}
  (photos / 'tiles.csv').write_text('file,y,x,size\n' + ''.join(
      f'photo_{i}.png,{y},0,64\n' for i in range(4) for y in (0, 16, 32)))
  return open_training_data(data, **({'batch_size': 2, 'seed': 7} | changes))


def test_batches_depend_on_the_seed_alone(photos):
  first, again, other = (
      _open(photos), _open(photos), _open(photos, seed=8))
  for _ in range(8):  # More than one pass over the 12 tiles.
    batch, same, different = next(first), next(again), next(other)
    assert batch['tiles'].shape == (2, 4, SIDE, SIDE, 3)
    np.testing.assert_array_equal(batch['tiles'], same['tiles'])
    assert not np.array_equal(batch['tiles'], different['tiles'])


def test_the_place_in_the_data_can_be_kept(photos):
  batches = _open(photos)
  for _ in range(5):
    next(batches)
  place = batches.get_state()
  expected = [next(batches)['tiles'] for _ in range(4)]
  resumed = _open(photos)
  resumed.set_state(place)
  for batch in expected:
    np.testing.assert_array_equal(next(resumed)['tiles'], batch)


def test_processes_share_an_epoch(tmp_path):
  """Twelve flat photographs, two processes: six each, none twice."""
  for level in range(12):
    flat = np.full((40, 40, 3), 20 * level, np.uint8)
    cv2.imwrite(str(tmp_path / f'{level:02}_.png'), flat)
  (tmp_path / 'tiles.csv').write_text('file,y,x,size\n' + ''.join(
      f'{level:02}_.png,0,0,40\n' for level in range(12)))
  data = {'photos': str(tmp_path), 'crop': (8, 8), 'max_radius': 3.0}
  levels = []
  for shard in (0, 1):
    batch = next(open_training_data(
        data, batch_size=6, seed=0, shard=shard, shards=2))
    levels += [round(float(tiles[0].mean())) for tiles in batch['tiles']]
  assert sorted(levels) == [20 * level for level in range(12)]


def test_three_hosts_together_cut_what_one_cuts(photos):
  """In every step, whatever the epoch."""
  with contextlib.closing(_open(photos, batch_size=6)) as one:
    whole = [next(one) for _ in range(5)]
  parts = []
  for shard in range(3):
    with contextlib.closing(_open(
        photos, batch_size=2, shard=shard, shards=3)) as batches:
      parts.append([next(batches) for _ in range(5)])
  for step, batch in enumerate(whole):
    for view in batch:
      joined = np.stack([part[step][view] for part in parts], axis=1)
      np.testing.assert_array_equal(
          joined.reshape(batch[view].shape), batch[view])


def test_mirrored_views_change_places():
  left, right = np.random.default_rng(0).random((2, 3, 5, 3))
  mirrored = mirror_views({'left': left, 'right': right, 'sharp': left})
  np.testing.assert_array_equal(mirrored['left'], right[:, ::-1])
  np.testing.assert_array_equal(mirrored['right'], left[:, ::-1])
  np.testing.assert_array_equal(mirrored['sharp'], left[:, ::-1])


def test_tiles_are_enlarged_about_their_middle(photos):
  (photos / 'tiles.csv').write_text(
      'file,y,x,size\nphoto_0.png,0,8,32\nphoto_1.png,40,24,32\n')
  tiles = list_tiles(photos, enlarge_to=64)
  assert [(tile.y, tile.x, tile.size) for tile in tiles] == [
      (0, 0, 64), (24, 8, 64)]
  with pytest.raises(ValueError, match='as large as a tile of 90 x 90 px'):
    list_tiles(photos, enlarge_to=90)
