"""Pictures as NumPy arrays, in and out."""

import numpy as np
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


def test_integers_are_rounded(restorer):
  """Truncation would darken every picture by half a step."""
  picture = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
  exact = restorer.restore(picture.astype(np.float64) / 255)
  np.testing.assert_array_equal(
      restorer.restore(picture), np.round(exact * 255))


@pytest.mark.parametrize('views, sentence', [
    ({}, 'reads the views center; got none'),
    ({'left': np.zeros((8, 8, 3), np.uint8)}, 'center; got left'),
    ({'picture': np.zeros((8, 8), np.uint8)}, r'expected \[height, width, 3\]'),
    ({'picture': np.zeros((8, 8, 4), np.uint8)}, 'take alpha off first'),
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
