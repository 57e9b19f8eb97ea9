"""The camera: from light on the sensor to the picture in a file.

`expose` is the sensor: photon and read noise in linear light, of pixels or of a
colour mosaic that was filled in. `develop` is the processing: tone curve,
denoising, sharpening, resampling, clipping, JPEG and 8 bits. Without noise and
JPEG, the same camera makes the ground truth of a training pair.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from jaxdeblur.optics import jpeg
from jaxdeblur.optics.light import to_display

Number = float | Array  # Of one camera, or stacked.

_SMOOTH = (0.25, 0.5, 0.25)
_DENOISING_RADIUS = 2  # px
_SHARPENING_RADIUS = 3  # px


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Camera:
  """One setting of a camera; its numbers may be traced.

  Attributes:
    photon_noise: variance of the photon noise for light 1.
    read_noise: standard deviation of the read noise, in linear light.
    mosaic: 0 for noise of single pixels, 1 for noise that neighbours share, as
      after filling in a colour mosaic. The variance stays.
    display_noise: standard deviation of noise in display values.
    tone: 0 for sRGB's curve alone, 1 for a full S shape on top of it.
    denoising: differences to the neighbourhood up to about this much, in
      display values, are smoothed away; 0 for none.
    sharpening: strength of the unsharp mask; 0 for none.
    sharpening_deviation: standard deviation of its Gaussian, px.
    zoom: factor that the picture is enlarged by about its middle, 1 or more.
    jpeg_quality: 1 to 100; 0 for no JPEG.
    jpeg_offset: (y, x) from the beginning of a JPEG block to the picture, px.
  """
  photon_noise: Number = 0.0
  read_noise: Number = 0.0
  mosaic: Number = 0.0
  display_noise: Number = 0.0
  tone: Number = 0.0
  denoising: Number = 0.0
  sharpening: Number = 0.0
  sharpening_deviation: Number = 1.0
  zoom: Number = 1.0
  jpeg_quality: Number = 0.0
  jpeg_offset: tuple[Number, Number] = (0, 0)

  def expose(
      self, light: Float[Array, 'h w 3'], noise: Float[Array, 'h w 3']
  ) -> Float[Array, 'h w 3']:
    """Adds the sensor's noise to linear light; the result is not clipped.

    Clipping comes last: the photograph of a dual-pixel sensor is the sum of its
    views, whose noise it holds.

    Args:
      light: linear light.
      noise: normal noise with variance 1, independent for each pixel.
    """
    shared = blur_gently(noise) * _VARIANCE_KEPT
    mixed = (1 - self.mosaic) * noise + self.mosaic * shared
    # A mixture of two correlated noises has less variance than either.
    mixed *= jax.lax.rsqrt(
        (1 - self.mosaic) ** 2 + self.mosaic ** 2
        + 2 * self.mosaic * (1 - self.mosaic) * _CORRELATION)
    variance = (self.photon_noise * jnp.maximum(light, 0)
                + jnp.asarray(self.read_noise) ** 2)
    return light + mixed * jnp.sqrt(variance)

  def develop(
      self, light: Float[Array, 'h w 3'], noise: Float[Array, 'h w 3']
  ) -> Float[Array, 'h w 3']:
    """Makes the picture in a file from exposed light, rounded to 8 bits.

    Args:
      light: linear light.
      noise: as in `expose`, for `display_noise`.
    """
    picture = self._display(light) + self.display_noise * noise
    picture = _denoise(jnp.clip(picture, 0, 1), self.denoising)
    picture = jnp.clip(self._finish(picture), 0, 1)
    return self._store(picture)

  def make_truth(self, light: Float[Array, 'h w 3']) -> Float[Array, 'h w 3']:
    """The same camera's picture of light without blur, noise and JPEG."""
    return jnp.clip(self._finish(self._display(light)), 0, 1)

  def _display(self, light):
    """Clips light as the sensor does, and applies the tone curve."""
    picture = to_display(light)
    curved = picture * picture * (3 - 2 * picture)
    return picture + self.tone * (curved - picture)

  def _finish(self, picture):
    """Sharpens and resamples."""
    smooth = _blur(picture, self.sharpening_deviation, _SHARPENING_RADIUS)
    return _zoom(picture + self.sharpening * (picture - smooth), self.zoom)

  def _store(self, picture):
    """Writes and reads a file: JPEG if wanted, 8 bits in any case."""
    height, width = picture.shape[:2]
    rows, columns = (_whole_blocks(n + jpeg.BLOCK - 1) for n in (height, width))
    y, x = self.jpeg_offset
    before = jpeg.BLOCK - 1
    # The border's pixels are repeated around the picture, to whole blocks.
    padded = jnp.pad(picture, (
        (before, rows - height), (before, columns - width), (0, 0)), 'edge')
    blocks = jax.lax.dynamic_slice(
        padded, (before - y, before - x, 0), (rows, columns, 3))
    lossy = jpeg.pass_through_jpeg(blocks, self.jpeg_quality)
    lossy = jax.lax.dynamic_slice(lossy, (y, x, 0), picture.shape)
    return jnp.where(
        jnp.asarray(self.jpeg_quality) > 0, lossy,
        jnp.round(picture * 255) / 255)


def blur_gently(image: Float[Array, 'h w c']) -> Float[Array, 'h w c']:
  """Blurs with (1/4, 1/2, 1/4) in both directions; the border is repeated."""
  return _convolve_axes(image, jnp.array(_SMOOTH))


# The filter keeps (3/8)^2 of white noise's variance, and its middle is 1/4.
_VARIANCE_KEPT = 1 / (3 / 8)
_CORRELATION = 0.25 * _VARIANCE_KEPT


def _denoise(picture, strength):
  """Moves a pixel towards its neighbourhood where it differs little."""
  smooth = _blur(picture, 1.0, _DENOISING_RADIUS)
  difference = smooth - picture
  scale = jnp.maximum(jnp.asarray(strength, picture.dtype), 1e-6)
  near = jnp.exp(-0.5 * (difference / scale) ** 2)
  return picture + jnp.where(scale > 1e-6, near, 0) * difference


def _blur(picture, deviation, radius: int):
  offsets = jnp.arange(-radius, radius + 1)
  weights = jnp.exp(-0.5 * (offsets / jnp.asarray(deviation)) ** 2)
  return _convolve_axes(picture, weights / weights.sum())


def _convolve_axes(image, weights):
  """Convolves rows and columns with symmetric weights; borders are repeated.

  Both are products with a banded matrix. As a sum of shifted slices, XLA would
  compute what makes the picture again for each slice, and its convolution of
  few channels is slow on CPUs.
  """
  rows, columns = (_make_band(weights, n) for n in image.shape[:2])
  return jnp.einsum('ij,jkc,lk->ilc', rows, image, columns,
                    precision='highest', optimize='optimal')


def _make_band(weights, length: int) -> Array:
  """The matrix [length, length] that convolves and repeats the border."""
  radius = weights.shape[0] // 2
  targets = np.arange(length)[:, None]
  sources = np.clip(
      targets + np.arange(-radius, radius + 1)[None, :], 0, length - 1)
  return jnp.zeros((length, length)).at[targets, sources].add(weights[None, :])


def _zoom(picture, factor):
  """Enlarges about the middle; a factor of 1 changes nothing."""
  factor = jnp.asarray(factor, picture.dtype)
  size = jnp.array(picture.shape[:2], picture.dtype)
  return jax.image.scale_and_translate(
      picture, picture.shape, (0, 1), jnp.stack([factor, factor]),
      size / 2 * (1 - factor), 'linear', antialias=False)


def _whole_blocks(length: int) -> int:
  return -(-length // jpeg.BLOCK) * jpeg.BLOCK
