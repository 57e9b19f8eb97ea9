"""Scores on recorded dual-pixel scenes, on a scene made here."""

import cv2
import numpy as np
import pytest

from jaxdeblur.evaluation.protocols.pixel4 import (
  Pixel4Xin,
  align,
  read_vignetting,
)
from jaxdeblur.evaluation.source import Source
from jaxdeblur.metrics import psnr


def _draw_scene(height=160, width=192):
  coarse = np.random.default_rng(0).random((40, 48)).astype(np.float32)
  scene = cv2.resize(coarse, (width + 16, height + 16))
  return 0.1 + 0.6 * scene


def _cut(scene, y, x):
  return scene[8 + y:-8 + y, 8 + x:-8 + x]


def test_motion_and_gain_are_taken_out():
  scene = _draw_scene()
  blurry = cv2.GaussianBlur(_cut(scene, 0, 0), (0, 0), 1.5)
  aligned = align(1.1 * _cut(scene, 2, 3), blurry)
  inner = (slice(16, -16), slice(16, -16))
  error, before = (
      np.abs(picture - _cut(scene, 0, 0))[inner].mean()
      for picture in (aligned, 1.1 * _cut(scene, 2, 3)))
  # What is left: least squares against a blurry picture is a little dark.
  assert error < 0.2 * before


def test_pictures_of_two_scenes_are_refused():
  with pytest.raises(ValueError, match='cannot be aligned'):
    align(np.full((64, 64), 0.5, np.float32), _draw_scene()[:64, :64])


@pytest.fixture
def folder(tmp_path):
  """A scene whose ground truth is moved by 2 px and brighter by a tenth."""
  scene = _draw_scene()
  (tmp_path / 'calibration').mkdir()
  vignetting = np.full((160, 192), 1.25, np.float16)
  np.save(tmp_path / 'calibration' / 'right_gain_crop.npy', vignetting)
  blurry = cv2.GaussianBlur(_cut(scene, 0, 0), (0, 0), 2.0)
  for name, light in (('left', blurry), ('right', blurry / 1.25)):
    cv2.imwrite(str(tmp_path / f'001_{name}.png'),
                np.uint16(np.round(light * 16383 + 1024)))
  cv2.imwrite(str(tmp_path / '001_gt.png'),
              np.uint16(np.round(1.1 * _cut(scene, 2, 0) * 65535)))
  return tmp_path


def list_cases(folder, **settings):
  return [make() for make in
          Pixel4Xin(**settings).list_cases(Source(folder)).open()]


def test_every_scale_and_alignment_is_compared(folder):
  (case,) = list_cases(folder)
  assert case.picture == '001'
  # Black level and vignetting are undone: both views are one picture here.
  np.testing.assert_allclose(
      case.views['left'], case.views['right'], atol=1e-3)
  comparisons = case.compare(case.views['center'])
  assert {name: comparison.displayed
          for name, comparison in comparisons.items()} == {
              'linear, as it is': False, '1/2.2, as it is': True,
              'linear, aligned': False, '1/2.2, aligned': True}
  scores = {}
  for name, comparison in comparisons.items():
    np.testing.assert_allclose(comparison.after, comparison.before, atol=1e-4)
    scores[name] = psnr(comparison.after, comparison.sharp)
  assert scores['linear, aligned'] > scores['linear, as it is'] + 3
  assert scores['linear, as it is'] != pytest.approx(
      scores['1/2.2, as it is'], abs=0.5)


def test_larger_views_are_cropped_to_the_ground_truth(folder):
  """As recorded, views are larger than the ground truth, and about its middle.
  """
  (cropped,) = list_cases(folder)
  for side in ('left', 'right'):
    file = folder / f'001_{side}.png'
    pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(file), np.pad(pixels, ((8, 8), (12, 12))))
  (whole,) = list_cases(folder)
  for view, picture in cropped.views.items():
    np.testing.assert_array_equal(whole.views[view], picture)


def test_what_is_no_scene_is_said(folder, tmp_path_factory):
  with pytest.raises(FileNotFoundError, match='holds no scenes'):
    list_cases(tmp_path_factory.mktemp('empty'))
  with pytest.raises(ValueError, match='scores the dataset pixel4_xin only'):
    Pixel4Xin().list_cases(Source(dataset='realdof', data_dir=folder))
  (folder / '001_left.png').rename(folder / 'left.png')
  with pytest.raises(FileNotFoundError, match=r'missing, 001_left\.png first'):
    list_cases(folder)
  cv2.imwrite(str(folder / '001_left.png'), np.zeros((160, 192), np.uint8))
  with pytest.raises(ValueError, match=r'001_left\.png has 8 bits'):
    list_cases(folder)
  (folder / 'calibration' / 'right_gain_crop.npy').unlink()
  with pytest.raises(FileNotFoundError, match='no calibration'):
    list_cases(folder)


@pytest.mark.slow
def test_the_recorded_input_scores_as_measured(shared_data):
  """Over six of the 17 scenes, linear: 29.39 dB; all 17 are said to have 31.69.
  """
  scores = []
  for case in list_cases(shared_data / 'dual_pixel_pixel4'):
    compared = case.compare(case.views['center'])['linear, as it is']
    scores.append(psnr(compared.before, compared.sharp))
  assert len(scores) == 6
  assert np.mean(scores) == pytest.approx(29.39, abs=0.01)


def test_white_sheets_give_the_vignetting(shared_data, tmp_path):
  """As its authors' own, which is stored in half precision, has it."""
  calibration = shared_data / 'dual_pixel_pixel4' / 'calibration'
  for side in ('left', 'right'):
    name = f'white_sheet_{side}.png'
    (tmp_path / name).symlink_to(calibration / name)
  gain = read_vignetting(tmp_path)
  stored = read_vignetting(calibration)
  y, x = ((have - want) // 2 for have, want in zip(gain.shape, stored.shape))
  np.testing.assert_allclose(
      gain[y:y + stored.shape[0], x:x + stored.shape[1]], stored, atol=1e-3)
