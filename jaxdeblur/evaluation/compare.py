"""Compares two results on the same pictures: is one better, and how surely?"""

from collections.abc import Mapping, Sequence
import dataclasses
import math
import pathlib
from typing import Any

import numpy as np

from jaxdeblur.errors import UserError
from jaxdeblur.evaluation.report import Score, list_metrics
from jaxdeblur.evaluation.result import Result, format_markdown, read
from jaxdeblur.metrics.metric import Metric, find

_RESAMPLES = 10_000
_SAME_INPUT = 1e-3  # Relative; two machines may differ by this on one input.


@dataclasses.dataclass(frozen=True)
class Difference:
  """How far two methods are apart in one metric under one condition.

  Attributes:
    condition: as in `Score`.
    metric: its name.
    pictures: the number of pictures.
    mean: the mean of the first result minus that of the second.
    low: lower end of the 95 % interval of this difference, by drawing pictures
      with replacement (paired percentile bootstrap); NaN for a single picture,
      or if a score is not finite.
    high: upper end of the interval.
    wins: number of pictures on which the first is better.
    ties: number of pictures on which both score the same.
  """
  condition: str
  metric: str
  pictures: int
  mean: float
  low: float
  high: float
  wins: int
  ties: int


def compare(first: Result, second: Result) -> list[Difference]:
  """Compares two results picture by picture.

  Raises:
    UserError: their protocols, pictures or metrics differ, or their inputs
      score differently and so cannot be the same pictures.
  """
  check_protocols(first.protocol, second.protocol)
  metrics = [metric for metric in list_metrics(first.rows)
             if metric in list_metrics(second.rows)]
  if not metrics:
    raise UserError(
        'The results have no metric in common: evaluate one of them again with '
        "the other's metrics.", argument='metrics')
  pairs = _pair_rows(first.rows, second.rows, metrics)
  conditions = dict.fromkeys(row.condition for row in first.rows)
  return [
      _compare_scores(
          condition, metric,
          [(one.scores[metric], other.scores[metric])
           for one, other in pairs if one.condition == condition])
      for condition in conditions for metric in metrics]


def compare_files(
    first: str | pathlib.Path, second: str | pathlib.Path
) -> str:
  """Compares two results in files; returns a table of differences.

  Raises:
    UserError: as `result.read` and `compare`.
  """
  ours, theirs = read(first), read(second)
  return format_differences(ours, theirs, compare(ours, theirs))


def format_differences(
    first: Result, second: Result, differences: Sequence[Difference]
) -> str:
  """Formats a table of differences, after a line on protocol and methods."""
  table = [['condition', 'metric', 'pictures', 'difference', '95 % interval',
            'better', 'equal', 'worse']]
  for difference in differences:
    metric = find(difference.metric)
    low, high, mean = (
        metric.format(value, sign='+') for value in (
            difference.low, difference.high, difference.mean))
    interval = 'none' if math.isnan(difference.low) else f'{low} to {high}'
    table.append([
        difference.condition, metric.heading, str(difference.pictures),
        mean, interval,
        str(difference.wins), str(difference.ties),
        str(difference.pictures - difference.wins - difference.ties)])
  return (
      f'Protocol {first.protocol["name"]}, on {first.provenance["pictures"]}: '
      f'{first.method}, minus {second.method}\n\n{format_markdown(table)}')


def check_protocols(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> None:
  """Raises a UserError that names where two stored protocols differ."""
  if first == second:
    return
  differing = [name for name in dict.fromkeys((*first, *second))
               if first.get(name) != second.get(name)]
  told = '; '.join(f'{name} {first.get(name)!r} and {second.get(name)!r}'
                   for name in differing[:3])
  raise UserError(
      f'The protocols differ ({told}), so even scores of the same network '
      'would differ. Evaluate one of the two again.')


def _pair_rows(
    first: Sequence[Score], second: Sequence[Score], metrics: Sequence[str]
) -> list[tuple[Score, Score]]:
  ours, theirs = (
      {(row.picture, row.condition): row for row in rows}
      for rows in (first, second))
  lonely = sorted(set(ours) ^ set(theirs))
  if lonely:
    picture, condition = lonely[0]
    raise UserError(
        f'The results are of different pictures: {len(lonely)} are in one of '
        f'them only, {picture} ({condition}) first. Compare results on the '
        'same pictures.')
  pairs = [(row, theirs[key]) for key, row in ours.items()]
  for one, other in pairs:
    for metric in metrics:
      scores = (one.scores[f'input_{metric}'], other.scores[f'input_{metric}'])
      if not math.isclose(*scores, rel_tol=_SAME_INPUT):
        raise UserError(
            f'The inputs called {one.picture} ({one.condition}) are not the '
            f'same: their {metric} is {scores[0]:.6g} and {scores[1]:.6g}. '
            'Compare results on the same pictures.')
  return pairs


def _compare_scores(condition, name, scores) -> Difference:
  metric = find(name)
  ours, theirs = np.array(scores, np.float64).T
  better = ours > theirs if metric.larger_is_better else ours < theirs
  with np.errstate(invalid='ignore'):  # inf - inf.
    difference = float(metric.mean(ours) - metric.mean(theirs))
  low, high = _bootstrap(metric, ours, theirs)
  return Difference(
      condition, name, len(ours), difference, low, high, int(better.sum()),
      int((ours == theirs).sum()))


def _bootstrap(
    metric: Metric, ours: np.ndarray, theirs: np.ndarray
) -> tuple[float, float]:
  """Computes the 95 % interval of the difference of the means."""
  finite = np.isfinite(ours).all() and np.isfinite(theirs).all()
  if len(ours) < 2 or not finite:
    return math.nan, math.nan
  drawn = np.random.default_rng(0).integers(
      0, len(ours), (_RESAMPLES, len(ours)))
  low, high = np.percentile(
      metric.mean(ours[drawn]) - metric.mean(theirs[drawn]), [2.5, 97.5])
  return float(low), float(high)
