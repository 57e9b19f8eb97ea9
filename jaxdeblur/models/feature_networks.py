"""Networks whose features serve to compare pictures: SqueezeNet and VGG-19.

Both were trained to classify ImageNet. Their last layers, which name the class,
are left out. Like all networks here, they take sRGB pictures in [0, 1]. They
return {layer: its features after the activation}. Under `jax.jit`, unused
layers cost nothing.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from jaxdeblur.errors import UserError
from jaxdeblur.suggestion import choose_one

Features = dict[str, Float[Array, 'b _h _w _c']]


class SqueezeNet(nn.Module):
  """SqueezeNet 1.0 (Iandola et al. 2016), as Caffe runs it.

  Layers: conv1 (96 channels, at 1/2 of the size), fire2 to fire4 (128, 128,
  256, at 1/4), fire5 to fire8 (256, 384, 384, 512, at 1/8) and fire9 (512, at
  1/16). Only the 3 x 3 convolutions are padded, by 1.
  """
  # Ours: the last ones before the picture is made smaller.
  compared_layers = ('conv1', 'fire4', 'fire8')

  @nn.compact
  def __call__(self, picture: Float[Array, 'b h w 3']) -> Features:
    # It takes blue, green, red from 0 to 255, minus ImageNet's mean.
    x = 255 * picture[..., ::-1] - np.array([[[[104, 117, 123]]]], np.float32)
    x = nn.relu(nn.Conv(
        96, (7, 7), strides=(2, 2), padding='VALID', name='conv1')(x))
    layers = {'conv1': x}
    for number in range(2, 10):
      if number in (2, 5, 9):
        x = _pool_to_the_border(x)
      fire = f'fire{number}'
      # 16, 16, 32, 32, 48, ... channels, then four times as many twice.
      x = layers[fire] = Fire(16 * (number // 2), name=fire)(x)
    return layers


class Fire(nn.Module):
  """Squeezes the channels, then expands them by 1 x 1 and 3 x 3 kernels."""
  squeezed: int

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w _c']) -> Float[Array, 'b h w _d']:
    x = nn.relu(nn.Conv(self.squeezed, (1, 1), name='squeeze1x1')(x))
    expanded = [
        nn.Conv(4 * self.squeezed, (size, size), name=f'expand{size}x{size}')(x)
        for size in (1, 3)]
    return nn.relu(jnp.concatenate(expanded, axis=-1))


class VGG19(nn.Module):
  """VGG-19 (Simonyan and Zisserman 2015, configuration E), as in torchvision.

  Layers: relu1_1, relu1_2 (64 channels, full size), relu2_1, relu2_2 (128, at
  1/2), relu3_1 to relu3_4 (256, at 1/4), relu4_1 to relu4_4 (512, at 1/8),
  relu5_1 to relu5_4 (512, at 1/16).
  """
  # Ours: the last ones before the picture is made smaller.
  compared_layers = ('relu1_2', 'relu2_2', 'relu3_4', 'relu4_4')

  @nn.compact
  def __call__(self, picture: Float[Array, 'b h w 3']) -> Features:
    # ImageNet's mean and standard deviation.
    x = (picture - np.array([[[[0.485, 0.456, 0.406]]]], np.float32)) / (
        np.array([[[[0.229, 0.224, 0.225]]]], np.float32))
    layers = {}
    for block, (channels, convolutions) in enumerate(
        ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)), start=1):
      if block > 1:
        x = nn.max_pool(x, (2, 2), strides=(2, 2))
      for i in range(1, convolutions + 1):
        conv = nn.Conv(channels, (3, 3), name=f'conv{block}_{i}')
        x = layers[f'relu{block}_{i}'] = nn.relu(conv(x))
    return layers


FeatureNetwork = SqueezeNet | VGG19
_NETWORKS = {'squeezenet': SqueezeNet, 'vgg19': VGG19}
NAMES = tuple(_NETWORKS)


def create(name: str) -> FeatureNetwork:
  """Creates the feature network `name`.

  Raises:
    UserError: no feature network has this name.
  """
  if name not in _NETWORKS:
    raise UserError(
        f'Unknown feature network {name!r}: {choose_one(name, NAMES)}',
        argument='network')
  return _NETWORKS[name]()


def abstract_variables(network: FeatureNetwork) -> dict:
  """Shapes and types of a feature network's variables."""
  picture = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
  return jax.eval_shape(network.init, jax.random.key(0), picture)


def _pool_to_the_border(x: Array) -> Array:
  """Takes the largest of 3 x 3 values, with stride 2.

  Caffe rounds sizes up, so the last window may reach beyond the border.
  """
  beyond = [(0, 1 - length % 2) for length in x.shape[1:3]]
  return nn.max_pool(x, (3, 3), strides=(2, 2), padding=beyond)
