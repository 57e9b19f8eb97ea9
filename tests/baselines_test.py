"""Deconvolution: it must find what a disc took, and the disc itself."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from skimage import data

from configs import starter
from jaxdeblur import jobs
from jaxdeblur.evaluation import baselines, result
from jaxdeblur.evaluation.protocols.rendered import RenderedDefocus
from jaxdeblur.metrics import psnr


@pytest.fixture(scope='module')
def sharp():
  """A photograph of a cat, half its size, so that it is sharp."""
  picture = data.chelsea()[:300, :448]
  return cv2.resize(
      picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA
  ).astype(np.float32) / 255


def blur(sharp, radius):
  return RenderedDefocus((radius,), 1 / 255).degrade(sharp, 'cat', radius)


@pytest.mark.parametrize('deconvolve', [
    baselines.deconvolve_wiener, baselines.deconvolve_richardson_lucy])
def test_the_right_disc_sharpens_and_another_does_not(sharp, deconvolve):
  blurry = blur(sharp, 2.0)
  restored = deconvolve(blurry, 2.0)
  assert restored.shape == sharp.shape
  assert restored.min() >= 0 and restored.max() <= 1
  assert psnr(restored, sharp) > psnr(blurry, sharp) + 1
  assert psnr(deconvolve(blurry, 6.0), sharp) < psnr(restored, sharp) - 1
  np.testing.assert_array_equal(deconvolve(blurry, 0.0), blurry)


@pytest.mark.parametrize('radius', [2.0, 3.5, 5.0])
def test_the_disc_is_found_in_the_spectrum(sharp, radius):
  assert baselines.estimate_radius(blur(sharp, radius)) == pytest.approx(
      radius, abs=0.25)


def test_pictures_too_small_for_an_estimate_are_said():
  with pytest.raises(ValueError, match='cannot be estimated on 31 x 40 px'):
    baselines.estimate_radius(np.zeros((31, 40, 3), np.float32))


@pytest.mark.parametrize('method, disc_radius', [
    ('input', 'estimate'), ('wiener', 'known'), ('wiener', '2'),
    ('richardson_lucy', 'estimate')])
def test_baselines_are_scored_without_a_network(
    sharp, tmp_path, method, disc_radius):
  cv2.imwrite(str(tmp_path / 'cat.png'), 255 * sharp[..., ::-1])
  config = starter.get_config()
  config.eval.update(method=method, disc_radius=disc_radius, radii=(2.0,))
  assert jobs.run('eval', config, jobs.Arguments(
      workdir=tmp_path / 'no weights', input=tmp_path,
      output=tmp_path / 'scores')) == 0
  scored = result.read(tmp_path / 'scores')
  assert scored.provenance['checkpoint'] is None
  assert scored.provenance['method']['name'] == method
  (row,) = scored.rows
  if method == 'input':
    assert row.scores['psnr'] == row.scores['input_psnr']
  else:
    assert row.scores['psnr'] > row.scores['input_psnr'] + 1


def test_without_scikit_image_it_is_named_and_nothing_else_needs_it():
  code = """
import sys
sys.modules['skimage'] = None
from jaxdeblur.evaluation import baselines, evaluate
import numpy as np
try:
  baselines.deconvolve_wiener(np.zeros((40, 40, 3), np.float32), 2.0)
except ImportError as error:
  print(error)
"""
  done = subprocess.run(
      [sys.executable, '-c', code], capture_output=True, text=True, check=True)
  assert "pip install 'scikit-image>=0.26'" in done.stdout
