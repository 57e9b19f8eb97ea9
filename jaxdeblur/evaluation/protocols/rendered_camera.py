"""Scores on sharp photographs, blurred by three lenses and taken by a camera.

This protocol is frozen: no setting changes it, so that all its scores can be
compared.
"""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any
import zlib

import cv2
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8
import numpy as np

from data_pipelines.sources import read_photograph
from jaxdeblur.evaluation.protocols.case import Case, Cases, Comparison
from jaxdeblur.evaluation.protocols.rendered import blur, list_rendered
from jaxdeblur.evaluation.source import Source
from jaxdeblur.optics import psf
from jaxdeblur.optics.camera import Camera
from jaxdeblur.optics.light import expand_highlights, to_linear
from jaxdeblur.pictures import decode_pixels

RADII = (2, 4, 8, 12)  # px

_GAIN, _THRESHOLD = 4.0, 0.7
_QUALITY = 85
_CAMERA = Camera(display_noise=1 / 255, sharpening=0.8)

# A cat's eye is two discs whose centres lie this share of the radius apart, so
# that its own centre lies on a third of a pixel for every radius.
_SHIFT = 2 / 3
_FINE = 3   # Parts of a pixel in each direction, to move the cat's eye by.
_SIZE = 49  # Side of all kernels, px: the Gaussian's 4 deviations on each side.

# A disc with a border of 1 px, averaged over pixels, has the variance
# radius^2 / 4 + 5 / 48 + 1 / 12 along each axis.
_EXCESS = 5 / 48 + 1 / 12

Picture = Float[np.ndarray, 'h w 3']


def draw_hexagon(radius: Float[Array, '']) -> Float[Array, 'k k']:
  """An aperture of six straight blades, with corners at the left and right."""
  return psf.polygon(radius, blades=6, size=_SIZE)


def draw_cat_eye(radius: Float[Array, '']) -> Float[Array, 'k k']:
  """A disc that is cut from the left and the right, about its own centre.

  It is drawn on parts of a pixel, which are averaged.
  """
  fine = psf.cat_eye(
      _FINE * radius, _SHIFT, edge=_FINE, size=_FINE * _SIZE)
  return fine.reshape(_SIZE, _FINE, _SIZE, _FINE).sum(axis=(1, 3))


def draw_gaussian(radius: Float[Array, '']) -> Float[Array, 'k k']:
  """A Gaussian with the variance of a disc of this radius."""
  return psf.gaussian(radius / 2, size=_SIZE)


_APERTURES = {
    'hexagon': draw_hexagon,
    'cat eye': draw_cat_eye,
    'gaussian': draw_gaussian,
}


@dataclasses.dataclass(frozen=True)
class Condition:
  """One aperture at one radius; radius 0 is the camera without blur."""
  aperture: str
  radius: int

  def __str__(self) -> str:
    return f'{self.aperture} {self.radius} px' if self.radius else 'sharp'

  def draw_kernel(self) -> Float[np.ndarray, 'k k']:
    """The PSF, with sum 1 and its centre in the middle."""
    return _draw_kernels()[self.aperture][RADII.index(self.radius)]

  @property
  def variance(self) -> tuple[float, float]:
    """The variance of the PSF along (x, y), px^2; 0 for no blur."""
    if not self.radius:
      return 0.0, 0.0
    x, y = np.asarray(psf.variance(self.draw_kernel())).tolist()
    return x, y

  @property
  def disc_radius(self) -> float:
    """Radius of the disc of equal variance, as `psf.disc` draws it, px."""
    mean = sum(self.variance) / 2
    return 2 * max(mean - _EXCESS, 0) ** 0.5


CONDITIONS = (Condition('none', 0), *(
    Condition(aperture, radius)
    for aperture in _APERTURES for radius in RADII))


@dataclasses.dataclass(frozen=True)
class RenderedCamera:
  """Sharp photographs, blurred by three apertures and taken by one camera.

  A photograph is converted to linear light (sRGB's transfer function). What is
  nearly white becomes up to four times as bright, as a photograph does not say
  how bright its clipped highlights were. It is blurred (borders reflected) and
  clipped to white. The camera then adds noise in display values, sharpens, and
  writes a JPEG file of 8 bits.

  The ground truth is not the photograph: it is made from the same bright light
  by the same camera without blur, noise and JPEG, so it is sharpened too. The
  condition 'sharp' leaves out only the blur.

  Every pixel of the network's output is scored, which is not quantised, cropped
  or resized.
  """
  name = 'rendered_camera'
  fit = 'pad'

  def list_cases(self, source: Source) -> Cases:
    """Lists each photograph of a folder under each condition.

    Raises:
      UserError: there are no photographs.
    """
    return list_rendered(
        self.name, source, lambda file: make_light(read_photograph(file)),
        CONDITIONS, _make_case)

  def describe(self) -> Mapping[str, Any]:
    """All that a stranger needs to repeat the scores."""
    return {
        'name': self.name,
        'fit': self.fit,
        'cited': 'ours; frozen, no setting changes it',
        'conditions': [str(condition) for condition in CONDITIONS],
        'apertures': {
            'hexagon': 'six straight blades, corners at the radius, one on the '
                       'right; border 1 px, 5 x 5 samples a pixel',
            'cat eye': 'intersection of two discs of the radius whose centres '
                       'lie 2/3 of it apart in x, about its own centre; border '
                       '1 px, 15 x 15 samples a pixel',
            'gaussian': 'standard deviation of half the radius, integrated '
                        'over each pixel, on 49 x 49 px',
        },
        'variances': {
            str(condition): [round(value, 3) for value in condition.variance]
            for condition in CONDITIONS},
        'light': 'linear (sRGB transfer function); times 1 + 3 a^2 before the '
                 'blur, for a = clip((m - 0.7) / 0.3, 0, 1) and the largest '
                 'colour m; clipped to white after it',
        'border': 'reflected without repeating the outermost pixel',
        'noise': 'normal, standard deviation 1/255 in display values, clipped; '
                 'NumPy\'s default_rng, seeded with the CRC-32 of '
                 '"PICTURE/CONDITION"',
        'sharpening': 'unsharp mask after the noise, strength 0.8, Gaussian of '
                      'deviation 1 px over 7 px; clipped',
        'input_bits': 8,
        'jpeg': f'libjpeg of OpenCV, quality {_QUALITY}, 4:2:0',
        'truth': 'not the photograph: the light with its highlights, by the '
                 'same camera without blur, noise and JPEG (clipped, '
                 'sharpened, clipped), not quantised',
        'output': 'float, not quantised',
        'crop': 'none',
    }


def make_light(photograph: UInt8[np.ndarray, 'h w 3']) -> Picture:
  """Converts a photograph to linear light with highlights above white."""
  light = to_linear(photograph.astype(np.float32) / 255)
  return expand_highlights(light, _GAIN, _THRESHOLD)


def degrade(light: Picture, picture: str, condition: Condition) -> Picture:
  """Blurs light and takes its picture.

  Args:
    light: linear light, which may be above 1.
    picture: the picture's name, which seeds the noise with the condition.
    condition: what blurs it.

  Returns:
    Display values of 8 bits, in [0, 1].
  """
  if condition.radius:
    light = blur(light, condition.draw_kernel())
  key = zlib.crc32(f'{picture}/{condition}'.encode())
  noise = np.random.default_rng(key).standard_normal(light.shape, np.float32)
  return _pass_through_jpeg(np.asarray(_develop(light, noise)))


def make_truth(light: Picture) -> Picture:
  """The same camera's picture of light, without blur, noise and JPEG."""
  return np.asarray(_make_truth(light))


def _make_case(name, read, condition: Condition) -> Case:
  light = read()
  before, truth = degrade(light, name, condition), make_truth(light)
  return Case(
      name, {'center': before},
      lambda restored: {str(condition): Comparison(before, restored, truth)},
      disc_radius=condition.disc_radius)


@functools.cache
def _draw_kernels() -> dict[str, Float[np.ndarray, 'n k k']]:
  """The kernels of each aperture for all radii, compiled together."""
  radii = jnp.array(RADII, jnp.float32)
  return {name: np.asarray(jax.jit(jax.vmap(draw))(radii))
          for name, draw in _APERTURES.items()}


_develop = jax.jit(_CAMERA.develop)
_make_truth = jax.jit(_CAMERA.make_truth)


def _pass_through_jpeg(picture: Picture) -> Picture:
  _, file = cv2.imencode(
      '.jpg', np.uint8(np.round(picture[..., ::-1] * 255)), [
          cv2.IMWRITE_JPEG_QUALITY, _QUALITY,
          cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
          cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420])
  decoded = decode_pixels(file.tobytes(), 'a JPEG file in memory')
  return decoded.astype(np.float32) / 255
