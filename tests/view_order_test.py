"""Which way dual-pixel views are shifted, and what is said of it."""

import cv2
import numpy as np
import pytest

from jaxdeblur.evaluation.protocols.rendered import blur
from jaxdeblur.models import registry
from jaxdeblur.optics.psf import half_discs
from jaxdeblur.restoration.restorer import Restorer, ViewOrderWarning
from jaxdeblur.restoration.view_order import describe_order, measure_side


@pytest.fixture(scope='module')
def sharp():
  random = np.random.default_rng(0)
  coarse = random.random((48, 64, 3), np.float32)
  return cv2.resize(coarse, (512, 384), interpolation=cv2.INTER_CUBIC)


def render(sharp, radius):
  return [blur(sharp, np.asarray(psf)) for psf in half_discs(radius)]


@pytest.mark.parametrize('radius', [2.0, 6.0, 12.0])
def test_the_side_is_that_of_the_half_discs(sharp, radius):
  """A positive radius moves the right view's content to the right."""
  assert measure_side(*render(sharp, radius)) == 1
  assert measure_side(*render(sharp, -radius)) == -1


def test_brightness_is_no_shift(sharp):
  left, right = render(sharp, 4.0)
  assert measure_side(left, 0.7 * right) == 1
  assert measure_side(left, left * 1.3) == 0


def test_pictures_of_both_sides_or_none_have_no_side(sharp):
  near, far = render(sharp, 6.0), render(sharp, -6.0)
  both = [np.where(np.arange(512)[None, :, None] < 256, n, f)
          for n, f in zip(near, far)]
  assert measure_side(*both) == 0
  assert measure_side(sharp, sharp) == 0
  flat = np.full((64, 64, 3), 0.5, np.float32)
  assert measure_side(flat, flat) == 0
  assert measure_side(sharp[:2, :2], sharp[:2, :2]) == 0


def test_recorded_pairs_have_the_side_that_they_were_seen_to_have(shared_data):
  """Both cameras' right views show things farther to the right."""
  folder = shared_data / 'dual_pixel_pixel4'
  left, right = (
      cv2.imread(str(folder / f'001_{view}.png'), cv2.IMREAD_COLOR_RGB)
      for view in ('left', 'right'))
  assert measure_side(left, right) == 1
  assert measure_side(right, left) == -1
  folder = shared_data / 'dual_pixel_canon_gif'
  left, right = (
      cv2.imread(str(folder / f'canon_00_view{i}.png')) for i in (0, 1))
  assert measure_side(left, right) == 1


def test_only_a_network_with_one_side_complains(sharp):
  views = render(sharp, 6.0)
  assert 'compares only shifts to the left' in describe_order(*views, -1)
  assert not describe_order(*views, 1)
  assert not describe_order(*views, None)


@pytest.mark.parametrize('network, side', [
    (dict(name='k3dn'), -1),
    (dict(name='k3dn', cost_shifts=(0, -1, -2)), 1),
    (dict(name='k3dn', cost_shifts=(-1, 0, 1)), None),
    (dict(name='k3dn', views=('center',)), None),
    (dict(name='drbnet', views=('center', 'left', 'right')), None),
])
def test_a_network_tells_its_side(network, side):
  assert registry.create(**network).seen_side == side


@pytest.mark.slow
def test_a_restoration_warns(make_weights, sharp):
  restorer = Restorer(make_weights(
      'k3dn', ('left', 'right'), base_channels=2, num_blocks=1))
  left, right = (np.uint8(255 * np.clip(view, 0, 1))
                 for view in render(sharp, 6.0))
  with pytest.warns(ViewOrderWarning, match='Exchange left and right'):
    restorer.restore(left=left, right=right)
