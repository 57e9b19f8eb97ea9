"""How scores are taken: part of every result, so that results compare."""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import pathlib
from typing import Any
import zlib

import numpy as np

from data_pipelines.rendered import add_display_noise, blur
from data_pipelines.sources import list_photographs, read_photograph
from data_pipelines.transforms import quantise, to_display, to_linear
from jaxdeblur import metrics
from jaxdeblur.optics.psf import disc

_METRICS = {'psnr': metrics.psnr, 'ssim': metrics.ssim, 'mae': metrics.mae}


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
  """One picture to restore and how to score the result.

  Attributes:
    picture: its name.
    views: what a network may read of it, float32 [h, w, 3] in [0, 1].
    score: from the restored picture to its scores by condition.
  """
  picture: str
  views: Mapping[str, np.ndarray]
  score: Callable[[np.ndarray], dict[str, dict[str, float]]]


def score_pair(
    blurry: np.ndarray, restored: np.ndarray, sharp: np.ndarray
) -> dict[str, float]:
  """Scores input and output against the ground truth, [h, w, c] in [0, 1]."""
  scores = {}
  for name, metric in _METRICS.items():
    scores[f'input_{name}'] = float(metric(blurry, sharp))
    scores[name] = float(metric(restored, sharp))
  return scores


@dataclasses.dataclass(frozen=True)
class RenderedDefocus:
  """Sharp photographs, blurred by discs of known radii.

  A photograph is blurred in linear light (sRGB's transfer function, borders
  reflected) with a disc whose border is a pixel wide, noise of one deviation is
  added to the displayed picture, and the result rounded to 8 bits, as a file
  would hold it. Every pixel is scored, on the restored picture as it leaves the
  network: not quantised, not cropped, not resized.

  Attributes:
    radii: of the discs, px; at 0 the picture itself, with neither blur nor
      noise: what is sharp must stay sharp.
    noise: the noise's deviation, of a range of 1.
    seed: of the noise, with the picture's name and the radius.
  """
  radii: tuple[float, ...]
  noise: float
  seed: int = 0

  name = 'rendered_defocus'

  def count(self, photos: pathlib.Path) -> int:
    """How many cases there are."""
    return len(list_photographs(photos)) * len(self.radii)

  def cases(self, photos: pathlib.Path) -> Iterator[Case]:
    """Each photograph of a folder at each radius."""
    for file in list_photographs(photos):
      sharp = read_photograph(file).astype(np.float32) / 255
      for radius in self.radii:
        yield self._make_case(file.name, sharp, radius)

  def _make_case(self, name, sharp, radius) -> Case:
    blurry = self.degrade(sharp, name, radius)
    return Case(name, {'center': blurry}, lambda restored: {
        f'disc radius {radius:g} px': score_pair(blurry, restored, sharp)})

  def degrade(
      self, sharp: np.ndarray, picture: str, radius: float
  ) -> np.ndarray:
    """Blurs a picture, float32 [h, w, 3] in [0, 1], named for its noise."""
    if radius == 0:
      return sharp
    key = zlib.crc32(f'{self.seed}/{picture}/{radius:g}'.encode())
    displayed = to_display(blur(to_linear(sharp), disc(radius)))
    noisy = add_display_noise(
        displayed, self.noise, np.random.default_rng(key))
    return quantise(noisy)

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
