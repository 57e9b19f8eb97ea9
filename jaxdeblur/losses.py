"""Training losses.

A declared loss is a function (restored, views) -> scalar that a config can
name. Its other arguments, by name and with defaults, are its options. One
decorated function suffices: `config.train.losses.NAME` then has its weight and
its options.

  @declare('absolute')
  def compare_absolutely(restored, views, *, power=1.0):
    return (jnp.abs(restored.estimate - views['sharp']) ** power).mean()

The first line of its docstring describes the loss, and the entries below
'Args:' describe the options; `--help` prints both.

The declared losses use the functions below them, which compare pictures.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import inspect
from typing import Any

from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from jaxdeblur.errors import UserError
from jaxdeblur.models import feature_networks
from jaxdeblur.models.feature_networks import FeatureNetwork
from jaxdeblur.models.restored import Restored
from jaxdeblur.ops.resize import shrink_by_mean

Views = Mapping[str, Float[Array, 'b h w 3']]


@dataclasses.dataclass(frozen=True)
class Loss:
  """A declared loss.

  Attributes:
    name: its name in a config.
    function: (restored, views, **options) -> scalar; with `frozen`, the frozen
      network's variables follow the views.
    reblurs: whether it needs the reblurred picture.
    frozen: whether it compares features of a frozen network, which its options
      `network` and `weights` name.
  """
  name: str
  function: Callable[..., Float[Array, '']]
  reblurs: bool = False
  frozen: bool = False

  @property
  def options(self) -> dict[str, Any]:
    """Option -> default."""
    parameters = inspect.signature(self.function).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY}


LOSSES: dict[str, Loss] = {}


def declare(
    name: str, *, reblurs: bool = False, frozen: bool = False
) -> Callable[[Callable], Callable]:
  """Makes a decorator that declares a function as a loss; see `Loss`."""
  def register(function):
    LOSSES[name] = Loss(name, function, reblurs, frozen)
    return function
  return register


def default_options() -> dict[str, dict[str, Any]]:
  """`config.train.losses`: all declared losses, weights 0, their options."""
  return {name: {'weight': 0.0, **loss.options}
          for name, loss in LOSSES.items()}


@declare('pyramid')
def compare_pyramids(
    restored: Restored,
    views: Views,
    *,
    scales: Sequence[float] = (0.1, 0.1, 0.2, 1.0),
) -> Float[Array, '']:
  """Charbonnier error, summed over the estimates of the network's pyramid.

  Args:
    restored: what the network returned.
    views: the batch's views, with 'sharp'.
    scales: weight of each estimate, from the coarsest to the finest; only the
      last one counts for a network without a pyramid.
  """
  if not restored.pyramid:
    return scales[-1] * charbonnier(restored.estimate, views['sharp'])
  return pyramid_charbonnier(restored.pyramid, views['sharp'], tuple(scales))


@declare('deblurring')
def compare_details(
    restored: Restored, views: Views, *, scales: int = 3
) -> Float[Array, '']:
  """Charbonnier, edge and frequency errors (K3DN's deblurring loss).

  Args:
    restored: what the network returned.
    views: the batch's views, with 'sharp'.
    scales: number of levels of a Gaussian pyramid to sum over.
  """
  return deblurring_loss(restored.estimate, views['sharp'], scales)


@declare('reblurring', reblurs=True)
def compare_reblurred(restored: Restored, views: Views) -> Float[Array, '']:
  """Squared error of the reblurred picture (K3DN's reblurring loss).

  It is compared with the center view. This is ours: the paper does not say
  which blurred picture it means.
  """
  return reblurring_loss(restored.reblurred, views['center'])


@declare('feature', frozen=True)
def compare_features(
    restored: Restored,
    views: Views,
    variables: Mapping[str, Any],
    *,
    network: str = 'squeezenet',
    weights: str = '',
    layers: Sequence[str] = (),
) -> Float[Array, '']:
  """Difference of features in a frozen network ('perceptual loss').

  Args:
    restored: what the network returned.
    views: the batch's views, with 'sharp'.
    variables: the frozen network's variables.
    network: the frozen network, squeezenet or vgg19.
    weights: folder of its weights; '' takes those that come with the package.
    layers: its layers to compare; () takes its usual ones.
  """
  del weights  # They are read already.
  return feature_loss(
      feature_networks.create(network), variables, restored.estimate,
      views['sharp'], tuple(layers))


def charbonnier(
    restored: Float[Array, 'b h w c'],
    sharp: Float[Array, 'b h w c'],
    epsilon: float = 1e-3,
) -> Float[Array, '']:
  """Mean of sqrt(error^2 + epsilon^2): absolute error, smooth at 0."""
  return jnp.sqrt(jnp.square(restored - sharp) + epsilon ** 2).mean()


def pyramid_charbonnier(
    pyramid: Sequence[Float[Array, 'b _h _w c']],
    sharp: Float[Array, 'b h w c'],
    weights: Sequence[float],
) -> Float[Array, '']:
  """Weighted sum of the Charbonnier losses of a pyramid's estimates.

  Each value of an estimate is compared with the mean of the sharp picture over
  the pixels that it stands for.

  Args:
    pyramid: estimates, from the coarsest to the finest.
    sharp: the ground truth, of the finest estimate's size.
    weights: one for each estimate.
  """
  if len(weights) != len(pyramid):
    raise UserError(
        f'{len(weights)} weights of scales for {len(pyramid)} estimates: give '
        'one for each, from the coarsest to the finest.', argument='scales')
  total = jnp.zeros(())
  for estimate, weight in zip(pyramid, weights):
    if not weight:
      continue
    factor = sharp.shape[1] // estimate.shape[1]
    total += weight * charbonnier(estimate, shrink_by_mean(sharp, factor))
  return total


def edge_loss(
    restored: Float[Array, 'b h w c'], sharp: Float[Array, 'b h w c']
) -> Float[Array, '']:
  """Charbonnier loss of the details finer than a Gaussian pyramid's level.

  As in MPRNet, which K3DN follows: u - g(4 g(u)[::2, ::2], zeros between).
  """
  return charbonnier(_details(restored), _details(sharp))


def frequency_loss(
    restored: Float[Array, 'b h w c'], sharp: Float[Array, 'b h w c']
) -> Float[Array, '']:
  """Mean modulus of the difference of the channels' unnormalised spectra.

  As in DeepRFT, which K3DN follows.
  """
  return jnp.abs(jnp.fft.fft2(restored - sharp, axes=(1, 2))).mean()


def deblurring_loss(
    restored: Float[Array, 'b h w c'],
    sharp: Float[Array, 'b h w c'],
    scales: int = 3,
) -> Float[Array, '']:
  """K3DN's loss: Charbonnier + 0.05 edge + 0.01 frequency, summed over scales.

  Yang et al. 2023, supplement A. Their network has one output, and they do not
  say what the scales are; ours are levels of Gaussian pyramids of both
  pictures. Heights and widths must be multiples of 2 ** (scales - 1).
  """
  total = jnp.zeros(())
  for scale in range(scales):
    if scale:
      restored, sharp = _halve(restored), _halve(sharp)
    total += (charbonnier(restored, sharp)
              + 0.05 * edge_loss(restored, sharp)
              + 0.01 * frequency_loss(restored, sharp))
  return total


def reblurring_loss(
    reblurred: Float[Array, 'b h w c'], blurry: Float[Array, 'b h w c']
) -> Float[Array, '']:
  """Mean squared error; K3DN adds it with weight 0.1 (supplement A)."""
  return jnp.square(reblurred - blurry).mean()


def feature_loss(
    network: FeatureNetwork,
    variables: Mapping[str, Any],
    restored: Float[Array, 'b h w 3'],
    sharp: Float[Array, 'b h w 3'],
    layers: Sequence[str] = (),
) -> Float[Array, '']:
  """How differently a trained network sees two pictures ('perceptual loss').

  The mean of |features of restored - features of sharp| is divided by the mean
  of |features of sharp| of the same picture and layer, so that networks and
  layers count equally, whatever the range of their features. Then it is
  averaged over layers and pictures. Equal pictures give 0, without a gradient.

  DRBNet's second stage takes a VGG feature loss instead of the absolute error.
  No source states its network, layers and distance: these are ours.

  Args:
    network: the frozen network; it gets no gradient.
    variables: the network's variables.
    restored: in [0, 1] apart from over- and undershoot.
    sharp: the ground truth in [0, 1].
    layers: layers of the network; () takes its `compared_layers`.

  Raises:
    UserError: the network has no such layer, or the pictures are too small for
      one.
  """
  variables = lax.stop_gradient(variables)
  # Mirror the border: otherwise SqueezeNet would see little of it, and nothing
  # of the last row of an even size.
  features, targets = (
      network.apply(variables, jnp.pad(
          picture, ((0, 0), (3, 3), (3, 3), (0, 0)), mode='reflect'))
      for picture in (restored, lax.stop_gradient(sharp)))
  layers = tuple(layers or network.compared_layers)
  unknown = [layer for layer in layers if layer not in features]
  if unknown:
    raise UserError(
        f'{type(network).__name__} has no layer {", ".join(unknown)}; it has '
        f'{", ".join(features)}.', argument='layers')
  empty = [layer for layer in layers if not features[layer].size]
  if empty:
    raise UserError(
        f'Pictures of {sharp.shape[1]} x {sharp.shape[2]} px are too small for '
        f'the layer {", ".join(empty)} of {type(network).__name__}: take '
        'larger crops, or compare earlier layers.', argument='layers')
  return sum(_relative_difference(features[layer], targets[layer]).mean()
             for layer in layers) / len(layers)


def _relative_difference(
    features: Float[Array, 'b h w c'], targets: Float[Array, 'b h w c']
) -> Float[Array, ' b']:
  difference = features - targets
  # The derivative of jnp.abs at 0 is 1.
  difference *= jnp.sign(difference)
  axes = (1, 2, 3)
  return difference.mean(axes) / (
      jnp.abs(targets).mean(axes) + _SMALLEST_FEATURES)


def _details(x):
  smooth = _filter_separably(x, _GAUSSIAN, 'edge')
  kept = jnp.zeros_like(x).at[:, ::2, ::2].set(4 * smooth[:, ::2, ::2])
  return x - _filter_separably(kept, _GAUSSIAN, 'edge')


def _halve(x):
  return shrink_by_mean(_filter_separably(x, _BINOMIAL, 'reflect'), 2)


# Avoids a division by 0 if a picture activates no features.
_SMALLEST_FEATURES = 1e-3

_GAUSSIAN = np.array([0.05, 0.25, 0.4, 0.25, 0.05])
_BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16


def _filter_separably(x, taps, border):
  """Filters rows and columns with a symmetric kernel of five taps."""
  for axis in (1, 2):
    length = x.shape[axis]
    padding = [(2, 2) if i == axis else (0, 0) for i in range(x.ndim)]
    padded = jnp.pad(x, padding, mode=border)
    x = sum(
        float(tap) * lax.slice_in_dim(padded, i, i + length, axis=axis)
        for i, tap in enumerate(taps))
  return x
