"""Cost volumes: features of the left view beside shifted ones of the right."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float


def cost_volume(
    left: Float[Array, 'b h w c'],
    right: Float[Array, 'b h w c'],
    shifts: Sequence[int] = (0, 1, 2, 3),
) -> Float[Array, 'b d h w c2']:
  """Stacks left features with right ones, which are shifted by each shift.

  volume[d, y, x] = [left[y, x], right[y, x - shifts[d]]], and 0 where the
  latter lies outside the picture (K3DN, Tab. 13; zeros as in LEAStereo).

  Args:
    left: features of the left view.
    right: features of the right view.
    shifts: shifts in pixels; positive if the right view's content lies to the
      left.

  Returns:
    The volume; left channels first.
  """
  width = left.shape[2]
  columns = jnp.arange(width)
  planes = []
  for shift in shifts:
    source = columns - shift
    inside = ((source >= 0) & (source < width))[None, None, :, None]
    shifted = jnp.roll(right, shift, axis=2)
    both = jnp.concatenate([left, shifted], axis=-1)
    planes.append(jnp.where(inside, both, 0))
  return jnp.stack(planes, axis=1)
