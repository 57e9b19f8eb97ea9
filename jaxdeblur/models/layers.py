"""Layers that the networks share."""

from collections.abc import Callable

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Initializer = Callable[..., jax.Array]

_HE_NORMAL = nn.initializers.he_normal()

LEAKY_SLOPE = 0.1  # Printed in neither paper; the published networks use it.


def leaky_relu(x: Array) -> Array:
  return nn.leaky_relu(x, LEAKY_SLOPE)


def conv(
    features: int,
    kernel_size: int = 3,
    stride: int = 1,
    *,
    name: str,
    dtype: jnp.dtype = jnp.float32,
    kernel_init: Initializer = _HE_NORMAL,
) -> nn.Conv:
  """Makes a convolution that pads (k - 1) // 2 zeros on both sides.

  The padding is written out: with stride 2, 'SAME' pads (0, 1), while the
  published networks pad (1, 1).
  """
  pad = (kernel_size - 1) // 2
  return nn.Conv(
      features, (kernel_size, kernel_size), strides=(stride, stride),
      padding=((pad, pad), (pad, pad)), kernel_init=kernel_init, dtype=dtype,
      name=name)


def up_conv(
    features: int, *, name: str, dtype: jnp.dtype = jnp.float32
) -> nn.ConvTranspose:
  """Makes the transposed convolution (kernel 4, stride 2) that doubles size."""
  return nn.ConvTranspose(
      features, (4, 4), strides=(2, 2), padding='SAME',
      kernel_init=_HE_NORMAL, dtype=dtype, name=name)


class ResidualBlock(nn.Module):
  """x + conv(lrelu(conv(x))), with no activation after the sum (Tab. S2)."""
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w c']) -> Float[Array, 'b h w c']:
    width = x.shape[-1]
    residual = leaky_relu(conv(width, name='conv1', dtype=self.dtype)(x))
    return x + conv(width, name='conv2', dtype=self.dtype)(residual)
