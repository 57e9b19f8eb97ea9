"""What measured kernels say: radius, separation of the views, likeness."""

import dataclasses
import functools

from jaxtyping import Float
import numpy as np

from jaxdeblur.errors import UserError
from jaxdeblur.optics import lens, psf

_LARGEST = 64.0


@dataclasses.dataclass(frozen=True)
class Measurement:
  """Numbers of one photograph, each the median over its cells.

  Attributes:
    radius: of the disc with the kernel's variance, px; with a sign where the
      views or the depths tell the side of the focus.
    spread: standard deviation of that over the cells, px.
    separation: distance of the views' centroids along x, px; None for one view.
    disc_residual: norm of kernel minus best disc over that of the kernel.
  """
  radius: float
  spread: float
  separation: float | None
  disc_residual: float


def measure(kernels: Float[np.ndarray, 'r c v k k']) -> Measurement:
  """Measures the kernels of one photograph, with one view or left and right.

  The sign of the radius is that of `psf.split`: positive if the left view's
  light lies to the left. One view gives no sign.
  """
  whole = kernels.mean(axis=2)
  radii = np.array([radius_of(kernel) for line in whole for kernel in line])
  residuals = [fit_disc(kernel)[1] for line in whole for kernel in line]
  separation, sign = None, 1
  if kernels.shape[2] == 2:
    separation = float(np.median(
        separation_of(kernels[..., 0, :, :], kernels[..., 1, :, :])))
    sign = -1 if separation < 0 else 1
  return Measurement(sign * float(np.median(radii)), float(radii.std()),
                     separation, float(np.median(residuals)))


def radius_of(kernel: Float[np.ndarray, 'k k']) -> float:
  """Radius of the `psf.disc` with a kernel's variance, px.

  It is exact for discs, and defined for every kernel: a Gaussian with deviation
  s has about 2 s, a little less for the border of the disc, which is soft.
  """
  deviations, radii = _deviations_of_discs()
  deviation = np.sqrt(np.mean(_variance(kernel)))
  return float(np.interp(deviation, deviations, radii))


def separation_of(
    left: Float[np.ndarray, '*n k k'], right: Float[np.ndarray, '*n k k']
) -> Float[np.ndarray, '*n']:
  """How far the right view's centroid lies to the right of the left's, px."""
  columns = np.arange(left.shape[-1]) - left.shape[-1] // 2
  first, second = (
      (view.sum(axis=-2) @ columns) / view.sum(axis=(-2, -1))
      for view in (left, right))
  return np.asarray(second - first)


def fit_disc(kernel: Float[np.ndarray, 'k k']) -> tuple[float, float]:
  """Fits a disc; returns its radius, px, and the residual, as in `Measurement`.

  The radius is the best of those in steps of a quarter of a pixel.
  """
  radii, discs = _discs(kernel.shape[0])
  errors = np.square(discs - kernel).sum(axis=(1, 2))
  best = int(errors.argmin())
  return float(radii[best]), float(
      np.sqrt(errors[best] / np.square(kernel).sum()))


def correlation(
    kernel: Float[np.ndarray, 'k k'], other: Float[np.ndarray, 'l l']
) -> float:
  """The correlation coefficient of two kernels, padded to one size."""
  size = max(kernel.shape[0], other.shape[0])
  first, second = (
      np.pad(np.asarray(part), (size - part.shape[0]) // 2).ravel()
      for part in (kernel, other))
  return float(np.corrcoef(first, second)[0, 1])


@dataclasses.dataclass(frozen=True)
class LensFit:
  """A thin lens fitted to the radii.

  Attributes:
    focus: distance of the plane in focus, in the unit of the depths.
    largest_blur: diameter of the circle of a point infinitely far away, px.
    residual: root mean square difference of the diameters, px.
  """
  focus: float
  largest_blur: float
  residual: float

  def circle(self, depth):
    """Signed diameter of the circle of confusion, px, at a depth."""
    return self.largest_blur * (1 - self.focus / np.asarray(depth, float))


def fit_lens(depths: list[float], radii: list[float]) -> LensFit:
  """Fits a thin lens to radii, whose signs do not count, by depth.

  Raises:
    UserError: there are fewer than three depths or no lens fits; see
      `lens.fit_thin_lens`.
  """
  if len(depths) != len(radii):
    raise UserError(f'Got {len(depths)} depths for {len(radii)} photographs: '
                    'give one depth for each.', argument='depths')
  diameters = 2 * np.abs(radii)
  focus, largest = lens.fit_thin_lens(np.array(depths, float), diameters)
  fitted = LensFit(focus, largest, 0.0)
  error = np.abs(fitted.circle(depths)) - diameters
  return dataclasses.replace(
      fitted, residual=float(np.sqrt(np.mean(error ** 2))))


def _variance(kernel):
  size = kernel.shape[-1]
  axis = np.arange(size) - size // 2
  light = kernel / kernel.sum()
  result = []
  for profile in (light.sum(axis=0), light.sum(axis=1)):
    middle = profile @ axis
    result.append(profile @ axis ** 2 - middle ** 2)
  return np.array(result)


@functools.cache
def _deviations_of_discs():
  radii = np.concatenate([np.arange(0, 4, 0.1), np.arange(4, _LARGEST, 2.0)])
  variances = np.array([
      np.mean(_variance(_disc(radius, psf.smallest_size(radius))))
      for radius in radii])
  rises = np.diff(variances, prepend=-1) > 0
  # Close to linear in the radius.
  return np.sqrt(variances[rises]), radii[rises]


@functools.cache
def _discs(size: int):
  radii = np.arange(0, size / 2 - 0.5, 0.25)
  return radii, np.stack([_disc(radius, size) for radius in radii])


def _disc(radius: float, size: int) -> np.ndarray:
  """`psf.disc` in NumPy: JAX would compile it anew for each of many sizes."""
  samples = psf.SAMPLES
  axis = (np.arange(size * samples) + 0.5) / samples - size / 2
  inside = np.clip(radius - np.hypot(axis[:, None], axis) + 0.5, 0, 1)
  values = inside.reshape(size, samples, size, samples).mean(axis=(1, 3))
  return values / values.sum()
