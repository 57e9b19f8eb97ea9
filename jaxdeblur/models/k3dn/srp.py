"""Sharp-region preservation: what looks like its surroundings is in focus."""

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdeblur.models.k3dn.layers import (
  TORCH_INIT,
  residual_blocks,
  torch_bias,
)

_REACH = 4  # Offsets from -4 to 4, in pixels.
_OFFSETS = 2 * _REACH + 1


class SRPBlock(nn.Module):
  """Weighs skip and upsampled features by their self-similarity (SRP, Tab. 13).

  att[dy, dx] = mean_c q(y, x, c) k(y + dy, x + dx, c), 81 channels, of which a
  3 x 3 convolution makes one gate a channel. The paper prints 2 bc channels,
  its concatenation has 4 bc at the coarsest scale.

  Attributes:
    blocks: number of residual blocks.
    zero_start: starts the last layer at zero, so that at first the block
      changes nothing; ours, off as published.
  """
  blocks: int
  zero_start: bool = False
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w c']) -> Float[Array, 'b h w c']:
    channels = x.shape[-1]

    def conv(name, init=TORCH_INIT, bias_init=None):
      bias_init = bias_init or torch_bias(9 * channels)
      return nn.Conv(
          channels, (3, 3), padding=((1, 1), (1, 1)), kernel_init=init,
          bias_init=bias_init, dtype=self.dtype, name=name)

    similarity = Gate(channels, name='gate')(conv('query')(x), conv('key')(x))
    y = conv('in')(x * similarity)
    y = residual_blocks(y, self.blocks, 'res', self.dtype)
    if self.zero_start:
      zeros = nn.initializers.zeros
      return conv('out', zeros, zeros)(y) + x
    return conv('out')(y) + x


class Gate(nn.Module):
  """A 3 x 3 convolution of the 81 similarities, never held all at once.

  The convolution is a sum over its input channels: one row of nine offsets is
  computed, convolved and added before the next. Its gradient computes each row
  anew.
  """
  channels: int

  @nn.compact
  def __call__(
      self,
      query: Float[Array, 'b h w c'],
      key: Float[Array, 'b h w c'],
  ) -> Float[Array, 'b h w c']:
    kernel = self.param(
        'kernel', TORCH_INIT, (3, 3, _OFFSETS ** 2, self.channels),
        jnp.float32)
    bias = self.param(
        'bias', torch_bias(9 * _OFFSETS ** 2), (self.channels,),
        jnp.float32)
    _, height, width, _ = query.shape
    border = (_REACH, _REACH)
    padded = jnp.pad(key, ((0, 0), border, border, (0, 0)))

    @jax.checkpoint
    def add_row(total, row):
      keys = lax.dynamic_slice_in_dim(padded, row, height, axis=1)
      similarities = jnp.stack(
          [(query * keys[:, :, j:j + width]).mean(axis=-1)
           for j in range(_OFFSETS)], axis=-1)
      part = lax.dynamic_slice_in_dim(
          kernel, row * _OFFSETS, _OFFSETS, axis=2)
      return total + lax.conv_general_dilated(
          similarities, part, (1, 1), ((1, 1), (1, 1)),
          dimension_numbers=('NHWC', 'HWIO', 'NHWC')), None

    total, _ = lax.scan(
        add_row, jnp.zeros_like(query), jnp.arange(_OFFSETS))
    return total + bias[None, None, None]
