"""The weights that come with the package."""

import pathlib

import cv2
import numpy as np
import pytest
from skimage import data

import jaxdeblur
from jaxdeblur.evaluation.protocols.rendered import RenderedDefocus

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope='module')
def model():
  return jaxdeblur.load('starter')


@pytest.fixture(scope='module')
def sharp():
  """A photograph that comes with scikit-image, at half its size."""
  small = cv2.resize(
      data.coffee(), (300, 200), interpolation=cv2.INTER_AREA)
  return small.astype(np.float32) / 255


def _psnr(picture, sharp):
  return -10 * np.log10(np.square(picture - sharp).mean())


@pytest.mark.parametrize('radius', [2.0, 3.5, 5.0])
def test_what_is_blurred_gains(model, sharp, radius):
  blurry = RenderedDefocus((radius,), 1 / 255).degrade(sharp, 'pcb', radius)
  gain = _psnr(model.restore(blurry), sharp) - _psnr(blurry, sharp)
  assert gain > 1.5


def test_what_is_sharp_stays_sharp(model, sharp):
  assert _psnr(model.restore(sharp), sharp) > 38


def test_the_weights_are_small():
  folder = ROOT / 'jaxdeblur' / 'weights' / 'starter'
  size = sum(file.stat().st_size for file in folder.rglob('*')
             if file.is_file())
  assert size < 12e6
