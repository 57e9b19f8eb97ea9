"""Random training pairs: what is drawn, and that it is rendered as it is."""

import dataclasses

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur.errors import UserError
from jaxdeblur.optics import pair_plan, psf, random_scene
from jaxdeblur.optics.bank import Bank
from jaxdeblur.optics.light import expand_highlights, to_display, to_linear
from jaxdeblur.optics.numbers import Numbers
from jaxdeblur.optics.settings import DefocusSettings

# Nothing but one layer with a plain disc.
PLAIN = DefocusSettings(
    crop=(24, 40), min_radius=3.0, max_radius=3.0, sharp_share=0.0,
    layer_shares=(1.0,), slope_share=0.0, edges=(1.0, 1.0),
    edge_shares=(0.0, 0.0), rims=(0.0, 0.0), polygon_share=0.0,
    vignetting_share=0.0, gaussian_share=0.0, colour_spread=0.0, stretch=1.0,
    highlight_share=0.0, sensor_noise_share=0.0, display_noise=0.0,
    tone_share=0.0, denoising_share=0.0, sharpening_share=0.0, zoom_share=0.0,
    jpeg_share=0.0, view_gain=1.0, softness=(1.19, 1.19))
PLAIN_PAIRS = dataclasses.replace(PLAIN, dual_pixel=True)
RICH = DefocusSettings(crop=(24, 40), max_radius=8.0)


def draw_tiles(settings, seed=0):
  """Smooth random pictures, uint8."""
  random = np.random.default_rng(seed)
  height, width = settings.window
  return np.stack([
      np.uint8(255 * np.clip(cv2.resize(
          random.random((height // 3, width // 3, 3), np.float32),
          (width, height)), 0, 1)) for _ in range(settings.layers)])


def render(settings, bank=None):
  """Renders a batch of eight; the same settings once."""
  if bank is not None:
    return render_with(settings, bank)
  if settings not in _RENDERED:
    _RENDERED[settings] = render_with(settings)
  return _RENDERED[settings]


_RENDERED = {}


def render_with(settings, bank=None, seed=0):
  tiles = np.stack([draw_tiles(settings, 10 * seed + i) for i in range(8)])
  keys = jax.random.split(jax.random.key(seed), 8)
  return jax.jit(lambda tiles, keys: random_scene.render_pairs(
      tiles, keys, settings, bank))(tiles, keys), tiles


def test_a_pair_of_one_layer_is_the_blur_of_its_tile():
  """Stated in NumPy and OpenCV: linear light, a disc, display, 8 bits."""
  pairs, tiles = render(PLAIN)
  m, (height, width) = PLAIN.margin, PLAIN.crop
  kernel = np.asarray(psf.disc(3.0, samples=2))
  mirrored = 0
  for i in range(8):
    sharp = tiles[i, 0] / np.float32(255)
    light = cv2.filter2D(to_linear(sharp), -1, kernel[::-1, ::-1])
    inside = np.s_[m:m + height, m:m + width]
    expected = np.stack([to_display(light)[inside], sharp[inside]])
    made = np.stack([pairs['center'][i], pairs['sharp'][i]])
    if np.abs(made - expected).max() > 0.01:
      mirrored += 1
      expected = expected[:, :, ::-1]
    np.testing.assert_allclose(made, expected, atol=0.51 / 255)
  assert 0 < mirrored < 8
  np.testing.assert_allclose(np.abs(pairs['radius']), 3, atol=1e-5)


@pytest.mark.slow
def test_pairs_are_in_range_and_of_the_crops_size():
  pairs, _ = render(dataclasses.replace(RICH, dual_pixel=True))
  assert set(pairs) == {'center', 'left', 'right', 'sharp', 'radius'}
  for name, view in pairs.items():
    assert view.shape == (8, 24, 40, 1 if name == 'radius' else 3), name
    assert view.dtype == jnp.float32 and np.isfinite(view).all()
    if name != 'radius':
      assert view.min() >= 0 and view.max() <= 1
  assert np.abs(pairs['radius']).max() <= 8.0001


@pytest.mark.slow
def test_scenes_in_turn_are_the_same_scenes():
  tiles = np.stack([draw_tiles(RICH, i) for i in range(4)])
  keys = jax.random.split(jax.random.key(1), 4)
  at_once, in_turn = (jax.jit(
      lambda tiles, keys, in_turn=in_turn: random_scene.render_pairs(
          tiles, keys, RICH, in_turn=in_turn))(tiles, keys)
                      for in_turn in (False, True))
  for name in at_once:
    # An 8-bit value may round the other way.
    np.testing.assert_allclose(
        at_once[name], in_turn[name], atol=2.01 / 255, err_msg=name)
  alone = random_scene.render_pair(jnp.asarray(tiles[2]), keys[2], RICH)
  np.testing.assert_allclose(
      alone['sharp'], at_once['sharp'][2], atol=1e-4)


def test_radii_are_drawn_by_their_logarithm():
  """As many from 0.5 to 3.2 as from 3.2 to 20 px."""
  numbers = jax.random.uniform(jax.random.key(0), (4000,))
  radii = jax.vmap(lambda number: Numbers(number[None]).log_uniform(
      (0.5, 20.0)))(numbers)
  assert radii.min() >= 0.5 and radii.max() <= 20
  assert np.mean(radii < np.sqrt(10)) == pytest.approx(0.5, abs=0.03)


def test_shares_are_kept():
  draws = jax.random.uniform(jax.random.key(0), (4000, 4))

  def draw(row):
    numbers = Numbers(row)
    return (numbers.index((0.7, 0.2, 0.07, 0.03)), numbers.chance(0.3),
            numbers.integer(5, 9), numbers.choice((1, -1)))

  index, chance, integer, sign = (
      np.asarray(values) for values in jax.vmap(draw)(draws))
  np.testing.assert_allclose(
      np.bincount(index) / 4000, (0.7, 0.2, 0.07, 0.03), atol=0.025)
  assert chance.mean() == pytest.approx(0.3, abs=0.03)
  assert set(integer) == {5, 6, 7, 8, 9} and set(sign) == {1, -1}


def measure_shift(first, second):
  """How far `second` lies to the right of `first`, px: least squares."""
  slope = np.gradient(np.asarray(first + second) / 2, axis=1)
  return float(((first - second) * slope).sum() / np.square(slope).sum())


def test_views_lie_apart_as_the_radius_says():
  """On either side of the focus, also where pairs are mirrored."""
  pairs, _ = render(PLAIN_PAIRS)
  shifts = np.array([measure_shift(left, right)
                     for left, right in zip(pairs['left'], pairs['right'])])
  signs = np.sign(np.asarray(pairs['radius'])[:, 0, 0, 0])
  assert set(signs) == {-1, 1}
  assert (shifts * signs > 0).all()
  # 0.42 times the radius in linear light; least squares are a rough measure.
  assert 0.8 < np.mean(shifts * signs) < 2


@pytest.mark.parametrize('disparity, sign', [
    ('left_first', 1), ('right_first', -1)])
def test_all_layers_lie_on_the_side_that_is_asked_for(disparity, sign):
  settings = dataclasses.replace(PLAIN_PAIRS, disparity=disparity)
  keys = jax.random.split(jax.random.key(0), 50)
  radii = jax.jit(jax.vmap(
      lambda key: pair_plan.plan_pair(key, settings).scene.radii))(keys)
  np.testing.assert_allclose(radii, 3 * sign, rtol=1e-5)


def test_the_photograph_is_the_sum_of_both_views():
  pairs, _ = render(PLAIN_PAIRS)
  light = (to_linear(pairs['left']) + to_linear(pairs['right'])) / 2
  np.testing.assert_allclose(
      pairs['center'], to_display(light), atol=1.6 / 255)


@pytest.mark.slow
def test_layers_in_front_hide_and_slopes_widen_the_range_of_radii():
  several, _ = render(dataclasses.replace(
      RICH, layer_shares=(0.0, 0.0, 1.0), sharp_share=0.0))
  assert all(len(np.unique(np.round(radius, 2))) > 3
             for radius in several['radius'])
  sloped, _ = render(dataclasses.replace(
      PLAIN, min_radius=3.0, max_radius=6.0, slope_share=1.0, slope=2.0))
  spans = np.ptp(np.abs(sloped['radius']), axis=(1, 2, 3))
  assert spans.max() > 0.5 and spans.max() <= 2.01


def test_masks_are_soft_and_of_two_parts():
  heights = jax.random.normal(jax.random.key(0), (20, 5, 5))
  draw_mask = jax.jit(pair_plan.draw_mask, static_argnums=1)
  for number in heights:
    blob = draw_mask(number, (48, 64), 0.0, 0.0, 1.0)
    assert blob.min() == 0 and blob.max() == 1
    soft = np.mean((blob > 0) & (blob < 1))
    assert 0 < soft < 0.5 and 0.1 < blob.mean() < 0.9
    line = draw_mask(number, (48, 64), 1.0, 0.0, 1.0)
    assert 0 < line.mean() < 0.35


def test_highlights_grow_beyond_white():
  light = jnp.array([0.2, 0.7, 1.0])[:, None, None] * jnp.ones((3, 1, 3))
  expanded = expand_highlights(light, 8.0)
  np.testing.assert_allclose(expanded[:, 0, 0], [0.2, 0.7, 8.0], rtol=1e-5)


@pytest.mark.slow
def test_measured_kernels_replace_drawn_ones():
  """A bank of points gives sharp pictures, at every circle."""
  kernels = np.zeros((2, 1, 1, 1, 5, 5), np.float32)
  kernels[..., 2, 2] = 1
  bank = Bank(kernels, np.float32([0, 40]), ('center',))
  pairs, _ = render(dataclasses.replace(PLAIN, bank_share=1.0), bank=bank)
  np.testing.assert_allclose(
      pairs['center'], pairs['sharp'], atol=0.51 / 255)


@pytest.mark.parametrize('change, sentence', [
    (dict(max_radius=13.0), 'a radius of 13 px is wider than a crop'),
    (dict(min_radius=0.0), 'give a min_radius above 0'),
    (dict(disparity='up'), "disparity is 'up'"),
    (dict(layer_shares=(0.2,) * 5), 'at most 4'),
])
def test_settings_that_do_not_fit_are_refused(change, sentence):
  with pytest.raises(UserError, match=sentence):
    dataclasses.replace(RICH, **change)
