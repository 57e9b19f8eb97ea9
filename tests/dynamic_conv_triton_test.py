"""The GPU kernels of the dynamic convolution: interpreted, then lowered.

No GPU is needed: interpreted on a CPU they must equal `unfold`, and JAX must
accept them as Triton kernels.
"""

import jax
from jax.experimental.custom_partitioning import custom_partitioning
import jax.numpy as jnp
from jax.sharding import (
    AbstractDevice,
    AbstractMesh,
    AxisType,
    use_abstract_mesh,
)
import numpy as np
import pytest

from jaxdeblur.models import registry
from jaxdeblur.ops import dynamic_conv_triton
from jaxdeblur.ops.dynamic_conv import dynamic_conv


def _inputs(size, channels, height, width, batch=1, dtype=jnp.float32):
  """Image, kernels, and the gradient to the result."""
  random = np.random.default_rng(0)
  return [
      jnp.asarray(random.uniform(-1, 1, (batch, height, width, planes)), dtype)
      for planes in (channels, size * size, channels)]


def _interpreted(image, kernels):
  planes = (x.transpose(0, 3, 1, 2) for x in (image, kernels))
  return dynamic_conv_triton.filter_planes(*planes, interpret=True).transpose(
      0, 2, 3, 1)


def _unfold(image, kernels):
  return dynamic_conv(image, kernels, 'unfold')


def _pallas(image, kernels):
  return dynamic_conv(image, kernels, 'pallas')


def _filter_and_differentiate(filter_image):
  def apply(image, kernels, cotangent):
    out, differentiate = jax.vjp(filter_image, image, kernels)
    return (out, *differentiate(cotangent))
  return jax.jit(apply)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('size', 'channels', 'height', 'width', 'batch'),
    [(1, 3, 1, 1, 1), (3, 3, 4, 130, 2), (5, 4, 2, 3, 2), (7, 3, 5, 128, 1)])
def test_equals_unfold(size, channels, height, width, batch):
  """In value and gradients, in blocks that reach beyond the picture or not."""
  inputs = _inputs(size, channels, height, width, batch)
  for result, expected in zip(
      _filter_and_differentiate(_interpreted)(*inputs),
      _filter_and_differentiate(_unfold)(*inputs), strict=True):
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_bfloat16_sums_in_float32():
  """Each sum is rounded once: by 2^-8 of it at most."""
  inputs = _inputs(5, 3, 6, 7, dtype=jnp.bfloat16)
  out, _, to_kernels = _filter_and_differentiate(_interpreted)(*inputs)
  expected, _, to_expected = _filter_and_differentiate(_unfold)(
      *(x.astype(jnp.float32) for x in inputs))
  for result, exact in ((out, expected), (to_kernels, to_expected)):
    assert result.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        result.astype(jnp.float32), exact, rtol=2 ** -8, atol=1e-5)


@pytest.fixture
def count_kernels(monkeypatch):
  """Counts the kernels of a program for a GPU that is described, not there.

  It has no devices to split a batch over, so that the kernels are called as
  they are.
  """
  monkeypatch.setattr(
      custom_partitioning, '__call__', lambda call, *args: call.fun(*args))
  # JAX 0.11.1 and later ask which GPU a kernel is for.
  device = AbstractDevice('NVIDIA H100', num_cores=None, platform='cuda')
  mesh = AbstractMesh(
      (1,), ('batch',), (AxisType.Explicit,), abstract_device=device)

  def count(function, *inputs):
    with use_abstract_mesh(mesh):
      lowered = jax.jit(function).trace(*inputs).lower(
          lowering_platforms=('cuda',))
    return lowered.as_text().count('__gpu$xla.gpu.triton')

  return count


def test_pallas_is_a_triton_kernel_on_cuda(count_kernels):
  """One to filter, two for the gradients."""
  inputs = _inputs(7, 3, 16, 24)
  assert count_kernels(_pallas, *inputs[:2]) == 1
  assert count_kernels(_filter_and_differentiate(_pallas), *inputs) == 3


def test_drbnet_lowers_for_cuda(count_kernels):
  """With one kernel for each of its four dynamic convolutions."""
  model = registry.create('drbnet', width=2, dynamic_conv_method='pallas')
  views = {'center': jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)}
  variables = jax.eval_shape(model.init, jax.random.key(0), views)
  assert count_kernels(model.apply, variables, views) == 4
