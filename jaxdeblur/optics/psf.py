"""Point-spread functions: the picture that each lens makes of a point.

All are arrays [k, k] with k odd, not negative, with sum 1, for convolution. x
grows to the right and y downwards, both from the middle pixel, in pixels. The
numbers that describe a PSF may be traced and differentiated; sizes are static.
Where a size may be None, the radius must be a plain number and the smallest
size that holds the PSF is taken.
"""

from collections.abc import Callable
import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from jaxdeblur.errors import UserError

Scalar = float | Float[Array, '']
Kernel = Float[Array, 'k k']
Kernels = Float[Array, '*n k k'] | Float[np.ndarray, '*n k k']

# Every pixel averages this many points squared.
SAMPLES = 5


def smallest_size(radius: float, edge: float = 1.0) -> int:
  """The smallest odd size that holds a disc with a soft border."""
  return 2 * math.ceil(max(radius + edge / 2 - 0.5, 0)) + 1


def disc(
    radius: Scalar,
    edge: Scalar = 1.0,
    rim: Scalar = 0.0,
    size: int | None = None,
    samples: int = SAMPLES,
) -> Kernel:
  """A round aperture out of focus: the thin lens.

  Args:
    radius: radius of the circle of confusion, px; 0 makes one pixel.
    edge: width of the soft border, px, over which the disc falls from full to
      nothing. Diffraction, aberrations and the sensor's own blur widen it. On
      the Pixel 4 it is 0.4 to 0.6 of the radius.
    rim: how much brighter the border is than the centre, as a fraction: above 0
      for over-corrected lenses, below 0 for under-corrected ones.
    size: height and width of the kernel, odd.
    samples: points in each direction that a pixel averages.

  Raises:
    UserError: the radius is negative, the edge is not above 0, or the size is
      even or too small.
  """
  return aperture(
      radius, edge=edge, rim=rim, blades=math.inf, size=size, samples=samples)


def polygon(
    radius: Scalar,
    blades: Scalar,
    angle: Scalar = 0.0,
    roundness: Scalar = 0.0,
    edge: Scalar = 1.0,
    size: int | None = None,
) -> Kernel:
  """An aperture of straight or rounded blades out of focus.

  Args:
    radius: radius of the circle through the corners, px.
    blades: number of blades, 3 or more.
    angle: direction of one corner, radians from x towards y.
    roundness: 0 for straight blades, 1 for a disc.
    edge: as in `disc`.
    size: as in `disc`.
  """
  return aperture(
      radius, edge=edge, blades=blades, angle=angle, roundness=roundness,
      size=size)


def cat_eye(
    radius: Scalar,
    shift: Scalar,
    direction: Scalar = 0.0,
    edge: Scalar = 1.0,
    size: int | None = None,
) -> Kernel:
  """A disc that the lens barrel cuts, as in a picture's corners.

  It is what two discs of one radius have in common, about its own middle.

  Args:
    radius: radius of the discs, px.
    shift: distance between the discs' centres, as a share of the radius.
    direction: direction of that shift, radians from x towards y.
    edge: as in `disc`.
    size: as in `disc`.
  """
  return aperture(
      radius, edge=edge, shift=shift, direction=direction, size=size)


def aperture(
    radius: Scalar,
    *,
    edge: Scalar = 1.0,
    rim: Scalar = 0.0,
    tilt: Scalar = 0.0,
    tilt_direction: Scalar = 0.0,
    blades: Scalar = math.inf,
    angle: Scalar = 0.0,
    roundness: Scalar = 0.0,
    shift: Scalar = 0.0,
    stretch: Scalar = 1.0,
    direction: Scalar = 0.0,
    size: int | None = None,
    samples: int = SAMPLES,
) -> Kernel:
  """The general aperture: blades, soft border, bright rim, cat's eye, tilt.

  On the Pixel 4's corners it needs the last three; studies/measured_kernels.py
  shows how much each leaves.

  Args:
    radius: see `disc`.
    edge: see `disc`.
    rim: see `disc`.
    tilt: how much brighter the border is on one side, and darker on the other,
      as a fraction; between them the light changes linearly.
    tilt_direction: direction of the bright side, radians from x towards y.
    blades: number of blades; infinite for a disc.
    angle: direction of one corner, radians from x towards y.
    roundness: 0 for straight blades, 1 for a disc.
    shift: see `cat_eye`.
    stretch: factor of the length along `direction`; across, it is divided.
    direction: direction of the cat's eye's shift and of the stretch.
    size: see `disc`.
    samples: see `disc`.

  Raises:
    UserError: see `disc`.
  """
  _check(radius, edge)
  is_round = isinstance(blades, float) and math.isinf(blades)
  return _draw_aperture(
      radius, edge, rim, tilt, tilt_direction, 1.0 if is_round else blades,
      angle, roundness, shift, stretch, direction, is_round=is_round,
      size=_choose_size(size, radius, edge), samples=samples)


# One program for all numbers, which would be dozens of small ones otherwise.
@functools.partial(jax.jit, static_argnames=('is_round', 'size', 'samples'))
def _draw_aperture(
    radius, edge, rim, tilt, tilt_direction, blades, angle, roundness, shift,
    stretch, direction, *, is_round, size, samples,
) -> Kernel:
  def light(x, y):
    x, y = _turn(x, y, direction)
    # A cat's eye lies about its own middle: its two discs are moved to the
    # sides. Otherwise the picture would move against what is in focus.
    along = x / stretch - shift * radius / 2
    x, y = _turn(along, y * stretch, -direction)
    distance = _norm(x, y)
    border = 1.0 if is_round else _polygon_border(
        x, y, blades, angle, roundness)
    inside = _soften((radius * border - distance) / edge)
    dx, dy = jnp.cos(direction), jnp.sin(direction)
    moved = _norm(x + shift * radius * dx, y + shift * radius * dy)
    # Only a shifted disc cuts: two coinciding soft borders would be a harder
    # one.
    cut = _soften((radius - moved) / edge)
    inside *= jnp.where(shift == 0, 1.0, cut)
    # 0 at the centre, 1 on the border. A point has no border.
    reach = jnp.minimum(distance / jnp.maximum(radius, 1e-6), 1) ** 2
    reach = jnp.where(radius > 0, reach, 0)
    side, _ = _turn(x, y, tilt_direction)
    side = jnp.where(radius > 0, side / jnp.maximum(radius, 1e-6), 0)
    return inside * jnp.maximum(1 + rim * reach + tilt * side, 0)

  return _integrate(light, size, samples)


def gaussian(
    deviation: Scalar, size: int | None = None
) -> Kernel:
  """A Gaussian, integrated over each pixel exactly.

  Args:
    deviation: standard deviation, px. A disc of radius r has deviation r / 2
      along each axis.
    size: as in `disc`; 4 deviations on each side by default.
  """
  if size is None:
    size = 2 * math.ceil(4 * deviation) + 1
  _check_size(size)
  return _draw_gaussian(deviation, size)


@functools.partial(jax.jit, static_argnums=1)
def _draw_gaussian(deviation, size: int) -> Kernel:
  edges = jnp.arange(size + 1) - size / 2
  below = jax.scipy.stats.norm.cdf(edges / jnp.maximum(deviation, 1e-3))
  profile = jnp.diff(below)
  profile /= profile.sum()
  return profile[:, None] * profile[None, :]


def butterworth(
    radius: Scalar,
    order: Scalar = 6.0,
    ratio: Scalar = 2.5,
    floor: Scalar = 0.1,
    size: int | None = None,
) -> Kernel:
  """RDPD's centre view: a disc that is brighter towards its border.

  It is a Butterworth high-pass profile over a disc, blurred by a Gaussian that
  grows with it (Abuolaim et al. 2021; supplement of K3DN, data RDPD).

  Args:
    radius: radius of the disc in whole pixels; RDPD rounds circles of confusion
      to them.
    order: order of the profile; RDPD draws 3, 6 or 9.
    ratio: the profile's cutoff is 2 `radius` / `ratio`; RDPD draws 2 or 2.5.
    floor: smallest brightness inside; RDPD draws 0.1 or 0.2.
    size: as in `disc`; it also holds the Gaussian.
  """
  if size is None:
    size = 2 * (round(radius) + _butterworth_reach(round(radius))) + 1
  _check_size(size)
  reach = size // 2
  x, y = _grid(size, 1)
  square = x ** 2 + y ** 2
  cutoff = 2 * radius / ratio
  profile = jax.nn.sigmoid((square / jnp.maximum(cutoff, 1e-6) ** 2) ** order)
  # From [1/2, its value at the border] to [floor, 1].
  on_disc = square <= radius ** 2
  low = jnp.where(on_disc, profile, jnp.inf).min()
  high = jnp.where(on_disc, profile, -jnp.inf).max()
  scaled = floor + (1 - floor) * (profile - low) / jnp.maximum(high - low, 1e-6)
  inside = jnp.where(on_disc, scaled, 0)
  half = jnp.floor((jnp.round((2 * radius + 1) / 7) + 1) / 2)
  # OpenCV's Gaussian of this many pixels on each side.
  deviation = 0.3 * (half - 1) + 0.8
  offsets = jnp.arange(-reach, reach + 1)
  weights = jnp.where(
      jnp.abs(offsets) <= half, jnp.exp(-offsets ** 2 / (2 * deviation ** 2)),
      0)
  weights /= weights.sum()
  blurred = _convolve_axes(inside, weights)
  return blurred / blurred.sum()


def split(
    kernel: Kernel, radius: Scalar, softness: Scalar = 1.0
) -> tuple[Kernel, Kernel]:
  """Splits any kernel into those of the left and right dual-pixel views.

  Each photodiode sees mostly one half of the aperture. Its share falls linearly
  from one side to the other: left's is clip(1/2 - x / (2 softness r), 0, 1).
  For a disc and a softness of 1 or more, the centroids of the views lie
  0.5 r / softness apart. On the Pixel 4 that is 0.42 of twice the standard
  deviation, a softness of 1.19; fitted ramps have 1.04 to 1.49 over the
  picture (studies/measured_kernels.py).

  Args:
    kernel: the kernel of the whole aperture.
    radius: radius of the circle of confusion, px. It is positive if the left
      view gets the left half, so that its content moves to the left, and
      negative on the other side of the plane in focus.
    softness: half the width of the ramp, as a share of the radius; near 0 each
      view gets exactly one half, 0.849 r apart for a disc.

  Returns:
    (left, right), each with sum 1. The mean of both, weighted by their light,
    is the kernel.
  """
  columns = _columns(kernel.shape[1])[None, :]
  width = 2 * jnp.asarray(softness) * radius
  # On the plane in focus both views get half.
  width = jnp.where(jnp.abs(width) < 1e-6, jnp.inf, width)
  share = jnp.clip(0.5 - columns / width, 0, 1)
  left, right = kernel * share, kernel * (1 - share)
  return left / left.sum(), right / right.sum()


def split_square(
    side: Scalar, size: int | None = None
) -> tuple[Kernel, Kernel]:
  """The views of a square aperture that is cut into its halves.

  DDDNet's simulation moves its views like this: the centroids lie half the
  circle of confusion apart, side / 2.

  Args:
    side: side of the square, px, with a sign as the radius in `split`.
    size: as in `disc`.

  Returns:
    (left, right), each with sum 1, exact on every pixel.
  """
  if size is None:
    size = smallest_size(abs(side) / 2, 0)
  _check_size(size)
  half = jnp.maximum(jnp.abs(side) / 2, 1e-4)
  rows = _cover(size, -half, half)
  left, right = (
      rows[:, None] * _cover(size, low, high)[None, :]
      for low, high in ((-half, 0.0), (0.0, half)))
  left, right = left / left.sum(), right / right.sum()
  swap = jnp.asarray(side) < 0
  return jnp.where(swap, right, left), jnp.where(swap, left, right)


def split_by_translation(
    kernel: Kernel, radius: Scalar
) -> tuple[Kernel, Kernel]:
  """Splits a kernel by a disc that moves across it (Punnappurath 2020, Eq. 6).

  h = sum over i from 0 to 2 R + 1 of D shift_x(D, i), over the whole.

  Args:
    kernel: the kernel D of the whole aperture.
    radius: only its sign counts; see `split`.

  Returns:
    (left, right), each with sum 1.
  """
  # The sum over the shifts is the kernel's sum up to a column.
  right = kernel * jnp.cumsum(kernel, axis=1)
  left = kernel * jnp.cumsum(kernel[:, ::-1], axis=1)[:, ::-1]
  left, right = left / left.sum(), right / right.sum()
  swap = jnp.asarray(radius) < 0
  return jnp.where(swap, right, left), jnp.where(swap, left, right)


def half_discs(
    radius: float, edge: float = 1.0, rim: float = 0.0
) -> tuple[Kernel, Kernel]:
  """A disc cut exactly in two, for a signed radius; see `split`.

  The halves' centroids lie 8 r / (3 pi) = 0.849 r apart.
  """
  whole = disc(abs(radius), edge, rim)
  return split(whole, radius, softness=1e-3)


def centroid(kernel: Kernels) -> Float[Array, '*n 2']:
  """The mean position of a kernel's light, (x, y), px from its middle."""
  light = kernel / kernel.sum(axis=(-2, -1), keepdims=True)
  positions = _columns(kernel.shape[-1])
  return jnp.stack([light.sum(axis=-2) @ positions,
                    light.sum(axis=-1) @ positions], axis=-1)


def variance(kernel: Kernels) -> Float[Array, '*n 2']:
  """The variance of a kernel's light along (x, y), px^2."""
  light = kernel / kernel.sum(axis=(-2, -1), keepdims=True)
  squares = _columns(kernel.shape[-1]) ** 2
  second = jnp.stack([light.sum(axis=-2) @ squares,
                      light.sum(axis=-1) @ squares], axis=-1)
  return second - centroid(kernel) ** 2


def _integrate(
    light: Callable[[Array, Array], Array], size: int, samples: int
) -> Kernel:
  """Averages a function of (x, y) over each pixel and scales it to sum 1."""
  x, y = _grid(size, samples)
  values = light(x, y).reshape(size, samples, size, samples).mean(axis=(1, 3))
  total = values.sum()
  # A radius below the distance of the sample points would leave nothing.
  point = jnp.zeros((size, size), values.dtype).at[size // 2, size // 2].set(1)
  return jnp.where(
      total > 0, values / jnp.where(total > 0, total, 1), point)


def _grid(size: int, samples: int) -> tuple[Array, Array]:
  axis = (jnp.arange(size * samples) + 0.5) / samples - size / 2
  return tuple(jnp.meshgrid(axis, axis))


def _columns(size: int) -> Float[Array, ' k']:
  return jnp.arange(size, dtype=jnp.result_type(float)) - size // 2


def _soften(depth_inside: Array) -> Array:
  """0 outside and 1 inside a border, given how deep inside, in its widths."""
  return jnp.clip(depth_inside + 0.5, 0, 1)


def _norm(x: Array, y: Array) -> Array:
  """The distance from the middle, with a finite slope there."""
  return jnp.sqrt(jnp.maximum(x ** 2 + y ** 2, 1e-12))


def _turn(x: Array, y: Array, angle: Scalar) -> tuple[Array, Array]:
  """The coordinates along a direction and across it."""
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  return x * cos + y * sin, y * cos - x * sin


def _polygon_border(x, y, blades, angle, roundness) -> Array:
  """The border's distance in the direction of (x, y), for corners at 1."""
  sector = 2 * jnp.pi / blades
  # atan2 has no slope at the middle pixel, where the border is far away.
  is_middle = (x == 0) & (y == 0)
  turned = jnp.arctan2(y, jnp.where(is_middle, 1.0, x)) - angle
  within = jnp.mod(turned, sector) - sector / 2
  straight = jnp.cos(sector / 2) / jnp.cos(within)
  return roundness + (1 - roundness) * straight


def _cover(size: int, low: Array | float, high: Array | float) -> Array:
  """The share of each pixel of an axis between two positions."""
  left = _columns(size) - 0.5
  return jnp.maximum(
      jnp.minimum(left + 1, high) - jnp.maximum(left, low), 0)


def _convolve_axes(kernel: Array, weights: Array) -> Array:
  along = functools.partial(jnp.convolve, v=weights, mode='same')
  rows = jax.vmap(along)(kernel)
  return jax.vmap(along, in_axes=1, out_axes=1)(rows)


def _butterworth_reach(radius: int) -> int:
  return (round((2 * radius + 1) / 7) + 1) // 2


def _check(radius, edge) -> None:
  """Checks plain numbers; traced ones cannot be checked."""
  numbers = [value for value in (radius, edge) if _is_plain(value)]
  if any(not math.isfinite(value) for value in numbers) or (
      _is_plain(radius) and radius < 0) or (_is_plain(edge) and edge <= 0):
    raise UserError(
        f'A disc needs a radius of at least 0 and an edge above 0 px; got '
        f'radius {radius} and edge {edge}.')


def _choose_size(size, radius, edge) -> int:
  if size is None:
    return smallest_size(float(radius), float(edge))
  _check_size(size)
  if _is_plain(radius) and _is_plain(edge):
    needed = smallest_size(float(radius), float(edge))
    if size < needed:
      raise UserError(
          f'A disc with radius {radius:g} px and an edge of {edge:g} px needs '
          f'a kernel of {needed} x {needed} px; got {size} x {size}.',
          argument='size')
  return size


def _check_size(size: int) -> None:
  if size < 1 or size % 2 == 0:
    raise UserError(
        f'A kernel needs an odd size; got {size}.', argument='size')


def _is_plain(value) -> bool:
  return isinstance(value, (int, float))
