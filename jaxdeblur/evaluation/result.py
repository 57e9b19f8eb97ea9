"""Results: scores together with their protocol and provenance.

Scores are printed and written only as a `Result`, which names the protocol and
the method before any number.
"""

from collections.abc import Callable, Mapping, Sequence
import csv
import dataclasses
import io
import json
import math
import numbers
import pathlib
from typing import Any

from jaxdeblur.errors import MissingFileError, UserError
from jaxdeblur.evaluation.report import (
  Score,
  Summary,
  list_metrics,
  summarise,
)
from jaxdeblur.metrics.metric import Metric, find
from jaxdeblur.pictures import write_whole

JSON_NAME = 'scores.json'
CSV_NAME = 'scores.csv'

_PROVENANCE = ('method', 'checkpoint', 'pictures', 'versions', 'command')


@dataclasses.dataclass(frozen=True)
class Result:
  """Scores with all that is needed to repeat and to compare them.

  Attributes:
    protocol: the name and all settings of the protocol.
    provenance: how they were made; see `provenance.collect`.
    rows: a score for each picture and condition.
  """
  protocol: Mapping[str, Any]
  provenance: Mapping[str, Any]
  rows: Sequence[Score]

  def __post_init__(self):
    """Checks that the result is complete.

    Raises:
      UserError: the protocol has no name, or the provenance lacks something;
        or as `summarise`.
      TypeError: protocol or provenance hold values that JSON cannot hold.
    """
    lacking = [key for key in _PROVENANCE if key not in self.provenance]
    if not self.protocol.get('name') or lacking:
      raise UserError(
          'Scores mean nothing without their protocol and how they were made; '
          f'here {", ".join(lacking) or "the name of the protocol"} is '
          'missing.')
    for field in ('protocol', 'provenance'):
      object.__setattr__(self, field, as_stored(getattr(self, field)))
    object.__setattr__(self, 'rows', tuple(self.rows))
    list_metrics(self.rows)

  @property
  def method(self) -> str:
    """The method that was scored, in a few words."""
    settings = self.provenance['method']
    if self.provenance['checkpoint']:
      return f'{settings["name"]} {self.provenance["checkpoint"]}'
    others = ', '.join(f'{name} {value}' for name, value in settings.items()
                       if name != 'name')
    return f'{settings["name"]}{f" ({others})" if others else ""}'

  def __str__(self) -> str:
    """Protocol, method and pictures, then means, and medians if there are more.

    The tables suit both a terminal, by fixed widths, and a Markdown document.
    """
    metrics = list_metrics(self.rows)
    summaries = summarise(self.rows)
    lines = [
        f'Protocol {self.protocol["name"]} (fit: {self.protocol.get("fit")}), '
        f'on {self.provenance["pictures"]}: {self.method}',
        *self._describe_views(),
        '', 'Means over the pictures, input -> output (gain):', '',
        _format_table(metrics, summaries, lambda summary: summary.scores)]
    if any(summary.pictures > 1 for summary in summaries):
      lines += [
          'Medians:', '',
          _format_table(metrics, summaries, lambda summary: summary.medians)]
    return '\n'.join(lines)

  def _describe_views(self) -> list[str]:
    """How dual-pixel views were given, and to which side they are shifted."""
    lines = []
    if 'views' in self.protocol:
      lines.append(f'Views: {self.protocol["views"]}.')
    order = self.provenance.get('view_order')
    if order:
      data, side = order['data'], order['network']
      lines.append(
          'Things in the right view lie farther to the right in '
          f'{data["right"]} pictures, to the left in {data["left"]}, on both '
          f'sides or neither in {data["unclear"]}; the network '
          + (f'compares shifts to the {side} only.' if side
             else 'is not limited to a side.'))
    return lines

  def write(self, folder: pathlib.Path) -> None:
    """Writes scores.json (everything) and scores.csv (a line per picture).

    Numbers that JSON lacks become the strings 'inf', '-inf' and 'nan', so that
    float(value) reads every score. Each file appears whole or not at all; the
    folder is created.
    """
    document = {
        'protocol': self.protocol,
        'provenance': self.provenance,
        'means': [vars(summary) for summary in summarise(self.rows)],
        'pictures': [vars(row) for row in self.rows],
    }
    table = self._format_csv()
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / JSON_NAME, f'{_encode(document)}\n'.encode())
    write_whole(folder / CSV_NAME, table.encode())

  def _format_csv(self) -> str:
    names = [name for metric in list_metrics(self.rows)
             for name in (f'input_{metric}', metric)]
    text = io.StringIO(newline='')
    table = csv.writer(text, lineterminator='\n')
    table.writerow(
        ['protocol', 'method', 'picture', 'condition', 'place', *names])
    for row in self.rows:
      scores = [float(row.scores[name]) for name in names]
      table.writerow([self.protocol['name'], self.method, row.picture,
                      row.condition, row.place, *scores])
    return text.getvalue()


def read(path: str | pathlib.Path) -> Result:
  """Reads a scores.json from `Result.write`, or the one in a folder.

  Raises:
    MissingFileError: there is no such file.
    UserError: it holds no scores.
  """
  path = pathlib.Path(path)
  path = path / JSON_NAME if path.is_dir() else path
  if not path.is_file():
    raise MissingFileError(
        f'{path} does not exist: name the scores.json of an evaluation.')
  try:
    document = json.loads(path.read_text(encoding='utf-8'))
    rows = [
        Score(row['picture'], row['condition'],
              {name: float(value) for name, value in row['scores'].items()},
              row['place'])
        for row in document['pictures']]
    return Result(document['protocol'], document['provenance'], rows)
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise UserError(
        f'{path} does not hold the scores of an evaluation: make it again '
        f'({error!r}).') from error


def _format_table(
    metrics: Sequence[str],
    summaries: Sequence[Summary],
    averages: Callable[[Summary], Mapping[str, float]],
) -> str:
  columns = [find(name) for name in metrics]
  table = [['condition', 'pictures', *(metric.heading for metric in columns)]]
  for summary in summaries:
    scores = averages(summary)
    cells = [
        f'{metric.format(scores["input_" + metric.name])} -> '
        f'{metric.format(scores[metric.name])}'
        f'{_format_gain(metric, scores["gain_" + metric.name])}'
        for metric in columns]
    condition = ', '.join(filter(None, (summary.condition, summary.place)))
    table.append([condition, str(summary.pictures), *cells])
  return format_markdown(table)


def _format_gain(metric: Metric, gain: float) -> str:
  """Formats a gain as ' (+1.20)'; '' if it is not finite."""
  return f' ({metric.format(gain, "+")})' if math.isfinite(gain) else ''


def format_markdown(table: Sequence[Sequence[str]]) -> str:
  """Formats a table: the first row is the heading; column one is left-aligned.
  """
  # An unescaped | would end a cell.
  table = [[cell.replace('|', r'\|') for cell in row] for row in table]
  first, *others = (max(map(len, cells)) for cells in zip(*table, strict=True))
  lines = [
      [row[0].ljust(first), *map(str.rjust, row[1:], others)] for row in table]
  lines.insert(1, ['-' * first, *('-' * (width - 1) + ':' for width in others)])
  return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def as_stored(value: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a value as it is after writing and reading JSON, for comparison.

  Raises:
    TypeError: it holds values that JSON cannot hold.
  """
  return json.loads(_encode(value))


def _encode(value: Any) -> str:
  return json.dumps(
      _as_plain(value), indent=2, allow_nan=False, ensure_ascii=False)


def _as_plain(value: Any) -> Any:
  """Makes plain values for json.dumps: Python numbers, inf as a string."""
  if isinstance(value, Mapping):
    return {str(key): _as_plain(member) for key, member in value.items()}
  if isinstance(value, list | tuple):
    return [_as_plain(member) for member in value]
  if isinstance(value, numbers.Real) and not isinstance(value, int):
    number = float(value)
    return number if math.isfinite(number) else str(number)
  return value
