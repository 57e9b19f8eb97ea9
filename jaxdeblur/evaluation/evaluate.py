"""Scores a network, or a baseline, as a protocol says."""

from collections import Counter
import dataclasses
import pathlib
import sys
from typing import Any

from etils import epath
import ml_collections
import tqdm

from jaxdeblur.errors import UserError
from jaxdeblur.evaluation import compare, provenance, result
from jaxdeblur.evaluation.methods import Method, choose_method
from jaxdeblur.evaluation.page import ReportPage
from jaxdeblur.evaluation.protocols import choose_protocol
from jaxdeblur.evaluation.protocols.case import Case, Cases
from jaxdeblur.evaluation.report import Score
from jaxdeblur.evaluation.result import JSON_NAME, Result
from jaxdeblur.evaluation.scoring import Metrics, choose_metrics
from jaxdeblur.evaluation.source import Source
from jaxdeblur.outputs import check_result
from jaxdeblur.restoration import restorer
from jaxdeblur.restoration.options import RestoreOptions
from jaxdeblur.restoration.view_order import measure_side

_SIDES = {-1: 'left', 0: 'unclear', 1: 'right'}


def evaluate(
    config: ml_collections.ConfigDict,
    weights: epath.PathLike,
    source: Source,
    output: pathlib.Path,
    page_folder: pathlib.Path | None = None,
    overwrite: bool = False,
) -> Result:
  """Scores the inputs and outputs of a method on pictures.

  At the end it writes output/scores.json (protocol, provenance, every picture)
  and output/scores.csv, whole or not at all.

  Args:
    config: `eval`, `restore` (tile, fit, pick), `compute` and `mesh`.
    weights: weights as for `jaxdeblur.load`, for the method 'network'.
    source: the pictures.
    output: folder for the results.
    page_folder: folder for a page with scores and pictures, if wanted.
    overwrite: whether the scores may replace older ones.

  Returns:
    The result; printing it shows tables of means and medians.

  Raises:
    UserError: the pictures cannot be scored, or there are scores already.
  """
  check_result(output, JSON_NAME, overwrite)
  page = None
  if page_folder is not None:
    page = ReportPage(page_folder, config.eval.pictures_shown)
  protocol = choose_protocol(config.eval, config.restore.fit)
  exchanges = config.eval.exchange_views
  description = dict(protocol.describe())
  if exchanges:  # Without it, old results stay comparable.
    description['views'] = 'left and right exchanged'
  if config.eval.compare:  # Checked before the work, not after it.
    compare.check_protocols(
        result.as_stored(description),
        result.read(config.eval.compare).protocol)
  cases = protocol.list_cases(source)
  metrics = choose_metrics(config.eval, cases.has_sharp)
  method = choose_method(
      config.eval, lambda: restorer.load_as_configured(config, weights),
      RestoreOptions.from_config(
          config.restore.to_dict() | {'fit': protocol.fit}))
  _check_views(method, cases, protocol.name)
  if exchanges:
    _check_pairs(method, cases, protocol.name)
  rows, failures = [], []
  compares = _reads_pairs(method)
  sides = Counter()
  with tqdm.tqdm(total=cases.count, unit='picture') as bar:
    for make_case in cases.open():
      try:
        case = make_case()
        if exchanges:
          case = _exchange_views(case)
        rows += _score_case(method, metrics, case, page)
        if compares:
          sides[measure_side(case.views['left'], case.views['right'])] += 1
      except (UserError, OSError) as error:
        failures.append(str(error))
        bar.write(f'error: {error}', file=sys.stderr)
      bar.update()
  if not rows:
    raise UserError(
        f'None of the {cases.count} pictures could be scored; the first: '
        f'{failures[0] if failures else "there is none"}')
  pictures = source.describe() + (' (a part of it)' if cases.partial else '')
  collected = provenance.collect(
      method.describe(), method.checkpoint, pictures, failures)
  if compares:
    collected['view_order'] = _describe_sides(sides, method.seen_side)
  scored = Result(description, collected, rows)
  scored.write(output)
  if page is not None:
    page.write(scored)
  return scored


def _score_case(
    method: Method, metrics: Metrics, case: Case, page: ReportPage | None
) -> list[Score]:
  try:
    comparisons = case.compare(method.restore(case))
    if page is not None:
      page.add_pictures(case.picture, comparisons)
    return [
        Score(case.picture, condition, metrics.score(comparison), case.place)
        for condition, comparison in comparisons.items()]
  except ValueError as error:
    raise UserError(f'{case.picture}: {error}') from error


def _check_views(method: Method, cases: Cases, protocol: str) -> None:
  missing = [view for view in method.needed_views if view not in cases.views]
  if missing:
    raise UserError(
        f'This network reads the views {", ".join(method.needed_views)}; the '
        f'pictures of this protocol, {protocol}, have no {", ".join(missing)}.')


def _reads_pairs(method: Method) -> bool:
  return {'left', 'right'} <= set(method.needed_views)


def _check_pairs(method: Method, cases: Cases, protocol: str) -> None:
  """Raises a UserError if there are no views to exchange."""
  if not {'left', 'right'} <= set(cases.views):
    raise UserError(
        f'The pictures of this protocol, {protocol}, are no dual-pixel pairs '
        f'(they have {", ".join(cases.views)}): their views cannot be '
        'exchanged.', argument='exchange_views')
  if not _reads_pairs(method):
    raise UserError(
        'This method does not read left and right, so exchanging them would '
        'change nothing.', argument='exchange_views')


def _exchange_views(case: Case) -> Case:
  views = dict(case.views)
  views['left'], views['right'] = views['right'], views['left']
  return dataclasses.replace(case, views=views)


def _describe_sides(
    sides: Counter[int], seen_side: int | None
) -> dict[str, Any]:
  """Describes to which side the right views' content is shifted.

  Args:
    sides: the number of pictures by the result of `measure_side`.
    seen_side: see `Method`.
  """
  return {
      'data': {name: sides[side] for side, name in _SIDES.items()},
      'network': None if seen_side is None else _SIDES[seen_side],
  }
