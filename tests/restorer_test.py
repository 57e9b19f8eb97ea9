"""Pictures as NumPy arrays, in and out."""

import cv2
import numpy as np
from PIL import Image
import pytest

from jaxdeblur.restoration.restorer import Restorer


@pytest.fixture(scope='module')
def restorer(make_weights):
  return Restorer(make_weights())


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize('size', [(2, 2), (9, 15), (16, 8)])
def test_keeps_size_and_type(restorer, dtype, size):
  picture = np.random.default_rng(0).random((*size, 3))
  if np.issubdtype(dtype, np.integer):
    picture = np.round(picture * np.iinfo(dtype).max)
  restored = restorer.restore(picture.astype(dtype))
  assert restored.shape == (*size, 3) and restored.dtype == dtype


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_grey_and_alpha_are_restored_as_colours_are(restorer, dtype):
  """Grey as three equal colours, whose mean comes back; alpha as it was."""
  top = 255 if dtype == np.uint8 else 1
  random = np.random.default_rng(0)
  colours, grey, alpha = (
      (random.random(shape) * top).astype(dtype)
      for shape in ((9, 15, 3), (9, 15), (9, 15, 1)))
  with_alpha = restorer.restore(np.concatenate([colours, alpha], axis=2))
  np.testing.assert_array_equal(
      with_alpha[..., :3], restorer.restore(colours))
  np.testing.assert_array_equal(with_alpha[..., 3:], alpha)
  restored = restorer.restore(grey)
  assert restored.shape == grey.shape and restored.dtype == dtype
  exact = restorer.restore(np.repeat(grey[..., None], 3, 2), as_float=True)
  expected = exact.mean(axis=2) * top
  np.testing.assert_allclose(
      restored, np.round(expected) if top == 255 else expected, rtol=1e-6)
  np.testing.assert_array_equal(
      restorer.restore(grey[..., None])[..., 0], restored)


def test_a_batch_is_its_pictures_one_by_one(restorer):
  batch = np.random.default_rng(0).integers(0, 256, (2, 9, 15, 3), np.uint8)
  np.testing.assert_array_equal(
      restorer.restore(batch), [restorer.restore(x) for x in batch])


def test_integers_are_rounded(restorer):
  """Truncation would darken every picture by half a step."""
  picture = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
  exact = restorer.restore(picture.astype(np.float64) / 255)
  np.testing.assert_array_equal(
      restorer.restore(picture), np.round(exact * 255))


@pytest.mark.parametrize('views, sentence', [
    ({}, 'reads the views center; got none'),
    ({'left': np.zeros((8, 8, 3), np.uint8)}, 'center; got left'),
    ({'picture': np.zeros(8, np.uint8)}, r'expected \[height, width, 3\]'),
    ({'picture': np.zeros((8, 8, 2), np.uint8)}, r'has shape \(8, 8, 2\)'),
    ({'picture': np.zeros((0, 8, 8, 3), np.uint8)}, 'or a batch'),
    ({'picture': np.zeros((1, 1, 3), np.uint8)}, 'is 1 x 1 px'),
    ({'picture': np.zeros((8, 8, 3), np.int32)}, 'type int32 cannot'),
    ({'picture': np.full((8, 8, 3), 255.)}, r'must lie in \[0, 1\]'),
    ({'picture': np.full((8, 8, 3), np.nan)}, r'must lie in \[0, 1\]'),
])
def test_what_cannot_be_restored_is_said(restorer, views, sentence):
  with pytest.raises(ValueError, match=sentence):
    restorer.restore(**views)


def test_views_must_be_alike(make_weights):
  restorer = Restorer(make_weights(views=('center', 'left', 'right')))
  small, large = np.zeros((8, 8, 3)), np.zeros((8, 16, 3))
  with pytest.raises(ValueError, match=r'views differ: center is \(8, 8, 3\)'):
    restorer.restore(small, left=small, right=large)


def _make_k3dn(make_weights, views):
  return Restorer(make_weights(
      'k3dn', views, base_channels=2, num_blocks=1, num_psf_blocks=1,
      srp=True))


@pytest.mark.slow
@pytest.mark.parametrize('fit', ['pad', 'resize'])
def test_dual_pixel_pairs_of_any_size(make_weights, fit):
  restorer = _make_k3dn(make_weights, ('left', 'right'))
  left, right = np.random.default_rng(0).integers(
      0, 65536, (2, 50, 70, 3), np.uint16)
  restored = restorer.restore(left=left, right=right, fit=fit, tile=16)
  assert restored.shape == (50, 70, 3) and restored.dtype == np.uint16


@pytest.mark.slow
def test_padding_and_resizing_differ_only_where_they_must(make_weights):
  """A picture whose size the network takes is neither padded nor resized."""
  restorer = _make_k3dn(make_weights, ('center',))
  picture = np.random.default_rng(0).random((288, 224, 3), np.float32)
  np.testing.assert_array_equal(
      restorer.restore(picture, fit='pad'),
      restorer.restore(picture, fit='resize'))


def test_resizing_follows_the_authors_of_k3dn(make_weights):
  """OpenCV enlarges the integers; what overshoots is clipped after shrinking.
  """
  restorer = _make_k3dn(make_weights, ('center',))
  picture = np.random.default_rng(0).integers(
      0, 65536, (280, 200, 3), np.uint16)
  enlarged = cv2.resize(picture, (224, 288), interpolation=cv2.INTER_CUBIC)
  # By the network as compiled: op by op it differs from itself by 2e-4.
  estimate, = restorer._apply(restorer.weights.variables, {
      'center': enlarged[None].astype(np.float32) / 65535})
  shrunk = cv2.resize(
      np.asarray(estimate), (200, 280), interpolation=cv2.INTER_CUBIC)
  assert shrunk.min() < 0 or shrunk.max() > 1
  restored = restorer.restore(picture, fit='resize', as_float=True)
  assert restored.dtype == np.float32
  np.testing.assert_allclose(restored, np.clip(shrunk, 0, 1), atol=2e-6)
  np.testing.assert_array_equal(
      restorer.restore(picture, fit='resize'),
      np.round(restored * 65535).astype(np.uint16))


@pytest.mark.parametrize('views, given, sentence', [
    (('left', 'right'), ('left',), 'reads the views left, right; got left'),
    (('left', 'right'), ('picture',), 'left, right; got center'),
    (('center',), ('left', 'right'), 'the views center; got left, right'),
])
def test_wrong_views_for_k3dn_are_said(make_weights, views, given, sentence):
  restorer = _make_k3dn(make_weights, views)
  with pytest.raises(ValueError, match=sentence):
    restorer.restore(**{name: np.zeros((8, 8, 3)) for name in given})


def test_an_unknown_fit_is_said(restorer):
  with pytest.raises(ValueError, match="fit is 'crop': choose one of pad, res"):
    restorer.restore(np.zeros((8, 8, 3)), fit='crop')


def test_tiles_of_no_size_are_said(restorer):
  with pytest.raises(ValueError, match='Tiles of -5 px cannot be restored'):
    restorer.restore(np.zeros((8, 8, 3)), tile=-5)


def test_a_file_and_a_pil_picture_are_restored_like_their_pixels(
    restorer, tmp_path):
  pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
  expected = restorer.restore(pixels)
  cv2.imwrite(str(tmp_path / 'photo.png'), pixels[..., ::-1])
  for path in (tmp_path / 'photo.png', str(tmp_path / 'photo.png')):
    np.testing.assert_array_equal(restorer.restore(path), expected)
  restored = restorer.restore(Image.fromarray(pixels))
  assert isinstance(restored, Image.Image) and restored.mode == 'RGB'
  np.testing.assert_array_equal(np.asarray(restored), expected)
  grey = restorer.restore(Image.fromarray(pixels[..., 0]))
  assert grey.mode == 'L' and grey.size == (24, 16)


def test_no_tile_and_a_tile_of_zero_mean_the_same(restorer):
  picture = np.random.default_rng(0).random((24, 40, 3), np.float32)
  whole = restorer.restore(picture)
  for tile in (None, 0):
    np.testing.assert_array_equal(restorer.restore(picture, tile=tile), whole)


def test_a_restorer_says_what_it_is(restorer):
  assert repr(restorer).startswith(
      '<Restorer: drbnet width=2; 0.05 M parameters; views center; receptive '
      'field 144 px; weights ')
