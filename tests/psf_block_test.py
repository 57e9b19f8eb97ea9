"""PSF blocks: kernels, weights, and how far they can be undone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur.models.k3dn.psf_block import (
  CandidateKernels,
  InvertibleMix,
  PSFBlock,
  depthwise_conv,
)

CHANNELS = 12


@pytest.fixture(scope='module')
def patches():
  """Features of three patches and their disparity vectors."""
  random = np.random.default_rng(0)
  return (jnp.asarray(random.standard_normal((3, 18, 14, CHANNELS)),
                      jnp.float32),
          jnp.asarray(random.standard_normal((3, 256)), jnp.float32))


def _init(module, *args):
  return jax.jit(module.init)(jax.random.key(0), *args)


@pytest.mark.slow
@pytest.mark.parametrize('size', [3, 5, 9, 13])
def test_kernels_are_mirror_symmetric_of_unit_norm(size):
  module = CandidateKernels(CHANNELS, size)
  variables = _init(module)
  for inverse in (False, True):
    kernels = module.apply(variables, inverse=inverse)
    assert kernels.shape == (CHANNELS, size, size)
    np.testing.assert_array_equal(kernels, kernels[:, :, ::-1])
    np.testing.assert_allclose(
        np.square(kernels).sum(axis=(1, 2)), 1, rtol=1e-5)


@pytest.mark.parametrize('size', [1, 3, 9])
def test_depthwise_convolution_against_a_loop(size):
  random = np.random.default_rng(0)
  x = random.random((2, 6, 5, 3), np.float32)
  kernels = random.random((3, size, size), np.float32)
  reach = size // 2
  padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
  expected = np.zeros_like(x)
  for i in range(size):
    for j in range(size):
      expected += padded[:, i:i + 6, j:j + 5] * kernels[:, i, j]
  np.testing.assert_allclose(
      depthwise_conv(jnp.asarray(x), jnp.asarray(kernels)), expected,
      rtol=1e-5)


def test_the_mix_is_inverted(patches):
  x, _ = patches
  module = InvertibleMix(CHANNELS)
  variables = _init(module, x)
  mixed = module.apply(variables, x)
  np.testing.assert_allclose(
      module.apply(variables, mixed, inverse=True), x, atol=1e-5)
  # It starts as a rotation.
  np.testing.assert_allclose(
      jnp.linalg.norm(mixed, axis=-1), jnp.linalg.norm(x, axis=-1), rtol=1e-5)


@pytest.mark.slow
def test_weights_are_convex_and_follow_the_disparity(patches):
  x, disparity = patches
  module = PSFBlock()
  variables = _init(module, x, disparity)
  _, inside = module.apply(
      variables, x, disparity, mutable='intermediates')
  weights = inside['intermediates']['kernel_weights'][0]
  assert weights.shape == (3, CHANNELS) and (weights >= 0).all()
  np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
  assert not np.allclose(weights[0], weights[1], atol=1e-3)


def _reblur_deviation(patches, mode):
  """Relative deviation of reblur(deblur(x)) from x."""
  x, disparity = patches
  module = PSFBlock(mode=mode)
  variables = _init(module, x, disparity)
  deblurred = module.apply(variables, x, disparity)
  again = module.apply(variables, deblurred, disparity, reblur=True)
  return float(jnp.linalg.norm(again - x) / jnp.linalg.norm(x))


@pytest.mark.slow
def test_the_wiener_mode_is_undone(patches):
  assert _reblur_deviation(patches, 'wiener') < 1e-3


def test_the_released_mode_is_not(patches):
  """Its inverse is one in name: see the docstring for what comes back."""
  assert _reblur_deviation(patches, 'released') == pytest.approx(
      0.155, abs=0.01)


def test_an_unknown_mode_is_said(patches):
  with pytest.raises(ValueError, match="Unknown psf_mode 'fourier'"):
    _init(PSFBlock(mode='fourier'), *patches)
