"""Scenes with depth maps and light fields, from the files to the views."""

import cv2
import jax
import numpy as np
import pytest

from data_pipelines.depth_maps import DepthTiles, read_nearness
from data_pipelines.light_fields import LightFieldViews
from data_pipelines.loader import open_training_data
from data_pipelines.sources import list_tiles
from jaxdeblur import partitioning
from jaxdeblur.errors import MissingFileError, UserError
from jaxdeblur.optics.bank import Bank, write_bank
from jaxdeblur.training.pairs import make_views_of

DATA = dict(crop=(24, 24), max_radius=4.0, sharp_share=0.0, min_radius=4.0,
            zoom_share=0.0, display_noise=0.0, sensor_noise_share=0.0,
            highlight_share=0.0, tone_share=0.0, jpeg_share=0.0)


def write_photograph(file, seed=0):
  coarse = np.random.default_rng(seed).random((24, 24, 3), np.float32)
  cv2.imwrite(str(file), np.uint8(255 * cv2.resize(coarse, (96, 96))))


@pytest.fixture
def scene(tmp_path):
  """A photograph whose left half is near."""
  (tmp_path / 'photos').mkdir()
  (tmp_path / 'maps').mkdir()
  write_photograph(tmp_path / 'photos' / 'street.png')
  disparity = np.full((96, 96), 10.0, np.float32)
  disparity[:, :48] = 30
  disparity[40:50, 10:20] = np.inf  # Unknown.
  np.savez(tmp_path / 'maps' / 'street.npz', disparity)
  (tmp_path / 'photos' / 'tiles.csv').write_text(
      'file,y,x,size\nstreet.png,0,0,96\n')
  return tmp_path


def render(data, count=4):
  batch = open_training_data(data, batch_size=count, seed=3).make(0)
  mesh = partitioning.make_mesh(devices=jax.devices()[:1])
  views = jax.jit(make_views_of(data, 3, mesh))(
      partitioning.put_batch(batch, mesh), np.uint32(0))
  return batch, jax.device_get(views)


def test_nearness_is_read_from_disparity_and_depth(scene, tmp_path):
  nearness = read_nearness(scene / 'maps' / 'street.npz', 'disparity')
  assert set(np.unique(nearness)) == {0, 255}
  assert nearness[45, 15] == 255  # What is unknown is like its neighbours.
  depth = np.where(np.arange(96)[None] < 48, 2.0, 6.0) * np.ones((96, 1))
  np.save(tmp_path / 'depth.npy', depth)
  other = read_nearness(tmp_path / 'depth.npy', 'depth')
  np.testing.assert_array_equal(other, nearness)


@pytest.mark.parametrize('bad, kind, sentence', [
    (np.nan, 'depth', r'1 values that are not a number \(NaN\): fill in'),
    (-2.0, 'depth', '1 negative values'),
    (0.0, 'depth', '1 depths that are 0 or infinite'),
    (np.nan, 'disparity', 'give 0 where the disparity is unknown'),
    (-1.0, 'disparity', '1 negative values'),
])
def test_impossible_depths_are_refused(tmp_path, bad, kind, sentence):
  values = np.full((8, 8), 3.0)
  values[2, 3] = bad
  np.save(tmp_path / 'map.npy', values)
  with pytest.raises(UserError, match=sentence):
    read_nearness(tmp_path / 'map.npy', kind)


def test_other_files_are_no_maps(scene, tmp_path):
  np.save(tmp_path / 'colour.npy', np.ones((8, 8, 3)))
  with pytest.raises(UserError, match='a depth map has one channel'):
    read_nearness(tmp_path / 'colour.npy', 'depth')
  np.save(tmp_path / 'empty.npy', np.zeros((8, 8)))
  with pytest.raises(UserError, match='knows the disparity of 0 %'):
    read_nearness(tmp_path / 'empty.npy', 'disparity')
  tiles = list_tiles(scene / 'photos')
  with pytest.raises(MissingFileError, match=r'no depth map for street\.png'):
    DepthTiles(tiles, scene / 'photos' / 'nowhere', 'disparity')
  np.save(scene / 'maps' / 'street.npy', np.ones((50, 50)))
  with pytest.raises(UserError, match='a depth map needs its size'):
    _ = DepthTiles(tiles, scene / 'maps', 'disparity')[0]


@pytest.mark.slow
def test_depth_decides_the_blur(scene):
  data = DATA | dict(scene='depth', photos=str(scene / 'photos'),
                     depth_maps=str(scene / 'maps'))
  batch, views = render(data)
  assert batch['tiles'].shape[1] == 1 and batch['tiles'].shape[4] == 4
  radii = views['radius']
  assert np.abs(radii).max() <= 4.001
  both = [np.unique(np.round(pair, 2)) for pair in radii]
  assert any(len(found) == 2 for found in both)  # Crops of the border.
  for sharp, center in zip(views['sharp'], views['center']):
    assert np.abs(np.diff(center, axis=0)).mean() < np.abs(
        np.diff(sharp, axis=0)).mean()


@pytest.fixture
def light_field(tmp_path):
  """3 x 3 views of a flat scene with a disparity of 1 px."""
  write_photograph(tmp_path / 'scene.png')
  scene = cv2.imread(str(tmp_path / 'scene.png'))
  folder = tmp_path / 'fields' / 'flat'
  folder.mkdir(parents=True)
  for v in range(3):
    for u in range(3):
      moved = np.roll(scene, (1 - v, 1 - u), axis=(0, 1))
      cv2.imwrite(str(folder / f'view_{3 * v + u}.png'), moved)
  return tmp_path / 'fields'


@pytest.mark.slow
def test_a_light_field_is_refocused(light_field):
  """In focus on the scene, the picture is the centre view."""
  data = DATA | dict(
      scene='light_field', photos=str(light_field), disparities=(1.0, 1.0),
      apertures=(1.0, 1.0), sharpening_share=0.0, denoising_share=0.0)
  batch, views = render(data)
  assert batch['tiles'].shape[:2] == (4, 9)
  np.testing.assert_allclose(views['center'], views['sharp'], atol=1.1 / 255)
  assert np.isnan(views['radius']).all()
  data['disparities'] = (-2.0, -2.0)
  _, blurred = render(data)
  assert np.abs(blurred['center'] - blurred['sharp']).mean() > 0.01


def test_light_fields_are_listed_and_checked(light_field):
  assert len(LightFieldViews(light_field)) == 1
  assert LightFieldViews(light_field / 'flat')[0].shape == (9, 96, 96, 3)
  (light_field / 'flat' / 'view_4.png').unlink()
  with pytest.raises(MissingFileError, match='has no view 4'):
    _ = LightFieldViews(light_field)[0]


def test_banks_that_do_not_suit_the_pairs_are_refused(tmp_path):
  mesh = partitioning.make_mesh(devices=jax.devices()[:1])
  kernels = np.zeros((2, 1, 1, 1, 31, 31), np.float32)
  kernels[..., 15, 15] = 1
  write_bank(tmp_path / 'bank.npz', Bank(
      kernels, np.float32([0, 9]), ('center',)))
  data = DATA | dict(bank=str(tmp_path / 'bank.npz'), bank_share=1.0)
  with pytest.raises(UserError, match='have 31 px, more than the'):
    make_views_of(data, 0, mesh)
  data |= dict(crop=(64, 64), max_radius=20.0, dual_pixel=True)
  with pytest.raises(UserError, match='pairs need those of left and right'):
    make_views_of(data, 0, mesh)
