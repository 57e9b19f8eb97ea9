"""The TPU kernels of the dynamic convolution: interpreted, then compiled.

Interpreted on a CPU, where what a tile reads beyond the picture is not a
number, they must equal `unfold`. Compiled for a TPU v5e, without one, by
libtpu, they must move little more than what they cannot avoid.
"""

import multiprocessing

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np
import pytest

from jaxdeblur import partitioning
from jaxdeblur.benchmark import tpu_program
from jaxdeblur.ops.dynamic_conv import dynamic_conv

pytestmark = pytest.mark.slow


def _random(seed, *shape):
  return jnp.asarray(
      np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


def _inputs(size, channels, height, width, batch=1):
  """Image, kernels, and the gradient to the result."""
  return (_random(0, batch, height, width, channels),
          _random(1, batch, height, width, size * size),
          _random(2, batch, height, width, channels))


def _filter_and_differentiate(method):
  def apply(image, kernels, cotangent):
    out, differentiate = jax.vjp(
        lambda *inputs: dynamic_conv(*inputs, method), image, kernels)
    return (out, *differentiate(cotangent))
  return jax.jit(apply)


@pytest.mark.parametrize(
    ('size', 'channels', 'height', 'width', 'batch'),
    [(1, 3, 1, 1, 1), (3, 3, 33, 130, 2), (5, 1, 64, 517, 1),
     (5, 4, 2, 3, 2), (7, 3, 37, 129, 1)])
def test_equals_unfold(size, channels, height, width, batch):
  """In value and gradients, over several tiles, and where all is border."""
  inputs = _inputs(size, channels, height, width, batch)
  for result, expected in zip(
      _filter_and_differentiate('pallas')(*inputs),
      _filter_and_differentiate('unfold')(*inputs), strict=True):
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


def test_bfloat16_sums_in_float32():
  """Results and gradients are rounded once; at the border, a few times.

  One rounding is 2^-8 at most. An image's gradient is rounded before those of
  the repeated border are added to it.
  """
  inputs = [x.astype(jnp.bfloat16) for x in _inputs(5, 3, 9, 8)]
  results = _filter_and_differentiate('pallas')(*inputs)
  expected = _filter_and_differentiate('unfold')(
      *(x.astype(jnp.float32) for x in inputs))
  assert {x.dtype for x in results} == {jnp.dtype(jnp.bfloat16)}
  inside = slice(None), slice(1, -1), slice(1, -1)
  for i, part in ((0, ...), (1, inside), (2, ...)):
    np.testing.assert_allclose(
        results[i][part].astype(jnp.float32), expected[i][part],
        rtol=2 ** -8, atol=1e-5)
  np.testing.assert_allclose(
      results[1].astype(jnp.float32), expected[1], rtol=0,
      atol=2 ** -6 * np.abs(expected[1]).max())


def test_kernels_and_image_differ_in_type():
  """As in a DRBNet whose convolutions run in bfloat16."""
  image, kernels, cotangent = _inputs(3, 3, 5, 6)
  kernels = kernels.astype(jnp.bfloat16)
  out, to_image, to_kernels = _filter_and_differentiate('pallas')(
      image, kernels, cotangent)
  assert out.dtype == to_image.dtype == jnp.float32
  assert to_kernels.dtype == jnp.bfloat16
  np.testing.assert_allclose(
      out, dynamic_conv(image, kernels, 'unfold'), rtol=0, atol=1e-5)


def _filter_on_a_mesh(sizes, specs):
  """Filters and differentiates inputs that are split like this."""
  jax.config.update('jax_num_cpu_devices', 4)
  mesh = partitioning.make_mesh(sizes)
  inputs = jax.device_put(
      _inputs(3, 3, 4, 6, batch=4),
      tuple(NamedSharding(mesh, PartitionSpec(*spec)) for spec in specs))
  program = _filter_and_differentiate('pallas').lower(*inputs).compile()
  if 'height' not in sizes:
    assert 'all-gather' not in program.as_text()
  for result, expected in zip(
      program(*inputs), _filter_and_differentiate('unfold')(*inputs),
      strict=True):
    assert not result.is_fully_replicated
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(('sizes', 'specs'), [
    (dict(data=2, fsdp=2), [(('data', 'fsdp'),)] * 3),
    (dict(data=2, height=2), [('data', 'height')] * 3),
    (dict(data=2, height=2), [('data', 'height'), ('data',), (None, 'height')]),
], ids=['pictures', 'rows', 'mixed'])
def test_each_device_filters_its_part_of_the_batch(sizes, specs):
  """In a process of its own that sees four devices.

  Those that have rows of the same pictures filter these whole.
  """
  process = multiprocessing.get_context('spawn').Process(
      target=_filter_on_a_mesh, args=(sizes, specs))
  process.start()
  process.join()
  assert process.exitcode == 0


def test_what_does_not_fit_is_refused():
  with pytest.raises(ValueError, match=r'7 x 7 for 256 channels do not fit'):
    jax.eval_shape(
        lambda *inputs: dynamic_conv(*inputs, 'pallas'),
        *_inputs(7, 256, 4, 4)[:2])


def test_float64_is_refused():
  with jax.enable_x64(True), pytest.raises(
      ValueError, match=r"sums in float32.*of float64.*choose 'taps'"):
    image, kernels, _ = (x.astype(jnp.float64) for x in _inputs(3, 3, 4, 4))
    dynamic_conv(image, kernels, 'pallas')


def _compile(tpu, function, *inputs):
  return jax.jit(function).lower(*(
      jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=tpu)
      for x in inputs)).compile()


_IMAGE = jax.ShapeDtypeStruct((1, 768, 1280, 3), jnp.bfloat16)
_KERNELS = jax.ShapeDtypeStruct((1, 768, 1280, 49), jnp.bfloat16)


def _bytes(*arrays):
  return sum(x.size * x.dtype.itemsize for x in arrays)


@pytest.mark.tpu_compile
def test_tpu_reads_and_writes_once(tpu):
  """At most 1.3 of the bytes of image, kernels and result; 1.06 measured."""
  program = _compile(
      tpu, lambda *inputs: dynamic_conv(*inputs, 'pallas'), _IMAGE, _KERNELS)
  moved = tpu_program.main_memory_bytes(program.as_text())
  least = _bytes(_IMAGE, _KERNELS, _IMAGE)
  assert least <= moved <= 1.3 * least
  assert program.memory_analysis().temp_size_in_bytes <= 2 ** 20


@pytest.mark.tpu_compile
def test_tpu_gradients_read_and_write_once(tpu):
  """They read the cotangent as well, and write as much; 1.03 measured."""
  def differentiate(image, kernels, cotangent):
    return jax.vjp(
        lambda *inputs: dynamic_conv(*inputs, 'pallas'), image, kernels)[1](
            cotangent)

  program = _compile(tpu, differentiate, _IMAGE, _KERNELS, _IMAGE)
  moved = tpu_program.main_memory_bytes(program.as_text())
  least = _bytes(_IMAGE, _KERNELS, _IMAGE, _IMAGE, _KERNELS)
  assert least <= moved <= 1.3 * least
  assert program.memory_analysis().temp_size_in_bytes <= 2 ** 20


@pytest.mark.tpu_compile
def test_tpu_taps_stay_as_they_are(tpu):
  """17 times the least, measured: what the kernel is there for."""
  program = _compile(
      tpu, lambda *inputs: dynamic_conv(*inputs, 'taps'), _IMAGE, _KERNELS)
  moved = tpu_program.main_memory_bytes(program.as_text())
  assert moved <= 20 * _bytes(_IMAGE, _KERNELS, _IMAGE)
  assert program.memory_analysis().temp_size_in_bytes <= 700e6
