"""Banks of measured kernels."""

import jax
import numpy as np
import pytest

from jaxdeblur.errors import UserError
from jaxdeblur.optics import psf
from jaxdeblur.optics.bank import Bank, read_bank, write_bank


def make_bank():
  """Discs that grow with the circle, and towards the right of the picture."""
  radii = np.array([1.0, 3.0, 5.0])
  return Bank(
      np.stack([[[[psf.disc(r + growth, size=15)] for growth in (0.0, 1.0)]]
                for r in radii]).astype(np.float32),
      (2 * radii).astype(np.float32), ('center',))


def test_kernels_are_interpolated_over_circles_and_places():
  bank = make_bank()
  # The middles of two cells lie at -0.5 and 0.5.
  np.testing.assert_allclose(
      bank.interpolate(6.0, (-0.5, 0.3))[0], bank.kernels[1, 0, 0, 0],
      atol=1e-6)
  between = jax.jit(lambda c: bank.interpolate(c, (0.0, 0.0)))(8.0)[0]
  expected = bank.kernels[1:, 0, :, 0].mean(axis=(0, 1))
  np.testing.assert_allclose(between, expected, atol=1e-6)
  np.testing.assert_allclose(  # Constant beyond the last.
      bank.interpolate(99.0, (9.0, 0.0))[0], bank.kernels[2, 0, 1, 0],
      atol=1e-6)


def test_a_bank_of_one_side_serves_both():
  """Beyond the focus, left is right."""
  left, right = psf.split(psf.disc(4.0, size=15), 4.0)
  pair = np.stack([left, right])[None, None, None].astype(np.float32)
  bank = Bank(np.concatenate([pair, pair]), np.float32([2, 8]),
              ('left', 'right'))
  far, near = (bank.interpolate_both_sides(circle) for circle in (8.0, -8.0))
  np.testing.assert_allclose(far, np.stack([left, right]), atol=1e-6)
  np.testing.assert_allclose(near, far[::-1], atol=1e-6)
  both = Bank(bank.kernels, np.float32([-8, 8]), bank.views)
  np.testing.assert_allclose(
      both.interpolate_both_sides(-8.0), both.interpolate(-8.0), atol=1e-6)


def test_a_bank_is_read_as_it_was_written(tmp_path):
  bank = make_bank()
  write_bank(tmp_path / 'bank.npz', bank)
  again = read_bank(tmp_path / 'bank.npz')
  assert again.views == ('center',)
  np.testing.assert_array_equal(again.circles, bank.circles)
  np.testing.assert_allclose(again.kernels, bank.kernels, rtol=1e-5)


@pytest.mark.parametrize('change, sentence', [
    (dict(kernels=None), 'it has no kernels'),
    (dict(kernels=np.ones((3, 1, 2, 1, 4, 4))), 'are 4 x 4 px, not square'),
    (dict(kernels=np.ones((3, 2, 1, 5, 5))), 'have the shape'),
    (dict(kernels=-np.ones((3, 1, 2, 1, 5, 5))), 'negative'),
    (dict(kernels=np.full((3, 1, 2, 1, 5, 5), np.nan)), 'not finite'),
    (dict(circles=np.array([3.0, 2.0, 1.0])), 'its circles do not rise'),
    (dict(views=np.array(['top'])), "its views are \\('top',\\)"),
])
def test_other_files_are_refused(tmp_path, change, sentence):
  bank = make_bank()
  arrays = dict(kernels=bank.kernels, circles=bank.circles,
                views=np.array(bank.views)) | change
  file = tmp_path / 'bank.npz'
  np.savez(file, **{
      name: value for name, value in arrays.items() if value is not None})
  with pytest.raises(UserError, match=sentence):
    read_bank(file)


def test_a_file_of_another_kind_is_refused(tmp_path):
  file = tmp_path / 'bank.npz'
  file.write_bytes(b'<html>')
  with pytest.raises(UserError, match='cannot be read as npz'):
    read_bank(file)
