"""Training losses."""

from collections.abc import Mapping, Sequence
from typing import Any

from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from jaxdeblur.models.feature_networks import FeatureNetwork
from jaxdeblur.ops.resize import shrink_by_mean


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

  Each estimate is compared with the mean of the sharp picture over the pixels
  that it stands for.

  Args:
    pyramid: estimates, from the coarsest to the finest.
    sharp: the ground truth, of the finest estimate's size.
    weights: one for each estimate.
  """
  if len(weights) != len(pyramid):
    raise ValueError(
        f'{len(weights)} pyramid weights for {len(pyramid)} estimates: '
        'config.train.pyramid_weights needs one for each.')
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

  As MPRNet has it, which K3DN follows: u - g(4 g(u)[::2, ::2], zeros between).
  """
  return charbonnier(_details(restored), _details(sharp))


def frequency_loss(
    restored: Float[Array, 'b h w c'], sharp: Float[Array, 'b h w c']
) -> Float[Array, '']:
  """Mean modulus of the difference of the channels' unnormalised spectra.

  As DeepRFT has it, which K3DN follows.
  """
  return jnp.abs(jnp.fft.fft2(restored - sharp, axes=(1, 2))).mean()


def deblurring_loss(
    restored: Float[Array, 'b h w c'],
    sharp: Float[Array, 'b h w c'],
    scales: int = 3,
) -> Float[Array, '']:
  """K3DN's: Charbonnier + 0.05 edge + 0.01 frequency, summed over scales.

  Yang et al. 2023, supplement A. The paper's network has one output and does
  not say what the scales are; ours are levels of Gaussian pyramids of both
  pictures. Heights and widths are multiples of 2 ** (scales - 1).
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

  The mean of |features of restored - features of sharp|, relative to the mean
  of |features of sharp| of the same picture and layer, so that networks and
  layers count alike whatever the range of their features; then the mean over
  layers and pictures. 0 for equal pictures, without a gradient.

  DRBNet's second stage takes a VGG feature loss instead of the absolute error.
  No source states its network, layers and distance: these are ours.

  Args:
    network: which is frozen: it has no gradient.
    variables: the network's.
    restored: in [0, 1] but for over- and undershoot.
    sharp: the ground truth in [0, 1].
    layers: of the network; its `compared_layers` if there are none.

  Raises:
    ValueError: the network has no such layer, or the pictures are too small for
      one.
  """
  variables = lax.stop_gradient(variables)
  # Mirrored, or SqueezeNet would see little of the border, and of an even
  # size's last row nothing.
  features, targets = (
      network.apply(variables, jnp.pad(
          picture, ((0, 0), (3, 3), (3, 3), (0, 0)), mode='reflect'))
      for picture in (restored, lax.stop_gradient(sharp)))
  layers = tuple(layers or network.compared_layers)
  unknown = [layer for layer in layers if layer not in features]
  if unknown:
    raise ValueError(
        f'{type(network).__name__} has no layer {", ".join(unknown)}; it has '
        f'{", ".join(features)}.')
  empty = [layer for layer in layers if not features[layer].size]
  if empty:
    raise ValueError(
        f'Pictures of {sharp.shape[1]} x {sharp.shape[2]} px are too small for '
        f'the layer {", ".join(empty)} of {type(network).__name__}: choose a '
        'larger config.data.crop, or earlier config.train.feature_layers.')
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


# Where a picture leaves a network cold, nothing is divided by 0.
_SMALLEST_FEATURES = 1e-3

_GAUSSIAN = np.array([0.05, 0.25, 0.4, 0.25, 0.05])
_BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16


def _filter_separably(x, taps, border):
  """Filters rows and columns with five taps, symmetric ones."""
  for axis in (1, 2):
    length = x.shape[axis]
    padding = [(2, 2) if i == axis else (0, 0) for i in range(x.ndim)]
    padded = jnp.pad(x, padding, mode=border)
    x = sum(
        float(tap) * lax.slice_in_dim(padded, i, i + length, axis=axis)
        for i, tap in enumerate(taps))
  return x
