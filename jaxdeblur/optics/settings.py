"""How training pairs are rendered: the fields of config.data."""

import dataclasses
import math

from jaxdeblur.errors import UserError
from jaxdeblur.suggestion import choose_one

# Signs of the radii; see `psf.split`.
DISPARITIES = {'left_first': (1,), 'right_first': (-1,), 'both': (1, -1)}

SCENES = ('layers', 'depth', 'light_field')
MOST_LAYERS = 4
DEPTH_PLANES = 12  # Depths of a photograph with a depth map.
SLICES = 3  # Planes of a layer whose depth slopes.


@dataclasses.dataclass(frozen=True)
class DefocusSettings:
  """How pairs are rendered. Radii, edges and sizes are in pixels.

  A share is that of pairs, unless it says otherwise. A range of numbers is
  drawn from uniformly, unless it says otherwise.

  Attributes:
    crop: height and width of the pairs.
    scene: what a scene is made of: 'layers' of photographs before each other,
      photographs with a 'depth' map (as RDPD and DDD-syn), or a 'light_field'
      (as LFDOF).
    min_radius: smallest radius of the blur.
    max_radius: largest radius. Radii are drawn uniformly by their logarithm.
    sharp_share: share of layers with radius 0, since sharp parts must stay
      sharp.
    layer_shares: shares of pairs with 1, 2, ... layers, up to 4.
    thin_share: share of the layers in front that are thin, like twigs; the
      others are blobs.
    slope_share: share whose farthest layer slopes in depth.
    slope: largest difference of radius over such a layer.
    edges: range of the widths of the blur's soft borders in focus.
    edge_shares: range of what they grow by with the radius.
    rims: range of how much the blur brightens towards its border.
    polygon_share: share with straight blades; the others are round.
    blades: range of the number of blades.
    vignetting_share: share with a cat's eye, a bright side and a stretch, which
      grow towards the picture's corners.
    vignetting: largest shift of the cat's eye in the corners.
    tilt: largest brightness of the outer or inner side in the corners.
    stretch: largest stretch towards the centre, or across it.
    gaussian_share: share with a Gaussian instead of an aperture.
    colour_spread: largest relative difference of the radii of red and blue from
      that of green.
    highlight_share: share whose highlights were brighter than white.
    highlight_gain: largest factor of what is white.
    disparities: range of the disparity in focus of a light field, px from view
      to view.
    apertures: range of a light field's aperture, as a share of all its views.
    shrink: smallest factor by which photographs are shrunk, half of the time;
      this makes them sharper than any lens does.
    sensor_noise_share: share with noise like a sensor's (photon and read noise,
      in linear light); the others have noise of one strength.
    photon_noise: range of the photon noise's variance for a signal of 1, drawn
      by logarithm.
    read_noise: range of the read noise's deviation, drawn by logarithm.
    mosaic_share: share of the sensors' noise that neighbours share.
    display_noise: largest deviation of the noise of one strength.
    tone_share: share with an S-shaped tone curve.
    tone: its largest strength; 1 is the smoothstep.
    denoising_share: share that the camera denoised.
    denoising: largest difference that it smooths away, in display values.
    sharpening_share: share that the camera sharpened.
    sharpening: largest strength of the unsharp mask.
    zoom_share: share that was enlarged after the blur.
    zoom: largest factor.
    jpeg_share: share whose input passes through JPEG.
    jpeg_qualities: range of the JPEG quality, 1 to 100, as in libjpeg.
    dual_pixel: whether left and right views are rendered as well.
    disparity: side of the plane in focus that layers are on. 'left_first' has
      the left view's content to the left of the right view's, 'right_first' is
      the other side, and 'both' draws a side for each layer.
    softness: range of how softly the aperture is split into views.
    view_gain: largest ratio of the views' brightness.
    bank: file of measured kernels; '' for none.
    bank_share: share of pairs blurred with them.

  Raises:
    UserError: the settings do not fit together.
  """
  crop: tuple[int, int] = (64, 64)
  scene: str = 'layers'
  min_radius: float = 0.5
  max_radius: float = 20.0
  sharp_share: float = 0.15
  layer_shares: tuple[float, ...] = (0.7, 0.2, 0.07, 0.03)
  thin_share: float = 0.3
  slope_share: float = 0.1
  slope: float = 4.0
  edges: tuple[float, float] = (0.7, 1.8)
  edge_shares: tuple[float, float] = (0.0, 0.4)
  rims: tuple[float, float] = (-0.2, 0.3)
  polygon_share: float = 0.3
  blades: tuple[int, int] = (5, 9)
  vignetting_share: float = 0.3
  vignetting: float = 0.8
  tilt: float = 0.5
  stretch: float = 1.15
  gaussian_share: float = 0.1
  colour_spread: float = 0.1
  highlight_share: float = 0.2
  highlight_gain: float = 8.0
  disparities: tuple[float, float] = (-2.0, 2.0)
  apertures: tuple[float, float] = (0.5, 1.0)
  shrink: float = 0.55
  sensor_noise_share: float = 0.3
  photon_noise: tuple[float, float] = (1e-5, 3e-4)
  read_noise: tuple[float, float] = (1e-4, 1e-3)
  mosaic_share: float = 0.5
  display_noise: float = 2 / 255
  tone_share: float = 0.3
  tone: float = 0.6
  denoising_share: float = 0.2
  denoising: float = 0.02
  sharpening_share: float = 0.3
  sharpening: float = 1.0
  zoom_share: float = 0.15
  zoom: float = 1.4
  jpeg_share: float = 0.3
  jpeg_qualities: tuple[int, int] = (75, 98)
  dual_pixel: bool = False
  disparity: str = 'both'
  softness: tuple[float, float] = (1.0, 1.4)
  view_gain: float = 1.15
  bank: str = ''
  bank_share: float = 0.0

  def __post_init__(self):
    if self.scene not in SCENES:
      raise UserError(
          f'scene is {self.scene!r}: {choose_one(self.scene, SCENES)}',
          argument='scene')
    if self.disparity not in DISPARITIES:
      raise UserError(
          f'disparity is {self.disparity!r}: '
          f'{choose_one(self.disparity, DISPARITIES)}', argument='disparity')
    if not 0 < self.min_radius <= self.max_radius:
      raise UserError(
          f'Radii go from {self.min_radius} to {self.max_radius} px: give a '
          'min_radius above 0, and a max_radius that is no smaller.',
          argument='max_radius')
    if 2 * self.max_radius > min(self.crop):
      raise UserError(
          f'A blur with a radius of {self.max_radius:g} px is wider than a '
          f'crop of {self.crop[0]} x {self.crop[1]} px: take larger crops or a '
          'smaller max_radius.', argument='max_radius')
    if not 1 <= len(self.layer_shares) <= MOST_LAYERS or (
        min(self.layer_shares) < 0 or sum(self.layer_shares) <= 0):
      raise UserError(
          f'layer_shares is {self.layer_shares}: give the shares of pairs with '
          f'1, 2, ... layers, at most {MOST_LAYERS}, not negative.',
          argument='layer_shares')

  @property
  def layers(self) -> int:
    """The largest number of layers of a pair."""
    return len(self.layer_shares)

  @property
  def kernel_size(self) -> int:
    """Height and width of kernels that hold every blur that can be drawn."""
    radius = self.max_radius * (1 + self.colour_spread)
    edge = self.edges[1] + self.edge_shares[1] * radius
    return 2 * math.ceil(self.stretch * (radius + edge / 2)) + 1

  @property
  def margin(self) -> int:
    """Width around the crop from which blur reaches into it, px."""
    return self.kernel_size // 2

  @property
  def window(self) -> tuple[int, int]:
    """Height and width of the tiles that pairs are rendered from, px."""
    height, width = self.crop
    return height + 2 * self.margin, width + 2 * self.margin
