"""DRBNet: a pyramid of dynamic residual blocks (Ruan et al., CVPR 2022).

An encoder-decoder reads the out-of-focus photograph; at 1/8, 1/4, 1/2 and full
size a dynamic residual block turns its features into a 7 x 7 kernel for every
pixel and sharpens the estimate of the scale before. Table numbers are those of
the paper's supplement; where its tables and its published network disagree,
the network is followed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flax import linen as nn, traverse_util
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
from jaxdeblur.models.restored import Restored
from jaxdeblur.models.views import check_views, widen
from jaxdeblur.ops.dynamic_conv import Method, dynamic_conv
from jaxdeblur.ops.resize import enlarge_by_repetition, shrink_by_mean

SCALES = (8, 4, 2, 1)
KERNEL_SIZE = 7
VIEWS = (('center',), ('center', 'left', 'right'))
SIZE_MULTIPLE = (8, 8)

# Widths of each scale's layers in units of the network's width (Tab. S3).
_IMAGE_FEATURES = {8: (2, 4, 8), 4: (2, 4, 4), 2: (2, 2, 2), 1: (2, 2, 1)}
_KERNEL_HEAD = {8: (8, 4), 4: (4, 4), 2: (2, 2), 1: (2, 2)}
_RESIDUAL_HEAD = {8: (8, 2), 4: (4, 2), 2: (2, 2), 1: (2, 2)}

# Our choice: kernels are not normalised and the blocks feed each other, so an
# untrained network must start near the identity or its first steps diverge.
_HEAD_INIT = nn.initializers.variance_scaling(1e-3, 'fan_in', 'normal')


class Encoder(nn.Module):
  """Four levels of three convolutions, then the bottleneck (Tab. S2).

  The coarsest level has one convolution more than the table prints, as the
  published network has; only so does the parameter count match Tab. S1.
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
  """Doubles the size, adds the encoder's features, two residual blocks."""
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
    encoder, decoder_level = _remat(self.remat, Encoder, DecoderLevel)
    skips, x = encoder(self.width, name='encoder', dtype=self.dtype)(x)
    decoded = {8: x}
    for scale, skip in zip((4, 2, 1), reversed(skips)):
      x = decoder_level(name=f'decoder{scale}', dtype=self.dtype)(x, skip)
      decoded[scale] = x
    return decoded


class DynamicResidualBlock(nn.Module):
  """Predicts a kernel and a residual for every pixel, applies both (Tab. S3).

  estimate = image + dynamic_conv(image, kernels) + residual; the kernels are
  not normalised. Images are in [-1, 1], but for over- and undershoot.
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
    # The activation after the last layer is in the table, easily overlooked.
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
    """The first convolution of either head, of as many features."""
    multiple, _ = _KERNEL_HEAD[self.scale]
    return map(leaky_relu, joint_conv(
        features, multiple * self.width,
        names=('kernel_conv1', 'residual_conv1'), dtype=self.dtype))

  def _end_head(self, x, multiples, out_features, name):
    x = self._convolve(x, multiples[1:], f'{name}_conv', start=2)
    return Conv(
        out_features, kernel_size=1, name=f'{name}_out', dtype=self.dtype,
        kernel_init=_HEAD_INIT)(x)


class DRBNet(nn.Module):
  """Restores a photograph, alone or with its dual-pixel views.

  Attributes:
    views: ('center',), or ('center', 'left', 'right'): then the encoder reads
      the dual-pixel views, and the photograph itself is what is sharpened.
    width: channels at full size; 32 is the paper's network (11,689,616
      parameters with one view, 11,690,480 with three).
    dynamic_conv_method: see `dynamic_conv`.
    remat: whether gradients compute the features of each level and block anew,
      rather than keep them: less memory, a third more work.
    dtype: of the convolutions; parameters, images and the dynamic
      convolution's sums stay float32.
  """
  views: tuple[str, ...] = ('center',)
  width: int = 32
  dynamic_conv_method: Method = 'auto'
  remat: bool = False
  dtype: jnp.dtype = FLOAT32

  size_multiple = SIZE_MULTIPLE
  reblurs = False
  seen_side = None

  @property
  def required_views(self) -> tuple[str, ...]:
    return self.views

  @property
  def receptive_field(self) -> int:
    """How many pixels away, at most, a pixel can change the result."""
    return _receptive_field()

  @nn.compact
  def __call__(self, views: Mapping[str, Float[Array, 'b h w 3']]) -> Restored:
    center, encoder_input = _read_views(self.views, views)
    decoded = EncoderDecoder(
        self.width, self.remat, name='encoder_decoder', dtype=self.dtype)(
            encoder_input)
    block, = _remat(self.remat, DynamicResidualBlock)
    image = shrink_by_mean(center, SCALES[0])
    pyramid, kernels = [], []
    for scale in SCALES:
      if pyramid:
        image = enlarge_by_repetition(image, 2)
      image, kernel = block(
          scale, self.width, self.dynamic_conv_method, dtype=self.dtype,
          name=f'block{scale}')(image, decoded[scale])
      pyramid.append((image + 1) / 2)
      kernels.append(kernel.astype(image.dtype))
    return Restored(
        image=jnp.clip(pyramid[-1], 0, 1), pyramid=tuple(pyramid),
        kernels=tuple(kernels))


class DRBNetBaseline(nn.Module):
  """The encoder-decoder without dynamic residual blocks (Tab. S1, 'Our_b').

  Neither the paper nor the published program states its output layer. Ours: a
  1 x 1 convolution (99 parameters) whose result is added to the photograph.
  """
  views: tuple[str, ...] = ('center',)
  width: int = 32
  dtype: jnp.dtype = FLOAT32

  size_multiple = SIZE_MULTIPLE
  reblurs = False
  seen_side = None

  @property
  def required_views(self) -> tuple[str, ...]:
    return self.views

  @property
  def receptive_field(self) -> int:
    """How many pixels away, at most, a pixel can change the result."""
    return _receptive_field(dynamic_residual_blocks=False)

  @nn.compact
  def __call__(self, views: Mapping[str, Float[Array, 'b h w 3']]) -> Restored:
    center, encoder_input = _read_views(self.views, views)
    decoded = EncoderDecoder(
        self.width, name='encoder_decoder', dtype=self.dtype)(encoder_input)
    residual = Conv(
        3, kernel_size=1, name='out', dtype=self.dtype,
        kernel_init=_HEAD_INIT)(decoded[1])
    image = (center + residual.astype(center.dtype) + 1) / 2
    return Restored(image=jnp.clip(image, 0, 1), pyramid=(image,))


def fit_to_views(
    params: Mapping[str, Any], views: Sequence[str]
) -> Mapping[str, Any]:
  """Lets the parameters for one photograph read dual-pixel views, if asked to.

  The first layer spreads its kernel over both views, half each: where these are
  alike, the network sees what it saw of the photograph. Ours; the paper does
  not say how its dual-pixel network starts.

  Args:
    params: of a DRBNet or its baseline, for views as in `VIEWS`.
    views: those that it is to read.

  Returns:
    The parameters as they are unless they read one view and `views` are three.
  """
  flat = traverse_util.flatten_dict(dict(params), sep='/')
  kernel = flat['encoder_decoder/encoder/level1_conv1/kernel']
  if kernel.shape[2] != 3 or len(views) == 1:
    return params
  return traverse_util.unflatten_dict({
      **flat, 'encoder_decoder/encoder/level1_conv1/kernel':
      jnp.concatenate([kernel / 2, kernel / 2], axis=2)}, sep='/')


def _remat(remat, *modules):
  return [nn.remat(module) if remat else module for module in modules]


def _read_views(names, views):
  """Checks the views; returns the photograph and the encoder's input."""
  check_views('DRBNet', names, VIEWS, views, SIZE_MULTIPLE)
  # The network's own range is [-1, 1]; right before left, as it was published.
  scaled = {name: widen(views[name]) * 2 - 1 for name in names}
  if len(names) == 1:
    return scaled['center'], scaled['center']
  return scaled['center'], jnp.concatenate(
      [scaled['right'], scaled['left']], axis=-1)


def _receptive_field(dynamic_residual_blocks: bool = True) -> int:
  """Adds up the reach of every layer, in pixels of the full size."""
  reach = 3  # Three convolutions at full size.
  for scale in (2, 4, 8):
    reach += scale // 2 + 2 * scale  # One with stride 2, then two.
  reach += 6 * 8  # The bottleneck: two convolutions, two residual blocks.
  decoded = {8: reach}
  for scale in (4, 2, 1):
    # A transposed convolution reads its own and the next coarser pixel.
    reach += 2 * scale + 4 * scale
    decoded[scale] = reach
  if not dynamic_residual_blocks:
    return reach
  estimate = SCALES[0] - 1  # The mean over 8 x 8 pixels.
  for scale in SCALES:
    if scale < SCALES[0]:
      estimate += scale  # Repetition: the second copy, one pixel further.
    features = max(decoded[scale], estimate + 3 * scale)
    estimate = max(features + 2 * scale, estimate + KERNEL_SIZE // 2 * scale)
  return estimate
