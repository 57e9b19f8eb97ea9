"""Layers of K3DN's encoder and decoder: none has a bias (Tab. 13)."""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxdeblur.models import layers

LEAKY_SLOPE = 0.2  # From the published network; not in the paper.

# PyTorch's default initialisation of convolutions and dense layers: uniform
# within 1 / sqrt(fan_in).
TORCH_INIT = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')


def torch_bias(fan_in: int) -> nn.initializers.Initializer:
  """PyTorch's default initialisation of biases."""
  def init(key, shape, dtype=jnp.float32):
    bound = fan_in ** -0.5
    return jax.random.uniform(key, shape, dtype, -bound, bound)
  return init


def leaky_relu(x: Array) -> Array:
  return nn.leaky_relu(x, LEAKY_SLOPE)


def conv(
    features: int, *, name: str, dtype: jnp.dtype, stride: int = 1
) -> layers.Conv:
  return layers.Conv(
      features, stride=stride, name=name, dtype=dtype, use_bias=False,
      kernel_init=TORCH_INIT)


def up_conv(
    features: int, *, name: str, dtype: jnp.dtype
) -> layers.UpConv:
  return layers.UpConv(
      features, name=name, dtype=dtype, use_bias=False, kernel_init=TORCH_INIT)


def residual_blocks(
    x: Array, number: int, name: str, dtype: jnp.dtype
) -> Array:
  """Applies residual blocks `name`1, `name`2, ...; for use in a module."""
  for i in range(1, number + 1):
    x = layers.ResidualBlock(
        dtype=dtype, slope=LEAKY_SLOPE, use_bias=False, kernel_init=TORCH_INIT,
        name=f'{name}{i}')(x)
  return x
