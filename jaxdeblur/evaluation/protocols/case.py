"""Cases of a protocol: pictures to restore, and how to compare the results."""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import typing
from typing import Any

import numpy as np

from data_pipelines.pairs import as_float
from jaxdeblur.evaluation.source import Source


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
  """A restored picture beside its input and the ground truth.

  Attributes:
    before: the unchanged input, float32 [h, w, 3 or 1] in [0, 1].
    after: the restored picture, in the same form.
    sharp: the ground truth, in the same form; None if there is none.
    displayed: whether these are display values and not linear light.
  """
  before: np.ndarray
  after: np.ndarray
  sharp: np.ndarray | None
  displayed: bool = True


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
  """One picture to restore.

  Attributes:
    picture: its name, without a path of this machine.
    views: its views, uint8, uint16, or float32 in [0, 1], [h, w, 3] RGB.
    compare: function from the restored picture, float32 of the views' size, to
      the comparisons to score, by condition.
    place: 'indoor' or 'outdoor'; '' if unknown.
    disc_radius: radius of the blur, px; None if unknown.
  """
  picture: str
  views: Mapping[str, np.ndarray]
  compare: Callable[[np.ndarray], dict[str, Comparison]]
  place: str = ''
  disc_radius: float | None = None

  def photograph(self) -> np.ndarray:
    """The centre view or the mean of both halves, float32 in [0, 1]."""
    return combine_views(self.views)


@dataclasses.dataclass(frozen=True, eq=False)
class Cases:
  """The cases of a source, made one by one, so that each may fail alone.

  Attributes:
    count: the number of cases.
    views: the views that each case has.
    has_sharp: whether there is a ground truth.
    open: starts an iterator over functions, each of which makes one case.
    partial: whether the dataset lacks scenes of the published one.
  """
  count: int
  views: tuple[str, ...]
  has_sharp: bool
  open: Callable[[], Iterator[Callable[[], Case]]]
  partial: bool = False


@typing.runtime_checkable
class Protocol(typing.Protocol):
  """How scores are taken.

  Attributes:
    name: its name in a config.
    fit: how a picture gets a size that the network takes; see `RestoreOptions`.
  """
  name: str
  fit: str

  def list_cases(self, source: Source) -> Cases:
    """Opens the pictures; raises a UserError if they do not suit."""

  def describe(self) -> Mapping[str, Any]:
    """All that a stranger needs to repeat the scores."""


def combine_views(views: Mapping[str, np.ndarray]) -> np.ndarray:
  """The centre view or the mean of left and right, float32 in [0, 1]."""
  def to_float(view):
    return view if view.dtype.kind == 'f' else as_float(view)

  if 'center' in views:
    return to_float(views['center'])
  return (to_float(views['left']) + to_float(views['right'])) / 2
