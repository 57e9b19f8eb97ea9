"""Simulates photographs of the chart, for tests and figures."""

import dataclasses

import cv2
from jaxtyping import Float
import numpy as np

from jaxdeblur.calibration import chart as charts
from jaxdeblur.calibration.chart import CHART, DiscChart
from jaxdeblur.errors import UserError
from jaxdeblur.optics.light import to_display, to_linear

_SAMPLES = 3


@dataclasses.dataclass(frozen=True)
class CaptureSettings:
  """How a photograph is taken.

  Attributes:
    height: height of the photograph, px.
    width: width of the photograph, px.
    fill: share of the photograph's width that the chart covers; its border is
      white without end.
    tilt: how much the chart's far edges shrink in perspective, along (x, y).
    turn: rotation, degrees from x towards y.
    shift: of the chart's middle (x, y), px.
    distortion: k1; see `registration.Registration`.
    white: linear light of the white, of 1.
    black: light that is added everywhere.
    vignetting: share of light that the corners lose.
    noise: standard deviation in the dark, of 1.
    shot_noise: variance over light, of 1.
    jpeg: quality from 1 to 100, or None for none.
  """
  height: int = 1080
  width: int = 1920
  fill: float = 0.95
  tilt: tuple[float, float] = (0.03, -0.02)
  turn: float = 0.8
  shift: tuple[float, float] = (3.3, -2.6)
  distortion: float = -0.02
  white: float = 0.8
  black: float = 0.01
  vignetting: float = 0.25
  noise: float = 0.003
  shot_noise: float = 1e-4
  jpeg: int | None = 95


def photograph(
    kernels: Float[np.ndarray, '... k k'],
    settings: CaptureSettings = CaptureSettings(),
    seed: int = 0,
    chart: DiscChart = CHART,
    sharp: Float[np.ndarray, 'h w'] | None = None,
) -> Float[np.ndarray, 'h w 3']:
  """Takes a photograph of the chart, linear light in [0, 1].

  Args:
    kernels: one PSF [k, k], or [rows, columns, k, k] by cells of the
      photograph, between which the picture is interpolated.
    settings: how it is taken.
    seed: of the noise.
    chart: the chart.
    sharp: the result of `project`, where it is at hand.
  """
  kernels = np.asarray(kernels, np.float32)
  if kernels.ndim not in (2, 4):
    raise UserError(f'Kernels are [k, k] or [rows, columns, k, k]; got the '
                    f'shape {kernels.shape}.', argument='kernels')
  if sharp is None:
    sharp = project(settings, chart)
  blurred = _blur(sharp, kernels.reshape(
      (1, 1, *kernels.shape) if kernels.ndim == 2 else kernels.shape))
  x, y = _offsets(settings)
  falloff = 1 - settings.vignetting * (x ** 2 + y ** 2)
  light = settings.white * blurred * falloff + settings.black
  light = np.repeat(light[..., None], 3, axis=-1)
  random = np.random.default_rng(seed)
  deviation = np.sqrt(settings.noise ** 2 + settings.shot_noise * light)
  light += deviation * random.standard_normal(light.shape, np.float32)
  display = np.uint8(np.rint(255 * to_display(light)))
  if settings.jpeg is not None:
    encoded = cv2.imencode(
        '.jpg', display, [cv2.IMWRITE_JPEG_QUALITY, settings.jpeg])[1]
    display = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
  return to_linear(display / np.float32(255))


def project(
    settings: CaptureSettings, chart: DiscChart = CHART
) -> Float[np.ndarray, 'h w']:
  """The chart in the photograph without blur, averaged over each pixel."""
  drawn = charts.draw(chart).astype(np.float32) / 255
  light = to_linear(drawn)
  x, y = _offsets(settings)
  # The inverse of the distortion, by a fixed point.
  factor = np.ones_like(x)
  for _ in range(6):
    factor = 1 + settings.distortion * (x ** 2 + y ** 2) / factor ** 2
  half = np.hypot(settings.height, settings.width) / 2
  x, y = (x / factor * half - settings.shift[0],
          y / factor * half - settings.shift[1])
  angle = np.deg2rad(settings.turn)
  x, y = (np.cos(angle) * x + np.sin(angle) * y,
          np.cos(angle) * y - np.sin(angle) * x)
  depth = 1 - (settings.tilt[0] * x / settings.width
               + settings.tilt[1] * y / settings.height)
  scale = chart.width / (settings.fill * settings.width)
  fine = settings.width * _SAMPLES, settings.height * _SAMPLES
  # Maps are so smooth that they need no finer computation.
  maps = [cv2.resize(np.float32(part), fine) for part in (
      scale * x / depth + (chart.width - 1) / 2,
      scale * y / depth + (chart.height - 1) / 2)]
  wide = cv2.remap(light, *maps, cv2.INTER_CUBIC,
                   borderMode=cv2.BORDER_CONSTANT, borderValue=1)
  return cv2.resize(wide, (settings.width, settings.height),
                    interpolation=cv2.INTER_AREA)


def _blur(light, kernels):
  """Convolves with the kernels of all cells, and interpolates between them."""
  rows, columns = kernels.shape[:2]
  height, width = light.shape
  result = np.zeros_like(light)
  for row in range(rows):
    for column in range(columns):
      # filter2D correlates.
      turned = np.ascontiguousarray(kernels[row, column, ::-1, ::-1])
      blurred = cv2.filter2D(light, -1, turned, borderType=cv2.BORDER_REPLICATE)
      result += blurred * (_hat(height, rows, row)[:, None]
                           * _hat(width, columns, column)[None, :])
  return result


def _hat(length, count, index):
  """The weight of one cell's middle along an axis, linear to the next."""
  place = np.clip((np.arange(length) + 0.5) / length * count - 0.5,
                  0, count - 1)
  return np.float32(np.maximum(1 - np.abs(place - index), 0))


def _offsets(settings):
  """(x, y) of each pixel from the middle, over half the diagonal."""
  half = np.hypot(settings.height, settings.width) / 2
  x = (np.arange(settings.width) - (settings.width - 1) / 2) / half
  y = (np.arange(settings.height) - (settings.height - 1) / 2) / half
  return tuple(np.float32(part) for part in np.meshgrid(x, y))
