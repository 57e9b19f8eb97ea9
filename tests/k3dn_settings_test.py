"""K3DN's settings beyond the published networks' (Tab. 10, 11 and 13)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur.models import registry

SMALL = dict(
    views=('left', 'right'), base_channels=4, num_blocks=1, num_psf_blocks=1)


def _views(size):
  key = jax.random.key(1)
  return {name: jax.random.uniform(key, (1, *size, 3))
          for name, key in zip(SMALL['views'], jax.random.split(key))}


def _run(**settings):
  model = registry.create('k3dn', **SMALL | settings)
  views = _views(model.size_multiple)
  variables = jax.jit(model.init)(jax.random.key(0), views)
  restored, inside = jax.jit(functools.partial(
      model.apply, reblur=True, mutable='intermediates'))(variables, views)
  for picture in (restored.image, restored.reblurred):
    assert picture.shape == views['left'].shape
    assert np.isfinite(picture).all()
  assert restored.disparity.shape == (1, 2, 2, 256)
  return variables['params'], inside['intermediates']


def test_the_extractor_as_printed_in_table_13():
  params, inside = _run(feature_extractor='table13')
  features = params['disparity']['features']
  assert features['branch32']['conv']['kernel'].shape[:2] == (3, 3)
  assert 'norm' not in features['conv1']
  # Half the stride of the released one: 9 x 7 features a patch, none resized.
  matching, = inside['disparity']['matching']
  assert matching.shape[-3:] == (18, 14, 64)
  pooled, = inside['disparity']['project']['pooled']
  expected = matching.mean(axis=1).reshape(1, 2, 9, 2, 7, 64).mean(axis=(2, 4))
  np.testing.assert_allclose(pooled, expected, atol=1e-6)


@pytest.mark.parametrize('shifts', [(-2, -1, 0, 1), (-1, 0)])
def test_shifts_to_both_sides(shifts):
  _run(cost_shifts=shifts)


@pytest.mark.parametrize('size', [3, 5, 7, 11, 13])
def test_kernel_sizes_of_table_10(size):
  _, inside = _run(kernel_size=size)
  kernels, = inside['psf1']['candidates'][:1]
  assert kernels.shape == (16, size, size)
  np.testing.assert_allclose(
      jnp.square(kernels).sum(axis=(1, 2)), 1, rtol=1e-5)


@pytest.mark.parametrize('number', [1, 2, 7])
def test_numbers_of_psf_blocks_of_table_11(number):
  params, _ = _run(num_psf_blocks=number)
  assert sum(name.startswith('psf') for name in params) == number
