"""Result tables: JSON with protocol and provenance, CSV, and text.

Every table shows the input's own score beside the output's: a score alone says
little, since pictures differ more than networks do.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import csv
import dataclasses
import datetime
import importlib.metadata
import json
import math
import numbers
import os
import pathlib
import platform
import shlex
import sys
from typing import Any, TextIO

_PACKAGES = ('jaxdeblur', 'jax', 'jaxlib', 'flax', 'numpy')

# Heading and decimals of the metrics we know; others go by their own name.
_HEADINGS = {'psnr': ('PSNR [dB]', 2), 'ssim': ('SSIM', 4), 'mae': ('MAE', 4),
             'rmse_rel': ('RMSE_rel', 4)}

# K3DN's tables 7 and 8 print 10^(-mean PSNR / 20) of the data set as RMSE_rel:
# the geometric mean over its pictures.
_GEOMETRIC = frozenset({'rmse_rel', 'input_rmse_rel'})


@dataclasses.dataclass(frozen=True)
class Score:
  """What a picture scores under a condition.

  Attributes:
    picture: its name, unique within the condition; no path of this machine.
    condition: what was done to it, e.g. 'disc radius 3.5 px'.
    scores: the output's in each metric, by the metric's name, and the
      input's, by that name after 'input_': {'input_psnr': 25.64, 'psnr': ...}.
  """
  picture: str
  condition: str
  scores: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Summary:
  """What the pictures of a condition score on average.

  Attributes:
    condition: as in `Score`.
    pictures: how many there are.
    scores: the means of the pictures' scores, by the same names, and for each
      metric 'gain_' + its name, output - input: above 0 is better for PSNR and
      SSIM, below 0 for errors; NaN where both are infinite.
  """
  condition: str
  pictures: int
  scores: Mapping[str, float]


def summarise(rows: Sequence[Score]) -> list[Summary]:
  """Means over the pictures of each condition, in the conditions' order.

  The plain mean over pictures, whatever their sizes, as the papers take it; for
  RMSE_rel the geometric mean, which keeps it 10^(-mean PSNR / 20).

  Raises:
    ValueError: there are no rows, one lacks the input's or the output's score,
      their metrics differ, or a picture comes twice under a condition.
  """
  metrics = _metrics(rows)
  conditions: dict[str, list[Score]] = {}
  for row in rows:
    conditions.setdefault(row.condition, []).append(row)
  summaries = []
  for condition, members in conditions.items():
    means = {}
    for metric in metrics:
      for name in (f'input_{metric}', metric):
        means[name] = _mean(name, [member.scores[name] for member in members])
      means[f'gain_{metric}'] = means[metric] - means[f'input_{metric}']
    summaries.append(Summary(condition, len(members), means))
  return summaries


def provenance(checkpoint_digest: str | None) -> dict[str, Any]:
  """What made a result: checkpoint, versions, command line, date (UTC).

  The command is as it was typed, not resolved to this machine's paths.

  Args:
    checkpoint_digest: identifies the weights; None where there are none.
  """
  versions = {'python': platform.python_version()}
  for package in _PACKAGES:
    try:
      versions[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      versions[package] = 'not installed'  # jaxdeblur, run from a checkout.
  return {
      'checkpoint': checkpoint_digest,
      'versions': versions,
      'command': shlex.join(sys.orig_argv),
      'date': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
  }


def write_json(
    path: str | os.PathLike[str],
    rows: Sequence[Score],
    protocol: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> None:
  """Writes protocol, provenance, each condition's means and each picture's row.

  Numbers that JSON lacks are the strings 'inf', '-inf' and 'nan', so that
  float(value) reads every score. The file appears whole or not at all; its
  folder is created.

  Args:
    path: the file.
    rows: the scores.
    protocol: how they were taken, by name and with all parameters.
    provenance: what took them, see `provenance`.

  Raises:
    ValueError: as `summarise`.
    TypeError: protocol or provenance hold what JSON has no form for.
  """
  document = _as_json({
      'protocol': protocol,
      'provenance': provenance,
      'means': [vars(summary) for summary in summarise(rows)],
      'pictures': [vars(row) for row in rows],
  })
  text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)
  with _written_whole(path) as file:
    file.write(text + '\n')


def write_csv(path: str | os.PathLike[str], rows: Sequence[Score]) -> None:
  """Writes a line for each picture and condition: input_psnr, psnr, ...

  Infinite and undefined scores, the file and errors are as in `write_json`.
  """
  names = [
      name for metric in _metrics(rows) for name in (f'input_{metric}', metric)]
  with _written_whole(path) as file:
    table = csv.writer(file, lineterminator='\n')
    table.writerow(['picture', 'condition', *names])
    for row in rows:
      scores = [float(row.scores[name]) for name in names]
      table.writerow([row.picture, row.condition, *scores])


def format_table(rows: Sequence[Score]) -> str:
  """The means, input -> output (gain), in a line for each condition.

  Of fixed width for a terminal and Markdown for a model card, both in one.
  Raises ValueError as `summarise`.
  """
  columns = {metric: _HEADINGS.get(metric, (metric, 4))
             for metric in _metrics(rows)}
  table = [['condition', 'pictures', *(title for title, _ in columns.values())]]
  for summary in summarise(rows):
    scores = summary.scores
    cells = [
        f'{scores["input_" + metric]:.{digits}f} -> {scores[metric]:.{digits}f}'
        f' ({scores["gain_" + metric]:+.{digits}f})'
        for metric, (_, digits) in columns.items()]
    # A bare | would end the cell.
    condition = summary.condition.replace('|', r'\|')
    table.append([condition, str(summary.pictures), *cells])
  first, *others = (max(map(len, cells)) for cells in zip(*table, strict=True))
  lines = [
      [row[0].ljust(first), *map(str.rjust, row[1:], others)] for row in table]
  lines.insert(1, ['-' * first, *('-' * (width - 1) + ':' for width in others)])
  return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def _metrics(rows: Sequence[Score]) -> list[str]:
  """The metrics of all rows, in the first row's order; refuses what differs."""
  if not rows:
    raise ValueError('There are no scores to report: no picture was evaluated.')
  metrics = [name for name in rows[0].scores if not name.startswith('input_')]
  expected = {*metrics, *(f'input_{metric}' for metric in metrics)}
  seen = set()
  for row in rows:
    if set(row.scores) != expected:
      raise ValueError(
          f'{row.picture!r} ({row.condition}) is scored in '
          f'{sorted(row.scores)}, expected {sorted(expected)}. Score input and '
          'output of every picture in the same metrics.')
    if (row.picture, row.condition) in seen:
      raise ValueError(
          f'{row.picture!r} comes twice under {row.condition!r} and would '
          'count twice in the mean. Give every picture a name of its own.')
    seen.add((row.picture, row.condition))
  return metrics


def _mean(name: str, values: Sequence[float]) -> float:
  if name not in _GEOMETRIC:
    return sum(values) / len(values)
  if 0 in values:  # log(0). One perfect picture makes PSNR's mean perfect too.
    return 0.0
  return math.exp(sum(map(math.log, values)) / len(values))


def _as_json(value: Any) -> Any:
  """Plain values for json.dumps: NumPy's numbers as Python's, inf as a word."""
  if isinstance(value, Mapping):
    return {str(key): _as_json(member) for key, member in value.items()}
  if isinstance(value, list | tuple):
    return [_as_json(member) for member in value]
  if isinstance(value, numbers.Real) and not isinstance(value, int):
    number = float(value)
    return number if math.isfinite(number) else str(number)
  return value


@contextlib.contextmanager
def _written_whole(path: str | os.PathLike[str]) -> Iterator[TextIO]:
  """A text file that takes its name only once it is complete."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  # Beside it, or os.replace could not be atomic; and not by tempfile, whose
  # files only their owner may read.
  unfinished = path.with_name(f'.{path.name}.{os.getpid()}')
  try:
    with unfinished.open('w', encoding='utf-8', newline='') as file:
      yield file
    os.replace(unfinished, path)
  finally:
    unfinished.unlink(missing_ok=True)
