"""Scores of pictures, and their means and medians.

Every score of an output is given with that of its input. A score alone says
little, since pictures differ more than networks do.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import statistics

from jaxdeblur.errors import UserError
from jaxdeblur.metrics import metric


@dataclasses.dataclass(frozen=True)
class Score:
  """The scores of a picture under a condition.

  Attributes:
    picture: its name, unique within the condition; no path of this machine.
    condition: what was done to it, such as 'disc radius 3.5 px'.
    scores: the output's scores by the name of the metric, and the input's by
      that name after 'input_': {'input_psnr': 25.64, 'psnr': ...}.
    place: 'indoor' or 'outdoor'; '' if unknown.
  """
  picture: str
  condition: str
  scores: Mapping[str, float]
  place: str = ''


@dataclasses.dataclass(frozen=True)
class Summary:
  """The average scores of the pictures of a condition.

  Attributes:
    condition: as in `Score`.
    place: 'indoor' or 'outdoor'; '' for all of them together.
    pictures: the number of pictures.
    scores: the means of the pictures' scores, by the same names; and for each
      metric 'gain_' + its name, output - input. A gain above 0 is better for
      PSNR and SSIM, below 0 for errors; it is NaN if both are infinite.
    medians: the same for medians.
  """
  condition: str
  place: str
  pictures: int
  scores: Mapping[str, float]
  medians: Mapping[str, float]


def summarise(rows: Sequence[Score]) -> list[Summary]:
  """Averages over the pictures of each condition, in their order.

  As in the papers, means are plain means over pictures, whatever their sizes.
  RMSE_rel has the geometric mean, so that it stays 10^(-mean PSNR / 20). If the
  place is known, averages of indoor and outdoor pictures follow those of all.

  Raises:
    UserError: there are no rows, one lacks the input's or the output's score,
      their metrics differ, or a picture comes twice under a condition.
  """
  metrics = list_metrics(rows)
  conditions: dict[str, list[Score]] = {}
  for row in rows:
    conditions.setdefault(row.condition, []).append(row)
  summaries = []
  for condition, members in conditions.items():
    summaries.append(_summarise(condition, '', members, metrics))
    for place in sorted({member.place for member in members if member.place}):
      summaries.append(_summarise(
          condition, place,
          [member for member in members if member.place == place], metrics))
  return summaries


def _summarise(condition, place, members, metrics) -> Summary:
  def combine(average: Callable[[str, Sequence[float]], float]):
    averages = {}
    for name in metrics:
      for key in (f'input_{name}', name):
        averages[key] = average(
            key, [member.scores[key] for member in members])
      averages[f'gain_{name}'] = averages[name] - averages[f'input_{name}']
    return averages

  return Summary(
      condition, place, len(members),
      combine(lambda name, scores: float(
          metric.find(name.removeprefix('input_')).mean(scores))),
      combine(lambda name, scores: float(statistics.median(scores))))


def list_metrics(rows: Sequence[Score]) -> list[str]:
  """Lists the metrics, in the first row's order; all rows must have them."""
  if not rows:
    raise UserError('There are no scores to report: no picture was evaluated.')
  metrics = [name for name in rows[0].scores if not name.startswith('input_')]
  expected = {*metrics, *(f'input_{name}' for name in metrics)}
  seen = set()
  for row in rows:
    if set(row.scores) != expected:
      raise UserError(
          f'{row.picture!r} ({row.condition}) is scored in '
          f'{sorted(row.scores)}, expected {sorted(expected)}. Score input and '
          'output of every picture in the same metrics.')
    if (row.picture, row.condition) in seen:
      raise UserError(
          f'{row.picture!r} comes twice under {row.condition!r} and would '
          'count twice in the mean. Give every picture a name of its own.')
    seen.add((row.picture, row.condition))
  return metrics
