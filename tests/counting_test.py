"""Multiply-adds: of the paper's network exactly, and of every kind of code."""

import jax
from jax import lax
import jax.numpy as jnp
import pytest

from jaxdeblur.benchmark.counting import (
  CONVOLUTION,
  DYNAMIC,
  PRODUCT,
  TRANSPOSED,
  count,
)
from jaxdeblur.checkpoints import abstract_variables
from jaxdeblur.models import registry
from jaxdeblur.models.k3dn.srp import Gate
from jaxdeblur.ops.conv import conv, up_conv
from jaxdeblur.ops.dynamic_conv import dynamic_conv

_PIXELS = 720 * 1280
_TAPS = 49 * 3


def _count(function, *shapes):
  return count(jax.make_jaxpr(function)(
      *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)))


def _count_network(name, size=(720, 1280), **settings):
  model = registry.create(name, **settings)
  views = {view: jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
           for view in model.required_views}
  return count(jax.make_jaxpr(
      lambda variables, views: model.apply(variables, views).image)(
          abstract_variables(model), views))


@pytest.fixture(scope='module')
def drbnet():
  return _count_network('drbnet', width=32)


def test_drbnet_has_the_published_networks(drbnet):
  """623.34 G; the paper prints 693, see docs/performance.md."""
  assert round(drbnet.convolution_macs / 1e9, 2) == 623.34
  assert drbnet.macs(DYNAMIC) == _TAPS * _PIXELS * (1 + 1/4 + 1/16 + 1/64)
  assert not drbnet.macs(PRODUCT) and not drbnet.unknown_loops


@pytest.mark.parametrize('part, gigamacs', [
    ('encoder_decoder', 257.0), ('block', 366.3), ('block1', 191.5)])
def test_drbnet_has_them_in_the_same_places(drbnet, part, gigamacs):
  macs = sum(operation.macs for operation in drbnet.operations
             if operation.path.startswith(part) and operation.kind != DYNAMIC)
  assert round(macs / 1e9, 1) == gigamacs


def test_transposed_convolutions_count_by_their_input(drbnet):
  """A quarter of what the paper's tool counts; all three cost the same."""
  transposed = [operation for operation in drbnet.operations
                if operation.kind == TRANSPOSED]
  assert [operation.macs for operation in transposed] == (
      [90 * 160 * 16 * 256 * 128] * 3)
  assert transposed[0].path == 'encoder_decoder/decoder4/up'


def test_other_networks():
  dual = _count_network('drbnet', views=('center', 'left', 'right'))
  assert round(dual.convolution_macs / 1e9, 2) == 624.14
  baseline = _count_network('drbnet_baseline')
  # Its output layer is ours: 1 x 1, 32 to 3 channels.
  assert round((baseline.convolution_macs - 96 * _PIXELS) / 1e9, 1) == 257.0


def test_bands_of_srp_blocks_count_as_often_as_they_run():
  """In bands of 36 rows, of 81 similarities each, for 3 x 3 taps."""
  features = jax.ShapeDtypeStruct((1, 72, 16, 4), jnp.float32)
  gate = Gate(4)
  variables = jax.eval_shape(gate.init, jax.random.key(0), features, features)
  counted = count(jax.make_jaxpr(gate.apply)(variables, features, features))
  assert counted.macs(CONVOLUTION) == 72 * 16 * 81 * 9 * 4
  assert not counted.unknown_loops


@pytest.mark.parametrize('method', ['taps', 'unfold'])
def test_a_dynamic_convolution_counts_alike_however_it_is_written(method):
  """With gradients, three times: to the image and to the kernels as well."""
  shapes = (2, 8, 16, 3), (2, 8, 16, 9)
  apply = lambda *inputs: dynamic_conv(*inputs, method)  # noqa: E731
  once = 2 * 8 * 16 * 3 * 9
  assert _count(apply, *shapes).macs() == once

  def differentiate(image, kernels, cotangent):
    out, gradient = jax.vjp(apply, image, kernels)
    return out, gradient(cotangent)

  counted = _count(differentiate, *shapes, (2, 8, 16, 3))
  assert counted.macs(DYNAMIC) == counted.macs() == 3 * once
  assert sum(operation.macs for operation in counted.operations
             if operation.backward) == 2 * once


@pytest.mark.parametrize('function, kernel, once, kind', [
    (conv, (3, 3, 4, 6), 2 * 64 * 64 * 9 * 4 * 6, CONVOLUTION),
    (lambda x, kernel: conv(x, kernel, (2, 2)), (3, 3, 4, 6),
     2 * 32 * 32 * 9 * 4 * 6, CONVOLUTION),
    # 16 products a pixel of the input, not of the output.
    (up_conv, (4, 4, 4, 6), 2 * 64 * 64 * 16 * 4 * 6, TRANSPOSED)])
def test_gradients_of_convolutions_cost_as_much_each(
    function, kernel, once, kind):
  shapes = (2, 64, 64, 4), kernel
  assert _count(function, *shapes).macs(kind) == once

  def differentiate(*inputs):
    return jax.grad(lambda *inputs: function(*inputs).sum(), (0, 1))(*inputs)

  # The result itself is not asked for, and so not computed.
  assert _count(differentiate, *shapes).macs() == 2 * once


def test_groups_batches_and_products():
  grouped = _count(lambda x, kernel: lax.conv_general_dilated(
      x, kernel, (1, 1), 'SAME', feature_group_count=4,
      dimension_numbers=('NHWC', 'HWIO', 'NHWC')), (2, 8, 8, 4), (3, 3, 1, 8))
  assert grouped.macs() == 2 * 8 * 8 * 8 * 9
  product = _count(lambda x, y: jnp.einsum('bij,bjk->bik', x, y),
                   (5, 2, 3), (5, 3, 4))
  assert product.macs(PRODUCT) == 5 * 2 * 3 * 4


def test_control_flow():
  """Loops count as often as they run; of branches, one runs."""
  matrix = (3, 3)
  assert _count(lambda x: lax.fori_loop(
      0, 7, lambda _, y: y @ x, x), matrix).macs() == 7 * 27
  assert _count(lambda x: lax.cond(
      x[0, 0] > 0, lambda: x @ x @ x, lambda: x @ x), matrix).macs() == 2 * 27
  assert _count(lambda x: jax.jit(jax.checkpoint(
      lambda x: x @ x))(x), matrix).macs() == 27
  endless = _count(lambda x: lax.while_loop(
      lambda x: x[0, 0] > 0, lambda x: x @ x, x), matrix)
  assert endless.macs() == 27 and len(endless.unknown_loops) == 1


def test_what_is_not_used_is_not_counted():
  def ignore(x):
    _ = x @ x
    return x + 1

  assert _count(ignore, (3, 3)).macs() == 0


def test_the_table_has_a_row_an_operation():
  counted = _count(lambda x: x @ x, (3, 3))
  head, _, row = counted.describe()
  assert head.count('|') == row.count('|') == 6
  assert '3 x 3, 3 x 3 -> 3 x 3' in row and '100.0 %' in row
