"""Published weights go in, and out again; whatever does not fit is named."""

import functools
import json
import re
import sys

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from jaxdeblur.convert import names, torch_drbnet, weights_file
from jaxdeblur.models import registry
from jaxdeblur.models.published_names import CONV, Table

SINGLE = ('center',)
DUAL = ('center', 'left', 'right')


@functools.cache
def _narrow(views=SINGLE, width=2):
  """Random weights under their PyTorch names."""
  random = np.random.default_rng(0)
  return {name: random.uniform(-1, 1, shape).astype(np.float32)
          for name, shape in torch_drbnet.shapes(
              views=views, width=width).items()}


def _message(call, *args):
  with pytest.raises(ValueError) as caught:
    call(*args)
  return str(caught.value)


def _assert_equal(arrays, expected):
  assert arrays.keys() == expected.keys()
  for name, array in expected.items():
    np.testing.assert_array_equal(arrays[name], array, err_msg=name)


# The table.


@pytest.mark.parametrize(
    ('kind', 'views'), [('single', SINGLE), ('dual', DUAL)])
def test_names_and_shapes_are_the_published_ones(drbnet_oracle, kind, views):
  """All 138 of them, no more and no fewer: 69 layers, weight and bias."""
  published = json.loads(
      (drbnet_oracle / f'state_dict_{kind}.json').read_text())
  published = {name: tuple(shape) for name, shape in published.items()}
  assert torch_drbnet.shapes(views=views) == published
  assert len(published) == 138


@pytest.mark.parametrize('views', [SINGLE, DUAL])
def test_round_trip(views):
  """Out and in again, in both directions, nothing is lost or exchanged."""
  state_dict = _narrow(views)
  variables = torch_drbnet.convert(state_dict)
  _assert_equal(torch_drbnet.revert(variables), state_dict)
  again = torch_drbnet.convert(torch_drbnet.revert(variables))
  assert jax.tree.all(jax.tree.map(np.array_equal, again, variables))


@pytest.mark.parametrize('views', [SINGLE, DUAL])
def test_variables_are_those_of_the_module(views):
  """Same nested names, shapes and types as the module's own, for any width."""
  state_dict = _narrow(views, 3)
  module = registry.create(**torch_drbnet.settings(state_dict))
  picture = jax.ShapeDtypeStruct((1, 8, 8, 3), np.float32)
  expected = jax.eval_shape(
      module.init, jax.random.key(0), {view: picture for view in views})
  variables = torch_drbnet.convert(state_dict)
  assert jax.tree.structure(variables) == jax.tree.structure(expected)
  assert jax.tree.map(lambda x: (x.shape, x.dtype), variables) == (
      jax.tree.map(lambda x: (x.shape, x.dtype), expected))


@pytest.mark.parametrize('views', [SINGLE, DUAL])
@pytest.mark.parametrize('width', [2, 32])
def test_settings_are_read_off_the_first_layer(views, width):
  first = {'conv1_1.0.weight': np.zeros((width, 3 * max(1, len(views) - 1),
                                         3, 3))}
  assert torch_drbnet.settings(first) == {
      'name': 'drbnet', 'views': views, 'width': width}


def test_heads_are_numbered_one_lower_than_their_scale():
  """upconv3_u is the decoder's at 1/4, upconv3_kernel the head at 1/8."""
  state_dict = _narrow()
  params = torch_drbnet.convert(state_dict)['params']
  for head, scale in ((3, 8), (2, 4), (1, 2), (0, 1)):
    for part, block in (('kernel', 'kernel_conv1'), ('res', 'residual_conv1')):
      np.testing.assert_array_equal(
          params[f'block{scale}'][block]['bias'],
          state_dict[f'upconv{head}_{part}.0.0.bias'])
  for up, scale in ((3, 4), (2, 2), (1, 1)):
    np.testing.assert_array_equal(
        params['encoder_decoder'][f'decoder{scale}']['up']['bias'],
        state_dict[f'upconv{up}_u.0.bias'])


def test_layouts():
  """Element by element, as PyTorch documents its layers.

  A convolution's weight is [out, in, row, column]; a transposed one's [in, out,
  row, column], and what it scatters Flax gathers, hence mirrored.
  """
  state_dict = _narrow()
  params = torch_drbnet.convert(state_dict)['params']
  conv = params['encoder_decoder']['encoder']['level2_conv1']['kernel']
  up = params['encoder_decoder']['decoder4']['up']['kernel']
  assert conv[0, 2, 1, 3] == state_dict['conv2_1.0.weight'][3, 1, 0, 2]
  assert up[0, 1, 5, 3] == state_dict['upconv3_u.0.weight'][5, 3, 3, 2]


def test_other_types_become_float32():
  """bfloat16 and float64 as well: a module's parameters are float32."""
  state_dict = _narrow()
  for dtype in (np.float64, np.float16, ml_dtypes.bfloat16):
    variables = torch_drbnet.convert(
        {name: array.astype(dtype) for name, array in state_dict.items()})
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {
        np.dtype(np.float32)}


def test_row_for_every_array():
  """A table that knows a variable not, or two by one name, says so."""
  shapes = {
      'params': {'a1': {'bias': np.zeros(3)}, 'a2': {'bias': np.zeros(3)}}}
  one_name = Table([('layer', 'a{i}', CONV)])
  assert 'both params/a1/bias and' in _message(
      names.places, one_name, shapes).replace('a2', 'a1')
  counted = Table([('l{i}', 'a{i}', CONV)], {'i': {0: 1}})
  assert _message(names.places, counted, shapes) == (
      'No row of the table is for params/a2/bias.')


# What does not fit.


def test_all_that_is_wrong_is_in_one_error():
  """A user mends a file once, not name by name."""
  state_dict = dict(_narrow())
  del state_dict['upconv0_res.2.0.bias'], state_dict['conv4_4.0.0.weight']
  state_dict['fc.weight'] = state_dict['upconv0_u.0.bias'] = np.zeros(3)
  state_dict['conv1_2.0.bias'] = np.zeros(5)
  state_dict['upconv3_u.0.weight'] = np.zeros((16, 8, 3, 3))
  assert _message(torch_drbnet.convert, state_dict) == (
      "The weights do not fit DRBNet with views ('center',), width 2:\n"
      '  2 missing: conv4_4.0.0.weight, upconv0_res.2.0.bias\n'
      '  2 unknown: fc.weight, upconv0_u.0.bias\n'
      '  2 misshapen: conv1_2.0.bias is (5,), expected (2,), '
      'upconv3_u.0.weight is (16, 8, 3, 3), expected (16, 8, 4, 4)')


def test_first_layer_of_another_network():
  """4 channels are no photograph; the error still lists the rest."""
  weights = {'conv1_1.0.weight': np.zeros((32, 4, 3, 3))}
  assert _message(torch_drbnet.settings, weights) == (
      "The weights are not DRBNet's: its first layer, conv1_1.0.weight, is "
      '(width, 3 or 6, 3, 3); here it is (32, 4, 3, 3).')
  message = _message(torch_drbnet.convert, weights)
  assert '137 missing: conv1_1.0.bias, ' in message
  assert 'conv1_1.0.weight is (32, 4, 3, 3), expected (32, 3, 3, 3)' in message
  assert _message(torch_drbnet.settings, {'a': np.zeros(3)}).endswith(
      'here it is missing.')


def test_parallel_wrapper_is_taken_off():
  """'module.' is unambiguous where every name has it; otherwise unknown."""
  wrapped = {f'module.{name}': array for name, array in _narrow().items()}
  assert torch_drbnet.settings(wrapped)['width'] == 2
  converted = torch_drbnet.convert(wrapped)
  _assert_equal(torch_drbnet.revert(converted), _narrow())
  wrapped['conv1_1.0.bias'] = wrapped.pop('module.conv1_1.0.bias')
  assert '137 unknown: module.conv1_1.0.weight' in _message(
      torch_drbnet.convert, wrapped)


@pytest.mark.parametrize(
    'call', [torch_drbnet.convert, torch_drbnet.settings])
def test_wrapped_and_empty_dicts(call):
  assert _message(call, {'state_dict': _narrow()}) == (
      "The weights are wrapped: 'state_dict' holds a dict where an array was "
      'expected. Pass the inner dict that maps PyTorch names to arrays.')
  assert _message(call, {}) == 'The weights are empty: no names, no arrays.'


# Files.


@pytest.mark.parametrize('suffix', ['.npz', '.safetensors', '.NPZ'])
def test_files_without_torch(tmp_path, suffix, monkeypatch):
  """Neither format needs PyTorch, so it is made impossible to import."""
  monkeypatch.setitem(sys.modules, 'torch', None)
  path = tmp_path / f'weights{suffix}'
  if suffix == '.safetensors':
    safetensors.numpy.save_file(dict(_narrow()), path)
  else:
    with path.open('wb') as file:
      np.savez(file, **_narrow())
  arrays = weights_file.read(path)
  _assert_equal(arrays, _narrow())
  _assert_equal(
      torch_drbnet.revert(torch_drbnet.convert(weights_file.read(str(path)))),
      _narrow())


@pytest.mark.parametrize(
    'dtype', [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_floats_become_float32(tmp_path, dtype):
  """Whole numbers, such as a step count, keep their type."""
  path = tmp_path / 'weights.safetensors'
  arrays = {'a': np.asarray([0.5, -2], dtype), 'steps': np.asarray(3)}
  safetensors.numpy.save_file(arrays, path)
  read = weights_file.read(path)
  assert read['a'].dtype == np.float32
  np.testing.assert_array_equal(read['a'], [0.5, -2])
  assert read['steps'].dtype == np.int64


def test_missing_file_and_other_suffix(tmp_path):
  with pytest.raises(
      FileNotFoundError, match=r'^There is no weight file .*none\.npz\.$'):
    weights_file.read(tmp_path / 'none.npz')
  with pytest.raises(FileNotFoundError, match='There is no weight file'):
    weights_file.read(tmp_path)
  path = tmp_path / 'weights.h5'
  path.write_bytes(b'')
  assert re.search(
      r"weights\.h5 is no weight file .* suffix is '\.h5', expected \.npz, ",
      _message(weights_file.read, path))


@pytest.mark.parametrize('suffix', ['.npz', '.safetensors'])
@pytest.mark.parametrize('damage', ['empty', 'text', 'cut', 'flipped'])
def test_damaged_file(tmp_path, suffix, damage):
  path = tmp_path / f'weights{suffix}'
  if suffix == '.npz':
    np.savez_compressed(path, a=np.arange(999.))
  else:
    safetensors.numpy.save_file({'a': np.arange(999.)}, path)
  content = path.read_bytes()
  path.write_bytes({
      'empty': b'', 'text': b'hello world, this is no file of weights',
      'cut': content[:len(content) // 2],
      'flipped': b'\xff' * 90 + content[90:]}[damage])
  assert _message(weights_file.read, path) == (
      f'{path} is damaged, or no {suffix} file: it cannot be read.')


def test_npz_with_python_objects_is_refused(tmp_path):
  path = tmp_path / 'weights.npz'
  np.savez(path, a=np.ones(3), b=np.asarray([{}, None], object))
  assert 'weights.npz holds pickled Python objects, which are refused' in (
      _message(weights_file.read, path))


def test_npz_with_no_numbers(tmp_path):
  """bfloat16 loses its name in an .npz, so its bytes could mean anything."""
  path = tmp_path / 'weights.npz'
  np.savez(path, a=np.ones(3, ml_dtypes.bfloat16))
  assert "holds 'a' of the type |V2, which are no real numbers" in _message(
      weights_file.read, path)
  np.savez(path, name=np.asarray('drbnet'))
  assert "holds 'name' of the type <U6" in _message(weights_file.read, path)


def test_torch_file_without_torch(tmp_path, monkeypatch):
  """One sentence: what to install, or how to do without."""
  monkeypatch.setitem(sys.modules, 'torch', None)
  path = tmp_path / 'weights.pth'
  path.write_bytes(b'')
  with pytest.raises(
      ImportError, match=r"weights\.pth is a PyTorch file, .* pip install "
      r"'torch>=2\.4', or save the weights as \.npz or \.safetensors"):
    weights_file.read(path)


# Files of PyTorch, where it is installed.


@pytest.fixture
def torch():
  return pytest.importorskip('torch')


@pytest.mark.parametrize('suffix', ['.pth', '.pt', '.ckpt'])
def test_torch_file(tmp_path, torch, suffix):
  path = tmp_path / f'weights{suffix}'
  torch.save({name: torch.tensor(array)
              for name, array in _narrow(DUAL).items()}, path)
  arrays = weights_file.read(path)
  _assert_equal(arrays, _narrow(DUAL))
  assert torch_drbnet.settings(arrays)['views'] == DUAL


def test_torch_file_of_old_format(tmp_path, torch):
  path = tmp_path / 'weights.pth'
  torch.save({'a': torch.ones(2)}, path, _use_new_zipfile_serialization=False)
  _assert_equal(weights_file.read(path), {'a': np.ones(2)})


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16', 'float64'])
def test_torch_floats_become_float32(tmp_path, torch, dtype):
  path = tmp_path / 'weights.pth'
  torch.save({'a': torch.tensor([0.5, -2]).to(getattr(torch, dtype)),
              'steps': torch.tensor(3)}, path)
  arrays = weights_file.read(path)
  assert arrays['a'].dtype == np.float32
  np.testing.assert_array_equal(arrays['a'], [0.5, -2])
  assert arrays['steps'].dtype == np.int64


def test_torch_training_checkpoint(tmp_path, torch):
  """Of a checkpoint the weights are read; two sets of them are a question."""
  path = tmp_path / 'weights.ckpt'
  weights = {'a': torch.ones(2)}
  torch.save({'epoch': 3, 'state_dict': weights}, path)
  _assert_equal(weights_file.read(path), {'a': np.ones(2)})
  torch.save({'epoch': 3, 'params': weights, 'params_ema': weights}, path)
  assert (
      "holds more than tensors: 'epoch' (int), 'params' (dict), 'params_ema' "
      '(dict). Save the dict of tensors alone'
  ) in _message(weights_file.read, path)
  torch.save(torch.ones(2), path)
  assert 'holds a Tensor, expected a dict of tensors by name' in _message(
      weights_file.read, path)


def test_pickled_network_is_refused(tmp_path, torch):
  path = tmp_path / 'weights.pth'
  torch.save(torch.nn.Linear(2, 2), path)
  assert 'weights.pth holds pickled Python objects, which are refused' in (
      _message(weights_file.read, path))


@pytest.mark.parametrize('damage', ['empty', 'text', 'cut'])
def test_damaged_torch_file(tmp_path, torch, damage):
  path = tmp_path / 'weights.pth'
  torch.save({'a': torch.arange(999.)}, path)
  content = path.read_bytes()
  path.write_bytes({'empty': b'', 'text': b'hello world',
                    'cut': content[:len(content) // 2]}[damage])
  assert _message(weights_file.read, path) == (
      f'{path} is damaged, or no .pth file: it cannot be read.')
