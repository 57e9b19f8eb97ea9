"""Metrics by name, each declared once.

A metric is one object: its function, and how its scores are averaged, ordered
and printed. To add one, register it in any module:

  register(Metric('mse', lambda restored, sharp: ..., heading='MSE', digits=5))
"""

from collections.abc import Callable, Sequence
import dataclasses

import numpy as np

from jaxdeblur.errors import UserError
from jaxdeblur.metrics import lpips
from jaxdeblur.metrics.fidelity import mae, psnr, rmse_rel, ssim
from jaxdeblur.metrics.niqe import niqe
from jaxdeblur.suggestion import choose_one


@dataclasses.dataclass(frozen=True)
class Metric:
  """How good a restored picture is, in one number.

  Attributes:
    name: its name in configs and results.
    function: (picture, ground truth) -> score, or (picture) -> score if it
      needs no ground truth; pictures are float32 [h, w, c] in [0, 1]. None if
      `load` makes the function.
    heading: heading of its column, with the unit.
    digits: number of decimals to print.
    larger_is_better: False for errors.
    needs_sharp: whether it compares with a ground truth.
    geometric: whether the mean over pictures is the geometric one.
    usual: whether it is used when no metric is named.
    load: folder of weights -> function; None for a metric without weights.
  """
  name: str
  function: Callable[..., float] | None
  heading: str = ''
  digits: int = 4
  larger_is_better: bool = False
  needs_sharp: bool = True
  geometric: bool = False
  usual: bool = False
  load: Callable[[str], Callable[..., float]] | None = None

  def __post_init__(self):
    """Takes the name as the heading if there is none."""
    object.__setattr__(self, 'heading', self.heading or self.name)

  def mean(self, scores: np.ndarray | Sequence[float]) -> np.ndarray | float:
    """Averages over the last axis, the pictures."""
    scores = np.asarray(scores, np.float64)
    if not self.geometric:
      return scores.mean(axis=-1)
    with np.errstate(divide='ignore'):  # A perfect picture makes the mean 0.
      return np.exp(np.log(scores).mean(axis=-1))

  def format(self, score: float, sign: str = '') -> str:
    """Formats a score with the metric's decimals; `sign` '+' shows signs."""
    return f'{score:{sign}.{self.digits}f}'

  def is_better(self, score: float, other: float) -> bool:
    """Whether a score is better than another; False if they are equal."""
    return score > other if self.larger_is_better else score < other


def _load_lpips(folder: str) -> Callable[..., float]:
  metric = lpips.load(folder)

  def compare(restored, sharp):  # Grey pictures are repeated to RGB.
    return metric(*(
        np.broadcast_to(picture, (*picture.shape[:2], 3))
        for picture in (restored, sharp)))

  return compare


METRICS: dict[str, Metric] = {metric.name: metric for metric in (
    Metric('psnr', psnr, 'PSNR [dB]', 2, larger_is_better=True, usual=True),
    Metric('ssim', ssim, 'SSIM', larger_is_better=True, usual=True),
    Metric('mae', mae, 'MAE', usual=True),
    # K3DN's tables 7 and 8 print 10^(-mean PSNR / 20) of the data set: the
    # geometric mean over its pictures.
    Metric('rmse_rel', rmse_rel, 'RMSE_rel', geometric=True),
    Metric('lpips', None, 'LPIPS', load=_load_lpips),
    Metric('niqe', niqe, 'NIQE', 2, needs_sharp=False, usual=True),
)}


def register(metric: Metric) -> Metric:
  """Makes a metric known by its name."""
  METRICS[metric.name] = metric
  return metric


def get(name: str) -> Metric:
  """The metric `name`.

  Raises:
    UserError: no metric has this name.
  """
  if name not in METRICS:
    raise UserError(
        f'Unknown metric {name!r}: {choose_one(name, METRICS)}',
        argument='metrics')
  return METRICS[name]


def find(name: str) -> Metric:
  """The metric `name`, or a plain one for an unknown name in a result."""
  return METRICS.get(name) or Metric(name, None)
