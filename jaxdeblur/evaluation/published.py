"""Scores that others published, with the source of each."""

from collections.abc import Mapping
import csv
import dataclasses
from decimal import Decimal
import importlib.resources
from typing import Any

from jaxdeblur.metrics.metric import METRICS


@dataclasses.dataclass(frozen=True)
class PublishedScore:
  """A row of a published table, in our units and with its own digits.

  Attributes:
    views: the method's input: 'one picture' or 'dual pixel'.
    method: its name, and its training if the source has several.
    scores: the scores that the source gives, by metric, as in `Score`. Tables
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
  """Published scores on one set of pictures.

  Attributes:
    title: the name of the set.
    pictures: number of pictures that the means are of; None if unknown.
    caveat: notes to read before comparing.
    rows: the rows, by views, worst PSNR first.
  """
  title: str
  pictures: int | None
  caveat: str
  rows: tuple[PublishedScore, ...]

  @property
  def metrics(self) -> list[str]:
    """The metrics with a score in any row."""
    return [name for name in METRICS
            if any(name in row.scores for row in self.rows)]


_SETS = {
    'realdof': (
        'RealDOF', 50,
        'The DRBNet supplement\'s rows read 8 bits and crop the sides to '
        'multiples of 16.'),
    'dpdd_canon': (
        'DPDD, Canon, test', 76,
        'Rows differ in bit depth (8 or 16 bits) and in cropping or resizing '
        '(DRBNet crops the sides to multiples of 16, K3DN resizes to them and '
        'back); each is as its source gives it. K3DN\'s dual-pixel row is the '
        'best of its ablations.'),
    'lfdof': (
        'LFDOF, test', None,
        'No score of DRBNet on LFDOF is published, as far as we know.'),
    'pixel4_xin': (
        'Google Pixel 4 dual-pixel pairs of Xin et al.', 17,
        'This table mixes scales. In linear light, the untouched input already '
        'scores about as high as the three best rows. In display values '
        '(1/2.2) it scores about as high as Xin et al.\'s own row. First '
        'compare a row with the input\'s score in the same scale. Xin et '
        'al.\'s RMSE_rel is as printed; its PSNR would make it 0.0463.'),
}

def read_tables() -> dict[str, PublishedTable]:
  """Reads all published tables, by the name of the set."""
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
  """Finds the published set that holds a run's pictures; None for others.

  Args:
    protocol: its `name` says whether pictures are as recorded; pixel4_xin is
      for its own set only.
    provenance: its `pictures` are 'NAME, SPLIT' if a dataset was read.
  """
  if protocol['name'] in ('rendered_defocus', 'rendered_camera'):
    return None  # Whatever it was rendered from.
  if protocol['name'] == 'pixel4_xin':
    return 'pixel4_xin'
  name, _, split = provenance.get('pictures', '').partition(', ')
  return name if name in _SETS and split == 'test' else None
