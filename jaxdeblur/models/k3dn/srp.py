"""Sharp-region preservation: what looks like its surroundings is in focus."""

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdeblur.models import layers
from jaxdeblur.models.k3dn.layers import (
  TORCH_INIT,
  residual_blocks,
  torch_bias,
)
from jaxdeblur.ops.conv import conv as conv_pictures
from jaxdeblur.ops.local_similarity import local_similarity

_REACH = 4  # Offsets from -4 to 4, in pixels.
_BAND = 36  # Rows of a band; divides the heights that K3DN takes.


class SRPBlock(nn.Module):
  """Weighs skip and upsampled features by their self-similarity (SRP, Tab. 13).

  att[dy, dx] = mean_c q(y, x, c) k(y + dy, x + dx, c) has 81 channels. A 3 x 3
  convolution turns them into one gate for each feature channel. The paper
  prints 2 bc channels; its concatenation has 4 bc at the coarsest scale.

  Attributes:
    blocks: number of residual blocks.
    zero_start: whether the last layer starts at zero, so that the block
      changes nothing at first; ours, off in the published network.
  """
  blocks: int
  zero_start: bool = False
  dtype: jnp.dtype = layers.FLOAT32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w c']) -> Float[Array, 'b h w c']:
    channels = x.shape[-1]

    torch_start = torch_bias(9 * channels)

    def conv(name, kernel_init=TORCH_INIT, bias_init=torch_start):
      return layers.Conv(
          channels, name=name, dtype=self.dtype, kernel_init=kernel_init,
          bias_init=bias_init)

    similarity = Gate(channels, name='gate')(conv('query')(x), conv('key')(x))
    y = conv('in')(x * similarity)
    y = residual_blocks(y, self.blocks, 'res', self.dtype)
    if self.zero_start:
      zeros = nn.initializers.zeros
      return conv('out', zeros, zeros)(y) + x
    return conv('out')(y) + x


class Gate(nn.Module):
  """A 3 x 3 convolution of the 81 similarities, never held all at once.

  Bands of rows are computed and convolved one after the other; the gradient
  computes each band again.
  """
  channels: int

  @nn.compact
  def __call__(
      self,
      query: Float[Array, 'b h w c'],
      key: Float[Array, 'b h w c'],
  ) -> Float[Array, 'b h w c']:
    offsets = (2 * _REACH + 1) ** 2
    kernel = self.param(
        'kernel', TORCH_INIT, (3, 3, offsets, self.channels), jnp.float32)
    bias = self.param(
        'bias', torch_bias(9 * offsets), (self.channels,), jnp.float32)

    @jax.checkpoint
    def gate_band(band):
      return conv_pictures(
          local_similarity(*band).astype(query.dtype),
          kernel.astype(query.dtype), padding=((0, 0), (1, 1)))

    # Beyond the picture queries are zero, so their similarities are zero too,
    # like the convolution's own padding.
    bands = lax.map(gate_band, (
        _split_bands(query, border=1),
        _split_bands(_pad_columns(key, _REACH), border=1 + _REACH)))
    batch, height, width, _ = query.shape
    joined = jnp.moveaxis(bands, 0, 1).reshape(
        batch, -1, width, self.channels)
    return joined[:, :height] + bias[None, None, None].astype(query.dtype)


def _pad_columns(x: Array, border: int) -> Array:
  return jnp.pad(x, ((0, 0), (0, 0), (border, border), (0, 0)))


def _split_bands(
    x: Float[Array, 'b h w c'], border: int
) -> Float[Array, 'n b i w c']:
  """Splits x into bands of rows, with `border` rows above and below each.

  Rows beyond x are zero.
  """
  height = x.shape[1]
  missing = -height % _BAND
  x = jnp.pad(x, ((0, 0), (border, border + missing), (0, 0), (0, 0)))
  return jnp.stack([
      x[:, first:first + _BAND + 2 * border]
      for first in range(0, height, _BAND)])
