"""Dynamic convolution: each method is the definition, its gradients too."""

import contextlib
import functools

from derivatives import curves
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from jaxdeblur.ops.dynamic_conv import dynamic_conv

METHODS = ('taps', 'unfold')


def _by_loops(image, kernels):
  """The definition in float64: clamped neighbours, one pixel at a time."""
  image, kernels = (np.asarray(x, np.float64) for x in (image, kernels))
  batch, height, width, _ = image.shape
  size = int(np.sqrt(kernels.shape[-1]))
  out = np.zeros_like(image)
  for y in range(height):
    for x in range(width):
      for i in range(size):
        for j in range(size):
          row = min(max(y + i - size // 2, 0), height - 1)
          column = min(max(x + j - size // 2, 0), width - 1)
          for b in range(batch):
            out[b, y, x] += kernels[b, y, x, size * i + j] * image[
                b, row, column]
  return out


def _random(seed, *shape):
  return jnp.asarray(
      np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


def _case(size, channels, height, width, batch=2):
  return (_random(0, batch, height, width, channels),
          _random(1, batch, height, width, size * size))


@contextlib.contextmanager
def _without_shape_checks():
  """As outside of the tests: a wrong shape reaches the function itself."""
  jaxtyping.config.update('jaxtyping_disable', True)
  try:
    yield
  finally:
    jaxtyping.config.update('jaxtyping_disable', False)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize(
    ('size', 'channels', 'height', 'width'),
    [(1, 3, 9, 6), (3, 3, 9, 6), (5, 3, 9, 6), (7, 3, 9, 6),
     (3, 1, 5, 8), (5, 4, 6, 6), (7, 4, 2, 3), (3, 3, 1, 1)])
def test_equals_the_definition(method, size, channels, height, width):
  """Also where the picture is smaller than the kernel: all border then."""
  image, kernels = _case(size, channels, height, width)
  np.testing.assert_allclose(
      dynamic_conv(image, kernels, method), _by_loops(image, kernels),
      rtol=0, atol=1e-5)


@pytest.mark.parametrize('size', [1, 3, 5, 7])
def test_methods_agree(size):
  """They add up the same products, in another order."""
  image, kernels = _case(size, 3, 24, 40)
  np.testing.assert_allclose(
      dynamic_conv(image, kernels, 'taps'),
      dynamic_conv(image, kernels, 'unfold'), rtol=0, atol=1e-5)


@pytest.mark.parametrize('method', METHODS)
def test_row_comes_before_column(method):
  """Kernel element k * i + j reads i rows down and j columns right."""
  image = _random(0, 1, 7, 9, 3)
  kernels = jnp.zeros((1, 7, 9, 25)).at[..., 5 * 4 + 1].set(1.)
  shifted = dynamic_conv(image, kernels, method)
  np.testing.assert_array_equal(shifted[:, :-2, 1:], image[:, 2:, :-1])


@pytest.mark.parametrize('method', METHODS)
def test_border_repeats_the_edge(method):
  """A constant picture stays constant up to its border, at the kernels' sum."""
  kernels = _random(1, 1, 6, 5, 49)
  out = dynamic_conv(jnp.ones((1, 6, 5, 3)), kernels, method)
  expected = np.broadcast_to(
      np.asarray(kernels).sum(-1, keepdims=True), (1, 6, 5, 3))
  np.testing.assert_allclose(out, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('method', METHODS)
def test_bfloat16_sums_in_float32(method):
  """48 halves beside 256: each alone is lost where sums are bfloat16.

  There the neighbours of 256 are 2 away; 256 + 24 = 280 is representable.
  """
  image = jnp.ones((1, 3, 4, 3), jnp.bfloat16)
  kernels = jnp.full((1, 3, 4, 49), 0.5, jnp.bfloat16).at[..., 0].set(256.)
  out = dynamic_conv(image, kernels, method)
  assert out.dtype == jnp.bfloat16
  np.testing.assert_array_equal(out.astype(jnp.float32), 280.)


@pytest.mark.parametrize('method', METHODS)
def test_bfloat16_equals_the_definition(method):
  """Only the result is rounded: half a step of 2^-8, relatively, at most."""
  image, kernels = (x.astype(jnp.bfloat16) for x in _case(5, 3, 8, 9))
  out = dynamic_conv(image, kernels, method).astype(jnp.float32)
  np.testing.assert_allclose(
      out, _by_loops(image, kernels), rtol=2 ** -8, atol=1e-5)


@pytest.mark.parametrize('method', METHODS)
def test_float32_image_keeps_its_type_under_bfloat16_kernels(method):
  image, kernels = _case(3, 3, 4, 5)
  out = dynamic_conv(image, kernels.astype(jnp.bfloat16), method)
  assert out.dtype == jnp.float32


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize(
    'float64', [('image',), ('kernels',), ('image', 'kernels')], ids='-'.join)
def test_sums_in_float64(method, float64):
  """If one of the two has that type; the result is rounded to the image's."""
  with jax.enable_x64(True):
    image, kernels = (
        x.astype(jnp.float64 if name in float64 else jnp.float32)
        for name, x in zip(('image', 'kernels'), _case(3, 3, 4, 5)))
    out = dynamic_conv(image, kernels, method)
    assert out.dtype == image.dtype
    np.testing.assert_allclose(
        out, _by_loops(image, kernels), atol=1e-14,
        rtol=0 if 'image' in float64 else 2 ** -24)
    gradients = _gradients(method, image, kernels, image)
    assert [x.dtype for x in gradients] == [image.dtype, kernels.dtype]


def _gradients(method, image, kernels, cotangent):
  return jax.jit(jax.grad(
      lambda image, kernels: jnp.vdot(
          cotangent, dynamic_conv(image, kernels, method)),
      argnums=(0, 1)))(image, kernels)


@pytest.mark.parametrize('size', [3, 5])
def test_gradients_agree(size):
  """Both methods differentiate to the same, by image and by kernels."""
  image, kernels = _case(size, 3, 6, 11)
  cotangent = _random(2, *image.shape)
  for taps, unfold in zip(
      _gradients('taps', image, kernels, cotangent),
      _gradients('unfold', image, kernels, cotangent), strict=True):
    np.testing.assert_allclose(taps, unfold, rtol=0, atol=1e-5)


@pytest.mark.parametrize('method', METHODS)
def test_gradients_are_those_of_the_definition(method):
  """The result is linear in each input, so a whole step shows its slope.

  <gradient, direction> = <cotangent, result for the direction>, and the latter
  comes from the loops.
  """
  image, kernels = _case(3, 2, 4, 7)
  cotangent = _random(2, *image.shape)
  direction = _random(3, *image.shape)
  kernel_direction = _random(4, *kernels.shape)
  by_image, by_kernels = _gradients(method, image, kernels, cotangent)
  np.testing.assert_allclose(
      np.vdot(by_image, direction),
      np.vdot(cotangent, _by_loops(direction, kernels)), rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(
      np.vdot(by_kernels, kernel_direction),
      np.vdot(cotangent, _by_loops(image, kernel_direction)),
      rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('transform', [lambda f: f, jax.jit, jax.checkpoint])
@pytest.mark.parametrize('method', METHODS)
def test_differentiates_forwards(method, transform):
  """The result is linear in each input, so the loops give its slopes."""
  with jax.enable_x64(True):
    inputs = tuple(x.astype(jnp.float64) for x in _case(3, 2, 4, 7))
    directions = tuple(jnp.cos(3 * x) for x in inputs)
    apply = transform(lambda *inputs: dynamic_conv(*inputs, method))
    by_image = _by_loops(directions[0], inputs[1])
    by_kernels = _by_loops(inputs[0], directions[1])
    for slope, expected in (
        (jax.jvp(apply, inputs, directions)[1], by_image + by_kernels),
        (jax.linearize(apply, *inputs)[1](*directions), by_image + by_kernels),
        (jax.jvp(lambda image: apply(image, inputs[1]), inputs[:1],
                 directions[:1])[1], by_image),
        (jax.jvp(lambda kernels: apply(inputs[0], kernels), inputs[1:],
                 directions[1:])[1], by_kernels)):
      np.testing.assert_allclose(slope, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('method', METHODS)
def test_jacobians_agree(method):
  """Forwards and backwards, each batched by `jax.vmap`."""
  inputs = _case(3, 1, 2, 3, batch=1)
  apply = lambda *inputs: dynamic_conv(*inputs, method)  # noqa: E731
  # Compiled: of single operations by both inputs, XLA of jaxlib 0.10.2 makes a
  # program for CPUs that it cannot compile itself.
  for forwards, backwards in zip(
      jax.jit(jax.jacfwd(apply, (0, 1)))(*inputs),
      jax.jit(jax.jacrev(apply, (0, 1)))(*inputs), strict=True):
    np.testing.assert_allclose(forwards, backwards, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_second_derivatives_agree():
  """Forward over reverse, reverse over forward, reverse over reverse."""
  inputs = _case(3, 2, 4, 5)
  directions = tuple(jnp.cos(3 * x) for x in inputs)

  def curves_of(method):
    return curves(
        functools.partial(dynamic_conv, method=method), inputs, directions)

  jax.tree.map(lambda taps, unfold: np.testing.assert_allclose(
      taps, unfold, rtol=0, atol=2e-5), curves_of('taps'),
      curves_of('unfold'))


@pytest.mark.parametrize('values', [4, 8, 36, 50])
def test_kernels_must_be_square_and_odd(values):
  with pytest.raises(ValueError, match=rf'{values} values a pixel.*k odd'):
    dynamic_conv(jnp.ones((1, 4, 4, 3)), jnp.ones((1, 4, 4, values)))


@pytest.mark.parametrize('shape', [(2, 4, 5), (1, 5, 4), (1, 4, 1)])
def test_kernels_must_cover_the_image(shape):
  """A kernel map that broadcasting would stretch is refused as well."""
  with _without_shape_checks(), pytest.raises(
      ValueError, match='one kernel a pixel'):
    dynamic_conv(jnp.ones((1, 4, 5, 3)), jnp.ones((*shape, 9)))


def test_unknown_method():
  with _without_shape_checks(), pytest.raises(
      ValueError, match=r"Unknown dynamic convolution method 'fft'.*taps"):
    dynamic_conv(jnp.ones((1, 4, 4, 3)), jnp.ones((1, 4, 4, 9)), 'fft')
