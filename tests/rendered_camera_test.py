"""The frozen protocol of three apertures and a camera."""

import json

import cv2
import jax
import numpy as np
import pytest

from configs import starter
from jaxdeblur import jobs
from jaxdeblur.evaluation import protocols, published
from jaxdeblur.evaluation.protocols import rendered_camera
from jaxdeblur.evaluation.protocols.rendered_camera import (
  CONDITIONS,
  RADII,
  RenderedCamera,
  degrade,
  make_light,
  make_truth,
)
from jaxdeblur.evaluation.source import Source
from jaxdeblur.job_fields import check_read
from jaxdeblur.optics.psf import disc, variance as measure_variance

BLURRED = [condition for condition in CONDITIONS if condition.radius]


def find(name):
  (condition,) = (one for one in CONDITIONS if str(one) == name)
  return condition


def draw_photograph(height=40, width=56):
  """Coarse colours, the same in every version of NumPy, with white spots."""
  y, x, c = np.mgrid[:height, :width, :3]
  picture = (37 * (x // 5) + 91 * (y // 7) + 53 * c) % 200
  picture[10:14, 20:24] = 255
  return picture.astype(np.uint8)


@pytest.fixture
def photos(tmp_path):
  folder = tmp_path / 'photos'
  folder.mkdir()
  cv2.imwrite(str(folder / 'a.png'), draw_photograph()[..., ::-1])
  return folder


def test_there_are_three_apertures_at_four_radii_and_the_sharp_picture():
  assert [str(condition) for condition in CONDITIONS] == ['sharp', *(
      f'{aperture} {radius} px'
      for aperture in ('hexagon', 'cat eye', 'gaussian')
      for radius in (2, 4, 8, 12))]


# Variance along (x, y) without a soft border, as a share of the radius^2.

def hexagon_share():
  """The second moment of a regular polygon with corners at 1."""
  return (5 / 24, 5 / 24)


def cat_eye_share():
  """By counting points of two discs that lie 2/3 apart."""
  axis = np.linspace(-1, 1, 1501)
  x, y = np.meshgrid(axis, axis)
  inside = np.hypot(np.abs(x) + 1 / 3, y) <= 1
  return (np.mean(x[inside] ** 2), np.mean(y[inside] ** 2))


def gaussian_share():
  return (1 / 4, 1 / 4)


@pytest.mark.parametrize('condition', BLURRED, ids=str)
def test_kernels_have_the_stated_variance(condition):
  kernel = condition.draw_kernel().astype(float)
  assert kernel.sum() == pytest.approx(1, abs=1e-6) and kernel.min() >= 0
  offsets = np.arange(len(kernel)) - len(kernel) // 2
  for axis, share, stated in zip(
      (0, 1),  # Summing over y leaves x.
      {'hexagon': hexagon_share, 'cat eye': cat_eye_share,
       'gaussian': gaussian_share}[condition.aperture](),
      RenderedCamera().describe()['variances'][str(condition)]):
    profile = kernel.sum(axis=axis)
    # Blur must not move the picture against the ground truth.
    assert profile @ offsets == pytest.approx(0, abs=1e-5)
    measured = profile @ offsets ** 2
    assert measured == pytest.approx(stated, abs=2e-3)
    # The pixels and the soft border add less than 0.25 px^2.
    assert 0 < measured - share * condition.radius ** 2 < 0.25


def test_the_known_disc_has_the_same_variance():
  condition = find('cat eye 8 px')
  radius = condition.disc_radius
  found = jax.jit(lambda: measure_variance(disc(radius)).mean())()
  assert found == pytest.approx(np.mean(condition.variance), rel=2e-3)
  assert find('sharp').disc_radius == 0


def test_pictures_depend_on_name_and_condition_alone():
  light = make_light(draw_photograph())
  first = degrade(light, 'a.png', find('hexagon 4 px'))
  np.testing.assert_array_equal(
      first, degrade(light, 'a.png', find('hexagon 4 px')))
  assert not np.array_equal(first, degrade(light, 'b.png', find(
      'hexagon 4 px')))
  levels = first * 255
  np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)


# The mean of a picture's 8-bit levels, and four of its pixels.
GOLDEN = {
    'sharp': (98.48, [
        [0, 53, 110], [255, 255, 244], [20, 50, 58], [50, 69, 112]]),
    'hexagon 4 px': (113.07, [
        [17, 57, 116], [252, 255, 253], [97, 94, 105], [125, 93, 114]]),
    'cat eye 8 px': (118.64, [
        [36, 84, 120], [216, 222, 222], [99, 99, 101], [123, 113, 103]]),
    'gaussian 12 px': (121.4, [
        [74, 108, 135], [175, 176, 180], [123, 128, 124], [121, 118, 101]]),
}


@pytest.mark.parametrize('name', GOLDEN)
def test_the_protocol_is_frozen(name):
  """Processors round differently, and JPEG spreads that over a block."""
  picture = 255 * degrade(
      make_light(draw_photograph()), 'a.png', find(name))
  mean, pixels = GOLDEN[name]
  assert picture.mean() == pytest.approx(mean, abs=0.02)
  np.testing.assert_allclose(
      picture[[2, 12, 20, 37], [3, 22, 30, 50]], pixels, atol=2)


def test_the_truth_is_sharpened_but_not_blurred():
  photograph = draw_photograph()
  light = make_light(photograph)
  truth = make_truth(light)
  # An unsharp mask of the photograph, by OpenCV.
  smooth = cv2.GaussianBlur(
      photograph / np.float32(255), (7, 7), 1.0,
      borderType=cv2.BORDER_REPLICATE)
  picture = photograph / np.float32(255)
  # Only where nothing was made brighter than it is: 0.7 of the light is 0.854.
  dark = cv2.dilate(np.float32(photograph.max(axis=2) > 210), np.ones((9, 9)))
  expected = np.clip(picture + 0.8 * (picture - smooth), 0, 1)
  np.testing.assert_allclose(
      truth[dark == 0], expected[dark == 0], atol=1e-4)


def test_the_sharp_condition_adds_only_noise_and_jpeg():
  """On a smooth picture both are a few levels."""
  x = np.linspace(40, 180, 64)
  photograph = np.repeat(np.tile(x, (48, 1))[..., None], 3, 2).astype(np.uint8)
  light = make_light(photograph)
  sharp, truth = degrade(light, 'a.png', find('sharp')), make_truth(light)
  np.testing.assert_allclose(truth, photograph / 255, atol=1.5 / 255)
  assert 0.5 / 255 < np.std(sharp - truth) < 2 / 255


def test_highlights_stay_bright_under_blur():
  """White becomes four times as bright before the blur, clipped after it."""
  white = np.full((8, 8, 3), 255, np.uint8)
  np.testing.assert_allclose(make_light(white), 4.0, rtol=1e-6)
  grey = np.full((8, 8, 3), 200, np.uint8)
  assert make_light(grey).max() == pytest.approx(0.578, abs=1e-3)
  spots = np.zeros((64, 64, 3), np.uint8)
  spots[30:34, 30:34] = 255
  blurry = degrade(make_light(spots), 'a', find('hexagon 4 px'))
  # 16 pixels of light 4 over a hexagon of 43 px.
  assert blurry[32, 32].min() > 0.98
  assert make_truth(make_light(spots)).max() == 1


def test_all_is_described():
  described = RenderedCamera().describe()
  assert described['name'] == 'rendered_camera' and described['fit'] == 'pad'
  text = json.dumps(described)
  for said in (
      'linear', 'before the blur', 'reflected', '1/255', 'CRC-32', 'unsharp',
      '0.8', 'quality 85', '4:2:0', 'same camera without blur', 'clipped'):
    assert said in text, said
  assert set(described['apertures']) == set(rendered_camera._APERTURES)
  assert len(described['conditions']) == 1 + 3 * len(RADII)


def test_no_setting_changes_it():
  config = starter.get_config()
  config.eval.protocol = 'rendered_camera'
  first = protocols.choose_protocol(config.eval, 'pad')
  config.eval.update(radii=(1.0,), noise=0.1, seed=5)
  other = protocols.choose_protocol(config.eval, 'resize')
  assert first.describe() == other.describe()
  arguments = jobs.Arguments()
  for field in ('eval.radii', 'eval.noise', 'eval.seed', 'restore.fit'):
    with pytest.raises(ValueError, match=f'would ignore config.{field}'):
      check_read('eval', config, arguments, [field])
  check_read('eval', config, arguments, ['eval.method', 'restore.tile'])


def test_nothing_published_was_taken_on_it():
  assert published.find_set(
      {'name': 'rendered_camera'}, {'pictures': 'realdof, test'}) is None


def test_cases_share_the_truth_and_know_their_blur(photos):
  cases = RenderedCamera().list_cases(Source(photos))
  opened = [make() for make in cases.open()]
  assert cases.count == len(opened) == 13
  assert (cases.views, cases.has_sharp) == (('center',), True)
  truth = None
  for case, condition in zip(opened, CONDITIONS):
    ((name, comparison),) = case.compare(case.photograph()).items()
    assert name == str(condition)
    assert case.disc_radius == condition.disc_radius
    truth = comparison.sharp if truth is None else truth
    np.testing.assert_array_equal(comparison.sharp, truth)


def test_the_input_is_evaluated(photos, tmp_path, capsys):
  config = starter.get_config()
  config.eval.update(
      protocol='rendered_camera', method='input', metrics=('psnr',))
  assert jobs.run('eval', config, jobs.Arguments(
      input=photos, output=tmp_path / 'scores')) == 0
  assert capsys.readouterr().out.startswith(
      'Protocol rendered_camera (fit: pad), on photos: input\n')
  result = json.loads((tmp_path / 'scores' / 'scores.json').read_text())
  assert result['protocol']['jpeg'].endswith('4:2:0')
  scores = {mean['condition']: mean['scores']['psnr']
            for mean in result['means']}
  assert list(scores) == [str(condition) for condition in CONDITIONS]
  assert max(scores, key=scores.get) == 'sharp'
  for aperture in ('hexagon', 'cat eye', 'gaussian'):
    assert scores[f'{aperture} 2 px'] > scores[f'{aperture} 12 px']
