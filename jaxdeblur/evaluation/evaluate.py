"""Scores a network, or what it is to be compared with, as a protocol says."""

import pathlib

from etils import epath
import ml_collections
import tqdm

from jaxdeblur.evaluation import compare, provenance, result
from jaxdeblur.evaluation.methods import Method, choose_method
from jaxdeblur.evaluation.page import ReportPage
from jaxdeblur.evaluation.protocols import choose_protocol
from jaxdeblur.evaluation.protocols.case import Case, Cases
from jaxdeblur.evaluation.report import Score
from jaxdeblur.evaluation.result import Result
from jaxdeblur.evaluation.scoring import Metrics, choose_metrics
from jaxdeblur.evaluation.source import Source


def evaluate(
    config: ml_collections.ConfigDict,
    checkpoint: epath.PathLike,
    source: Source,
    output: pathlib.Path,
    page_folder: pathlib.Path | None = None,
) -> Result:
  """Scores a method on pictures, its input's own scores beside its output's.

  Writes output/scores.json (protocol, provenance, every picture) and
  output/scores.csv at the end, whole or not at all.

  Args:
    config: `eval` and `restore` (tile, fit, pick).
    checkpoint: what `jaxdeblur.load` takes; for the method 'network'.
    source: the pictures.
    output: folder for the results.
    page_folder: folder for a page with scores and pictures, if wanted.

  Returns:
    The result; printed, it is the tables of means and medians.

  Raises:
    CheckpointError, OSError, ValueError, ImportError: as one sentence each.
  """
  if output.exists() and not output.is_dir():
    raise NotADirectoryError(
        f'{output} is a file: --output names the folder for the results.')
  page = None
  if page_folder is not None:
    page = ReportPage(page_folder, config.eval.pictures_shown)
  protocol = choose_protocol(config.eval, config.restore.fit)
  description = protocol.describe()
  if config.eval.compare:  # Before the work, not after it.
    compare.check_protocols(
        result.as_stored(description),
        result.read(config.eval.compare).protocol)
  cases = protocol.list_cases(source)
  metrics = choose_metrics(config.eval, cases.has_sharp)
  method = choose_method(
      config.eval, checkpoint, config.restore.tile, protocol.fit,
      config.restore.pick)
  _check_views(method, cases, protocol.name)
  rows = []
  with tqdm.tqdm(total=cases.count, unit='picture') as bar:
    for case in cases.open():
      rows += _score_case(method, metrics, case, page)
      bar.update()
  pictures = source.describe() + (' (a part of it)' if cases.partial else '')
  scored = Result(
      description,
      provenance.collect(method.describe(), method.checkpoint, pictures), rows)
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
    raise ValueError(f'{case.picture}: {error}') from error


def _check_views(method: Method, cases: Cases, protocol: str) -> None:
  missing = [view for view in method.needed_views if view not in cases.views]
  if missing:
    raise ValueError(
        f'This network reads the views {", ".join(method.needed_views)}; the '
        f'pictures of this protocol, {protocol}, have no {", ".join(missing)}.')
