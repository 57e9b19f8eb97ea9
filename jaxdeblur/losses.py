"""Training losses."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdeblur.ops.resize import shrink_by_mean


def charbonnier(
    restored: Float[Array, 'b h w c'],
    sharp: Float[Array, 'b h w c'],
    epsilon: float = 1e-3,
) -> Float[Array, '']:
  """Mean of sqrt(error^2 + epsilon^2): absolute error, smooth at 0."""
  return jnp.sqrt(jnp.square(restored - sharp) + epsilon ** 2).mean()


def pyramid_charbonnier(
    pyramid: Sequence[Float[Array, 'b _h _w c']],
    sharp: Float[Array, 'b h w c'],
    weights: Sequence[float],
) -> Float[Array, '']:
  """Weighted sum of the Charbonnier losses of a pyramid's estimates.

  Each estimate is compared with the mean of the sharp picture over the pixels
  that it stands for.

  Args:
    pyramid: estimates, from the coarsest to the finest.
    sharp: the ground truth, of the finest estimate's size.
    weights: one for each estimate.
  """
  if len(weights) != len(pyramid):
    raise ValueError(
        f'{len(weights)} pyramid weights for {len(pyramid)} estimates: '
        'config.train.pyramid_weights needs one for each.')
  total = jnp.zeros(())
  for estimate, weight in zip(pyramid, weights):
    factor = sharp.shape[1] // estimate.shape[1]
    total += weight * charbonnier(estimate, shrink_by_mean(sharp, factor))
  return total
