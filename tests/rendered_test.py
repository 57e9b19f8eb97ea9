"""Photographs, tiles and pairs with rendered defocus."""

import contextlib

import cv2
import numpy as np
import pytest

from data_pipelines import rendered
from data_pipelines.loader import open_training_data
from data_pipelines.rendered import DefocusSettings, RenderDefocus
from data_pipelines.sources import TileSource, list_photographs, list_tiles
from data_pipelines.transforms import (
  mirror_views,
  quantise,
  to_display,
  to_linear,
)
from jaxdeblur.optics.psf import disc

SETTINGS = DefocusSettings(crop=(24, 24), max_radius=3.0)


@pytest.fixture
def photos(tmp_path):
  """Four photographs of 96 x 80 px in a folder."""
  for i in range(4):
    cv2.imwrite(str(tmp_path / f'photo_{i}.png'), _draw_picture(96, 80, i))
  return tmp_path


def _draw_picture(height, width, seed):
  coarse = np.random.default_rng(seed).random((12, 10, 3), np.float32)
  return np.uint8(255 * np.clip(cv2.resize(coarse, (width, height)), 0, 1))


def test_linear_light_comes_back():
  display = np.linspace(0, 1, 256, dtype=np.float32)
  np.testing.assert_allclose(to_display(to_linear(display)), display, atol=1e-6)
  # sRGB's middle grey, IEC 61966-2-1.
  assert to_linear(np.float32(0.5)) == pytest.approx(0.21404, abs=1e-5)


def test_quantise_rounds():
  np.testing.assert_allclose(
      quantise(np.float32([0.0019, 0.002, 2.0])) * 255, [0, 1, 255])


def test_blur_spreads_light_not_display_values():
  """A bright point through a disc keeps its light; its display values grow."""
  light = np.zeros((21, 21, 3), np.float32)
  light[10, 10] = 1
  blurred = rendered.blur(light, disc(4))
  assert blurred.sum() == pytest.approx(3, rel=1e-5)
  assert to_display(blurred).sum() > 10


def test_a_layer_of_one_depth_is_plain_blur():
  random = np.random.default_rng(0)
  scene = random.random((32, 32, 3), np.float32)
  mask = rendered.draw_mask((32, 32), random)
  psf = disc(2.5)
  composed = rendered.blur_layers(scene, scene, mask, psf, psf)
  far_only = rendered.blur_layers(
      scene, scene, np.zeros_like(mask), disc(0), psf)
  np.testing.assert_allclose(far_only, rendered.blur(scene, psf), atol=1e-6)
  # Uniform light stays uniform behind any mask.
  ones = np.ones_like(scene)
  np.testing.assert_allclose(
      rendered.blur_layers(ones, ones, mask, disc(3), disc(1)), 1, atol=1e-5)
  assert composed.shape == scene.shape


def test_masks_are_soft_and_of_two_parts():
  for seed in range(20):
    mask = rendered.draw_mask((48, 64), np.random.default_rng(seed))
    assert mask.min() == 0 and mask.max() == 1
    soft = np.mean((mask > 0) & (mask < 1))
    assert 0 < soft < 0.5 and 0.1 < mask.mean() < 0.9


def test_pairs_are_registered_and_in_range():
  """At radius 0, without noise, both pictures are one."""
  tile = _draw_picture(64, 64, 0)
  sharp = DefocusSettings(
      crop=(24, 24), max_radius=3.0, sharp_share=1.0, two_layer_share=0.0,
      sensor_noise_share=0.0, display_noise=0.0, jpeg_share=0.0)
  blurry = DefocusSettings(crop=(24, 24), max_radius=3.0, sharp_share=0.0)
  for seed in range(10):
    pair = RenderDefocus([tile], sharp).random_map(
        tile, np.random.default_rng(seed))
    np.testing.assert_allclose(
        pair['center'], pair['sharp'], atol=0.5001 / 255)
    pair = RenderDefocus([tile], blurry).random_map(
        tile, np.random.default_rng(seed))
    assert set(pair) == {'center', 'sharp'}
    for view in pair.values():
      assert view.shape == (24, 24, 3) and view.dtype == np.float32
      assert view.min() >= 0 and view.max() <= 1


def test_jpeg_loses_little_and_no_pixel_moves():
  # Grey, since JPEG halves the resolution of colours.
  grey = _draw_picture(40, 48, 0)[..., :1].repeat(3, axis=2)
  picture = grey.astype(np.float32) / 255
  lossy = rendered.compress(picture, 95)
  assert lossy.shape == picture.shape and lossy.dtype == np.float32
  assert 0 < np.abs(lossy - picture).mean() < 2 / 255
  assert (np.abs(rendered.compress(picture, 60) - picture).mean()
          > np.abs(lossy - picture).mean())


def test_a_tile_too_small_for_the_crop_is_refused():
  tile = np.zeros((24, 24, 3), np.uint8)
  with pytest.raises(ValueError, match='take smaller crops or larger tiles'):
    RenderDefocus([tile], SETTINGS).random_map(tile, np.random.default_rng(0))


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
    for name in ('center', 'sharp'):
      assert batch[name].shape == (2, 24, 24, 3)
      np.testing.assert_array_equal(batch[name], same[name])
    assert not np.array_equal(batch['sharp'], different['sharp'])


def test_the_place_in_the_data_can_be_kept(photos):
  batches = _open(photos)
  for _ in range(5):
    next(batches)
  place = batches.get_state()
  expected = [next(batches)['center'] for _ in range(4)]
  resumed = _open(photos)
  resumed.set_state(place)
  for batch in expected:
    np.testing.assert_array_equal(next(resumed)['center'], batch)


def test_processes_share_an_epoch(tmp_path):
  """Twelve flat photographs, two processes: six each, none twice."""
  for level in range(12):
    flat = np.full((40, 40, 3), 20 * level, np.uint8)
    cv2.imwrite(str(tmp_path / f'{level:02}_.png'), flat)
  (tmp_path / 'tiles.csv').write_text('file,y,x,size\n' + ''.join(
      f'{level:02}_.png,0,0,40\n' for level in range(12)))
  data = {'photos': str(tmp_path), 'crop': (8, 8), 'max_radius': 3.0,
          'two_layer_share': 0.0}
  levels = []
  for shard in (0, 1):
    batch = next(open_training_data(
        data, batch_size=6, seed=0, shard=shard, shards=2))
    levels += [round(float(sharp.mean()) * 255) for sharp in batch['sharp']]
  assert sorted(levels) == [20 * level for level in range(12)]


def test_three_hosts_together_render_what_one_renders(photos):
  """In every step, with the same blur and noise, whatever the epoch."""
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


def _render_dual(seed, **changes):
  settings = DefocusSettings(**(dict(
      crop=(24, 40), max_radius=4.0, sharp_share=0.0, two_layer_share=0.0,
      sensor_noise_share=0.0, display_noise=0.0, jpeg_share=0.0, edges=(1, 1),
      dual_pixel=True) | changes))
  tile = _draw_picture(96, 96, seed)
  return RenderDefocus([tile], settings).random_map(
      tile, np.random.default_rng(seed))


def _shift_in_x(first, second):
  """How far `second` lies to the right of `first`, in pixels: least squares."""
  slope = np.gradient((first + second) / 2, axis=1)
  return ((first - second) * slope).sum() / np.square(slope).sum()


@pytest.mark.parametrize('disparity, sign', [
    ('left_first', 1), ('right_first', -1)])
def test_dual_pixel_views_lie_apart_on_one_side(disparity, sign):
  """Also where they are mirrored, which half of the seeds do."""
  shifts = [sign * _shift_in_x(views['left'], views['right'])
            for views in (_render_dual(seed, disparity=disparity)
                          for seed in range(12))]
  assert min(shifts) > 0 and max(shifts) > 1


def test_dual_pixel_views_make_the_photograph():
  """Light adds up: the photograph is what both halves of the aperture see."""
  for seed in range(6):
    views = _render_dual(seed)
    assert set(views) == {'center', 'left', 'right', 'sharp'}
    light = (to_linear(views['left']) + to_linear(views['right'])) / 2
    np.testing.assert_allclose(
        views['center'], to_display(light), atol=1.5 / 255)
    assert views['center'].shape == (24, 40, 3)


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
