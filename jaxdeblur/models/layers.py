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

# `jnp.float32` itself is a class, no dtype, and the shape checks refuse it.
FLOAT32 = jnp.dtype(jnp.float32)

LEAKY_SLOPE = 0.1  # DRBNet's; the paper does not print it, its network has it.


def leaky_relu(x: Array) -> Array:
  return nn.leaky_relu(x, LEAKY_SLOPE)


class Conv(nn.Module):
  """A convolution that pads (k - 1) // 2 zeros on both sides.

  `nn.Conv` with gradients that are fast on a CPU as well. The padding is the
  same on both sides: with stride 2, 'SAME' pads (0, 1), while the published
  networks pad (1, 1).
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
    """Kernel and bias for such pictures, for those who apply them otherwise."""
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
  """Applies two 3 x 3 convolutions to the same pictures, as one on a CPU.

  There it is faster to read the input once, for its gradients too, and to
  multiply larger matrices. On a TPU more of the results would go through main
  memory.

  Args:
    x: what both read.
    features: of each.
    names: of their parameters, each as those of a `Conv`.
    dtype: of the convolutions.

  Returns:
    The features of either.
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

  `nn.ConvTranspose` with gradients that are fast on a CPU as well.
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
