"""The parts of DRBNet: encoder-decoder and dynamic residual blocks.

Table numbers refer to the paper's supplement. Where its tables and the
published network disagree, we follow the network.
"""

from flax import linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdeblur.models.layers import (
  FLOAT32,
  Conv,
  ResidualBlock,
  UpConv,
  joint_conv,
  leaky_relu,
)
from jaxdeblur.ops.dynamic_conv import Method, dynamic_conv

SCALES = (8, 4, 2, 1)
KERNEL_SIZE = 7

# Widths of each scale's layers in units of the network's width (Tab. S3).
_IMAGE_FEATURES = {8: (2, 4, 8), 4: (2, 4, 4), 2: (2, 2, 2), 1: (2, 2, 1)}
_KERNEL_HEAD = {8: (8, 4), 4: (4, 4), 2: (2, 2), 1: (2, 2)}
_RESIDUAL_HEAD = {8: (8, 2), 4: (4, 2), 2: (2, 2), 1: (2, 2)}

# Our choice. Kernels are not normalised and each block feeds the next, so the
# first steps diverge unless the untrained network starts near the identity.
HEAD_INIT = nn.initializers.variance_scaling(1e-3, 'fan_in', 'normal')


def with_remat(remat: bool, *modules: type[nn.Module]) -> list:
  """The modules; with `remat`, gradients compute their features again."""
  return [nn.remat(module) if remat else module for module in modules]


class Encoder(nn.Module):
  """Four levels of three convolutions, then the bottleneck (Tab. S2).

  The coarsest level has one convolution more than the table prints, like the
  published network; the parameter count of Tab. S1 includes it.
  """
  width: int
  dtype: jnp.dtype = FLOAT32

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b h w c']
  ) -> tuple[list[Array], Float[Array, 'b i j d']]:
    skips = []
    for level in range(1, 5):
      features = self.width * 2 ** (level - 1)
      for i in range(1, 4):
        stride = 2 if level > 1 and i == 1 else 1
        x = leaky_relu(Conv(
            features, stride=stride, name=f'level{level}_conv{i}',
            dtype=self.dtype)(x))
      skips.append(x)
    x = leaky_relu(Conv(8 * self.width, name='neck_in', dtype=self.dtype)(x))
    for i in (1, 2):
      x = ResidualBlock(name=f'neck_res{i}', dtype=self.dtype)(x)
    x = leaky_relu(Conv(8 * self.width, name='neck_out', dtype=self.dtype)(x))
    return skips[:3], x


class DecoderLevel(nn.Module):
  """Doubles the size, adds the encoder's features, applies residual blocks."""
  dtype: jnp.dtype = FLOAT32

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b i j d'], skip: Float[Array, 'b h w c']
  ) -> Float[Array, 'b h w c']:
    x = leaky_relu(UpConv(skip.shape[-1], name='up', dtype=self.dtype)(x))
    x = x + skip
    for i in (1, 2):
      x = ResidualBlock(name=f'res{i}', dtype=self.dtype)(x)
    return x


class EncoderDecoder(nn.Module):
  """Features of a photograph at 1/8, 1/4, 1/2 and full size (Tab. S2)."""
  width: int
  remat: bool = False
  dtype: jnp.dtype = FLOAT32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w c']) -> dict[int, Array]:
    encoder, decoder_level = with_remat(self.remat, Encoder, DecoderLevel)
    skips, x = encoder(self.width, name='encoder', dtype=self.dtype)(x)
    decoded = {8: x}
    for scale, skip in zip((4, 2, 1), reversed(skips)):
      x = decoder_level(name=f'decoder{scale}', dtype=self.dtype)(x, skip)
      decoded[scale] = x
    return decoded


class DynamicResidualBlock(nn.Module):
  """Predicts a kernel and a residual for every pixel, applies both (Tab. S3).

  estimate = image + dynamic_conv(image, kernels) + residual; the kernels are
  not normalised. Images are in [-1, 1] apart from over- and undershoot.
  """
  scale: int
  width: int
  dynamic_conv_method: Method = 'auto'
  dtype: jnp.dtype = FLOAT32

  @nn.compact
  def __call__(
      self, image: Float[Array, 'b h w 3'], decoded: Float[Array, 'b h w c']
  ) -> tuple[Float[Array, 'b h w 3'], Float[Array, 'b h w k2']]:
    features = self._convolve(
        image, _IMAGE_FEATURES[self.scale], 'image_conv')
    features = jnp.concatenate([decoded, features], axis=-1)
    for_kernels, for_residual = self._begin_heads(features)
    kernels = self._end_head(
        for_kernels, _KERNEL_HEAD[self.scale], KERNEL_SIZE ** 2, 'kernel')
    # The table does have this activation after the last layer.
    residual = leaky_relu(self._end_head(
        for_residual, _RESIDUAL_HEAD[self.scale], 3, 'residual'))
    filtered = dynamic_conv(image, kernels, self.dynamic_conv_method)
    return image + filtered + residual.astype(image.dtype), kernels

  def _convolve(self, x, multiples, name, start=1):
    for i, multiple in enumerate(multiples, start):
      x = leaky_relu(Conv(
          multiple * self.width, name=f'{name}{i}', dtype=self.dtype)(x))
    return x

  def _begin_heads(self, features):
    """The first convolution of both heads, which have equally many features."""
    multiple, _ = _KERNEL_HEAD[self.scale]
    return map(leaky_relu, joint_conv(
        features, multiple * self.width,
        names=('kernel_conv1', 'residual_conv1'), dtype=self.dtype))

  def _end_head(self, x, multiples, out_features, name):
    x = self._convolve(x, multiples[1:], f'{name}_conv', start=2)
    return Conv(
        out_features, kernel_size=1, name=f'{name}_out', dtype=self.dtype,
        kernel_init=HEAD_INIT)(x)
