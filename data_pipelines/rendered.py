"""Sharp photographs -> pairs with rendered defocus.

The blur is a disc, the image of a point through a round aperture (thin lens),
applied in linear light. Part of the pictures show two depths: a near layer
with a soft mask over a far one, each with its own disc, composed front over
back with the mask blurred as its layer is (Xin et al. 2021):
B = h_near * (a c_near) + (h_far * c_far) (1 - h_near * a).
"""

from collections.abc import Sequence
import dataclasses

import cv2
import grain
import numpy as np

from data_pipelines.transforms import quantise, to_display, to_linear, turn
from jaxdeblur.optics.psf import disc


@dataclasses.dataclass(frozen=True)
class DefocusSettings:
  """What is rendered. Radii, edges and sizes in pixels.

  Attributes:
    crop: size of the square pairs.
    max_radius: discs have radii uniform in [0, max_radius].
    sharp_share: share of layers with radius 0: what is sharp must stay sharp.
    two_layer_share: share of the pairs that show two depths.
    edges: range of the discs' soft borders.
    rims: range of the discs' brightening towards the border.
    shrink: photographs are shrunk, half of the time, by at most this factor;
      it makes them sharper than any lens did.
    sensor_noise_share: share of the pairs with noise of a sensor (of photons
      and of reading, in linear light); the rest has noise of one strength.
    photon_noise: range of its variance for a signal of 1, drawn by logarithm.
    read_noise: range of its deviation, drawn by logarithm.
    display_noise: largest deviation of the noise of one strength.
    jpeg_share: share of the pairs whose input has been a JPEG file.
    jpeg_qualities: range of its quality, 1 to 100, as libjpeg counts.
  """
  crop: int = 96
  max_radius: float = 6.0
  sharp_share: float = 0.08
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

  @property
  def margin(self) -> int:
    """How far beyond the crop its blur reaches."""
    return int(np.ceil(self.max_radius + self.edges[1] / 2)) + 1


class RenderDefocus(grain.transforms.RandomMap):
  """Makes a pair of a tile: {'center', 'sharp'}, float32 [crop, crop, 3]."""

  def __init__(self, tiles: Sequence[np.ndarray], settings: DefocusSettings):
    """Takes the tiles, where second layers come from, and the settings."""
    self._tiles = tiles
    self._settings = settings

  def random_map(
      self, element: np.ndarray, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    s = self._settings
    sharp = _cut_window(element, rng, s)
    if rng.random() < s.two_layer_share:
      near = _cut_window(self._tiles[rng.integers(len(self._tiles))], rng, s)
      mask = draw_mask(len(sharp), rng)
      light = blur_layers(
          to_linear(near), to_linear(sharp), mask, _draw_disc(rng, s),
          _draw_disc(rng, s))
      # Blended as displayed: the rim of a layer is a pixel of two colours.
      sharp = mask * near + (1 - mask) * sharp
    else:
      light = blur(to_linear(sharp), _draw_disc(rng, s))
    crop = slice(s.margin, s.margin + s.crop)
    return {'center': _photograph(light, rng, s),
            'sharp': np.ascontiguousarray(sharp[crop, crop])}


def blur(light: np.ndarray, psf: np.ndarray) -> np.ndarray:
  """Filters linear light [h, w, c] with a PSF; the border is reflected."""
  # Every PSF here is symmetric, so correlation is convolution.
  return cv2.filter2D(light, -1, psf, borderType=cv2.BORDER_REFLECT_101)


def blur_layers(
    near: np.ndarray, far: np.ndarray, mask: np.ndarray, near_psf: np.ndarray,
    far_psf: np.ndarray,
) -> np.ndarray:
  """Composes a near layer over a far one, both out of focus.

  Args:
    near: linear light of the near layer, [h, w, 3].
    far: linear light of the far layer, [h, w, 3].
    mask: where the near layer is, [h, w, 1] in [0, 1].
    near_psf: the near layer's PSF; it blurs its mask too.
    far_psf: the far layer's PSF.
  """
  covered = blur(mask, near_psf).reshape(mask.shape)
  return blur(near * mask, near_psf) + blur(far, far_psf) * (1 - covered)


def draw_mask(size: int, rng: np.random.Generator) -> np.ndarray:
  """Draws a smooth blob mask with a border about a pixel wide, [s, s, 1]."""
  cells = int(rng.integers(2, 6))
  coarse = rng.standard_normal((cells, cells)).astype(np.float32)
  height = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
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
  """Returns what is left of a picture [h, w, 3] in [0, 1] in a JPEG file."""
  _, file = cv2.imencode(
      '.jpg', np.uint8(np.round(picture[..., ::-1] * 255)),
      [cv2.IMWRITE_JPEG_QUALITY, quality])
  decoded = cv2.imdecode(file, cv2.IMREAD_COLOR)
  return decoded[..., ::-1].astype(np.float32) / 255


def _cut_window(tile, rng, s: DefocusSettings) -> np.ndarray:
  """Cuts crop and margin from a tile, shrunk and turned at random."""
  window = s.crop + 2 * s.margin
  scale = rng.uniform(s.shrink, 1) if rng.random() < 0.5 else 1.0
  cut = int(np.ceil(window / scale))
  if cut > min(tile.shape[:2]):
    cut, scale = min(tile.shape[:2]), 0.0
  if cut < window:
    raise ValueError(
        f'Tiles of {cut} px are too small for a crop of {s.crop} px and '
        f'{s.margin} px on each side of it: lower config.data.crop.')
  y, x = (rng.integers(length - cut + 1) for length in tile.shape[:2])
  pixels = tile[y:y + cut, x:x + cut]
  if scale != 1:
    pixels = cv2.resize(pixels, (window, window), interpolation=cv2.INTER_AREA)
  pixels = turn(pixels, int(rng.integers(4)), bool(rng.integers(2)))
  return pixels.astype(np.float32) / 255


def _draw_disc(rng, s: DefocusSettings) -> np.ndarray:
  if rng.random() < s.sharp_share:
    return disc(0)
  return disc(
      rng.uniform(0, s.max_radius), edge=rng.uniform(*s.edges),
      rim=rng.uniform(*s.rims))


def _photograph(light, rng, s: DefocusSettings) -> np.ndarray:
  """Makes what a camera's file holds of the light on its sensor, cropped."""
  # JPEG's blocks of 8 px begin anywhere: photographs are cropped, too.
  y, x = rng.integers(min(8, s.margin), size=2)
  end = s.margin + s.crop
  picture = quantise(_add_noise(
      light[s.margin - y:end, s.margin - x:end], rng, s))
  if rng.random() < s.jpeg_share:
    low, high = s.jpeg_qualities
    picture = compress(picture, int(rng.integers(low, high + 1)))
  return np.ascontiguousarray(picture[y:, x:])


def _add_noise(light, rng, s: DefocusSettings) -> np.ndarray:
  """Adds noise to linear light, returns the displayed picture."""
  if rng.random() >= s.sensor_noise_share:
    return add_display_noise(
        to_display(light), rng.uniform(0, s.display_noise), rng)
  photon = np.exp(rng.uniform(*np.log(s.photon_noise)))
  read = np.exp(rng.uniform(*np.log(s.read_noise)))
  deviation = np.sqrt(photon * np.maximum(light, 0) + read ** 2)
  noise = rng.standard_normal(light.shape, np.float32) * deviation
  return to_display(light + noise)
