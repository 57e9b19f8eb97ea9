"""What is drawn for a training pair: the scene, the lens and the camera."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt8
import numpy as np

from jaxdeblur.optics.bank import Bank
from jaxdeblur.optics.camera import Camera
from jaxdeblur.optics.lens import Lens
from jaxdeblur.optics.light import expand_highlights, to_linear
from jaxdeblur.optics.numbers import Numbers
from jaxdeblur.optics.rendering import Plane
from jaxdeblur.optics.settings import DISPARITIES, SLICES, DefocusSettings

_SAMPLES = 2  # Every blur has a soft border, so few points a pixel suffice.
_MOST_NUMBERS = 96
_CELLS = 5    # Masks are smooth between this many squared random numbers.

# The light of each value of a picture in 8 bits.
_LINEAR = to_linear(np.arange(256, dtype=np.float32) / 255)


def draw_lens(numbers: Numbers, s: DefocusSettings) -> Lens:
  """Draws a lens."""
  has_vignetting = numbers.chance(s.vignetting_share)
  spread = (1 - s.colour_spread, 1 + s.colour_spread)
  red, blue = numbers.uniform(spread), numbers.uniform(spread)
  return Lens(
      edge=numbers.uniform(s.edges),
      edge_share=numbers.uniform(s.edge_shares),
      rim=numbers.uniform(s.rims),
      tilt=has_vignetting * numbers.uniform((-s.tilt, s.tilt)),
      stretch=jnp.where(
          has_vignetting > 0, numbers.log_uniform((1 / s.stretch, s.stretch)),
          1.0),
      blades=numbers.integer(*s.blades).astype(jnp.float32),
      angle=numbers.uniform((0, 2 * math.pi)),
      roundness=jnp.where(
          numbers.chance(s.polygon_share) > 0, numbers.uniform((0, 0.8)), 1.0),
      vignetting=has_vignetting * numbers.uniform((0, s.vignetting)),
      is_gaussian=numbers.chance(s.gaussian_share),
      colours=jnp.stack([red, jnp.ones(()), blue]),
      softness=numbers.uniform(s.softness))


def draw_camera(numbers: Numbers, s: DefocusSettings) -> Camera:
  """Draws a camera, the same for all views of a pair."""
  def sometimes(share, limits):
    return numbers.chance(share) * numbers.uniform(limits)

  has_sensor_noise = numbers.chance(s.sensor_noise_share)
  return Camera(
      photon_noise=has_sensor_noise * numbers.log_uniform(s.photon_noise),
      read_noise=has_sensor_noise * numbers.log_uniform(s.read_noise),
      mosaic=numbers.chance(s.mosaic_share),
      display_noise=(1 - has_sensor_noise) * numbers.uniform(
          (0, s.display_noise)),
      tone=sometimes(s.tone_share, (0, s.tone)),
      denoising=sometimes(s.denoising_share, (0, s.denoising)),
      sharpening=sometimes(s.sharpening_share, (0, s.sharpening)),
      zoom=1 + sometimes(s.zoom_share, (0, s.zoom - 1)),
      jpeg_quality=numbers.chance(s.jpeg_share) * numbers.integer(
          *s.jpeg_qualities),
      jpeg_offset=(numbers.integer(0, 15), numbers.integer(0, 15)))


def draw_mask(
    heights: Float[Array, 'n n'],
    size: tuple[int, int],
    is_thin: Array | float,
    level: Array | float,
    half_width: Array | float,
) -> Float[Array, 'h w 1']:
  """Draws a smooth blob, or the line along its border.

  The border of both is about a pixel wide.

  Args:
    heights: normal random numbers, which decide the shape.
    size: height and width, px.
    is_thin: 1 for the line, 0 for the blob.
    level: where the blob is cut, from -1 (most of the picture) to 1.
    half_width: half the width of the line, px.
  """
  height = jax.image.resize(heights, size, 'cubic')
  rise, run = jnp.gradient(height)
  # The distance to the border, px, if the slope there were that here.
  slope = jnp.sqrt(rise ** 2 + run ** 2) + 1e-3 * height.std() + 1e-6
  distance = (height - height.mean() - level * height.std()) / slope
  blob = jnp.clip(distance + 0.5, 0, 1)
  line = jnp.clip(half_width - jnp.abs(distance) + 0.5, 0, 1)
  return jnp.where(jnp.asarray(is_thin) > 0, line, blob)[..., None]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Scene:
  """What lies where: layers in front, and the farthest one in slices.

  Attributes:
    count: the number of planes.
    in_front: the number of layers before the farthest.
    radii: signed radius of each layer, px, the farthest first.
    is_thin: whether each layer is thin.
    levels: level of the mask of each layer.
    half_widths: half the width of each thin layer, px.
    heights: decide the masks of the layers.
    slope: difference of the radius from one side of the farthest layer to the
      other; 0 for a layer of one depth.
    direction: direction of that slope, radians.
    gain: how much brighter than white highlights are.
  """
  count: Array
  in_front: Array
  radii: Array
  is_thin: Array
  levels: Array
  half_widths: Array
  heights: Array
  slope: Array
  direction: Array
  gain: Array

  @classmethod
  def draw(
      cls,
      numbers: Numbers,
      heights: Float[Array, 'layers n n'],
      s: DefocusSettings,
  ) -> 'Scene':
    in_front = numbers.index(s.layer_shares)

    def draw_layers(draw):
      return jnp.stack([draw() for _ in range(s.layers)])

    radii = draw_layers(
        lambda: (1 - numbers.chance(s.sharp_share)) * numbers.log_uniform(
            (s.min_radius, s.max_radius)) * numbers.choice(
                DISPARITIES[s.disparity]))
    # The slope neither crosses the plane in focus nor exceeds the largest
    # radius.
    room = jnp.minimum(s.max_radius - jnp.abs(radii[0]), jnp.abs(radii[0]))
    slope = numbers.chance(s.slope_share) * 2 * jnp.clip(
        numbers.uniform((0, s.slope / 2)), 0, jnp.maximum(room, 0))
    return cls(
        count=in_front + jnp.where(slope > 0, SLICES, 1),
        in_front=in_front, radii=radii,
        is_thin=draw_layers(lambda: numbers.chance(s.thin_share)),
        levels=draw_layers(lambda: numbers.uniform((-0.7, 0.7))),
        half_widths=draw_layers(lambda: numbers.log_uniform((0.5, 4.0))),
        heights=heights, slope=slope,
        direction=numbers.uniform((0, 2 * math.pi)),
        gain=jnp.where(
            numbers.chance(s.highlight_share) > 0,
            numbers.log_uniform((1.0, s.highlight_gain)), 1.0))

  def make_plane(self, tiles, p, draw_kernels) -> Plane:
    """Makes the plane of a number; its radius decides its kernels."""
    number = p - self.in_front  # From 0: slices of the farthest layer.
    is_front = number < 0
    layer = jnp.where(is_front, self.in_front - p, 0)
    size = tiles.shape[1:3]
    light = tile_to_light(tiles[layer])
    mask = draw_mask(
        self.heights[layer], size, self.is_thin[layer], self.levels[layer],
        self.half_widths[layer])
    weight, offset = self._slice(number, size)
    radius = self.radii[layer] + jnp.where(is_front, 0.0, offset)
    return Plane(
        light=expand_highlights(light, self.gain),
        weight=jnp.where(is_front, mask, weight),
        kernels=draw_kernels(radius),
        starts_layer=(p > 0) & (is_front | (number == 0)),
        hides=is_front,
        radius=radius)

  def _slice(self, number, size):
    """The weight of a slice of the farthest layer, and its radius's offset."""
    y, x = jnp.meshgrid(
        *(jnp.linspace(-1, 1, length) for length in size), indexing='ij')
    # -1 to 1 over the layer, in the direction of the slope.
    along = (x * jnp.cos(self.direction) + y * jnp.sin(self.direction))
    along /= jnp.abs(jnp.cos(self.direction)) + jnp.abs(
        jnp.sin(self.direction))
    position = (along + 1) / 2 * (SLICES - 1)
    share = jnp.maximum(1 - jnp.abs(position - number), 0)
    offset = self.slope * (number / (SLICES - 1) - 0.5)
    is_flat = self.slope == 0
    return (jnp.where(is_flat, 1.0, share)[..., None],
            jnp.where(is_flat, 0.0, offset))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Draws:
  """All that is random in a pair. Few draws compile in less time.

  Attributes:
    numbers: uniform in [0, 1), [n].
    heights: normal, for the masks, [layers, m, m].
    noise: normal, for each view that is exposed, [v, h, w, 3].
  """
  numbers: Array
  heights: Array
  noise: Array

  @classmethod
  def from_key(cls, key: Key[Array, ''], s: DefocusSettings) -> 'Draws':
    number_key, normal_key = jax.random.split(key)
    shapes = ((s.layers, _CELLS, _CELLS),
              (3 if s.dual_pixel else 1, *s.crop, 3))
    first, second = (math.prod(shape) for shape in shapes)
    normal = jax.random.normal(normal_key, (first + second,))
    return cls(
        jax.random.uniform(number_key, (_MOST_NUMBERS,)),
        normal[:first].reshape(shapes[0]), normal[first:].reshape(shapes[1]))


def tile_to_light(tile: UInt8[Array, '*n']) -> Float[Array, '*n']:
  """Converts displayed values in 8 bits to linear light, by a table."""
  return jnp.asarray(_LINEAR)[tile]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PairPlan:
  """All that is drawn for a pair but its noise.

  Attributes:
    lens: the lens.
    camera: the camera.
    is_measured: 1 if a bank's kernels are used instead of the lens, else 0.
    place: (x, y) of the pair in the lens's picture, each from -1 to 1.
    gains: factors of the brightness of the left and right view.
    is_mirrored: whether the pair is mirrored in x.
    scene: the layers.
    focus: distance of the plane in focus, for scenes with depth: 0 at the
      nearest, 1 at the farthest, linear in disparity.
    disparity: disparity in focus, for light fields, px from view to view.
    aperture: their aperture, as a share of all views.
  """
  lens: Lens
  camera: Camera
  is_measured: Array
  place: tuple[Array, Array]
  gains: tuple[Array, Array]
  is_mirrored: Array
  scene: Scene
  focus: Array
  disparity: Array
  aperture: Array

  @classmethod
  def make(
      cls, draws: Draws, s: DefocusSettings, bank: Bank | None = None
  ) -> 'PairPlan':
    numbers = Numbers(draws.numbers)
    lens, camera = draw_lens(numbers, s), draw_camera(numbers, s)
    is_measured = numbers.chance(s.bank_share if bank is not None else 0.0)
    place = numbers.uniform((-1, 1)), numbers.uniform((-1, 1))
    ratio = numbers.log_uniform((1 / s.view_gain, s.view_gain))
    return cls(
        lens, camera, is_measured, place,
        gains=(2 * ratio / (1 + ratio), 2 / (1 + ratio)),
        is_mirrored=numbers.chance(0.5) > 0,
        scene=Scene.draw(numbers, draws.heights, s),
        focus=numbers.uniform((0, 1)),
        disparity=numbers.uniform(s.disparities),
        aperture=numbers.uniform(s.apertures))

  def draw_kernels(
      self, radius: Array, s: DefocusSettings, bank: Bank | None = None
  ) -> Float[Array, 'v 3 k k']:
    """The kernels of the views that are rendered, for a signed radius."""
    draw = self.lens.draw_views if s.dual_pixel else (
        lambda *arguments: self.lens.draw_whole(*arguments)[None])
    kernels = draw(radius, s.kernel_size, self.place, _SAMPLES)
    if bank is None:
      return kernels
    measured = bank.interpolate_both_sides(2 * radius, self.place)
    if not s.dual_pixel:
      measured = measured.mean(axis=0, keepdims=True)
    margin = (s.kernel_size - bank.size) // 2
    measured = jnp.pad(
        measured, ((0, 0), (margin, margin), (margin, margin)))
    return jnp.where(self.is_measured > 0, measured[:, None], kernels)


def plan_pair(
    key: Key[Array, ''], settings: DefocusSettings, bank: Bank | None = None
) -> PairPlan:
  """Draws what `render_pair` draws for the same key."""
  return PairPlan.make(Draws.from_key(key, settings), settings, bank)
