"""Layers that the networks share."""

from collections.abc import Callable

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdeblur.ops.conv import add_bias, conv, up_conv

Initializer = Callable[..., jax.Array]

_HE_NORMAL = nn.initializers.he_normal()

# `jnp.float32` itself is a class and not a dtype; the shape checks refuse it.
FLOAT32 = jnp.dtype(jnp.float32)

LEAKY_SLOPE = 0.1  # From DRBNet's published network; not in the paper.


def leaky_relu(x: Array) -> Array:
  return nn.leaky_relu(x, LEAKY_SLOPE)


class Conv(nn.Module):
  """A convolution that pads (k - 1) // 2 zeros on both sides.

  It is `nn.Conv` with gradients that are fast on a CPU as well. It pads both
  sides equally, since the published networks pad (1, 1) with stride 2, where
  'SAME' would pad (0, 1).
  """
  features: int
  kernel_size: int = 3
  stride: int = 1
  dtype: jnp.dtype = FLOAT32
  kernel_init: Initializer = _HE_NORMAL
  bias_init: Initializer = nn.initializers.zeros
  use_bias: bool = True

  def __call__(self, x: Float[Array, 'b h w c']) -> Float[Array, 'b u v d']:
    kernel, bias = self.make_parameters(x.shape[-1])
    pad = (self.kernel_size - 1) // 2
    x = conv(x.astype(self.dtype), kernel, (self.stride, self.stride),
             ((pad, pad), (pad, pad)))
    return x if bias is None else add_bias(x, bias)

  @nn.compact
  def make_parameters(
      self, channels: int
  ) -> tuple[Float[Array, 'k k {channels} d'], Float[Array, ' d'] | None]:
    """Makes kernel and bias for `channels`, also for use outside this layer."""
    kernel = self.param(
        'kernel', self.kernel_init,
        (self.kernel_size, self.kernel_size, channels, self.features))
    bias = (self.param('bias', self.bias_init, (self.features,))
            if self.use_bias else None)
    return tuple(nn.dtypes.promote_dtype(kernel, bias, dtype=self.dtype))


def joint_conv(
    x: Float[Array, 'b h w c'],
    features: int,
    *,
    names: tuple[str, str],
    dtype: jnp.dtype = FLOAT32,
) -> tuple[Float[Array, 'b h w {features}'], Float[Array, 'b h w {features}']]:
  """Applies two 3 x 3 convolutions to the same pictures.

  On a CPU they run as one: it is faster to read the input once, in the
  gradients too, and to multiply larger matrices. On a TPU this would send more
  of the results through main memory.

  Args:
    x: the input of both.
    features: number of features of each.
    names: names of the two; each has the parameters of a `Conv`.
    dtype: number type of the convolutions.

  Returns:
    The features of each.
  """
  parameters = [
      Conv(features, dtype=dtype, name=name).make_parameters(x.shape[-1])
      for name in names]

  def joint(x, parameters):
    kernel, bias = (
        jnp.concatenate(pair, axis=-1) for pair in zip(*parameters))
    return tuple(jnp.split(add_bias(conv(x, kernel), bias), 2, axis=-1))

  def apart(x, parameters):
    return tuple(add_bias(conv(x, kernel), bias)
                 for kernel, bias in parameters)

  return lax.platform_dependent(
      x.astype(dtype), parameters, cpu=joint, default=apart)


class UpConv(nn.Module):
  """The transposed convolution (kernel 4, stride 2) that doubles size.

  It is `nn.ConvTranspose` with gradients that are fast on a CPU as well.
  """
  features: int
  dtype: jnp.dtype = FLOAT32
  kernel_init: Initializer = _HE_NORMAL
  use_bias: bool = True

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b h w c']
  ) -> Float[Array, 'b 2*h 2*w {self.features}']:
    kernel = self.param(
        'kernel', self.kernel_init, (4, 4, x.shape[-1], self.features))
    bias = (self.param('bias', nn.initializers.zeros, (self.features,))
            if self.use_bias else None)
    x, kernel, bias = nn.dtypes.promote_dtype(
        x, kernel, bias, dtype=self.dtype)
    x = up_conv(x, kernel)
    return x if bias is None else add_bias(x, bias)


class ResidualBlock(nn.Module):
  """x + conv(lrelu(conv(x))), with no activation after the sum."""
  dtype: jnp.dtype = FLOAT32
  slope: float = LEAKY_SLOPE
  use_bias: bool = True
  kernel_init: Initializer = _HE_NORMAL

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w c']) -> Float[Array, 'b h w c']:
    def half(name):
      return Conv(
          x.shape[-1], name=name, dtype=self.dtype, use_bias=self.use_bias,
          kernel_init=self.kernel_init)

    return x + half('conv2')(nn.leaky_relu(half('conv1')(x), self.slope))
