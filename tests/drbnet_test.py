"""DRBNet against the published network, and what its properties promise.

The oracle's arrays come from a float64 run of the published program with
weights that a formula fills, see `drbnet_oracle.py`. They are in [-1, 1], while
the model's pictures are in [0, 1]: these are compared as 2 * x - 1, so a
tolerance of 1e-5 is one of 5e-6 in the model's own range.
"""

import functools
import hashlib
import json

import drbnet_oracle as oracle
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from oracle_files import like, whole
import pytest

from jaxdeblur.compilation import CPU_OPTIONS
from jaxdeblur.convert import torch_drbnet
from jaxdeblur.models import registry
from jaxdeblur.models.drbnet import blocks
from jaxdeblur.models.views import check_views

SINGLE = ('center',)
DUAL = ('center', 'left', 'right')
SCALES = (8, 4, 2, 1)

# Rounding to float32 moves the published network's own output by 4e-6.
TOLERANCE = 1e-5
KERNEL_TOLERANCE = 5e-6

# As our programs are compiled, but without LLVM's optimiser: compiling takes
# longer than running here, and it half of that.
_jit = functools.partial(jax.jit, compiler_options={
    **CPU_OPTIONS, 'xla_backend_optimization_level': 0})


@pytest.fixture(autouse=True)
def _highest_precision():
  """An accelerator's default would round factors to bfloat16 or TF32."""
  with jax.default_matmul_precision('highest'):
    yield


@functools.cache
def _weights(views):
  return oracle.weights(torch_drbnet.shapes(views=views))


@functools.cache
def _variables(views):
  return torch_drbnet.convert(_weights(views))


def _views(arrays, dtype=jnp.float32):
  """The case's inputs, brought from [-1, 1] to [0, 1]."""
  keys = {'center': 'input_C', 'left': 'input_L', 'right': 'input_R'}
  return {name: (jnp.asarray(arrays[key], dtype) + 1) / 2
          for name, key in keys.items() if key in arrays}


@functools.cache
def _restore(views, method='auto'):
  module = registry.create('drbnet', views=views, dynamic_conv_method=method)
  return functools.partial(_jit(module.apply), _variables(views))


def _assert_close(image, expected, atol=TOLERANCE):
  np.testing.assert_allclose(image, expected, rtol=0, atol=atol)


def _assert_restored(
    restored, expected, atol=TOLERANCE, kernel_atol=KERNEL_TOLERANCE):
  """Compares the image and whatever else of a case the files have."""
  named = {'output': 2 * restored.image - 1}
  for scale, estimate, kernels in zip(
      SCALES, restored.pyramid, restored.kernels, strict=True):
    named |= {f'est_d{scale}': 2 * estimate - 1, f'kernel_d{scale}': kernels}
  compared = [name for name in expected if whole(name) in named]
  assert 'output' in map(whole, compared)
  for name in compared:
    _assert_close(
        like(name, named), expected[name],
        kernel_atol if name.startswith('kernel') else atol)


# What must hold before the comparisons mean anything: the oracle's formulas.


@pytest.mark.parametrize('views', [SINGLE, DUAL])
def test_formula_fills_the_weights_of_the_oracle(drbnet_oracle, views):
  """To the bit: each tensor has the hash of the one that was run."""
  expected = json.loads(
      (drbnet_oracle / 'fill_check_single.json').read_text())
  if views == DUAL:
    expected |= json.loads(
        (drbnet_oracle / 'fill_check_dual_only.json').read_text())
  weights = _weights(views)
  assert weights.keys() == expected.keys()
  for name, check in expected.items():
    assert hashlib.sha256(weights[name].tobytes()).hexdigest().startswith(
        check['sha256']), name
    np.testing.assert_array_equal(weights[name].flat[:3], np.float32(
        check['first3']), err_msg=name)


def test_formula_draws_the_pictures_of_the_oracle(drbnet_oracle):
  for case, letters in (('grad_single_32x48', 'C'), ('grad_dual_32x48', 'CRL')):
    arrays = drbnet_oracle.arrays(case)
    for letter in letters:
      stored = arrays[f'input_{letter}'][0]
      np.testing.assert_array_equal(
          stored, oracle.picture(f'{case}/{letter}', *stored.shape[1:]))


# Parity.


def test_small_case_kept_with_the_tests():
  """The one case that is kept with its input."""
  arrays = oracle.load_small()
  _assert_restored(_restore(SINGLE)(_views(arrays)), arrays)


@pytest.mark.parametrize(('case', 'method'), [
    ('single_64x96', 'auto'), ('single_128x160', 'auto'),
    ('single_72x104_mult8', 'unfold'), ('single_64x96', 'pallas')])
def test_one_photograph(drbnet_oracle, case, method):
  """72 x 104 is a multiple of 8, not of 16: sizes at 1/8 may be odd."""
  arrays = oracle.load(drbnet_oracle, case)
  _assert_restored(_restore(SINGLE, method)(_views(arrays)), arrays)


def test_dual_pixel_views(drbnet_oracle):
  """Right before left in the encoder: exchanged, the output is 0.96 off."""
  arrays = oracle.load(drbnet_oracle, 'dual_64x96')
  _assert_restored(_restore(DUAL)(_views(arrays)), arrays)


def test_every_layer_on_the_way(drbnet_oracle, monkeypatch):
  """Where the network deviates shows here, not only that it does."""
  expected = oracle.load(drbnet_oracle, 'single_32x48_all')
  inputs = expected.pop('input_C')
  expected.pop('output_f32run', None)  # Not kept with the tests.
  # The float32 range of large features is coarser than 1e-5: 13 at 1/1.
  seen = _jit(functools.partial(_record, monkeypatch))(
      _variables(SINGLE), _views({'input_C': inputs}))
  assert seen.keys() == set(map(whole, expected))
  for name, array in expected.items():
    tolerance = KERNEL_TOLERANCE if 'kernel' in name else TOLERANCE
    _assert_close(
        like(name, seen), array, tolerance * max(1, np.abs(array).max()))


def _record(monkeypatch, variables, views):
  """Runs the network and takes down its layers by the oracle's names."""
  seen, filtered = {}, []

  def leaky(x):  # Written out: the model's own slope is under test.
    return jnp.where(x > 0, x, 0.1 * x)

  names = {f'encoder_decoder/encoder/level{level}_conv3': f'f{level}'
           for level in (1, 2, 3, 4)}
  for scale in SCALES:
    names |= {f'encoder_decoder/decoder{scale}/up': f'up_d{scale}',
              f'block{scale}/image_conv3': f'imgfeat_d{scale}',
              f'block{scale}/residual_out': f'res_d{scale}'}

  def take_down(call, args, kwargs, context):
    out = call(*args, **kwargs)
    path = '/'.join(context.module.path)
    if path in names and context.method_name == '__call__':
      seen[names[path]] = leaky(out)
    if path == 'encoder_decoder':
      seen.update({f'dec_d{scale}': decoded for scale, decoded in out.items()})
    if isinstance(context.module, blocks.DynamicResidualBlock):
      seen[f'x_d{context.module.scale}'] = args[0]
    return out

  def dynamic_conv(*args):
    filtered.append(drbnet_dynamic_conv(*args))
    return filtered[-1]

  drbnet_dynamic_conv = blocks.dynamic_conv
  monkeypatch.setattr(blocks, 'dynamic_conv', dynamic_conv)
  with nn.intercept_methods(take_down):
    restored = registry.create('drbnet').apply(variables, views)
  for scale, estimate, kernels, fac in zip(
      SCALES, restored.pyramid, restored.kernels, filtered, strict=True):
    seen |= {f'est_d{scale}': 2 * estimate - 1, f'kernel_d{scale}': kernels,
             f'fac_d{scale}': fac}
  return seen | {'output': 2 * restored.image - 1}


def test_eight_bit_protocol(drbnet_oracle):
  """From an 8-bit picture to an 8-bit file, as the published scores are made.

  Crop to multiples of 16 at the top left, v / 255, and back by rounding half
  up. Ours may differ where the exact value lies on the fence, nowhere else.
  """
  arrays = oracle.load(drbnet_oracle, 'single_u8_75x110_protocol')
  height, width = (size // 16 * 16 for size in arrays['input_u8'].shape[:2])
  cropped = arrays['input_u8'][None, :height, :width]
  image = jnp.asarray(cropped.astype(np.float32) / 255)
  _assert_close(2 * image - 1, arrays['net_input'], 1e-7)
  restored = np.asarray(_restore(SINGLE)({'center': image}).image)
  _assert_close(2 * restored - 1, arrays['output'])

  def round_half_up(image):
    return np.floor(np.clip(255 * image + 0.5, 0, 255)).astype(np.uint8)[0]

  published = (arrays['output'] + 1) / 2
  np.testing.assert_array_equal(round_half_up(published), arrays['saved_u8'])
  steps = 255 * published[0] + 0.5
  on_the_fence = np.abs(steps - np.round(steps)) < 255 * TOLERANCE / 2
  differ = round_half_up(restored) != arrays['saved_u8']
  assert not np.any(differ & ~on_the_fence)
  assert np.mean(differ) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ('views', 'case'),
    [(SINGLE, 'grad_single_32x48'), (DUAL, 'grad_dual_32x48')])
def test_gradients_and_outputs_in_float64(drbnet_oracle, views, case):
  """In float64 nothing but the architecture is left to differ.

  Gradients are compared here and not in float32, where a pre-activation of
  1e-7 takes the other slope of the leaky ReLU: in the dual case that alone
  moves one parameter's gradient by 5e-4 of its norm.
  """
  arrays = oracle.load(drbnet_oracle, case)
  expected = json.loads((drbnet_oracle / f'{case}.json').read_text())
  with jax.enable_x64(True):
    module = registry.create('drbnet', views=views, dtype='float64')

    def loss(variables, inputs, target):
      restored = module.apply(variables, inputs)
      return jnp.mean((2 * restored.image - 1 - target) ** 2), restored

    # Optimised: float64 convolutions take seconds without.
    differentiate = jax.jit(jax.value_and_grad(loss, has_aux=True))
    variables = jax.tree.map(
        lambda x: jnp.asarray(x, jnp.float64), _variables(views))
    (value, _), gradients = differentiate(
        variables, _views(arrays, jnp.float64),
        jnp.asarray(arrays['target'], jnp.float64))
    assert value.dtype == jnp.float64
    np.testing.assert_allclose(value, expected['loss_mse'], rtol=1e-12)
    # A gradient is stored and read in the order of its weight.
    gradients = torch_drbnet.revert(gradients)
    assert gradients.keys() == expected['grads'].keys()
    for name, gradient in gradients.items():
      check = expected['grads'][name]
      norm = np.linalg.norm(gradient)
      np.testing.assert_allclose(norm, check['l2'], rtol=1e-10, err_msg=name)
      np.testing.assert_allclose(
          [gradient.sum(), gradient.flat[0]], [check['sum'], check['first']],
          rtol=0, atol=1e-10 * norm, err_msg=name)
    if views == SINGLE:
      # The same program, so that it is not compiled once more. Stored arrays
      # were rounded to float32, hence not closer.
      arrays = oracle.load(drbnet_oracle, 'single_32x48_all')
      (_, restored), _ = differentiate(
          variables, _views(arrays, jnp.float64),
          jnp.zeros(arrays['input_C'].shape))
      _assert_restored(restored, arrays, 1e-7, 1e-7)


# Properties.


def _shapes(name, size=(8, 8), **settings):
  module = registry.create(name, **settings)
  picture = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
  views = {view: picture for view in module.required_views}
  return jax.eval_shape(module.init, jax.random.key(0), views), views, module


@pytest.mark.parametrize(('name', 'views', 'count'), [
    ('drbnet', SINGLE, 11_689_616), ('drbnet', DUAL, 11_690_480),
    # 6,959,968 of the encoder-decoder, 99 of our output layer.
    ('drbnet_baseline', SINGLE, 6_960_067)])
def test_parameter_count(name, views, count):
  """Tab. S1: 11.69 M, and 6.96 M without the dynamic residual blocks."""
  variables, _, _ = _shapes(name, views=views)
  assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == count


@pytest.mark.parametrize('name', ['drbnet', 'drbnet_baseline'])
def test_restored_types_and_shapes_in_bfloat16(name):
  """Whatever the convolutions compute in, what is returned is float32."""
  variables, views, module = _shapes(
      name, size=(24, 40), views=DUAL, width=4, dtype='bfloat16')
  # As a dict: a `Restored` of shapes instead of arrays is refused in tests.
  restored = jax.eval_shape(
      lambda *inputs: vars(module.apply(*inputs)), variables, views)
  assert {leaf.dtype for leaf in jax.tree.leaves((variables, restored))} == {
      jnp.dtype(jnp.float32)}
  assert restored['estimate'].shape == (1, 24, 40, 3)
  if name == 'drbnet':
    sizes = [(3, 5), (6, 10), (12, 20), (24, 40)]
    assert [x.shape[1:] for x in restored['pyramid']] == [
        (*size, 3) for size in sizes]
    assert [x.shape[1:] for x in restored['kernels']] == [
        (*size, 49) for size in sizes]


def _narrow_variables(name):
  """Weights of width 2 that are large enough for all of them to matter."""
  variables = torch_drbnet.convert(
      oracle.weights(torch_drbnet.shapes(width=2)))
  if name == 'drbnet_baseline':
    params = variables['params']
    out = {'kernel': oracle.uniform('out', (1, 1, 2, 3)).astype(np.float32),
           'bias': np.zeros(3, np.float32)}
    return {'params': {
        'encoder_decoder': params['encoder_decoder'], 'out': out}}
  return variables


@pytest.mark.parametrize('along', ['rows', 'columns'])
@pytest.mark.parametrize('name', ['drbnet', 'drbnet_baseline'])
def test_receptive_field(name, along):
  """Nothing from further away arrives, and something does from that far.

  NaN survives every layer, so it shows all that a pixel can reach whatever the
  weights. The strides make its reach depend on the pixel's place among 8 x 8,
  hence eight pixels in a row. That an ordinary change is exactly 0 further away
  is what tiling without seams rests on. A strip is enough, and fast.
  """
  module = registry.create(name, width=2)
  field = module.receptive_field
  length = -(-(2 * field + 16) // 8) * 8
  points = np.arange(length // 2 - 4, length // 2 + 4)
  axis = 1 if along == 'rows' else 2  # Of [b, h, w, c].
  picture = oracle.picture(name, 8, length).transpose(1, 2, 0)
  if along == 'rows':
    picture = picture.transpose(1, 0, 2)
  # The same batch everywhere: on a CPU a picture's last bits may depend on its
  # place among the others.
  pictures = np.stack([(picture + 1) / 2] * len(points))

  def with_pixels(value):
    changed = pictures.copy()
    moved = np.moveaxis(changed, axis, 1)  # A view: writes into `changed`.
    moved[np.arange(len(points)), points, 3] = value(
        moved[np.arange(len(points)), points, 3])
    return changed

  restore = _jit(lambda views: module.apply(_narrow_variables(name), views))

  def restored(pictures):
    return np.asarray(restore({'center': jnp.asarray(pictures)}).image)

  def reach(affected):
    """The furthest affected pixel of each picture."""
    lines = np.moveaxis(affected, axis, 1).any(axis=(2, 3))
    return [np.abs(np.flatnonzero(line) - point).max(initial=0)
            for line, point in zip(lines, points, strict=True)]

  image = restored(pictures)
  assert np.isfinite(image).all()
  poisoned = restored(with_pixels(lambda x: np.full_like(x, np.nan)))
  assert max(reach(np.isnan(poisoned))) == field
  changed = restored(with_pixels(lambda x: 1 - x))
  reached = reach(changed != image)
  # Changes fade, yet they are felt nearly as far away as can be.
  assert 0.75 * field < max(reached) <= field


# Errors are sentences.


def _apply(pictures, name='drbnet', views=SINGLE):
  module = registry.create(name, views=views, width=2)
  return jax.eval_shape(module.init, jax.random.key(0), pictures)


@pytest.mark.parametrize('name', ['drbnet', 'drbnet_baseline'])
@pytest.mark.parametrize('size', [(60, 90), (64, 100), (68, 96)])
def test_size_must_be_a_multiple_of_8(name, size):
  with pytest.raises(
      ValueError, match=rf'multiples of 8; got {size[0]} x {size[1]}\. Pad'):
    _apply({'center': jnp.zeros((1, *size, 3))}, name)


@pytest.mark.parametrize('shapes, dtype, sentence', [
    ([(1, 8, 8, 3), (2, 8, 8, 3), (1, 8, 8, 3)], 'float32', 'of one shape; '),
    ([(1, 8, 8, 4)] * 3, 'float32', r'\[batch, height, width, 3\] .*8, 4\)'),
    ([(8, 8, 3)] * 3, 'float32', r'\[batch, height, width, 3\] .*\(8, 8, 3\)'),
    ([(1, 8, 8, 3)] * 3, 'uint8', r'floating-point .*uint8.* Divide integers'),
])
def test_views_must_be_pictures_alike(shapes, dtype, sentence):
  pictures = {name: jnp.zeros(shape, dtype)
              for name, shape in zip(DUAL, shapes, strict=True)}
  # By itself: the tests' check of shapes comes before that of the networks.
  with pytest.raises(ValueError, match=sentence):
    check_views('DRBNet', DUAL, (DUAL,), pictures, (8, 8))


@pytest.mark.parametrize('name', ['drbnet', 'drbnet_baseline'])
def test_missing_view(name):
  picture = jnp.zeros((1, 8, 8, 3))
  with pytest.raises(
      ValueError, match=r"needs the views .*\['right'\] missing among "
      r"\['center', 'left'\]"):
    _apply({'center': picture, 'left': picture}, name, views=DUAL)


def test_unknown_views():
  with pytest.raises(
      ValueError, match=r"reads the views .*got \('left', 'right'\)"):
    _apply({'left': jnp.zeros((1, 8, 8, 3))}, views=('left', 'right'))


def test_unknown_network():
  with pytest.raises(
      ValueError, match=r"Unknown network 'drbnet2': choose one of drbnet, "):
    registry.create('drbnet2')


def test_unknown_setting():
  with pytest.raises(
      ValueError, match=r"'drbnet' has no setting depth, layers; it has views"):
    registry.create('drbnet', depth=3, layers=2)


def test_settings_from_json():
  """A list and a type's name serve, as a checkpoint stores them."""
  module = registry.create(
      'drbnet', views=['center'], width=16, dtype='bfloat16')
  assert module.required_views == SINGLE
  assert module.dtype == jnp.bfloat16
