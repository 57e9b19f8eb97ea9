"""Convolutions and their gradients against XLA's own."""

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur.models import layers
from jaxdeblur.ops import conv as conv_module
from jaxdeblur.ops.conv import (
  conv,
  kernel_gradient,
  up_conv,
)

_CASES = {  # Size of the kernel, strides, padding.
    'same': ((3, 3), (1, 1), ((1, 1), (1, 1))),
    'stride 2': ((3, 3), (2, 2), ((1, 1), (1, 1))),
    'valid rows': ((3, 3), (1, 1), ((0, 0), (1, 1))),
    'uneven': ((2, 5), (2, 1), ((0, 3), (4, 1))),
    '1 x 1': ((1, 1), (1, 1), ((0, 0), (0, 0))),
}


def _array(*shape, seed):
  return jnp.asarray(
      np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def _xla(x, kernel, strides, padding):
  return lax.conv_general_dilated(
      x, kernel, strides, padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC'))


@pytest.mark.parametrize('band_values', [1, 2000, 2 ** 20])
@pytest.mark.parametrize('case', _CASES)
def test_gradients_are_those_of_xla(case, band_values, monkeypatch):
  # From bands of one row, through several, to one for all.
  monkeypatch.setattr(conv_module, '_BAND_VALUES', band_values)
  monkeypatch.setattr(conv_module, '_FEWEST_PIXELS', 0)
  size, strides, padding = _CASES[case]
  x, kernel = _array(2, 11, 13, 3, seed=1), _array(*size, 3, 4, seed=2)
  expected, to_both = jax.vjp(
      lambda x, kernel: _xla(x, kernel, strides, padding), x, kernel)
  slopes = _array(*expected.shape, seed=3)
  out, to_ours = jax.vjp(
      lambda x, kernel: conv(x, kernel, strides, padding), x, kernel)
  np.testing.assert_array_equal(out, expected)
  for ours, xla in zip(to_ours(slopes), to_both(slopes)):
    np.testing.assert_allclose(ours, xla, rtol=1e-5, atol=2e-5)
  np.testing.assert_allclose(
      kernel_gradient(
          x, slopes, size=size, strides=strides, padding=padding),
      to_both(slopes)[1], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize('fewest_pixels', [0, 1000])
def test_transposed_convolution_is_that_of_flax(fewest_pixels, monkeypatch):
  monkeypatch.setattr(conv_module, '_FEWEST_PIXELS', fewest_pixels)
  x, kernel = _array(2, 5, 7, 3, seed=1), _array(4, 4, 3, 4, seed=2)
  flax = nn.ConvTranspose(
      4, (4, 4), strides=(2, 2), padding='SAME', use_bias=False)
  expected, to_both = jax.vjp(
      lambda x, kernel: flax.apply({'params': {'kernel': kernel}}, x),
      x, kernel)
  out, to_ours = jax.vjp(up_conv, x, kernel)
  np.testing.assert_allclose(out, expected, rtol=1e-5, atol=2e-5)
  slopes = _array(*expected.shape, seed=3)
  for ours, xla in zip(to_ours(slopes), to_both(slopes)):
    np.testing.assert_allclose(ours, xla, rtol=1e-5, atol=2e-5)


def test_sums_bfloat16_in_float32():
  x = jnp.ones((1, 40, 40, 1), jnp.bfloat16)
  gradient = kernel_gradient(
      x, x, size=(1, 1), strides=(1, 1), padding=((0, 0), (0, 0)))
  # Above 256, bfloat16 does not hold every whole number.
  assert gradient.dtype == jnp.float32 and gradient.item() == 1600


@pytest.mark.parametrize('settings', [
    dict(), dict(use_bias=False), dict(stride=2, dtype=jnp.dtype(jnp.bfloat16)),
    dict(kernel_size=1)])
def test_layer_is_that_of_flax(settings):
  """Starts with the same parameters; the same results and gradients."""
  size, stride = settings.get('kernel_size', 3), settings.get('stride', 1)
  flax = nn.Conv(
      6, (size, size), strides=stride, padding=size // 2,
      kernel_init=nn.initializers.he_normal(),
      bias_init=nn.initializers.normal(),
      use_bias=settings.get('use_bias', True),
      dtype=settings.get('dtype', jnp.float32))
  layer = layers.Conv(6, bias_init=nn.initializers.normal(), **settings)
  x = _array(2, 12, 13, 4, seed=1)
  variables = layer.init(jax.random.key(0), x)
  _assert_equal(variables, flax.init(jax.random.key(0), x))
  out, to_ours = jax.vjp(layer.apply, variables, x)
  expected, to_both = jax.vjp(flax.apply, variables, x)
  assert out.dtype == expected.dtype
  np.testing.assert_array_equal(out, expected)
  slopes = _array(*out.shape, seed=2).astype(out.dtype)
  _assert_close(to_ours(slopes), to_both(slopes), out.dtype)


def _assert_equal(ours, theirs):
  jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def _assert_close(ours, theirs, dtype):
  tolerance = float(8 * jnp.finfo(dtype).eps)
  jax.tree.map(lambda ours, theirs: np.testing.assert_allclose(
      ours, theirs, rtol=tolerance, atol=tolerance * abs(theirs).max()),
      ours, theirs)


class _Heads(nn.Module):
  dtype: jnp.dtype = jnp.dtype(jnp.float32)
  joint: bool = True

  @nn.compact
  def __call__(self, x):
    names = 'first', 'second'
    if self.joint:
      return jnp.stack(layers.joint_conv(x, 3, names=names, dtype=self.dtype))
    return jnp.stack([
        layers.Conv(3, name=name, dtype=self.dtype)(x) for name in names])


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_joint_convolution_is_two(dtype):
  """With the same parameters, and the same start."""
  x = _array(2, 9, 8, 4, seed=1)
  joint, apart = (_Heads(jnp.dtype(dtype), joint) for joint in (True, False))
  variables = joint.init(jax.random.key(0), x)
  _assert_equal(variables, apart.init(jax.random.key(0), x))
  variables['params']['second']['bias'] += 1
  out, expected = joint.apply(variables, x), apart.apply(variables, x)
  assert out.dtype == dtype
  np.testing.assert_allclose(
      out.astype(jnp.float32), expected.astype(jnp.float32),
      rtol=float(4 * jnp.finfo(dtype).eps), atol=1e-6)
