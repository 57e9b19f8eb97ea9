"""The thin lens: how far out of focus a depth is, and the blur it makes.

Circles of confusion are diameters with a sign: positive behind the plane in
focus, negative in front of it. Lengths of the scene and the lens share one unit
(mm, or m), as do the sensor's lengths.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from jaxdeblur.errors import UserError
from jaxdeblur.optics import psf

Values = Float[Array, '*n'] | Float[np.ndarray, '*n'] | float

Number = float | Array  # Of one lens, or stacked.

_CENTRE = (0.0, 0.0)
_GAUSSIAN_SHARE = 0.5  # A disc of radius r has deviation r / 2 along each axis.


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Lens:
  """What a lens makes of a point out of focus; its numbers may be traced.

  Attributes:
    edge: width of the blur's soft border in focus, px.
    edge_share: what the width grows by with the radius, as a share of it.
    rim: how much brighter the border is than the centre; see `psf.disc`.
    tilt: how much brighter the outer side is in the picture's corners; below 0
      for the inner side. See `psf.aperture`.
    stretch: factor of the length towards the centre in the corners.
    blades: number of the aperture's blades.
    angle: direction of one of its corners, radians.
    roundness: 0 for straight blades, 1 for a round aperture.
    vignetting: shift of the cat's eye in the corners; see `psf.cat_eye`.
    is_gaussian: 1 for a Gaussian of the disc's variance instead, else 0.
    colours: radii of red, green and blue, relative to the radius.
    softness: how softly the aperture is split for the dual-pixel views; see
      `psf.split`.
  """
  edge: Number = 1.0
  edge_share: Number = 0.0
  rim: Number = 0.0
  tilt: Number = 0.0
  stretch: Number = 1.0
  blades: Number = 6.0
  angle: Number = 0.0
  roundness: Number = 1.0
  vignetting: Number = 0.0
  is_gaussian: Number = 0.0
  colours: Array | tuple[Number, Number, Number] = (1.0, 1.0, 1.0)
  softness: Number = 1.19  # The Pixel 4's.

  def draw_whole(
      self,
      radius: psf.Scalar,
      size: int,
      place: tuple[psf.Scalar, psf.Scalar] = _CENTRE,
      samples: int = psf.SAMPLES,
  ) -> Float[Array, '3 k k']:
    """The PSFs of the whole aperture for red, green and blue.

    Args:
      radius: radius of the circle of confusion, px. Only its size counts.
      size: height and width of the kernels, odd.
      place: (x, y) in the picture, each from -1 to 1.
      samples: see `psf.disc`.
    """
    x, y = jnp.asarray(place[0], float), jnp.asarray(place[1], float)
    # 1 in the corners. The direction at the middle is arbitrary.
    outwards = jnp.sqrt(jnp.maximum((x ** 2 + y ** 2) / 2, 1e-12))
    is_middle = (x == 0) & (y == 0)
    direction = jnp.arctan2(y, jnp.where(is_middle, 1.0, x))

    def draw(colour):
      r = jnp.abs(jnp.asarray(radius, float)) * colour
      sharp = psf.aperture(
          r, edge=self.edge + self.edge_share * r, rim=self.rim,
          tilt=self.tilt * outwards, tilt_direction=direction,
          stretch=1 + (self.stretch - 1) * outwards, blades=self.blades,
          angle=self.angle, roundness=self.roundness,
          shift=self.vignetting * outwards, direction=direction, size=size,
          samples=samples)
      soft = psf.gaussian(_GAUSSIAN_SHARE * r, size)
      return jnp.where(jnp.asarray(self.is_gaussian) > 0, soft, sharp)

    return jax.vmap(draw)(jnp.asarray(self.colours, float))

  def draw_views(
      self,
      radius: psf.Scalar,
      size: int,
      place: tuple[psf.Scalar, psf.Scalar] = _CENTRE,
      samples: int = psf.SAMPLES,
  ) -> Float[Array, '2 3 k k']:
    """The PSFs of the left and right dual-pixel views, for each colour.

    Args:
      radius: with a sign; see `psf.split`.
      size: as in `draw_whole`.
      place: as in `draw_whole`.
      samples: as in `draw_whole`.
    """
    whole = self.draw_whole(radius, size, place, samples)
    return jnp.stack(jax.vmap(
        lambda kernel: psf.split(kernel, radius, self.softness))(whole))


@dataclasses.dataclass(frozen=True)
class ThinLens:
  """A lens focused on a plane, before a sensor.

  Attributes:
    focal_length: in the scene's unit.
    f_number: focal length over the diameter of the aperture.
    focus: distance of the plane in focus from the lens, in the scene's unit.
    pixel_pitch: distance between pixels, in the scene's unit; 1 gives circles
      of confusion in that unit.

  Raises:
    UserError: a number is not above 0, or the focus is nearer than the focal
      length, where no picture forms.
  """
  focal_length: psf.Scalar
  f_number: psf.Scalar
  focus: psf.Scalar
  pixel_pitch: psf.Scalar = 1.0

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if _is_plain(value) and not (np.isfinite(value) and value > 0):
        raise UserError(
            f'{field.name} is {value}: a lens needs a number above 0.',
            argument=field.name)
    if (_is_plain(self.focus) and _is_plain(self.focal_length)
        and self.focus <= self.focal_length):
      raise UserError(
          f'The focus at {self.focus:g} is not beyond the focal length '
          f'{self.focal_length:g}: no picture forms there. Give the distance '
          'of the plane in focus, in the unit of the focal length.',
          argument='focus')

  @property
  def largest_blur(self) -> psf.Scalar:
    """Circle of confusion of an infinitely far point, px: A f / (s - f)."""
    aperture = self.focal_length / self.f_number
    return (aperture * self.focal_length
            / (self.focus - self.focal_length) / self.pixel_pitch)

  def circle_of_confusion(
      self, depth: Values
  ) -> Float[Array, '*n']:
    """Signed diameter of the circle of confusion, px.

    D(z) = A f / (s - f) (z - s) / z, for the aperture A = f / N.

    Raises:
      UserError: a depth is not a number, 0 or negative (if it is not traced).
    """
    check_depth(depth)
    return self.largest_blur * (1 - self.focus / jnp.asarray(depth))

  def depth_of(self, circle: Values) -> Float[Array, '*n']:
    """Depth of a signed circle of confusion: the inverse of the above.

    A circle of `largest_blur` or more has no depth; the result is infinite.
    """
    rest = 1 - jnp.asarray(circle) / self.largest_blur
    return jnp.where(
        rest > 0, self.focus / jnp.where(rest > 0, rest, 1), jnp.inf)


def fit_thin_lens(
    depth: Float[np.ndarray, ' n'], diameter: Float[np.ndarray, ' n']
) -> tuple[float, float]:
  """Fits focus and largest blur to measured, unsigned circles of confusion.

  |D| = B |1 - s / z| is linear in (B, B s) on each side of the focus. Every
  place of the focus between two depths is tried, and the best is kept.

  Returns:
    (focus, largest_blur), in the units of depth and diameter.

  Raises:
    UserError: there are fewer than three depths, or a bad one.
  """
  check_depth(depth)
  depth, diameter = np.asarray(depth, float), np.asarray(diameter, float)
  if len(depth) < 3:
    raise UserError(
        f'A thin lens is fitted to three depths or more; got {len(depth)}.')
  best = (np.inf, np.float64(0), np.float64(0))
  cuts = np.sort(depth)
  for boundary in (cuts[0] / 2, *(cuts[:-1] + cuts[1:]) / 2, cuts[-1] * 2):
    signed = np.where(depth > boundary, diameter, -diameter)
    system = np.stack([np.ones_like(depth), -1 / depth], axis=1)
    (largest, product), *_ = np.linalg.lstsq(system, signed, rcond=None)
    if largest <= 0 or product <= 0:
      continue
    error = np.square(np.abs(system @ (largest, product)) - diameter).sum()
    best = min(best, (error, product / largest, largest))
  if not np.isfinite(best[0]):
    raise UserError(
        'The blur does not change with depth like that of a thin lens: give '
        'depths on both sides of the focus, or farther apart.')
  return best[1].item(), best[2].item()


def check_depth(depth) -> None:
  """Raises a UserError for depths that are not above 0, unless traced."""
  if isinstance(depth, jax.core.Tracer):
    return
  values = np.asarray(depth)
  bad = ~(values > 0)
  if bad.any():
    raise UserError(
        f'{int(bad.sum())} of {values.size} depths are not above 0 '
        f'(the first is {values[bad].flat[0]}): mask unknown depths, or fill '
        'them, before rendering.', argument='depth')


def _is_plain(value) -> bool:
  return isinstance(value, (int, float))
