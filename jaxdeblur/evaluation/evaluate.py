"""Scores a network on a folder, as a protocol says."""

import pathlib

import ml_collections
import tqdm

from jaxdeblur.evaluation import report
from jaxdeblur.evaluation.pixel4 import Pixel4
from jaxdeblur.evaluation.protocol import RenderedDefocus
from jaxdeblur.restoration import restorer

PROTOCOLS = ('rendered_defocus', 'pixel4')


def evaluate(
    config: ml_collections.ConfigDict,
    checkpoint: str | pathlib.Path,
    folder: str | pathlib.Path,
    output: str | pathlib.Path,
) -> str:
  """Scores a checkpoint on the pictures of a folder.

  Writes output/scores.json (protocol, provenance, every picture) and
  output/scores.csv, with the input's own scores beside the output's.

  Args:
    config: `eval` (protocol, and radii, noise, seed of rendered defocus) and
      `restore` (tile, fit).
    checkpoint: what `jaxdeblur.load` takes.
    folder: sharp photographs ('rendered_defocus') or scenes ('pixel4').
    output: folder for the results.

  Returns:
    The table of means.

  Raises:
    CheckpointError, FileNotFoundError, ValueError: as one sentence each.
  """
  folder, output = pathlib.Path(folder), pathlib.Path(output)
  protocol = _make_protocol(config.eval)
  count = protocol.count(folder)
  model = restorer.load(checkpoint)
  rows = []
  with tqdm.tqdm(total=count, unit='picture') as bar:
    for case in protocol.cases(folder):
      restored = _restore(model, case.views, config.restore)
      rows += [report.Score(case.picture, condition, scores)
               for condition, scores in case.score(restored).items()]
      bar.update()
  output.mkdir(parents=True, exist_ok=True)
  report.write_json(
      output / 'scores.json', rows,
      {**protocol.describe(), 'fit': config.restore.fit},
      report.provenance(model.weights.digest()))
  report.write_csv(output / 'scores.csv', rows)
  return report.format_table(rows)


def _make_protocol(settings) -> RenderedDefocus | Pixel4:
  if settings.protocol not in PROTOCOLS:
    raise ValueError(
        f'config.eval.protocol is {settings.protocol!r}: choose one of '
        f'{", ".join(PROTOCOLS)}.')
  if settings.protocol == 'pixel4':
    return Pixel4()
  return RenderedDefocus(
      tuple(settings.radii), settings.noise, settings.seed)


def _restore(model, views, settings):
  required = model.weights.model.required_views
  missing = [name for name in required if name not in views]
  if missing:
    raise ValueError(
        f'This network reads the views {", ".join(required)}; the pictures of '
        f'this protocol have no {", ".join(missing)}.')
  given = {'picture' if name == 'center' else name: views[name]
           for name in required}
  return model.restore(
      **given, tile=settings.tile or None, fit=settings.fit)
