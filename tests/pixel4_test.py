"""Scores on recorded dual-pixel scenes, on a scene made here."""

import cv2
import numpy as np
import pytest

from jaxdeblur.evaluation.pixel4 import Pixel4, align


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


def test_every_scale_and_alignment_is_scored(folder):
  protocol = Pixel4()
  assert protocol.count(folder) == 1
  (case,) = protocol.cases(folder)
  assert case.picture == '001'
  # Black level and vignetting are undone: both views are one picture here.
  np.testing.assert_allclose(
      case.views['left'], case.views['right'], atol=1e-3)
  scores = case.score(case.views['center'])
  assert set(scores) == {'linear, as it is', '1/2.2, as it is',
                         'linear, aligned', '1/2.2, aligned'}
  for condition in scores.values():
    assert condition['psnr'] == pytest.approx(condition['input_psnr'], abs=0.01)
  assert scores['linear, aligned']['psnr'] > (
      scores['linear, as it is']['psnr'] + 3)
  assert scores['linear, as it is']['psnr'] != pytest.approx(
      scores['1/2.2, as it is']['psnr'], abs=0.5)


def test_what_is_no_scene_is_said(folder, tmp_path_factory):
  with pytest.raises(FileNotFoundError, match='holds no scenes'):
    Pixel4().count(tmp_path_factory.mktemp('empty'))
  (folder / '001_left.png').unlink()
  with pytest.raises(ValueError, match=r'001_left\.png is no 16-bit grey'):
    list(Pixel4().cases(folder))


def test_the_recorded_input_scores_as_measured(shared_data):
  """Over six of the 17 scenes, linear: 29.39 dB; all 17 are said to have 31.69.
  """
  protocol = Pixel4()
  scores = [case.score(case.views['center'])['linear, as it is']['input_psnr']
            for case in protocol.cases(shared_data / 'dual_pixel_pixel4')]
  assert len(scores) == 6
  assert np.mean(scores) == pytest.approx(29.39, abs=0.01)
