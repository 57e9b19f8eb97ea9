"""Scores on recorded pairs, as the papers and their programs take them."""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import functools
from typing import Any

import numpy as np

from data_pipelines.pairs import PairSource, as_float
from jaxdeblur.errors import UserError
from jaxdeblur.evaluation.protocols.case import (
  Case,
  Cases,
  Comparison,
  combine_views,
)
from jaxdeblur.evaluation.source import Source, is_partial

_CONDITION = 'recorded'


@dataclasses.dataclass(frozen=True)
class Recorded:
  """Recorded pairs, restored and compared with their ground truth.

  Attributes:
    name: its name in a config.
    cited: its source.
    bits: bit depth to read pictures in; None leaves them as stored.
    crop_multiple: input and ground truth are cropped at the right and at the
      bottom to multiples of this, px.
    fit: how pictures get a size that the network takes; see `RestoreOptions`.
  """
  name: str
  cited: str
  bits: int | None = None
  crop_multiple: int = 1
  fit: str = 'pad'

  def list_cases(self, source: Source) -> Cases:
    """Opens a folder of pairs or a dataset.

    Raises:
      UserError: there are no pairs, or a view of one is missing.
    """
    pairs = source.open_pairs()
    return Cases(
        len(pairs),
        tuple(view for view in pairs.views if view != 'sharp'),
        'sharp' in pairs.views, lambda: self._open(pairs),
        is_partial(pairs))

  def _open(self, pairs: PairSource) -> Iterator[Callable[[], Case]]:
    for index in range(len(pairs)):
      yield functools.partial(self._make_case, pairs, index)

  def _make_case(self, pairs: PairSource, index: int) -> Case:
    pair = pairs[index]
    views = {name: self._read(name, view, pair.scene)
             for name, view in pair.views.items()}
    sharp = views.pop('sharp', None)
    sharp = None if sharp is None else as_float(sharp)
    before = combine_views(views)
    return Case(
        pair.scene, views,
        lambda restored: {_CONDITION: Comparison(before, restored, sharp)},
        place=pair.place)

  def _read(self, name: str, view: np.ndarray, scene: str) -> np.ndarray:
    if self.bits == 8 and view.dtype == np.uint16:
      view = (view >> 8).astype(np.uint8)
    if self.bits == 16 and view.dtype == np.uint8:
      raise UserError(
          f'{scene}: its {name} view has 8 bits, but the protocol {self.name} '
          'scores pictures of 16 bits. Give these, or choose the protocol '
          f'{FULL.name}.', argument='protocol')
    height, width = (
        length - length % self.crop_multiple for length in view.shape[:2])
    if not height or not width:
      raise UserError(
          f'{scene}: {view.shape[0]} x {view.shape[1]} px is too small for the '
          f'protocol {self.name}, which crops to multiples of '
          f'{self.crop_multiple} px.')
    return view[:height, :width]

  def describe(self) -> Mapping[str, Any]:
    """All that a stranger needs to repeat the scores."""
    return {
        **dataclasses.asdict(self),
        'input': 'the centre view, or the mean of left and right where there '
                 'is none',
        'output': 'float, clipped to [0, 1], not quantised',
    }


DRBNET_PAPER = Recorded(
    'drbnet_paper',
    "Ruan et al., CVPR 2022, as their published program evaluates: OpenCV's "
    '8-bit read, which drops the lower byte of 16-bit files',
    bits=8, crop_multiple=16)

K3DN_PAPER = Recorded(
    'k3dn_paper',
    'Yang et al., CVPR 2023, supplement C and their published program, for '
    'dual-pixel pairs: OpenCV\'s INTER_CUBIC on the integers to multiples of '
    'what the network takes (1152 x 1792 px for 1120 x 1680), bicubic back; '
    'the ground truth is not resized',
    bits=16, fit='resize')

K3DN_PAPER_SINGLE = dataclasses.replace(
    K3DN_PAPER, name='k3dn_paper_single', bits=8,
    cited=K3DN_PAPER.cited.replace('dual-pixel pairs', 'single photographs'))

FULL = Recorded(
    'full',
    'ours: every pixel, at the bit depth of the files; padded by reflection '
    '(left and right change places where columns are mirrored) to what the '
    'network takes and cut back')
