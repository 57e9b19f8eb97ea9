"""K3DN's settings beyond the published networks' (Tab. 10, 11 and 13)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur.models import registry
from jaxdeblur.models.k3dn.psf_block import CandidateKernels

SMALL = dict(
    views=('left', 'right'), base_channels=4, num_blocks=1, num_psf_blocks=1)


def _param_shapes(**settings):
  """Traces the network, and returns the shapes of its parameters."""
  model = registry.create('k3dn', **SMALL | settings)

  def start(key, views):
    restored, variables = model.init_with_output(key, views, reblur=True)
    assert restored.image.shape == views['left'].shape
    assert restored.reblurred.shape == views['left'].shape
    assert restored.disparity.shape == (1, 2, 2, 256)
    return variables['params']

  view = jax.ShapeDtypeStruct((1, *model.padded_multiple, 3), jnp.float32)
  return jax.eval_shape(
      start, jax.random.key(0), dict.fromkeys(SMALL['views'], view))


def _run(weights):
  key = jax.random.key(1)
  size = weights.model.padded_multiple
  views = {name: jax.random.uniform(key, (1, *size, 3))
           for name, key in zip(SMALL['views'], jax.random.split(key))}
  restored, inside = jax.jit(functools.partial(
      weights.model.apply, reblur=True, mutable='intermediates'))(
          weights.variables, views)
  assert np.isfinite(restored.image).all()
  assert np.isfinite(restored.reblurred).all()
  return inside['intermediates']


@pytest.mark.slow
def test_the_extractor_as_printed_in_table_13(make_weights):
  """With the largest kernels, and shifts to both sides."""
  weights = make_weights('k3dn', **SMALL | dict(
      feature_extractor='table13', kernel_size=13, cost_shifts=(-2, -1, 0, 1)))
  features = weights.params['disparity']['features']
  assert features['branch32']['conv']['kernel'].shape[:2] == (3, 3)
  assert 'norm' not in features['conv1']
  inside = _run(weights)
  # Half the stride of the released one: 9 x 7 features a patch, none resized.
  matching, = inside['disparity']['matching']
  assert matching.shape[-3:] == (18, 14, 64)
  pooled, = inside['disparity']['project']['pooled']
  expected = matching.mean(axis=1).reshape(1, 2, 9, 2, 7, 64).mean(axis=(2, 4))
  np.testing.assert_allclose(pooled, expected, atol=1e-6)


@pytest.mark.slow
def test_the_released_extractor_with_other_kernels_and_shifts(make_weights):
  weights = make_weights('k3dn', **SMALL | dict(
      kernel_size=3, cost_shifts=(-1, 0), num_psf_blocks=2))
  kernels, = _run(weights)['psf1']['candidates'][:1]
  assert kernels.shape == (16, 3, 3)


@pytest.mark.slow
@pytest.mark.parametrize('shifts', [(-2, -1, 0, 1), (-1, 0)])
def test_shifts_to_both_sides(shifts):
  _param_shapes(cost_shifts=shifts)


@pytest.mark.slow
@pytest.mark.parametrize('size', [3, 5, 7, 11, 13])
def test_kernel_sizes_of_table_10(size):
  _param_shapes(kernel_size=size)
  kernels, _ = CandidateKernels(16, size).init_with_output(jax.random.key(0))
  assert kernels.shape == (16, size, size)
  np.testing.assert_allclose(
      jnp.square(kernels).sum(axis=(1, 2)), 1, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('number', [1, 2, 7])
def test_numbers_of_psf_blocks_of_table_11(number):
  params = _param_shapes(num_psf_blocks=number)
  assert sum(name.startswith('psf') for name in params) == number


@pytest.mark.slow
def test_kernels_have_a_centre():
  with pytest.raises(ValueError, match='kernel_size is 8: a kernel has a '):
    _param_shapes(kernel_size=8)


@pytest.mark.slow
def test_no_psf_block_is_none():
  assert 'psf1' not in _param_shapes(num_psf_blocks=0)
