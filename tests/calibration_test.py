"""PSFs measured from simulated photographs of the disc chart."""

import dataclasses
import json

from click.testing import CliRunner
import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur import cli
from jaxdeblur.calibration import calibrate, chart, figures, measurement
from jaxdeblur.calibration.capture import CaptureSettings, photograph, project
from jaxdeblur.calibration.detection import detect
from jaxdeblur.calibration.estimation import estimate
from jaxdeblur.errors import ExistingFileError, UserError
from jaxdeblur.optics import psf
from jaxdeblur.optics.bank import read_bank
from jaxdeblur.optics.light import to_display, to_linear
from studies.calibration_accuracy import (
    FAMILIES,
    centre,
    compare,
    compare_pair,
)

# Discs of 14 px, 34 px apart: for blur below 8 px.
SMALL = CaptureSettings(height=540, width=960)
# Discs of 28 px, 69 px apart: for blur up to 15 px.
LARGE = CaptureSettings()


@pytest.fixture(scope='session')
def small():
  return project(SMALL)


@pytest.fixture(scope='session')
def large():
  return project(LARGE)


def _measure(sharp, settings, kernel, grid=(2, 3)):
  shot = photograph(kernel, settings, 1, sharp=sharp)
  found = estimate([shot], detect(shot), grid)
  return found.kernels[:, :, 0].reshape(-1, *found.kernels.shape[-2:])


def _kernel(family, radius):
  return np.asarray(FAMILIES[family](radius))


def test_the_chart_has_its_discs_and_one_hole():
  drawn = chart.draw()
  assert drawn.shape == (2160, 3840) and drawn.dtype == np.uint8
  middles = np.rint(chart.CHART.centres).astype(int)
  values = drawn[middles[:, 1], middles[:, 0]]
  assert values[0] == 255 and not values[1:].any()
  black = 1 - drawn / 255
  area = np.pi * (104 * 60 ** 2 - 20 ** 2)
  # Borders are grey in display values, so that the sum is a little too small.
  assert black.sum() == pytest.approx(area, rel=0.01)


def test_the_chart_is_written(tmp_path):
  chart.write_png(tmp_path / 'chart.png')
  chart.write_pdf(tmp_path / 'chart.pdf')
  assert (tmp_path / 'chart.pdf').read_bytes().startswith(b'%PDF')


@pytest.mark.parametrize('turn', (0.8, 180.8))
def test_the_registration_finds_distortion_and_which_side_is_up(turn):
  settings = dataclasses.replace(SMALL, turn=turn)
  shot = photograph(np.asarray(psf.disc(2.0)), settings)
  found = detect(shot)
  assert found.marked and found.residual < 0.1
  assert found.distortion == pytest.approx(settings.distortion, abs=1e-3)
  upright = found.centres[0, 0] < found.centres[-1, 0]
  assert upright == (turn < 90)


def test_radius_of_discs_is_exact():
  for radius in (1.05, 2.5, 7.3, 15.5):
    assert measurement.radius_of(np.asarray(psf.disc(radius))) == pytest.approx(
        radius, rel=0.01)


@pytest.mark.parametrize('family', ('disc', 'gaussian'))
def test_small_kernels_come_back(small, family):
  """A photograph with perspective, distortion, noise, vignetting and JPEG."""
  kernel = _kernel(family, 4.0)
  found = _measure(small, SMALL, kernel)
  radii = [measurement.radius_of(one) for one in found]
  assert np.median(radii) == pytest.approx(
      measurement.radius_of(kernel), rel=0.03)
  correlations = [
      measurement.correlation(centre(kernel), one) for one in found]
  assert min(correlations) > 0.97


@pytest.mark.slow
@pytest.mark.parametrize('family, radius', [
    ('disc', 1.0), ('disc', 15.0), ('hexagon', 2.0), ('gaussian', 4.0),
    ('cat_eye', 4.0)])
def test_kernels_come_back(large, family, radius):
  """studies/calibration_accuracy.py measures every family at every radius."""
  kernel = _kernel(family, radius)
  true, found, largest, likeness = compare(kernel, LARGE, (2, 3), large)
  assert found == pytest.approx(true, rel=0.03)
  assert largest < 0.04
  if radius >= 2:
    assert likeness > 0.97


@pytest.mark.slow
def test_views_of_a_large_blur_come_back(large):
  true, found, radius = compare_pair(-8.0, LARGE, (2, 3), large)
  assert found == pytest.approx(true, rel=0.05)
  assert radius == pytest.approx(-8.0, rel=0.03)


@pytest.mark.parametrize('radius', (
    4.0, pytest.param(-4.0, marks=pytest.mark.slow)))
def test_the_views_stay_apart(small, radius):
  views = psf.split(psf.disc(abs(radius)), radius)
  left, right = (np.asarray(view) for view in views)
  shots = [photograph(view, SMALL, seed, sharp=small)
           for seed, view in enumerate((left, right))]
  found = estimate(shots, detect(np.mean(shots, axis=0)), (2, 3))
  measured = measurement.measure(found.kernels)
  true = float(measurement.separation_of(left, right))
  assert measured.separation == pytest.approx(true, rel=0.05)
  assert np.sign(measured.radius) == np.sign(radius)
  middle = np.asarray(psf.centroid(jnp.asarray(found.kernels.mean(axis=2))))
  assert np.abs(middle).max() < 0.1


def test_a_picture_without_a_chart_is_refused():
  noise = np.random.default_rng(0).random((300, 400, 3), np.float32)
  with pytest.raises(UserError, match='No chart is found'):
    detect(noise)


def test_a_part_of_the_chart_is_refused(small):
  with pytest.raises(UserError, match='Only part of the chart is in view'):
    detect(small[:, :700])


@pytest.mark.parametrize('radius, sentence', [
    # The gaps between the discs have closed, but a grid is left.
    (25.0, 'blurred beyond what can be measured: the discs are'),
    # One grey patch is left.
    (40.0, 'blurred beyond detection: no border in it is narrower')])
def test_a_chart_too_blurred_to_be_seen_is_refused(small, radius, sentence):
  shot = photograph(_kernel('disc', radius), SMALL, sharp=small)
  with pytest.raises(UserError, match=sentence):
    detect(shot)


@pytest.mark.slow
def test_blur_that_reaches_neighbouring_discs_is_refused(small):
  """A Gaussian's tails meet long before its discs run together."""
  shot = photograph(_kernel('gaussian', 17.0), SMALL, sharp=small)
  with pytest.raises(UserError, match='joins neighbouring discs'):
    estimate([shot], detect(shot), (1, 1))


@pytest.mark.slow
def test_a_calibration_writes_bank_numbers_and_page(small, tmp_path):
  depths = (500.0, 1000.0, 2000.0)
  radii = (4.0, 0.0, 2.0)  # B (1 - 1000 / depth) / 2 with B = 8.
  shots = [photograph(_kernel('disc', radius), SMALL, sharp=small)
           for radius in radii]
  found = calibrate(shots, tmp_path, depths=depths, grid=(2, 3))
  bank = read_bank(tmp_path / 'psfs.npz')
  assert bank.views == ('center',) and bank.kernels.shape[:3] == (3, 2, 3)
  np.testing.assert_allclose(bank.circles[[0, 2]], (-8, 4), rtol=0.05)
  assert found.lens.focus == pytest.approx(1000, rel=0.05)
  numbers = json.loads((tmp_path / 'calibration.json').read_text())
  assert [one['depth'] for one in numbers['photographs']] == list(depths)
  assert {file.name for file in tmp_path.iterdir()} == {
      'psfs.npz', 'calibration.json', 'index.html', 'kernels.png', 'radii.png',
      'residuals.png'}
  with pytest.raises(ExistingFileError):
    calibrate(shots, tmp_path)


@pytest.mark.slow
def test_photographs_at_several_focus_distances_have_given_signs(
    small, tmp_path):
  """DRBNet's case: the chart stays, the focus moves; two blurs are equal."""
  signs = ('front', 'front', 'focus', 'back', 'back')
  shots = [photograph(_kernel('disc', radius), SMALL, seed, sharp=small)
           for seed, radius in enumerate((4.0, 2.0, 0.5, 2.0, 2.0))]
  found = calibrate(shots, tmp_path, signs=signs, grid=(2, 3))
  bank = read_bank(tmp_path / 'psfs.npz')
  # The two at 2 px behind share one entry.
  np.testing.assert_allclose(bank.circles, (-4, 0, 4, 8), rtol=0.05, atol=0.01)
  assert len(found.shots) == 5
  cases = figures.choose_cases([shot.circle for shot in found.shots])
  assert [(case, found.shots[index].name) for case, index in cases[:3]] == [
      ('front focus', 'photograph 1'), ('front focus', 'photograph 2'),
      ('in focus', 'photograph 3')]
  assert [case for case, _ in cases[3:]] == ['back focus', 'back focus']


def test_figures_follow_the_depth_of_the_focus():
  circles = [-8.0, -6.0, -4.0, -2.0, 0.1, 3.0, 5.0]
  assert figures.choose_cases(circles) == [
      ('front focus', 6), ('front focus', 5), ('in focus', 4),
      ('back focus', 3), ('back focus', 1), ('back focus', 0)]
  assert figures.choose_cases([2.0]) == [('in focus', 0)]


@pytest.mark.parametrize('arguments, sentence', [
    (dict(signs=('front',)), 'Got 1 signs for 2 photographs'),
    (dict(signs=('front', 'rear')), "Got the sign 'rear'"),
    (dict(signs=('front', 'back'), depths=(1.0, 2.0)), 'both depths and signs'),
    (dict(depths=(1.0,)), 'Got 1 depths for 2 photographs'),
    (dict(depths=(1.0, 0.0)), 'depths are not above 0'),
    (dict(left=['a.png']), 'as many left as right views'),
    (dict(grid=(0, 3)), 'A grid needs 1 x 1 cells or more'),
    (dict(smoothness=-1.0), 'smoothness is 0 or more')])
def test_arguments_that_do_not_fit_are_refused(
    small, tmp_path, arguments, sentence):
  with pytest.raises(UserError, match=sentence):
    calibrate([small, small], tmp_path / 'out', **arguments)
  assert not (tmp_path / 'out').exists()


def run(*arguments):
  result = CliRunner().invoke(cli.main, list(map(str, arguments)))
  if result.exception and not isinstance(result.exception, SystemExit):
    raise result.exception
  return result


def _write_jpeg(path, light):
  """Writes linear light as sRGB."""
  cv2.imwrite(str(path), np.rint(255 * np.asarray(to_display(light))),
              [cv2.IMWRITE_JPEG_QUALITY, 95])


@pytest.mark.slow
def test_the_command_draws_a_chart_and_measures_a_photograph_of_it(tmp_path):
  result = run('calibrate', '--draw', '-o', tmp_path / 'chart')
  assert result.exit_code == 0, result.output
  drawn = cv2.imread(str(tmp_path / 'chart' / 'chart.png'),
                     cv2.IMREAD_GRAYSCALE)
  assert drawn.shape == (2160, 3840)
  assert (tmp_path / 'chart' / 'chart.pdf').exists()
  again = run('calibrate', '--draw', '-o', tmp_path / 'chart')
  assert again.exit_code == 1 and 'add --overwrite' in again.output

  # Its photograph: seen from the side, at a quarter of its size, blurred.
  light = to_linear(drawn / np.float32(255))
  light = cv2.resize(light, (960, 540), interpolation=cv2.INTER_AREA)
  corners = np.float32([[0, 0], [959, 0], [959, 539], [0, 539]])
  seen = np.float32([[22, 15], [945, 30], [930, 520], [12, 525]])
  light = cv2.warpPerspective(
      light, cv2.getPerspectiveTransform(corners, seen), (960, 540),
      flags=cv2.INTER_AREA, borderMode=cv2.BORDER_CONSTANT, borderValue=1)
  kernel = _kernel('disc', 3.0)
  _write_jpeg(tmp_path / 'photo.jpg', 0.8 * cv2.filter2D(light, -1, kernel))
  result = run('calibrate', tmp_path / 'photo.jpg', '-o', tmp_path / 'out',
               '--config.calibrate.grid=(2,2)')
  assert result.exit_code == 0, result.output
  assert 'photo.jpg: radius' in result.output
  bank = read_bank(tmp_path / 'out' / 'psfs.npz')
  assert bank.kernels.shape[:3] == (1, 2, 2)
  # Resizing and warping blur a little too.
  assert bank.circles[0] / 2 == pytest.approx(3.0, rel=0.05)


@pytest.mark.slow
def test_the_command_measures_pairs_in_folders(small, tmp_path):
  for side, kernel in zip(('left', 'right'), psf.split(psf.disc(4.0), -4.0)):
    (tmp_path / side).mkdir()
    _write_jpeg(tmp_path / side / '1.jpg', photograph(
        np.asarray(kernel), SMALL, sharp=small))
  result = run('calibrate', '--left', tmp_path / 'left', '--right',
               tmp_path / 'right', '-o', tmp_path / 'out',
               '--config.calibrate.grid=(2,2)')
  assert result.exit_code == 0, result.output
  bank = read_bank(tmp_path / 'out' / 'psfs.npz')
  assert bank.views == ('left', 'right')
  assert bank.circles[0] == pytest.approx(-8, rel=0.05)


def test_the_command_refuses_in_one_sentence(tmp_path):
  cv2.imwrite(str(tmp_path / 'photo.png'), np.random.default_rng(0).integers(
      0, 256, (60, 90, 3), np.uint8))
  out = ('-o', tmp_path / 'out')
  for arguments, code, sentence in (
      ((tmp_path / 'photo.png', *out), 1, 'photo.png: No chart is found'),
      ((tmp_path / 'absent.png', *out), 1, 'absent.png does not exist'),
      ((tmp_path / 'photo.png', *out, '--depths', '1,2'), 1,
       '(--config.calibrate.depths)'),
      ((tmp_path / 'photo.png', *out, '--depths', 'far'), 2,
       '--depths holds numbers'),
      ((tmp_path / 'photo.png', *out, '--draw'), 2, 'without photographs'),
      (('--draw', *out, '--signs', 'front'), 1, 'would ignore'),
      (out, 2, 'Name photographs of the chart')):
    result = run('calibrate', *arguments)
    assert result.exit_code == code, result.output
    assert sentence in result.output and 'Traceback' not in result.output
  assert not (tmp_path / 'out').exists()
