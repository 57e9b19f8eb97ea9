"""Scores on sharp photographs, blurred by discs of known radii."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
import pathlib
from typing import Any
import zlib

import cv2
import numpy as np

from data_pipelines.sources import list_photographs, read_photograph
from data_pipelines.transforms import quantise
from jaxdeblur.evaluation.protocols.case import Case, Cases, Comparison
from jaxdeblur.evaluation.source import Source
from jaxdeblur.optics.light import to_display, to_linear
from jaxdeblur.optics.psf import disc


@dataclasses.dataclass(frozen=True)
class RenderedDefocus:
  """Sharp photographs, blurred by discs of known radii.

  A photograph is blurred in linear light (sRGB's transfer function, borders
  reflected) with a disc whose border is a pixel wide. Noise of one deviation is
  added to the displayed picture, and the result is rounded to 8 bits, as in a
  file. Every pixel of the network's output is scored, which is not quantised,
  cropped or resized.

  Attributes:
    radii: radii of the discs, px. Radius 0 is the picture itself, without blur
      and noise, since sharp pictures must stay sharp.
    noise: standard deviation of the noise, of a range of 1.
    seed: seed of the noise, together with the picture's name and the radius.
    fit: how pictures get a size that the network takes; see `RestoreOptions`.
  """
  radii: tuple[float, ...]
  noise: float
  seed: int = 0
  fit: str = 'pad'

  name = 'rendered_defocus'

  def list_cases(self, source: Source) -> Cases:
    """Lists each photograph of a folder at each radius.

    Raises:
      UserError: there are no photographs.
    """
    return list_rendered(
        self.name, source, read_photograph, self.radii, self._make_case)

  def _make_case(self, name, read, radius) -> Case:
    sharp = read().astype(np.float32) / 255
    blurry = self.degrade(sharp, name, radius)
    return Case(
        name, {'center': blurry},
        lambda restored: {f'disc radius {radius:g} px': Comparison(
            blurry, restored, sharp)},
        disc_radius=radius)

  def degrade(
      self, sharp: np.ndarray, picture: str, radius: float
  ) -> np.ndarray:
    """Blurs a picture, float32 [h, w, 3] in [0, 1]; the name seeds noise."""
    if radius == 0:
      return sharp
    key = zlib.crc32(f'{self.seed}/{picture}/{radius:g}'.encode())
    light = blur(to_linear(sharp), np.asarray(disc(radius)))
    noise = np.random.default_rng(key).standard_normal(
        sharp.shape, np.float32)
    return quantise(to_display(light) + np.float32(self.noise) * noise)

  def describe(self) -> Mapping[str, Any]:
    """All that a stranger needs to repeat the scores."""
    return {
        'name': self.name,
        **dataclasses.asdict(self),
        'psf': 'disc, border 1 px, 5 x 5 samples a pixel',
        'light': 'linear (sRGB transfer function)',
        'input_bits': 8,
        'output': 'float, not quantised',
        'crop': 'none',
    }


def blur(light: np.ndarray, psf: np.ndarray) -> np.ndarray:
  """Convolves linear light [h, w, c] with a PSF; the border is reflected."""
  # OpenCV correlates, so the PSF is mirrored.
  return cv2.filter2D(
      light, -1, psf[::-1, ::-1], borderType=cv2.BORDER_REFLECT_101)


def list_rendered(
    protocol: str,
    source: Source,
    read: Callable[[pathlib.Path], np.ndarray],
    conditions: Sequence[Any],
    make_case: Callable[[str, Callable[[], np.ndarray], Any], Case],
) -> Cases:
  """Lists each photograph of a folder under each condition.

  Args:
    protocol: name of the protocol.
    source: the photographs.
    read: reads a file, once for all of its conditions.
    conditions: what photographs are rendered under.
    make_case: function of the file's name, of what reads it, and of a
      condition.

  Raises:
    UserError: there are no photographs.
  """
  files = list_photographs(source.need_folder(protocol, 'sharp photographs'))

  def open_cases() -> Iterator[Callable[[], Case]]:
    for file in files:
      read_once = functools.cache(lambda file=file: read(file))
      for condition in conditions:
        yield functools.partial(make_case, file.name, read_once, condition)

  return Cases(
      len(files) * len(conditions), ('center',), True, open_cases)
