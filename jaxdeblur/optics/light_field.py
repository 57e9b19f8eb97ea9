"""Light fields: views of a scene from a grid of places on one aperture.

A light field is focused after it was taken (Ng et al. 2005): each view is
shifted by the disparity of a plane, and the mean over an aperture is the
picture of a lens that is focused there. No other simulation has such exact
borders of depth, since every view sees behind them. Halves of the aperture give
dual-pixel views, and the centre view is sharp everywhere.

u counts views to the right, v downwards, both from the centre view. A disparity
is how many pixels a point moves to the left, or up, from one view to the next:
it is larger the nearer the point. This is the sign of the HCI benchmark's
ground truth. All pictures are linear light; `light.to_display` makes sRGB.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from jaxdeblur.errors import UserError
from jaxdeblur.optics import psf

Scalar = float | Float[Array, '']
Weights = Float[Array, 'v u']


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LightField:
  """A grid of views of one scene, from the left to the right and downwards.

  Attributes:
    views: linear light. The numbers of rows and columns of views are odd, and
      the middle one is the centre view.
  """
  views: Float[Array, 'v u h w 3'] | Float[np.ndarray, 'v u h w 3']

  @property
  def counts(self) -> tuple[int, int]:
    """How many rows and columns of views there are."""
    return self.views.shape[0], self.views.shape[1]

  @property
  def sharp(self) -> Float[Array, 'h w 3'] | Float[np.ndarray, 'h w 3']:
    """The centre view: all in focus, where every other picture is from."""
    rows, columns = self.counts
    return self.views[rows // 2, columns // 2]


def synthetic_aperture(
    counts: tuple[int, int], radius: Scalar, edge: Scalar = 1.0
) -> Weights:
  """A round aperture over the views.

  Args:
    counts: rows and columns of views, odd; see `LightField.counts`.
    radius: radius in views. Twice the radius means half the f-number. Half the
      number of views on a side is the largest.
    edge: width of the soft border, in views. A border of 1 lets the blur grow
      smoothly with the radius.

  Returns:
    Weights with sum 1. Any kernel of `psf` of that many pixels is an aperture
    as well, such as a polygon.

  Raises:
    UserError: a count is even, or the radius is negative or too large.
  """
  _check_counts(counts)
  size = max(counts)
  if isinstance(radius, (int, float)) and not 0 <= radius <= size / 2:
    raise UserError(
        f'An aperture of radius {radius:g} does not fit {counts[0]} x '
        f'{counts[1]} views: choose a radius from 0 to {size / 2:g} views.',
        argument='radius')
  # As an array, for the outermost views may cut the border.
  disc = psf.disc(jnp.asarray(radius), edge, size=size)
  weights = disc[_middle(disc.shape[0], counts[0]),
                 _middle(disc.shape[1], counts[1])]
  return weights / weights.sum()


def split_aperture(
    weights: Weights, radius: Scalar, softness: Scalar = 1.0
) -> tuple[Weights, Weights]:
  """Splits an aperture into those of the left and right dual-pixel views.

  The share of the left view falls along u like that of a photodiode:
  clip(1/2 - u / (2 softness radius), 0, 1); see `psf.split`.

  Args:
    weights: the whole aperture.
    radius: its radius in views.
    softness: half the width of the ramp, as a share of the radius; near 0 each
      gets exactly one half, and both get half of the middle column.

  Returns:
    (left, right), whose sum is the whole: their sums are their light.
  """
  columns = weights.shape[1]
  u = jnp.arange(columns, dtype=jnp.float32) - columns // 2
  width = jnp.maximum(2 * jnp.asarray(softness) * radius, 1e-6)
  share = jnp.clip(0.5 - u / width, 0, 1)[None, :]
  return weights * share, weights * (1 - share)


def refocus(
    light_field: LightField,
    disparity: Scalar,
    weights: Float[Array, '*apertures v u'],
) -> Float[Array, '*apertures h w 3']:
  """Focuses a light field on the plane of a disparity.

  picture(y, x) = sum over (v, u) of w(v, u) view(v, u, y - d v, x - d u) /
  sum of w, in pixels that continue beyond the border.

  Between pixels it is cubic (Keys 1981). We rendered flat scenes from four
  photographs of Kodak at a quarter of their size, with a disparity of a quarter
  pixel. Refocused, they come out with 38.5 dB (mean PSNR). Linear interpolation
  gives 36.6 dB. Fourier's gives 37.6 dB: it rings where views are aliased, and
  joins opposite borders.

  Args:
    light_field: the views.
    disparity: disparity of the plane in focus, px from view to view. It may be
      traced and differentiated.
    weights: one aperture, or several, which are rendered in one pass.

  Raises:
    UserError: the weights are not one for each view, or a count is even.
  """
  rows, columns = light_field.counts
  _check_counts((rows, columns))
  if weights.shape[-2:] != (rows, columns):
    raise UserError(
        f'The aperture has weights for {weights.shape[-2]} x '
        f'{weights.shape[-1]} views, and the light field has {rows} x '
        f'{columns}: make it with `synthetic_aperture(light_field.counts, '
        '...)`.', argument='weights')
  several = jnp.reshape(weights, (-1, rows, columns))
  several /= several.sum(axis=(-2, -1), keepdims=True)

  def add_row(pictures, row):
    views, weights, v = row

    def add_view(total, column):
      view, weights, u = column
      moved = _sample(view, -disparity * u, axis=1)
      return total + weights[:, None, None, None] * moved[None], None

    # Views of one row share their vertical shift.
    total, _ = jax.lax.scan(
        add_view, jnp.zeros_like(pictures),
        (views, weights, _offsets(columns)))
    return pictures + _sample(total, -disparity * v, axis=1), None

  empty = jnp.zeros(
      (several.shape[0], *light_field.views.shape[2:]), jnp.float32)
  focused, _ = jax.lax.scan(
      jax.checkpoint(add_row), empty,
      (jnp.asarray(light_field.views), jnp.moveaxis(several, 0, -1),
       _offsets(rows)))
  return focused.reshape(*weights.shape[:-2], *focused.shape[1:])


def render(
    light_field: LightField,
    disparity: Scalar,
    radius: Scalar,
    softness: Scalar = 1.0,
    edge: Scalar = 1.0,
) -> dict[str, Float[Array, 'h w 3']]:
  """Renders a dual-pixel camera that is focused on the plane of a disparity.

  Args:
    light_field: the views.
    disparity: disparity of the plane in focus, px from view to view.
    radius: see `synthetic_aperture`.
    softness: see `split_aperture`.
    edge: see `synthetic_aperture`.

  Returns:
    `center`, `left` and `right`, with the same brightness, and `sharp`, all in
    linear light. The left view's content moves to the left behind the plane
    in focus, as `psf.split` says.
  """
  center = synthetic_aperture(light_field.counts, radius, edge)
  left, right = split_aperture(center, radius, softness)
  rendered = refocus(light_field, disparity, jnp.stack([center, left, right]))
  return dict(zip(('center', 'left', 'right'), rendered),
              sharp=jnp.asarray(light_field.sharp))


def defocus_map(
    scene: Float[Array, '*n'] | Float[np.ndarray, '*n'],
    disparity: Scalar,
    radius: Scalar,
) -> Float[Array, '*n']:
  """Signed diameter of the circle of confusion, px: 2 rho (d - d(z)).

  Args:
    scene: disparity of each pixel, px from view to view.
    disparity: disparity of the plane in focus.
    radius: radius of the aperture, in views.

  Returns:
    Diameters, positive behind the plane in focus, as those of `lens.ThinLens`.
  """
  return 2 * radius * (disparity - jnp.asarray(scene))


def _offsets(count: int) -> Float[Array, ' n']:
  """Positions along one axis of the grid of views, from its middle."""
  return jnp.arange(count, dtype=jnp.float32) - count // 2


def _middle(size: int, count: int) -> slice:
  start = (size - count) // 2
  return slice(start, start + count)


def _sample(values: Array, shift: Scalar, axis: int) -> Array:
  """values(x + shift) along an axis; the border's pixel continues outside."""
  size = values.shape[axis]
  whole = jnp.floor(shift)
  positions = jnp.arange(size) + whole.astype(int)
  return sum(
      weight * jnp.take(
          values, jnp.clip(positions + offset, 0, size - 1), axis=axis)
      for offset, weight in zip((-1, 0, 1, 2), _cubic(shift - whole)))


def _cubic(part: Scalar) -> tuple[Array, ...]:
  """Weights of the pixels at -1, 0, 1 and 2 for a position from 0 to 1."""
  square, cube = part ** 2, part ** 3
  return (-cube / 2 + square - part / 2,
          1.5 * cube - 2.5 * square + 1,
          -1.5 * cube + 2 * square + part / 2,
          (cube - square) / 2)


def _check_counts(counts: tuple[int, int]) -> None:
  if any(count < 1 or count % 2 == 0 for count in counts):
    raise UserError(
        f'A light field needs odd numbers of views, with one in the middle; '
        f'got {counts[0]} x {counts[1]}.', argument='counts')
