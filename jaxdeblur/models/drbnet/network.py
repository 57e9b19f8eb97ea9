"""DRBNet: a pyramid of dynamic residual blocks (Ruan et al., CVPR 2022).

An encoder-decoder reads the out-of-focus photograph. At 1/8, 1/4, 1/2 and full
size, a dynamic residual block turns its features into a 7 x 7 kernel for every
pixel and sharpens the estimate from the scale before. Table numbers refer to
the paper's supplement.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from flax import linen as nn, traverse_util
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdeblur.models.drbnet import panels
from jaxdeblur.models.drbnet.blocks import (
  HEAD_INIT,
  KERNEL_SIZE,
  SCALES,
  DynamicResidualBlock,
  EncoderDecoder,
  with_remat,
)
from jaxdeblur.models.drbnet.published import PUBLISHED
from jaxdeblur.models.drbnet.start import start_as_identity
from jaxdeblur.models.layers import FLOAT32, Conv
from jaxdeblur.models.network import Network, Panel, Params, start_at_random
from jaxdeblur.models.restored import Restored
from jaxdeblur.models.views import check_views, widen
from jaxdeblur.ops.dynamic_conv import Method
from jaxdeblur.ops.resize import enlarge_by_repetition, shrink_by_mean

VIEWS = (('center',), ('center', 'left', 'right'))

_SIZE_MULTIPLE = (8, 8)
_FIRST_KERNEL = 'encoder_decoder/encoder/level1_conv1/kernel'


class _EncodedNetwork(Network):
  """What DRBNet and its baseline share: how they read views."""
  smallest_multiple = _SIZE_MULTIPLE

  def adapt_params(self, params: Params, weights: Params) -> Params:
    """Adapts parameters for one photograph to dual-pixel views, if read.

    Each view gets half of the first layer's kernel. Where the views are equal,
    the network then sees the same as in the photograph. This is ours; the paper
    does not say how its dual-pixel network starts.
    """
    del params
    flat = traverse_util.flatten_dict(dict(weights), sep='/')
    kernel = flat.get(_FIRST_KERNEL)
    if kernel is None or kernel.shape[2] != 3 or len(self.views) == 1:
      return weights
    return traverse_util.unflatten_dict({
        **flat, _FIRST_KERNEL: jnp.concatenate([kernel / 2, kernel / 2], axis=2)
    }, sep='/')


class DRBNet(_EncodedNetwork):
  """Restores a photograph, alone or with its dual-pixel views.

  Attributes:
    views: ('center',) for a photograph alone, or ('center', 'left', 'right'):
      the encoder then reads the dual-pixel views, and the blocks sharpen the
      photograph.
    width: channels at full size. The paper's network has 32 (11,689,616
      parameters with one view, 11,690,480 with three).
    dynamic_conv_method: how kernels are applied; see `dynamic_conv`.
    remat: whether the features of each level and block are computed again for
      the gradients instead of kept: less memory, a third more work.
    dtype: number type of the convolutions; parameters, images and the sums of
      the dynamic convolution stay float32.
  """
  views: tuple[str, ...] = ('center',)
  width: int = 32
  dynamic_conv_method: Method = 'auto'
  remat: bool = False
  dtype: jnp.dtype = FLOAT32

  starts: ClassVar = {'random': start_at_random, 'identity': start_as_identity}
  published = PUBLISHED

  @property
  def receptive_field(self) -> int:
    """The largest distance from which a pixel can change the result, px."""
    return _receptive_field()

  @nn.compact
  def __call__(
      self,
      views: Mapping[str, Float[Array, 'b h w 3']],
      *,
      train: bool = False,
  ) -> Restored:
    del train  # Training changes nothing here.
    center, encoder_input = _read_views(self.views, views)
    decoded = EncoderDecoder(
        self.width, self.remat, name='encoder_decoder', dtype=self.dtype)(
            encoder_input)
    block, = with_remat(self.remat, DynamicResidualBlock)
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
        pyramid[-1], pyramid=tuple(pyramid), kernels=tuple(kernels))

  def panels(
      self, restored: Restored, intermediates: Mapping[str, Any]
  ) -> dict[str, Panel]:
    """The predicted kernels, and the pyramid of estimates."""
    del intermediates
    return panels.draw(restored)


class DRBNetBaseline(_EncodedNetwork):
  """The encoder-decoder without dynamic residual blocks (Tab. S1, 'Our_b').

  Neither the paper nor the published program states its output layer. Ours is a
  1 x 1 convolution (99 parameters), whose result is added to the photograph.

  Attributes:
    views: ('center',) for a photograph alone, or ('center', 'left', 'right'):
      the encoder then reads the dual-pixel views.
    width: channels at full size; the paper's network has 32.
    remat: whether features are computed again for the gradients; see DRBNet.
    dtype: number type of the convolutions; see DRBNet.
  """
  views: tuple[str, ...] = ('center',)
  width: int = 32
  remat: bool = False
  dtype: jnp.dtype = FLOAT32

  @property
  def receptive_field(self) -> int:
    """The largest distance from which a pixel can change the result, px."""
    return _receptive_field(dynamic_residual_blocks=False)

  @nn.compact
  def __call__(
      self,
      views: Mapping[str, Float[Array, 'b h w 3']],
      *,
      train: bool = False,
  ) -> Restored:
    del train  # Training changes nothing here.
    center, encoder_input = _read_views(
        self.views, views, network="DRBNet's baseline")
    decoded = EncoderDecoder(
        self.width, self.remat, name='encoder_decoder', dtype=self.dtype)(
            encoder_input)
    residual = Conv(
        3, kernel_size=1, name='out', dtype=self.dtype,
        kernel_init=HEAD_INIT)(decoded[1])
    return Restored((center + residual.astype(center.dtype) + 1) / 2)


def _read_views(names, views, network='DRBNet'):
  """Checks the views; returns the photograph and the encoder's input."""
  check_views(network, names, VIEWS, views, _SIZE_MULTIPLE)
  # The network's own range is [-1, 1]; right before left, as published.
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
