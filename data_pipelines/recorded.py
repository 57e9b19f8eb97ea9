"""Turns recorded pairs into crops for training, changed at random.

The changes are those of IFAN (Lee et al. 2021), in the order of its list: noise
on the inputs, then greyscale and scaling down of all views. We add mirroring
and turning upside down. There are no quarter turns, since the views of a
dual-pixel sensor are shifted in x.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import cv2
import grain
import numpy as np

from data_pipelines.pairs import Pair, as_float
from data_pipelines.transforms import mirror_views
from jaxdeblur.errors import UserError

_LUMA = np.float32([0.299, 0.587, 0.114])  # Rec. 601, like OpenCV's grey.


@dataclasses.dataclass(frozen=True)
class CropSettings:
  """How crops are cut from recorded pairs, and how they are changed.

  Attributes:
    crop: height and width of the crops, px.
    bit_depth: 16 keeps all bits of 16-bit files. 8 keeps their upper 8, like
      reading with OpenCV's default (the published DRBNet program).
    mirror_share: share of pairs mirrored in x; left and right then change
      places.
    flip_share: share of pairs turned upside down.
    input_noise_share: share of pairs with Gaussian noise on all views except
      the sharp one.
    input_noise: range of the noise's standard deviation, of a range of 1.
    grey_share: share of pairs with all views made grey.
    scale_share: share of pairs with all views scaled down.
    smallest_scale: the smallest scale; scales are uniform from here to 1.
      Pictures that are too small for it are scaled as far as possible.
  """
  crop: tuple[int, int] = (96, 96)
  bit_depth: int = 16
  mirror_share: float = 0.5
  flip_share: float = 0.5
  input_noise_share: float = 0.0
  input_noise: tuple[float, float] = (0.001, 0.0707)
  grey_share: float = 0.0
  scale_share: float = 0.0
  smallest_scale: float = 0.7

  def __post_init__(self):
    if len(self.crop) != 2 or min(self.crop) < 1:
      raise UserError(
          f'crop is {self.crop}: expected height and width, px.',
          argument='crop')
    if self.bit_depth not in (8, 16):
      raise UserError(
          f'bit_depth is {self.bit_depth}: choose 8 or 16.',
          argument='bit_depth')


class CropPair(grain.transforms.RandomMap):
  """Cuts the same window from all views of a pair and changes it.

  The views are float32 [height, width, 3] in [0, 1]. A pair without 'center'
  gets the mean of left and right as stored, without linearising: Canon's
  combined view is the sum of both.
  """

  def __init__(self, settings: CropSettings, views: Sequence[str]):
    """Takes the settings and the names of the views to return."""
    self._settings = settings
    self._views = tuple(views)

  def random_map(
      self, element: Pair, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    s = self._settings
    # All are drawn first, so that switching one off does not change others.
    mirrored, flipped, noisy, grey, scaled = rng.random(5) < (
        s.mirror_share, s.flip_share, s.input_noise_share, s.grey_share,
        s.scale_share)
    deviation = rng.uniform(*s.input_noise)
    scale = rng.uniform(s.smallest_scale, 1)
    views = _cut_window(element, scale if scaled else 1.0, rng, s)
    views = {name: as_float(keep_bits(view, s.bit_depth))
             for name, view in views.items()}
    if 'center' not in views and 'center' in self._views:
      views['center'] = (views['left'] + views['right']) / 2
    if noisy:
      views = add_input_noise(views, deviation, rng)
    if grey:
      views = {name: to_grey(view) for name, view in views.items()}
    height, width = s.crop
    views = {name: cv2.resize(
        view, (width, height), interpolation=cv2.INTER_AREA)
             if view.shape[:2] != s.crop else view
             for name, view in views.items()}
    if flipped:
      views = {name: view[::-1] for name, view in views.items()}
    if mirrored:
      views = mirror_views(views)
    return {name: np.ascontiguousarray(views[name]) for name in self._views}


def keep_bits(picture: np.ndarray, bits: int) -> np.ndarray:
  """Keeps the upper 8 bits of uint16 samples if `bits` is 8."""
  if bits == 8 and picture.dtype == np.uint16:
    return (picture >> 8).astype(np.uint8)
  return picture


def add_input_noise(
    views: Mapping[str, np.ndarray], deviation: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
  """Adds Gaussian noise to all views but 'sharp', clipped to [0, 1].

  Each view has its own noise, since each is read separately.
  """
  noisy = dict(views)
  for name in sorted(set(views) - {'sharp'}):
    noise = rng.standard_normal(views[name].shape, np.float32)
    noisy[name] = np.clip(views[name] + np.float32(deviation) * noise, 0, 1)
  return noisy


def to_grey(picture: np.ndarray) -> np.ndarray:
  """Converts displayed RGB [h, w, 3] to its luma in all three channels."""
  return np.repeat((picture @ _LUMA)[..., None], 3, axis=-1)


def _cut_window(pair: Pair, scale: float, rng, s: CropSettings):
  """Cuts the window that becomes the crop after scaling; keeps its type."""
  sizes = {name: view.shape[:2] for name, view in pair.views.items()}
  if len(set(sizes.values())) > 1:
    found = ', '.join(
        f'{name} {height} x {width} px'
        for name, (height, width) in sizes.items())
    raise UserError(
        f'The views of the scene {pair.scene} differ in size ({found}): they '
        'can be evaluated, not trained on.')
  available = np.array(next(iter(sizes.values())))
  scale = max(scale, *(np.array(s.crop) / available))
  if scale > 1:
    raise UserError(
        f'The scene {pair.scene} is {available[0]} x {available[1]} px, '
        f'smaller than a crop of {s.crop[0]} x {s.crop[1]} px: take '
        'smaller crops.', argument='crop')
  window = np.minimum(np.ceil(np.array(s.crop) / scale).astype(int), available)
  y, x = rng.integers(available - window + 1)
  return {name: view[y:y + window[0], x:x + window[1]]
          for name, view in pair.views.items()}
