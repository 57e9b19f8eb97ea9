"""A run's scores and pictures as one HTML page that needs no other file."""

import base64
from collections.abc import Mapping
import hashlib
import importlib.resources
import math
import pathlib
from typing import Any

import numpy as np

from jaxdeblur.errors import NoFolderError
from jaxdeblur.evaluation import plots, published, report
from jaxdeblur.evaluation.exhibits import (
    ERROR_RANGE,
    Exhibits,
    colour_stops,
)
from jaxdeblur.evaluation.protocols.case import Comparison
from jaxdeblur.evaluation.result import Result
from jaxdeblur.metrics.metric import find
from jaxdeblur.outputs import check_page_packages
from jaxdeblur.pictures import write_whole


class ReportPage:
  """A page that is filled while pictures are restored, and written at the end.

  It holds tables, plots and some of the pictures, which are chosen and encoded
  as they come. So memory and size grow with the number of conditions, but each
  picture adds only table rows. The page is one file and loads nothing.
  """

  def __init__(self, folder: pathlib.Path, most_pictures: int = 4):
    """Takes the page's folder, which is made when the page is written.

    Args:
      folder: where index.html goes.
      most_pictures: number of pictures to show of each condition.

    Raises:
      MissingPackageError: a package that draws the page is not installed.
      NoFolderError: the path exists and is no folder.
    """
    check_page_packages()
    if folder.exists() and not folder.is_dir():
      raise NoFolderError(
          f'{folder} is no folder: name one for the page.', argument='report')
    self._folder = folder
    self._exhibits = Exhibits(most_pictures)

  def add_pictures(
      self, picture: str, comparisons: Mapping[str, Comparison]
  ) -> None:
    """Takes a picture that may be shown; keeps only what is shown.

    Args:
      picture: its name, as in its `Score`.
      comparisons: its comparisons by condition; those in linear light are not
        shown.
    """
    for condition, comparison in comparisons.items():
      if comparison.displayed:
        self._exhibits.add(picture, condition, *(
            array if array is None
            else np.broadcast_to(array, (*array.shape[:2], 3))
            for array in (
                comparison.before, comparison.after, comparison.sharp)))

  def write(self, result: Result) -> pathlib.Path:
    """Writes the page, whole or not at all; returns its path."""
    text = _render(result, self._exhibits)
    path = self._folder / 'index.html'
    self._folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode())
    return path


def _render(result: Result, exhibits: Exhibits) -> str:
  import jinja2
  environment = jinja2.Environment(
      loader=jinja2.PackageLoader('jaxdeblur.evaluation'),
      autoescape=True,  # File names and commands may hold anything.
      undefined=jinja2.StrictUndefined,
      trim_blocks=True, lstrip_blocks=True)
  environment.filters.update(
      heading=_heading, score=_score, gain=_gain, verdict=_verdict,
      number=_number, plain=_plain)
  script, style = (
      (importlib.resources.files(__package__) / 'templates' / file).read_text(
          encoding='utf-8')
      for file in ('page.js', 'page.css'))
  digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
  rows = result.rows
  metrics = report.list_metrics(rows)
  shown = exhibits.by_condition()
  return environment.get_template('page.html.jinja').render(
      style=style,
      script=script,
      script_digest=digest,
      metrics=metrics,
      more_is_better=find(metrics[0]).larger_is_better,
      summaries=report.summarise(rows),
      rows=_rank(rows, metrics[0]),
      scores={(row.picture, row.condition): row.scores for row in rows},
      pictures=len({row.picture for row in rows}),
      conditions=len({row.condition for row in rows}),
      published=published.read_tables(),
      published_set=published.find_set(
          result.protocol, result.provenance),
      gains_plot=plots.draw_gains(rows, metrics[0]),
      scatter_plot=plots.draw_scatter(rows, metrics[0]),
      exhibits=shown,
      exhibit_ids=_number_exhibits(shown),
      choice=exhibits.describe_choice(),
      have_sharp=exhibits.have_sharp,
      error_range=ERROR_RANGE,
      colour_stops=colour_stops(),
      result=result)


def _number_exhibits(shown) -> dict[tuple[str, str], str]:
  """Makes an id without special characters for each exhibit."""
  pairs = [(exhibit.picture, exhibit.condition)
           for exhibits in shown.values() for exhibit in exhibits]
  return {pair: f'picture-{number}' for number, pair in enumerate(pairs, 1)}


def _rank(rows, metric: str) -> list[report.Score]:
  """Sorts by gain, the largest first; rows without a gain come last."""
  sign = 1 if find(metric).larger_is_better else -1

  def key(row):
    gain = sign * (row.scores[metric] - row.scores[f'input_{metric}'])
    return -math.inf if math.isnan(gain) else gain

  return sorted(rows, key=key, reverse=True)


def _heading(metric: str) -> str:
  return find(metric).heading


def _score(value: float, metric: str, sign: str = '') -> str:
  text = find(metric).format(value, sign)
  for plain, typeset in (('-', '\N{MINUS SIGN}'), ('inf', '\N{INFINITY}'),
                         ('nan', '\N{EN DASH}')):
    text = text.replace(plain, typeset)
  return text


def _gain(value: float, metric: str) -> str:
  return _score(value, metric, '+')


def _verdict(gain: float, metric: str) -> str:
  """Classes a gain, in the digits shown, as better, worse or same."""
  if math.isnan(gain) or not round(gain, find(metric).digits):
    return 'same'
  return 'better' if find(metric).is_better(gain, 0) else 'worse'


def _plain(value: Any) -> Any:
  """Shortens floats as people write them, such as 0.00392157."""
  return f'{value:.6g}' if isinstance(value, float) else value


def _number(value: float) -> str:
  """Formats a number for JavaScript's Number()."""
  return repr(float(value)).replace('inf', 'Infinity').replace('nan', 'NaN')
