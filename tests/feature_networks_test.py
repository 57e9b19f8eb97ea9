"""Feature networks see what Caffe's and PyTorch's see; their weights."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from jaxdeblur.checkpoints import CheckpointError, load_weights
from jaxdeblur.convert import caffe_squeezenet, torch_vgg19
from jaxdeblur.convert.job import convert_file
from jaxdeblur.models.feature_networks import VGG19, SqueezeNet
from jaxdeblur.restoration import restorer

pytestmark = pytest.mark.slow

ESPRESSO = 967  # Of ImageNet's classes.


# A plain statement of both, in the axes of Caffe and PyTorch: [c, h, w].


def correlate(x, weight, bias, stride=1, pad=0):
  x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
  windows = np.lib.stride_tricks.sliding_window_view(
      x, weight.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
  out = np.einsum('oikl,ihwkl->ohw', weight, windows)
  return np.maximum(out + bias[:, None, None], 0)


def pool(x, size, rounding):
  """The largest of every window that begins inside."""
  rows, columns = (
      int(rounding((length - size) / 2)) + 1 for length in x.shape[1:])
  return np.array([
      [channel[2 * i:2 * i + size, 2 * j:2 * j + size].max()
       for i in range(rows) for j in range(columns)]
      for channel in x]).reshape(len(x), rows, columns)


def squeezenet_of_caffe(picture, weights):
  def layer(x, name, **options):
    return correlate(x, weights[f'{name}_w'], weights[f'{name}_b'], **options)

  x = 255.0 * picture[..., ::-1].transpose(2, 0, 1)
  x = x - np.array([104, 117, 123])[:, None, None]
  x = layer(x, 'conv1', stride=2)
  layers = {'conv1': x}
  for fire in range(2, 10):
    if fire in (2, 5, 9):
      x = pool(x, 3, np.ceil)
    x = layer(x, f'fire{fire}__conv1x1_1')
    x = layers[f'fire{fire}'] = np.concatenate([
        layer(x, f'fire{fire}__conv1x1_2'),
        layer(x, f'fire{fire}__conv3x3_2', pad=1)])
  return layers


def start_of_vgg19(picture, weights):
  def layer(x, number):
    return correlate(x, weights[f'features.{number}.weight'],
                     weights[f'features.{number}.bias'], pad=1)

  x = (picture - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
  layers = {}
  layers['relu1_1'] = layer(x.transpose(2, 0, 1), 0)
  layers['relu1_2'] = layer(layers['relu1_1'], 2)
  layers['relu2_1'] = layer(pool(layers['relu1_2'], 2, np.floor), 5)
  return layers


@pytest.fixture(scope='module')
def vgg19_weights():
  """Random weights under PyTorch's names."""
  random = np.random.default_rng(0)
  return {
      name: random.standard_normal(shape, np.float32)
      * np.float32((2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.1)
      for name, shape in torch_vgg19.shapes().items()}


def draw_picture(height, width):
  random = np.random.default_rng(1)
  return jnp.asarray(random.random((height, width, 3), np.float32))


def assert_close(features, expected):
  np.testing.assert_allclose(
      np.asarray(features)[0].transpose(2, 0, 1), expected,
      rtol=1e-4, atol=1e-4 * expected.max())


@pytest.mark.parametrize('size', [(64, 53), (51, 38)])
def test_squeezenet_is_caffes(size):
  """Of all remainders that sizes leave, those of 3 x 3 windows included."""
  weights = load_weights('squeezenet')
  picture = draw_picture(*size)
  features = SqueezeNet().apply(weights.variables, picture[None])
  expected = squeezenet_of_caffe(picture, as_caffe(weights.params))
  assert features.keys() == expected.keys()
  for name, layer in expected.items():
    assert_close(features[name], layer)


def as_caffe(params):
  arrays = {}

  def write(name, layer):
    arrays[f'{name}_w'] = np.asarray(layer['kernel']).transpose(3, 2, 0, 1)
    arrays[f'{name}_b'] = np.asarray(layer['bias'])

  write('conv1', params['conv1'])
  for name in params.keys() - {'conv1'}:
    write(f'{name}__conv1x1_1', params[name]['squeeze1x1'])
    write(f'{name}__conv1x1_2', params[name]['expand1x1'])
    write(f'{name}__conv3x3_2', params[name]['expand3x3'])
  return arrays


def test_squeezenet_tells_an_espresso(shared_data):
  """Orders of axes and channels, the mean and the range are those it was
  trained with: in any other, its own classifier is much less sure."""
  height, width = 400, 600
  crop = skimage.data.coffee()[:, (width - height) // 2:][:, :height]
  picture = cv2.resize(crop, (227, 227), interpolation=cv2.INTER_AREA)
  picture = jnp.asarray(picture[None] / 255, jnp.float32)
  variables = load_weights('squeezenet').variables
  with np.load(shared_data / 'nets/squeezenet_v1_0_dc.npz') as arrays:
    kernel, bias = arrays['conv_final_w'][:, :, 0, 0], arrays['conv_final_b']

  features = SqueezeNet().apply(variables, picture)['fire9'][0]
  scores = jax.nn.relu(features @ kernel.T + bias[None, None]).mean((0, 1))
  assert jax.nn.softmax(scores)[ESPRESSO] > 0.95


def test_shipped_weights_are_the_published_ones_rounded(shared_data):
  with np.load(shared_data / 'nets/squeezenet_v1_0_dc.npz') as arrays:
    published = caffe_squeezenet.convert(dict(arrays))
  jax.tree.map(
      lambda shipped, array: np.testing.assert_array_equal(
          shipped, array.astype(np.float16)),
      load_weights('squeezenet').params, published['params'])


def test_vgg19_is_torchvisions(vgg19_weights):
  picture = draw_picture(21, 34)
  features = jax.jit(VGG19().apply)(
      torch_vgg19.convert(vgg19_weights), picture[None])
  expected = start_of_vgg19(np.asarray(picture), vgg19_weights)
  for name, layer in expected.items():
    assert_close(features[name], layer)
  assert features['relu5_4'].shape == (1, 1, 2, 512)


def test_vgg19_is_torchvisions_where_that_is_installed(vgg19_weights):
  torch = pytest.importorskip('torch')
  network = pytest.importorskip('torchvision').models.vgg19().features
  network.load_state_dict({
      name.removeprefix('features.'): torch.from_numpy(array)
      for name, array in vgg19_weights.items()})
  picture = draw_picture(40, 48)
  mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
  normalised = (np.asarray(picture) - mean) / deviation
  with torch.no_grad():
    expected = network[:36](
        torch.from_numpy(normalised.transpose(2, 0, 1)[None]).float())
  features = VGG19().apply(torch_vgg19.convert(vgg19_weights), picture[None])
  assert_close(features['relu5_4'], expected[0].numpy())


def test_vgg19_round_trip(vgg19_weights):
  """Out and in again nothing is lost; what classifies is left out."""
  with_classifier = vgg19_weights | {'classifier.0.bias': np.zeros(3)}
  variables = torch_vgg19.convert(with_classifier)
  back = torch_vgg19.revert(variables)
  assert back.keys() == vgg19_weights.keys() and len(back) == 32
  for name, array in vgg19_weights.items():
    np.testing.assert_array_equal(back[name], array, err_msg=name)


def test_vgg19_with_other_layers_is_refused(vgg19_weights):
  """Such as VGG-16's, whose third block is shorter."""
  others = {name: array for name, array in vgg19_weights.items()
            if not name.startswith('features.16.')}
  with pytest.raises(
      ValueError, match=r'VGG-19:\n  2 missing: features\.16'):
    torch_vgg19.convert(others)


def test_convert_job_knows_feature_networks(vgg19_weights, tmp_path):
  np.savez(tmp_path / 'vgg19.npz', **vgg19_weights)
  sentence = convert_file(
      tmp_path / 'vgg19.npz', tmp_path / 'weights', 'float16')
  assert "Wrote {'name': 'vgg19'}" in sentence
  weights = load_weights(tmp_path / 'weights')
  assert isinstance(weights.model, VGG19)
  np.testing.assert_allclose(
      weights.params['conv1_1']['bias'], vgg19_weights['features.0.bias'],
      rtol=1e-3)

  np.savez(tmp_path / 'squeezenet.npz',
           **as_caffe(load_weights('squeezenet').params))
  assert "Wrote {'name': 'squeezenet'}" in convert_file(
      tmp_path / 'squeezenet.npz', tmp_path / 'again', 'float16')
  assert (load_weights(tmp_path / 'again').digest()
          == load_weights('squeezenet').digest())


def test_feature_networks_restore_nothing():
  with pytest.raises(CheckpointError, match='squeezenet, which compares'):
    restorer.load('squeezenet')
