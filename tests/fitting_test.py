"""Borders of pictures that are padded for a network."""

import cv2
import numpy as np
import pytest

from jaxdeblur.restoration.fitting import fit_views
from jaxdeblur.restoration.restorer import Restorer

DISPARITY = 6  # px


def draw_texture(height, width, seed=0):
  random = np.random.default_rng(seed)
  coarse = random.random((height // 4, width // 4, 3), np.float32)
  return np.clip(cv2.resize(
      coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)


@pytest.fixture
def pair():
  """A surface at one depth: the right view shows it farther to the right."""
  scene = draw_texture(100, 300)
  views = {'left': scene[:, 20:200], 'center': scene[:, 17:197],
           'right': scene[:, 14:194]}
  return {name: np.uint8(255 * view) for name, view in views.items()}


def pad_plainly(view, height, width):
  """As NumPy mirrors, each view by itself."""
  top = 1 if view.dtype == np.float32 else 255
  padded = np.pad(
      view, ((0, height - view.shape[0]), (0, width - view.shape[1]), (0, 0)),
      mode='reflect')
  return padded.astype(np.float32) / top


def measure_disparity(left, right):
  """The whole number of px that the right view is shifted to the right by."""
  reach = 10
  inner = slice(reach, -reach)
  errors = {
      shift: np.square(
          left[:, inner] - np.roll(right, -shift, axis=1)[:, inner]).mean()
      for shift in range(-reach, reach + 1)}
  return min(errors, key=errors.get)


def test_the_disparity_in_the_border_is_that_inside(pair):
  fitted = fit_views(pair, (128, 256), 'pad')
  left, right = fitted['left'], fitted['right']
  assert left.shape == (128, 256, 3)
  inside, beside, below = (slice(0, 100), slice(0, 180)), (
      slice(0, 100), slice(180, 256)), (slice(100, 128), slice(0, 180))
  for part in (inside, beside, below, (slice(100, 128), slice(180, 256))):
    assert measure_disparity(left[part], right[part]) == DISPARITY
  # Views that are mirrored one by one have it turned round.
  plain = [pad_plainly(pair[side], 128, 256)[beside]
           for side in ('left', 'right')]
  assert measure_disparity(*plain) == -DISPARITY


def test_left_goes_on_with_the_mirror_of_right(pair):
  fitted = fit_views(pair, (128, 256), 'pad')
  plain = {name: pad_plainly(view, 128, 256) for name, view in pair.items()}
  for side, other in (('left', 'right'), ('right', 'left')):
    np.testing.assert_array_equal(fitted[side][:, :180], plain[side][:, :180])
    np.testing.assert_array_equal(fitted[side][:, 180:], plain[other][:, 180:])
  np.testing.assert_array_equal(fitted['center'], plain['center'])


def test_a_border_wider_than_the_picture_goes_to_and_fro(pair):
  narrow = {name: view[:, :50] for name, view in pair.items()}
  fitted = fit_views(narrow, (100, 256), 'pad')
  for first in (50, 98 + 50, 196 + 50):  # Mirrored parts are 48 columns wide.
    part = (slice(None), slice(first, min(first + 48, 256)))
    before = (slice(None), slice(first - 50, first))
    if first < 246:
      assert measure_disparity(
          fitted['left'][part], fitted['right'][part]) == DISPARITY
    assert measure_disparity(
        fitted['left'][before], fitted['right'][before]) == DISPARITY


@pytest.mark.parametrize('fit', ['pad', 'resize'])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_single_views_are_as_before(fit, dtype):
  picture = draw_texture(40, 52)
  if dtype is not np.float32:
    picture = (picture * np.iinfo(dtype).max).astype(dtype)
  fitted = fit_views({'center': picture}, (32, 32), fit)['center']
  top = 1 if dtype is np.float32 else np.iinfo(dtype).max
  assert fitted.shape == (64, 64, 3) and fitted.dtype == np.float32
  if fit == 'pad':
    np.testing.assert_array_equal(fitted, np.pad(
        picture, ((0, 24), (0, 12), (0, 0)), mode='reflect').astype(
            np.float32) / top)
  else:
    pairs = fit_views({'left': picture, 'right': picture}, (32, 32), fit)
    np.testing.assert_array_equal(pairs['left'], fitted)


def test_fitting_pictures_are_only_scaled(pair):
  views = {name: view[:96, :160] for name, view in pair.items()}
  for name, view in fit_views(views, (32, 32), 'pad').items():
    np.testing.assert_array_equal(view, views[name].astype(np.float32) / 255)


@pytest.mark.slow
def test_results_inside_are_unchanged(make_weights, monkeypatch):
  """Farther from the border than a network sees, no padding can change them."""
  weights = make_weights('drbnet', ('center', 'left', 'right'))
  reach = weights.model.receptive_field
  width = -(-(reach + 40) // 8) * 8 - 3  # So 3 columns are padded.
  scene = draw_texture(32, width + 12)
  views = {name: scene[:, start:start + width]
           for name, start in (('center', 3), ('left', 6), ('right', 0))}
  restorer = Restorer(weights)
  changed = restorer.restore(views=views)
  monkeypatch.setattr(
      'jaxdeblur.restoration.restorer.fit_views',
      lambda views, multiple, fit: {
          name: pad_plainly(view, 32, width + 3)
          for name, view in views.items()})
  plain = restorer.restore(views=views)
  inside = width - reach
  assert inside > 30
  np.testing.assert_allclose(
      changed[:, :inside], plain[:, :inside], rtol=0, atol=1e-6)
  assert np.abs(changed[:, -3:] - plain[:, -3:]).max() > 1e-4
