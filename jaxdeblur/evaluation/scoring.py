"""Scores of a comparison in the metrics that a config names."""

from collections.abc import Callable, Mapping
import dataclasses

import ml_collections

from jaxdeblur.errors import UserError
from jaxdeblur.evaluation.protocols.case import Comparison
from jaxdeblur.metrics import metric
from jaxdeblur.metrics.metric import METRICS, Metric


@dataclasses.dataclass(frozen=True)
class Metrics:
  """The metrics that score a comparison.

  Attributes:
    functions: metric -> its function.
  """
  functions: Mapping[Metric, Callable[..., float]]

  def score(self, comparison: Comparison) -> dict[str, float]:
    """The input's and the output's scores: {'input_psnr': ..., 'psnr': ...}.

    Raises:
      UserError: the pictures are too small for a metric.
    """
    scores = {}
    for prefix, picture in (
        ('input_', comparison.before), ('', comparison.after)):
      for chosen, function in self.functions.items():
        truth = (comparison.sharp,) if chosen.needs_sharp else ()
        scores[prefix + chosen.name] = float(function(picture, *truth))
    return scores


def choose_metrics(
    settings: ml_collections.ConfigDict, has_sharp: bool
) -> Metrics:
  """Chooses the metrics that a config names.

  Args:
    settings: `config.eval`. `metrics` holds names; without names, the metrics
      are PSNR, SSIM and MAE, or NIQE if there is no ground truth. For a metric
      with weights, the field of its name holds their folder.
    has_sharp: whether there is a ground truth.

  Raises:
    UserError: a name is unknown, or a metric lacks its ground truth or its
      weights.
  """
  # A tuple on the command line may be typed as psnr,ssim.
  names = [name.strip() for entry in settings.metrics
           for name in entry.split(',')]
  chosen = [metric.get(name) for name in names] or [
      usual for usual in METRICS.values()
      if usual.usual and usual.needs_sharp == has_sharp]
  for one in chosen:
    if one.needs_sharp and not has_sharp:
      others = [other.name for other in METRICS.values()
                if not other.needs_sharp]
      raise UserError(
          f'The metric {one.name} compares with a ground truth, and these '
          f'pictures have none: choose from {", ".join(others)}.',
          argument='metrics')
  return Metrics({one: _find_function(one, settings) for one in chosen})


def _find_function(
    chosen: Metric, settings: ml_collections.ConfigDict
) -> Callable[..., float]:
  if chosen.load is None:
    return chosen.function
  folder = settings.get(chosen.name)
  if not folder:
    raise UserError(
        f'{chosen.heading} needs weights, which do not come with jaxdeblur: '
        'convert them, as docs/evaluation.md says, and name the folder in '
        f'config.eval.{chosen.name}.')
  return chosen.load(folder)
