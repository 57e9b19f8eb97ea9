"""Scores that others have published, with the source of each."""

from collections.abc import Mapping
import csv
import dataclasses
from decimal import Decimal
import importlib.resources
from typing import Any

from jaxdeblur.metrics.metric import METRICS


@dataclasses.dataclass(frozen=True)
class PublishedScore:
  """A row of somebody's table, in our units and with its own digits.

  Attributes:
    views: what the method reads: 'one picture' or 'dual pixel'.
    method: its name, and its training where the source tells two apart.
    scores: by metric, as `Score` has them; those that the source gives. Tables
      that print RMSE_rel in units of 10^-2 and MAE in units of 10^-1 are
      converted to a range of 1.
    source: paper and table, or the page.
  """
  views: str
  method: str
  scores: Mapping[str, Decimal]
  source: str


@dataclasses.dataclass(frozen=True)
class PublishedTable:
  """What is published on one set of pictures.

  Attributes:
    title: the set.
    pictures: how many the scores are means of; None where no source is at hand.
    caveat: what to know before comparing.
    rows: by views, worst PSNR first.
  """
  title: str
  pictures: int | None
  caveat: str
  rows: tuple[PublishedScore, ...]

  @property
  def metrics(self) -> list[str]:
    """Those that any row is scored in."""
    return [name for name in METRICS
            if any(name in row.scores for row in self.rows)]


_SETS = {
    'realdof': (
        'RealDOF', 50,
        'The DRBNet supplement\'s rows read 8 bits and crop the sides to '
        'multiples of 16.'),
    'dpdd_canon': (
        'DPDD, Canon, test', 76,
        'Rows differ in what was read (8 or 16 bits) and cut or resized '
        '(DRBNet crops the sides to multiples of 16, K3DN resizes there and '
        'back); each is as its source gives it. K3DN\'s dual-pixel row is the '
        'best of its ablations.'),
    'lfdof': (
        'LFDOF, test', None,
        'No score of DRBNet on LFDOF is published, as far as we know.'),
    'pixel4_xin': (
        'Google Pixel 4 dual-pixel pairs of Xin et al.', 17,
        'This table mixes scales. In linear light the untouched input alone '
        'scores about what its three best rows do, displayed (1/2.2) about '
        'what Xin et al.\'s own row does: compare a row with the input\'s '
        'score in the same scale first. Xin et al.\'s RMSE_rel is as '
        'printed; its PSNR would make it 0.0463.'),
}

def read_tables() -> dict[str, PublishedTable]:
  """All published tables, by the name of the set."""
  file = importlib.resources.files(__package__) / 'published_scores.csv'
  rows = {name: [] for name in _SETS}
  with file.open(encoding='utf-8', newline='') as lines:
    for row in csv.DictReader(lines):
      name, views, method, source = (
          row.pop(key) for key in ('dataset', 'views', 'method', 'source'))
      scores = {
          metric: Decimal(score) for metric, score in row.items() if score}
      rows[name].append(PublishedScore(views, method, scores, source))
  return {
      name: PublishedTable(*about, tuple(rows[name]))
      for name, about in _SETS.items()}


def find_set(
    protocol: Mapping[str, Any], provenance: Mapping[str, Any]
) -> str | None:
  """The published set that a run's pictures are of; None if of another.

  Args:
    protocol: its `name` says whether pictures are as recorded, and one is made
      for one set.
    provenance: its `pictures` are 'NAME, SPLIT' where a dataset was read.
  """
  if protocol['name'] == 'rendered_defocus':  # Whatever it was rendered from.
    return None
  if protocol['name'] == 'pixel4_xin':
    return 'pixel4_xin'
  name, _, split = provenance.get('pictures', '').partition(', ')
  return name if name in _SETS and split == 'test' else None
