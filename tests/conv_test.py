"""Convolutions and their gradients against XLA's own."""

from derivatives import curves
import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur.models import layers
from jaxdeblur.ops import conv as conv_module
from jaxdeblur.ops.conv import (
  add_bias,
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


_FLOAT64 = dict(rtol=1e-12, atol=1e-12)


def _xla_up_conv(x, kernel):
  return lax.conv_transpose(
      x, kernel, (2, 2), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))


# Ours, its definition, the shapes of its inputs.
_FUNCTIONS = {
    'conv': (conv, lambda x, kernel: _xla(
        x, kernel, (1, 1), ((1, 1), (1, 1))), (2, 5, 4, 3), (3, 3, 3, 2)),
    'stride 2': (
        lambda x, kernel: conv(x, kernel, (2, 2)),
        lambda x, kernel: _xla(x, kernel, (2, 2), ((1, 1), (1, 1))),
        (2, 5, 4, 3), (3, 3, 3, 2)),
    'up_conv': (up_conv, _xla_up_conv, (2, 3, 2, 3), (4, 4, 3, 2)),
    'add_bias': (
        add_bias, lambda x, bias: x + bias[None, None, None], (2, 4, 3, 2),
        (2,)),
}


@pytest.fixture(params=_FUNCTIONS)
def functions(request, monkeypatch):
  """Ours, its definition, two inputs and a direction for each; in float64."""
  monkeypatch.setattr(conv_module, '_FEWEST_PIXELS', 0)
  ours, xla, *shapes = _FUNCTIONS[request.param]
  with jax.enable_x64(True):
    yield ours, xla, *(
        tuple(jnp.asarray(np.random.default_rng(seed + i).normal(size=shape))
              for i, shape in enumerate(shapes)) for seed in (1, 3))


def _assert_trees_close(ours, xla):
  jax.tree.map(lambda ours, xla: np.testing.assert_allclose(
      ours, xla, **_FLOAT64), ours, xla)


@pytest.mark.slow
@pytest.mark.parametrize('transform', [lambda f: f, jax.jit, jax.checkpoint])
def test_differentiates_forwards(functions, transform):
  """By both inputs, or by one while the other is constant."""
  ours, xla, inputs, directions = functions
  _assert_trees_close(jax.jvp(transform(ours), inputs, directions),
                      jax.jvp(xla, inputs, directions))
  for i in (0, 1):
    def fix(function, i=i):
      return lambda x: function(*inputs[:i], x, *inputs[i + 1:])

    slope = jax.jvp(transform(fix(ours)), inputs[i:i + 1], directions[i:i + 1])
    _assert_trees_close(
        slope, jax.jvp(fix(xla), inputs[i:i + 1], directions[i:i + 1]))
    _, linear = jax.linearize(transform(fix(ours)), inputs[i])
    np.testing.assert_allclose(linear(directions[i]), slope[1], **_FLOAT64)


@pytest.mark.slow
def test_jacobians_agree(functions):
  """They batch forward and reverse mode, by `jax.vmap`."""
  ours, xla, inputs, _ = functions
  expected = jax.jacrev(xla, (0, 1))(*inputs)
  _assert_trees_close(jax.jacfwd(ours, (0, 1))(*inputs), expected)
  _assert_trees_close(jax.jacrev(ours, (0, 1))(*inputs), expected)


@pytest.mark.slow
def test_second_derivatives_are_those_of_the_definition(functions):
  """Forward over reverse, reverse over forward, reverse over reverse."""
  ours, xla, inputs, directions = functions
  _assert_trees_close(
      curves(ours, inputs, directions), curves(xla, inputs, directions))


@pytest.mark.slow
def test_differentiates_each_of_a_batch(functions):
  """With the same kernel for all, and in a loop."""
  ours, xla, (x, kernel), _ = functions
  batch = jnp.stack([x, 2 * x, x - 1])

  def map_loss(function):
    return lambda batch, kernel: jnp.sin(
        jax.vmap(function, (0, None))(batch, kernel)).sum()

  def loop(batch, kernel):
    return lax.scan(
        lambda total, x: (total + jnp.sin(ours(x, kernel)).sum(), None),
        0., batch)[0]

  expected = jax.grad(map_loss(xla), (0, 1))(batch, kernel)
  _assert_trees_close(
      jax.grad(map_loss(ours), (0, 1))(batch, kernel), expected)
  _assert_trees_close(jax.grad(loop, (0, 1))(batch, kernel), expected)
  directions = jnp.cos(batch), jnp.cos(kernel)
  expected = jax.jvp(map_loss(xla), (batch, kernel), directions)
  _assert_trees_close(
      jax.jvp(map_loss(ours), (batch, kernel), directions), expected)
  _assert_trees_close(jax.jvp(loop, (batch, kernel), directions), expected)
