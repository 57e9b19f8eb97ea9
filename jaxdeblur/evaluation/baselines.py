"""Deconvolution with a disc: the baseline that any network has to beat.

The Wiener filter and Richardson and Lucy's iteration come from scikit-image.
Both assume that one disc blurs all of the picture. They work in linear light,
where blur is a convolution.
"""

from collections.abc import Callable
import math

from jaxtyping import Float
import numpy as np

from jaxdeblur.errors import MissingPackageError, UserError
from jaxdeblur.optics.light import to_display, to_linear
from jaxdeblur.optics.psf import disc, smallest_size

# These had the largest mean PSNR of the values tried, on six of the Kodak
# photographs, blurred by discs of 2, 3.5 and 5 px with noise of 1/255.
SETTINGS = {
    'wiener': {'balance': 0.01},
    'richardson_lucy': {'iterations': 80},
}

_CANDIDATES = np.arange(1.0, 12.01, 0.25)  # Disc radii, px.
_SLOPES = np.arange(1.5, 3.6, 0.1)  # Slopes of photographs' power spectra.
_BANDS = 128       # Bands of frequency, from 0 to half a cycle per pixel.
_FIRST_BAND = 3    # Lower bands show the picture's window.
_CLEAN_BANDS = slice(3, 12)   # Bands with hardly any noise.
_NOISY_BANDS = slice(100, None)  # Bands with hardly anything but noise.

Picture = Float[np.ndarray, 'h w 3']


def deconvolve_wiener(picture: Picture, radius: float) -> Picture:
  """Wiener's filter for a disc, with a Laplacian prior.

  Args:
    picture: display values in [0, 1], float32.
    radius: radius of the disc, px; 0 returns the picture unchanged.

  Raises:
    ImportError: scikit-image is not installed.
  """
  restoration = _import_restoration()
  return _deconvolve(picture, radius, lambda light, psf: restoration.wiener(
      light, psf, **SETTINGS['wiener'], clip=False))


def deconvolve_richardson_lucy(picture: Picture, radius: float) -> Picture:
  """Richardson and Lucy's iteration for a disc; see `deconvolve_wiener`."""
  restoration = _import_restoration()
  return _deconvolve(
      picture, radius, lambda light, psf: restoration.richardson_lucy(
          light, psf, SETTINGS['richardson_lucy']['iterations'], clip=False,
          filter_epsilon=1e-6))


def estimate_radius(picture: Picture) -> float:
  """Estimates the radius of the disc that a picture is blurred with, px.

  A disc leaves rings of zeros in the spectrum. This tries radii from 1 to 12 px
  in steps of 0.25. It returns the radius for which A f^-s |disc(f)|^2 + noise
  comes nearest to the picture's power spectrum in linear light, averaged over
  directions, by squared differences of logarithms. The noise is measured at the
  highest frequencies, A is fitted at the lowest, and the best slope s is
  searched for. A picture of several depths has no single radius, so the
  estimate means little there.

  Args:
    picture: display values in [0, 1], float32, at least 32 px on each side.

  Raises:
    UserError: the picture is smaller.
  """
  height, width = picture.shape[:2]
  if min(height, width) < 32:
    raise UserError(
        f'A disc radius cannot be estimated on {height} x {width} px: give it '
        'in px.', argument='disc_radius')
  light = to_linear(picture).mean(axis=2)
  window = np.hanning(height)[:, None] * np.hanning(width)
  power = _average_directions(_power((light - light.mean()) * window))
  noise = np.median(power[_NOISY_BANDS])
  frequencies = (np.arange(_BANDS) + 0.5) / (2 * _BANDS)
  errors = []
  size = smallest_size(_CANDIDATES[-1])  # One for all: one compilation.
  for radius in _CANDIDATES:
    psf = np.asarray(disc(radius, size=size))
    padded = np.zeros((height, width), np.float32)
    padded[:len(psf), :len(psf)] = psf
    passed = _average_directions(_power(padded))
    errors.append(min(
        _compare_spectra(power, frequencies ** -slope * passed, noise)
        for slope in _SLOPES))
  return float(_CANDIDATES[int(np.argmin(errors))])


def _compare_spectra(power, signal, noise) -> float:
  amplitude = np.exp(np.median(np.log(
      power[_CLEAN_BANDS] / signal[_CLEAN_BANDS])))
  model = amplitude * signal + noise
  return float(np.mean(np.square(
      np.log(power[_FIRST_BAND:] / model[_FIRST_BAND:]))))


def _power(values: Float[np.ndarray, 'h w']) -> Float[np.ndarray, 'h w']:
  # It is never 0, so its logarithm is finite.
  return np.abs(np.fft.fft2(values)) ** 2 + 1e-12


def _average_directions(
    power: Float[np.ndarray, 'h w']
) -> Float[np.ndarray, ' bands']:
  """Averages over rings of frequency, up to half a cycle per pixel."""
  height, width = power.shape
  frequency = np.hypot(
      np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
  band = (frequency * 2 * _BANDS).astype(int)
  inside = band < _BANDS
  # In small pictures some rings have no sample; they take a neighbour's mean.
  counts = np.bincount(band[inside], minlength=_BANDS)
  sums = np.bincount(band[inside], power[inside], minlength=_BANDS)
  filled = np.maximum.accumulate(np.where(counts, np.arange(_BANDS), 0))
  return sums[filled] / counts[filled]


def _deconvolve(
    picture: Picture,
    radius: float,
    restore: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Picture:
  if radius == 0:
    return picture
  # The border is mirrored, since deconvolution wraps around at the border.
  margin = min(math.ceil(4 * radius), min(picture.shape[:2]) - 1)
  light = np.pad(
      to_linear(picture), ((margin, margin), (margin, margin), (0, 0)),
      mode='reflect')
  psf = np.asarray(disc(radius))
  restored = np.stack(
      [restore(light[..., channel], psf) for channel in range(3)], axis=2)
  return to_display(restored[margin:-margin, margin:-margin])


def _import_restoration():
  try:
    from skimage import restoration
  except ImportError as error:
    raise MissingPackageError(
        'Wiener and Richardson-Lucy deconvolution need scikit-image, which '
        "is not installed: pip install 'scikit-image>=0.26'.") from error
  return restoration
