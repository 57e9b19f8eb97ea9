"""Renders pairs with defocus from sharp photographs.

The blur is a disc, the image of a point through a round aperture (thin lens),
in linear light. Some of the pictures show two depths: a near layer with a soft
mask over a far one, each with its own disc. They are composed front over back,
with the mask blurred like its layer (Xin et al. 2021):
B = h_near * (a c_near) + (h_far * c_far) (1 - h_near * a).
"""

from collections.abc import Sequence
import dataclasses

import cv2
import grain
import numpy as np

from data_pipelines.transforms import (
  mirror_views,
  quantise,
  to_display,
  to_linear,
  turn,
)
from jaxdeblur.errors import UserError
from jaxdeblur.optics.psf import disc, half_discs
from jaxdeblur.suggestion import choose_one

# Signs of the circles of confusion; see `half_discs`.
DISPARITIES = {'left_first': (1,), 'right_first': (-1,), 'both': (1, -1)}


@dataclasses.dataclass(frozen=True)
class DefocusSettings:
  """How pairs are rendered. Radii, edges and sizes are in pixels.

  Attributes:
    crop: height and width of the pairs.
    max_radius: discs have radii uniform in [0, max_radius].
    sharp_share: share of layers with radius 0, since sharp parts must stay
      sharp.
    two_layer_share: share of pairs that show two depths.
    edges: range of the widths of the discs' soft borders.
    rims: range of how much the discs brighten towards the border.
    shrink: smallest factor by which photographs are shrunk, half of the time;
      this makes them sharper than any lens does.
    sensor_noise_share: share of pairs with noise like a sensor's (photon and
      read noise, in linear light); the others have noise of one strength.
    photon_noise: range of the photon noise's variance for a signal of 1, drawn
      by logarithm.
    read_noise: range of the read noise's deviation, drawn by logarithm.
    display_noise: largest deviation of the noise of one strength.
    dual_pixel: whether left and right views are rendered, with half discs.
    disparity: side of the plane in focus that layers are on. 'left_first' has
      the left view's content to the left of the right view's, 'right_first' is
      the other side, and 'both' draws a side for each layer.
    jpeg_share: share of pairs whose input passes through JPEG.
    jpeg_qualities: range of the JPEG quality, 1 to 100, as in libjpeg.
  """
  crop: tuple[int, int] = (64, 64)
  max_radius: float = 6.0
  sharp_share: float = 0.15
  two_layer_share: float = 0.25
  edges: tuple[float, float] = (0.7, 1.8)
  rims: tuple[float, float] = (-0.2, 0.3)
  shrink: float = 0.55
  sensor_noise_share: float = 0.3
  photon_noise: tuple[float, float] = (1e-5, 3e-4)
  read_noise: tuple[float, float] = (1e-4, 1e-3)
  display_noise: float = 2 / 255
  jpeg_share: float = 0.3
  jpeg_qualities: tuple[int, int] = (80, 98)
  dual_pixel: bool = False
  disparity: str = 'both'

  def __post_init__(self):
    """Raises a UserError for an unknown `disparity`."""
    if self.disparity not in DISPARITIES:
      raise UserError(
          f'disparity is {self.disparity!r}: '
          f'{choose_one(self.disparity, DISPARITIES)}', argument='disparity')

  @property
  def margin(self) -> int:
    """Width around the crop from which blur reaches into it, px."""
    return int(np.ceil(self.max_radius + self.edges[1] / 2)) + 1


class RenderDefocus(grain.transforms.RandomMap):
  """Makes views of a tile: 'center', 'sharp', and 'left', 'right' if asked.

  All are float32 [height, width, 3].
  """

  def __init__(self, tiles: Sequence[np.ndarray], settings: DefocusSettings):
    """Takes the settings, and the tiles to draw second layers from."""
    self._tiles = tiles
    self._settings = settings

  def random_map(
      self, element: np.ndarray, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    s = self._settings
    sharp = _cut_window(element, rng, s)
    far, psfs = to_linear(sharp), _draw_psfs(rng, s)
    if rng.random() < s.two_layer_share:
      near = _cut_window(self._tiles[rng.integers(len(self._tiles))], rng, s)
      mask, near_psfs = draw_mask(sharp.shape[:2], rng), _draw_psfs(rng, s)
      light = {view: blur_layers(
          to_linear(near), far, mask, near_psfs[view], psfs[view])
               for view in psfs}
      # Blended in display values: the rim of a layer is a pixel of two colours.
      sharp = mask * near + (1 - mask) * sharp
    else:
      light = {view: blur(far, psf) for view, psf in psfs.items()}
    if s.dual_pixel:
      light = {'center': (light['left'] + light['right']) / 2, **light}
    camera = _draw_camera(rng, s)
    views = {view: _photograph(image, camera, rng, s)
             for view, image in light.items()}
    views['sharp'] = np.ascontiguousarray(_crop(sharp, s))
    return mirror_views(views) if rng.integers(2) else views


def blur(light: np.ndarray, psf: np.ndarray) -> np.ndarray:
  """Convolves linear light [h, w, c] with a PSF; the border is reflected."""
  # OpenCV correlates, so the PSF is mirrored.
  return cv2.filter2D(
      light, -1, psf[::-1, ::-1], borderType=cv2.BORDER_REFLECT_101)


def blur_layers(
    near: np.ndarray, far: np.ndarray, mask: np.ndarray, near_psf: np.ndarray,
    far_psf: np.ndarray,
) -> np.ndarray:
  """Composes a near layer over a far one, both out of focus.

  Args:
    near: linear light of the near layer, [h, w, 3].
    far: linear light of the far layer, [h, w, 3].
    mask: where the near layer is, [h, w, 1] in [0, 1].
    near_psf: the near layer's PSF, which also blurs its mask.
    far_psf: the far layer's PSF.
  """
  covered = blur(mask, near_psf).reshape(mask.shape)
  return blur(near * mask, near_psf) + blur(far, far_psf) * (1 - covered)


def draw_mask(
    size: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
  """Draws a smooth blob mask with a border about a pixel wide, [h, w, 1]."""
  cells = int(rng.integers(2, 6))
  coarse = rng.standard_normal((cells, cells)).astype(np.float32)
  height = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
  level = np.quantile(height, rng.uniform(0.25, 0.75))
  slope = np.hypot(*np.gradient(height)).mean() + 1e-6
  return np.clip((height - level) / slope + 0.5, 0, 1)[..., None]


def add_display_noise(
    picture: np.ndarray, deviation: float, rng: np.random.Generator
) -> np.ndarray:
  """Adds noise of one strength to a displayed picture, clipped to [0, 1]."""
  noise = rng.standard_normal(picture.shape, np.float32) * deviation
  return np.clip(picture + noise.astype(np.float32), 0, 1)


def compress(picture: np.ndarray, quality: int) -> np.ndarray:
  """Passes a picture [h, w, 3] in [0, 1] through a JPEG file."""
  _, file = cv2.imencode(
      '.jpg', np.uint8(np.round(picture[..., ::-1] * 255)),
      [cv2.IMWRITE_JPEG_QUALITY, quality])
  decoded = cv2.imdecode(file, cv2.IMREAD_COLOR)
  return decoded[..., ::-1].astype(np.float32) / 255


def _cut_window(tile, rng, s: DefocusSettings) -> np.ndarray:
  """Cuts crop and margin from a tile, shrunk and turned at random."""
  quarter = int(rng.integers(4))
  window = np.array(s.crop)[::-1 if quarter % 2 else 1] + 2 * s.margin
  available = np.array(tile.shape[:2])
  scale = rng.uniform(s.shrink, 1) if rng.random() < 0.5 else 1.0
  scale = max(scale, *(window / available))
  if scale > 1:
    raise UserError(
        f'Tiles of {available[0]} x {available[1]} px are too small for a crop '
        f'of {s.crop[0]} x {s.crop[1]} px and {s.margin} px on each side of '
        'it: take smaller crops or larger tiles.', argument='crop')
  cut = np.minimum(np.ceil(window / scale).astype(int), available)
  y, x = rng.integers(available - cut + 1)
  pixels = tile[y:y + cut[0], x:x + cut[1]]
  if scale != 1:
    pixels = cv2.resize(
        pixels, window[::-1].tolist(), interpolation=cv2.INTER_AREA)
  return turn(pixels, quarter).astype(np.float32) / 255


def _crop(picture, s: DefocusSettings) -> np.ndarray:
  height, width = s.crop
  return picture[s.margin:s.margin + height, s.margin:s.margin + width]


def _draw_psfs(rng, s: DefocusSettings) -> dict[str, np.ndarray]:
  """Draws a circle of confusion, and returns each view's PSF."""
  radius = 0.0
  if rng.random() >= s.sharp_share:
    radius = rng.uniform(0, s.max_radius)
  shape = (dict(edge=rng.uniform(*s.edges), rim=rng.uniform(*s.rims))
           if radius else {})
  if not s.dual_pixel:
    return {'center': disc(radius, **shape)}
  signs = DISPARITIES[s.disparity]
  left, right = half_discs(
      signs[rng.integers(len(signs))] * radius, **shape)
  return {'left': left, 'right': right}


@dataclasses.dataclass(frozen=True)
class _Camera:
  """The noise and the file of a picture, the same for all its views.

  Attributes:
    display_noise: deviation of noise of one strength; None for sensor noise.
    photon: variance of the sensor's photon noise for a signal of 1.
    read: deviation of its read noise.
    quality: quality of the JPEG file; None if there is none.
    offset: rows and columns from the beginning of a JPEG block to the crop.
  """
  display_noise: float | None
  photon: float
  read: float
  quality: int | None
  offset: tuple[int, int]


def _draw_camera(rng, s: DefocusSettings) -> _Camera:
  has_sensor_noise = rng.random() < s.sensor_noise_share
  display_noise = rng.uniform(0, s.display_noise)
  photon, read = (np.exp(rng.uniform(*np.log(limits)))
                  for limits in (s.photon_noise, s.read_noise))
  low, high = s.jpeg_qualities
  quality = int(rng.integers(low, high + 1))
  is_jpeg = rng.random() < s.jpeg_share
  # JPEG's blocks of 8 px may begin anywhere, as in cropped photographs.
  offset = rng.integers(min(8, s.margin), size=2)
  return _Camera(
      None if has_sensor_noise else display_noise, photon, read,
      quality if is_jpeg else None, tuple(offset.tolist()))


def _photograph(light, camera: _Camera, rng, s: DefocusSettings) -> np.ndarray:
  """Makes the picture in a camera's file from light on its sensor; crops it."""
  (height, width), (y, x) = s.crop, camera.offset
  light = light[s.margin - y:s.margin + height, s.margin - x:s.margin + width]
  picture = quantise(_add_noise(light, camera, rng))
  if camera.quality is not None:
    picture = compress(picture, camera.quality)
  return np.ascontiguousarray(picture[y:, x:])


def _add_noise(light, camera: _Camera, rng) -> np.ndarray:
  """Adds noise to linear light and returns the displayed picture."""
  if camera.display_noise is not None:
    return add_display_noise(to_display(light), camera.display_noise, rng)
  variance = camera.photon * np.maximum(light, 0) + camera.read ** 2
  noise = rng.standard_normal(light.shape, np.float32) * np.sqrt(variance)
  return to_display(light + noise)
