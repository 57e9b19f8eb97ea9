"""Resizing by whole factors, as the published networks do it."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def shrink_by_mean(
    image: Float[Array, 'b h w c'], factor: int
) -> Float[Array, 'b i j c']:
  """Averages blocks of factor x factor pixels; height and width must divide."""
  b, h, w, c = image.shape
  blocks = image.reshape(b, h // factor, factor, w // factor, factor, c)
  return blocks.mean(axis=(2, 4))


def enlarge_by_repetition(
    image: Float[Array, 'b h w c'], factor: int
) -> Float[Array, 'b i j c']:
  """Repeats every pixel factor x factor times (nearest neighbour)."""
  b, h, w, c = image.shape
  blocks = jnp.broadcast_to(
      image[:, :, None, :, None, :], (b, h, factor, w, factor, c))
  return blocks.reshape(b, h * factor, w * factor, c)
