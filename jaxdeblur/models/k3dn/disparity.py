"""The disparity estimator: one vector for each patch, by its defocus.

There is no ground truth of the disparity: the estimator learns only from
deblurring and reblurring (Yang et al. 2023, supplement B). Table numbers refer
to the supplement.
"""

from collections.abc import Sequence

from flax import linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdeblur.errors import UserError
from jaxdeblur.models.k3dn.layers import TORCH_INIT, leaky_relu, torch_bias
from jaxdeblur.ops.cost_volume import cost_volume
from jaxdeblur.ops.resize import (
  resize_bilinear_corners,
  resize_nearest,
  shrink_by_mean,
)

FEATURES = 256  # Length of a vector of R, the disparity.
EXTRACTORS = ('released', 'table13')

_HE = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')


class ConvNormReLU(nn.Module):
  """Convolution without bias, batch normalisation, ReLU; 2-D or 3-D.

  Tab. 13 lists no normalisation. With `normalise` off, this is a convolution
  with bias and a ReLU, as in the table.
  """
  features: int
  kernel_size: tuple[int, ...] = (3, 3)
  stride: int = 1
  padding: int = 1
  dilation: int = 1
  normalise: bool = True
  activate: bool = True
  kernel_init: nn.initializers.Initializer = _HE

  @nn.compact
  def __call__(self, x: Array, train: bool = False) -> Array:
    axes = len(self.kernel_size)
    x = nn.Conv(
        self.features, self.kernel_size, strides=(self.stride,) * axes,
        padding=((self.padding, self.padding),) * axes,
        kernel_dilation=(self.dilation,) * axes, use_bias=not self.normalise,
        kernel_init=self.kernel_init, name='conv')(x)
    if self.normalise:
      x = nn.BatchNorm(
          use_running_average=not train, momentum=0.9, epsilon=1e-5,
          name='norm')(x)
    return nn.relu(x) if self.activate else x


class FeatureExtractor(nn.Module):
  """Extracts features of a view at 1/4 of its size (Tab. 13, FE).

  Both views share it.

  Attributes:
    variant: 'released' follows the published network: it halves the size once
      more, to 1/8, and has 1 x 1 branches with a ring of padding and a last
      layer without ReLU. 'table13' follows the table.
  """
  variant: str = 'released'

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b h w 3'], train: bool = False
  ) -> Float[Array, 'b i j 32']:
    released = self.variant == 'released'
    layers = {
        'conv1': dict(features=32),
        'conv2': dict(features=64),
        'conv3': dict(features=128, padding=4, dilation=4),
        'conv4': dict(
            features=128, padding=8, dilation=8, stride=2 if released else 1),
    }
    for name, settings in layers.items():
      x = ConvNormReLU(**settings, normalise=released, name=name)(x, train)
    side = 1 if released else 3
    branches = []
    for pool in (32, 16):
      # The published network fails if the features are smaller than the window.
      # Here the window shrinks to their size.
      window = tuple(min(pool, length) for length in x.shape[1:3])
      branch = nn.avg_pool(x, window, strides=window)
      branch = ConvNormReLU(
          32, (side, side), normalise=released, name=f'branch{pool}')(
              branch, train)
      branches.append(resize_bilinear_corners(branch, *x.shape[1:3]))
    order = [*branches, x] if released else [x, *reversed(branches)]
    x = ConvNormReLU(96, normalise=released, name='merge')(
        jnp.concatenate(order, axis=-1), train)
    if released:
      return nn.Conv(32, (1, 1), use_bias=False, kernel_init=_HE, name='out')(x)
    return ConvNormReLU(32, normalise=False, name='out')(x, train)


class DualPixelDisparity(nn.Module):
  """R from the left and the right view (Tab. 13, Disparity Estimator).

  Attributes:
    extractor: variant of the `FeatureExtractor`.
    shifts: shifts that the cost volume compares, in pixels of its features; the
      published network has only those to one side.
    window: height and width of a patch, in pixels at 1/8.
  """
  extractor: str = 'released'
  shifts: Sequence[int] = (0, 1, 2, 3)
  window: tuple[int, int] = (18, 14)

  @nn.compact
  def __call__(
      self,
      left: Float[Array, 'b h w 3'],
      right: Float[Array, 'b h w 3'],
      train: bool = False,
  ) -> Float[Array, 'b rows columns 256']:
    if self.extractor not in EXTRACTORS:
      raise UserError(
          f'Unknown feature_extractor {self.extractor!r}: choose one of '
          f'{", ".join(EXTRACTORS)}.')
    released = self.extractor == 'released'
    extract = FeatureExtractor(self.extractor, name='features')
    # One after the other, so that each view has its own batch statistics, as
    # published.
    cost = cost_volume(
        extract(shrink_by_mean(left, 4), train),
        extract(shrink_by_mean(right, 4), train), self.shifts)
    for i, (features, stride) in enumerate(
        ((32, 1), (48, 2), (48, 1), (64, 2), (64, 1)), start=1):
      cost = ConvNormReLU(
          features, (3, 3, 3), stride, normalise=released,
          kernel_init=TORCH_INIT, name=f'match{i}')(cost, train)
    self.sow('intermediates', 'matching', cost)
    # The mean joins the planes, one for each shift, into one.
    return PatchProjection(self.window, name='project')(
        cost.mean(axis=1), left.shape[1:3])


class SingleImageDisparity(nn.Module):
  """R from the photograph alone, for the single-image mode (Tab. 8)."""
  window: tuple[int, int] = (18, 14)

  @nn.compact
  def __call__(
      self, center: Float[Array, 'b h w 3'], train: bool = False
  ) -> Float[Array, 'b rows columns 256']:
    x = shrink_by_mean(center, 4)
    layers = (
        dict(features=32), dict(features=64),
        dict(features=128, padding=4, dilation=4), dict(features=128),
        dict(features=128, padding=4, dilation=4, stride=2),
        dict(features=256, kernel_size=(1, 1), padding=0), dict(features=128),
        dict(features=64, stride=2), dict(features=64),
        dict(features=64, stride=2), dict(features=64))
    for i, settings in enumerate(layers, start=1):
      x = ConvNormReLU(**settings, name=f'conv{i}')(x, train)
    return PatchProjection(self.window, name='project')(x, center.shape[1:3])


class PatchProjection(nn.Module):
  """Pools features over each patch, then projects them to R.

  The published network resizes the features so that 5 x 4 of them make a patch
  of 18 x 14 pixels at 1/8 (4.5 x 3.5 at 1/32), then averages them. If features
  fit a patch exactly, as in Tab. 13, nothing is resized.
  """
  window: tuple[int, int]

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b i j c'], size: tuple[int, int]
  ) -> Float[Array, 'b rows columns 256']:
    rows, columns = (
        length // (8 * window) for length, window in zip(size, self.window))
    cells = tuple(-(-length // count) for length, count in
                  zip(x.shape[1:3], (rows, columns)))
    x = resize_nearest(x, rows * cells[0], columns * cells[1])
    x = nn.avg_pool(x, cells, strides=cells)
    self.sow('intermediates', 'pooled', x)
    x = nn.Dense(
        FEATURES, kernel_init=TORCH_INIT, bias_init=torch_bias(x.shape[-1]),
        name='dense')(x)
    return leaky_relu(x)

