"""Scores a network on photographs with rendered defocus."""

import pathlib

import ml_collections
import numpy as np
import tqdm

from data_pipelines.sources import list_photographs, read_photograph
from jaxdeblur import metrics
from jaxdeblur.evaluation import report
from jaxdeblur.evaluation.protocol import RenderedDefocus
from jaxdeblur.restoration import restorer

_METRICS = {'psnr': metrics.psnr, 'ssim': metrics.ssim, 'mae': metrics.mae}


def evaluate(
    config: ml_collections.ConfigDict,
    checkpoint: str | pathlib.Path,
    photos: str | pathlib.Path,
    output: str | pathlib.Path,
) -> str:
  """Scores a checkpoint on sharp photographs blurred at stated radii.

  Writes output/scores.json (protocol, provenance, every picture) and
  output/scores.csv, with the input's own scores beside the output's.

  Args:
    config: `eval` (radii, noise, seed) and `restore.tile`.
    checkpoint: what `jaxdeblur.load` takes.
    photos: folder of sharp photographs.
    output: folder for the results.

  Returns:
    The table of means.

  Raises:
    CheckpointError, FileNotFoundError, ValueError: as one sentence each.
  """
  protocol = RenderedDefocus(
      tuple(config.eval.radii), config.eval.noise, config.eval.seed)
  files = list_photographs(photos)
  model = restorer.load(checkpoint)
  rows = []
  with tqdm.tqdm(total=len(files) * len(protocol.radii), unit='picture') as bar:
    for file in files:
      sharp = read_photograph(file).astype(np.float32) / 255
      for radius in protocol.radii:
        blurry = protocol.degrade(sharp, file.name, radius)
        restored = model.restore(
            blurry, tile=config.restore.tile or None, fit=config.restore.fit)
        rows.append(report.Score(
            file.name, f'disc radius {radius:g} px',
            score_pair(blurry, restored, sharp)))
        bar.update()
  output = pathlib.Path(output)
  output.mkdir(parents=True, exist_ok=True)
  provenance = report.provenance(model.weights.digest())
  report.write_json(
      output / 'scores.json', rows,
      {**protocol.describe(), 'fit': config.restore.fit}, provenance)
  report.write_csv(output / 'scores.csv', rows)
  return report.format_table(rows)


def score_pair(
    blurry: np.ndarray, restored: np.ndarray, sharp: np.ndarray
) -> dict[str, float]:
  """Scores input and output against the ground truth, [h, w, 3] in [0, 1]."""
  scores = {}
  for name, metric in _METRICS.items():
    scores[f'input_{name}'] = float(metric(blurry, sharp))
    scores[name] = float(metric(restored, sharp))
  return scores
