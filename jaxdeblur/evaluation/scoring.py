"""The metrics that pictures are scored in."""

from collections.abc import Callable, Mapping
import dataclasses

import ml_collections
import numpy as np

from jaxdeblur import metrics
from jaxdeblur.evaluation.protocols.case import Comparison
from jaxdeblur.metrics import lpips
from jaxdeblur.metrics.niqe import niqe
from jaxdeblur.suggestion import did_you_mean

# (restored, sharp) -> score.
_WITH_SHARP = {'psnr': metrics.psnr, 'ssim': metrics.ssim, 'mae': metrics.mae,
               'rmse_rel': metrics.rmse_rel, 'lpips': None}
_WITHOUT = {'niqe': niqe}
NAMES = (*_WITH_SHARP, *_WITHOUT)

_USUAL = ('psnr', 'ssim', 'mae')
_USUAL_WITHOUT_SHARP = ('niqe',)


@dataclasses.dataclass(frozen=True)
class Metrics:
  """What scores a comparison.

  Attributes:
    with_sharp: name -> metric of (picture, ground truth).
    without: name -> metric of the picture alone.
  """
  with_sharp: Mapping[str, Callable[[np.ndarray, np.ndarray], float]]
  without: Mapping[str, Callable[[np.ndarray], float]]

  def score(self, comparison: Comparison) -> dict[str, float]:
    """The input's and the output's scores: {'input_psnr': ..., 'psnr': ...}.

    Raises:
      ValueError: the pictures are too small for a metric.
    """
    scores = {}
    for prefix, picture in (
        ('input_', comparison.before), ('', comparison.after)):
      for name, metric in self.with_sharp.items():
        scores[prefix + name] = float(metric(picture, comparison.sharp))
      for name, metric in self.without.items():
        scores[prefix + name] = float(metric(picture))
    return scores


def choose_metrics(
    settings: ml_collections.ConfigDict, has_sharp: bool
) -> Metrics:
  """The metrics that a config names.

  Args:
    settings: `config.eval`: `metrics`, names; if none, PSNR, SSIM and MAE, or
      NIQE where there is no ground truth; and `lpips`, the folder of LPIPS's
      weights.
    has_sharp: whether there is a ground truth.

  Raises:
    ValueError: a name is unknown, a metric needs a ground truth that is not
      there, or LPIPS its weights.
  """
  # A tuple on the command line may be typed as psnr,ssim.
  names = [name.strip() for entry in settings.metrics
           for name in entry.split(',')]
  if not names:
    names = _USUAL if has_sharp else _USUAL_WITHOUT_SHARP
  for name in names:
    if name not in NAMES:
      raise ValueError(
          f'config.eval.metrics names {name!r}: choose from '
          f'{", ".join(NAMES)}.{did_you_mean(name, NAMES)}')
    if name in _WITH_SHARP and not has_sharp:
      raise ValueError(
          f'The metric {name} compares with a ground truth, and these pictures '
          f'have none: choose from {", ".join(_WITHOUT)}.')
  return Metrics(
      {name: _load_lpips(settings.lpips) if name == 'lpips'
       else _WITH_SHARP[name] for name in names if name in _WITH_SHARP},
      {name: _WITHOUT[name] for name in names if name in _WITHOUT})


def _load_lpips(folder: str) -> Callable[[np.ndarray, np.ndarray], float]:
  if not folder:
    raise ValueError(
        'LPIPS needs the weights of AlexNet and its own, which do not come '
        'with jaxdeblur: convert yours with --mode convert, as '
        'docs/evaluation.md says, and name the folder with '
        '--config.eval.lpips.')
  metric = lpips.load(folder)

  def compare(restored, sharp):  # Grey pictures are shown to it in RGB.
    return metric(*(
        np.broadcast_to(picture, (*picture.shape[:2], 3))
        for picture in (restored, sharp)))

  return compare
