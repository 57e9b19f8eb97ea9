"""How close a restored picture is to the sharp one: PSNR, SSIM, MAE, RMSE_rel.

These are pure functions of two pictures, for jit, a training step or plain
NumPy arrays. They neither clip nor quantise nor crop the pictures, since the
published scores of DRBNet, IFAN, Restormer and K3DN come from float outputs.
A grey picture needs its channel axis: [h, w, 1].
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

# Wang et al. 2004 as scikit-image computes it by default and the papers report
# it: with a uniform window, not their Gaussian one.
_WINDOW = 7
_K1 = 0.01
_K2 = 0.03

Pictures = Float[Array | np.ndarray, '*b h w c']


def psnr(
    restored: Pictures, sharp: Pictures, data_range: float = 1.0
) -> Float[Array, '*b']:
  """Peak signal-to-noise ratio of each picture, in dB.

  10 log10(data_range^2 / mean((restored - sharp)^2)), with the mean over all
  pixels and channels. Identical pictures score inf and have no gradient.

  Args:
    restored: one picture [h, w, c] or any batch of them.
    sharp: the ground truth, of the same shape.
    data_range: the width of the range of values, 1 for pictures in [0, 1].

  Returns:
    One score for each picture, float32 (float64 for float64 pictures, with x64
    enabled).

  Raises:
    ValueError: the shapes differ or lack an axis, or the values are no floats.
  """
  restored, sharp = _as_floats(restored, sharp)
  return 10.0 * jnp.log10(
      data_range**2 / _mean_of_pictures(jnp.square(restored - sharp)))


def rmse_rel(
    restored: Pictures, sharp: Pictures, data_range: float = 1.0
) -> Float[Array, '*b']:
  """Root mean squared error of each picture, relative to the range.

  sqrt(mean((restored - sharp)^2)) / data_range = 10^(-PSNR / 20). K3DN's tables
  7 and 8 print 10^(-mean PSNR / 20) of the data set, times 100. This is the
  geometric mean over its pictures, not the arithmetic one. Arguments, result
  and errors are those of `psnr`. Identical pictures score 0 and have no
  gradient.
  """
  restored, sharp = _as_floats(restored, sharp)
  return jnp.sqrt(_mean_of_pictures(jnp.square(restored - sharp))) / data_range


def mae(restored: Pictures, sharp: Pictures) -> Float[Array, '*b']:
  """Mean absolute error of each picture, over all its pixels and channels.

  In the pictures' own unit. Arguments, result and errors are those of `psnr`.
  """
  restored, sharp = _as_floats(restored, sharp)
  return _mean_of_pictures(jnp.abs(restored - sharp))


def ssim(
    restored: Pictures, sharp: Pictures, data_range: float = 1.0
) -> Float[Array, '*b']:
  """Structural similarity of each picture, 1 for identical ones.

  Equals scikit-image's structural_similarity(channel_axis=-1) with its
  defaults: 7 x 7 uniform windows that lie wholly inside the picture, sample
  covariance (N / (N - 1)), K1 = 0.01, K2 = 0.03, the mean over all windows and
  channels. Arguments and result are those of `psnr`.

  Raises:
    ValueError: as `psnr`, or a picture is less than 7 pixels high or wide.
  """
  restored, sharp = _as_floats(restored, sharp)
  height, width, channels = sharp.shape[-3:]
  if min(height, width) < _WINDOW:
    raise ValueError(
        f'SSIM looks through {_WINDOW}x{_WINDOW} windows, but the pictures are '
        f'{height}x{width} (height x width). Compare larger pictures.')

  # The channels of a row lie side by side, [h, w * c]: a last axis of 3 would
  # leave a TPU's lanes and a CPU's vectors nearly empty. Every channel has
  # equally many windows, so the mean over all is the mean over channels.
  rows = (*sharp.shape[:-3], height, width * channels)
  return _ssim_of_rows(
      restored.reshape(rows), sharp.reshape(rows), data_range, channels)


# Compiled even if the caller is not, since it has some 80 operations.
@functools.partial(jax.jit, static_argnames='channels')
def _ssim_of_rows(
    restored: Float[Array, '*b h wc'],
    sharp: Float[Array, '*b h wc'],
    data_range: float | Float[Array, ''],
    channels: int,
) -> Float[Array, '*b']:
  """SSIM of pictures whose rows hold `channels` interleaved channels."""
  # With d = restored - sharp, the two factors of SSIM are 1 - mean(d)^2 / (...)
  # and 1 - var(d) / (...). Summing the differences from 1 suits float32, since
  # nothing cancels. In mean(xy) - mean(x) mean(y), rounding would hide the
  # covariance of bright flat pictures.
  (mean_x, mean_y, mean_d), (variance_x, variance_y, variance_d) = (
      _window_statistics(
          jnp.stack([restored, sharp, restored - sharp]), channels))
  c1 = (_K1 * data_range) ** 2
  c2 = (_K2 * data_range) ** 2
  luminance_loss = jnp.square(mean_d) / (
      jnp.square(mean_x) + jnp.square(mean_y) + c1)
  structure_loss = variance_d / (variance_x + variance_y + c2)
  loss = luminance_loss + structure_loss - luminance_loss * structure_loss
  return 1.0 - jnp.mean(loss, axis=(-2, -1))


def _as_floats(
    restored: jax.Array | np.ndarray, sharp: jax.Array | np.ndarray
) -> tuple[jax.Array, jax.Array]:
  """Checks that two pictures can be compared; returns at least float32."""
  if restored.shape != sharp.shape:
    raise ValueError(
        f'The pictures differ in size: restored is {list(restored.shape)}, '
        f'sharp is {list(sharp.shape)}. Crop both to one size; nothing is '
        'resized or broadcast here.')
  if sharp.ndim < 3:
    raise ValueError(
        'Expected pictures [height, width, channels] or batches of them, got '
        f'{list(sharp.shape)}. Give a grey picture a channel axis.')
  restored, sharp = jnp.asarray(restored), jnp.asarray(sharp)
  for name, picture in (('restored', restored), ('sharp', sharp)):
    if not jnp.issubdtype(picture.dtype, jnp.floating):
      raise ValueError(
          f'Expected floats in [0, 1], but {name} is {picture.dtype}. Divide '
          'by the largest value of its bit depth (255 or 65535) first.')
  # In bfloat16 a score would have only two digits.
  dtype = jnp.result_type(restored.dtype, sharp.dtype, jnp.float32)
  return restored.astype(dtype), sharp.astype(dtype)


def _mean_of_pictures(values: Float[Array, '*b h w c']) -> Float[Array, '*b']:
  return jnp.mean(values, axis=(-3, -2, -1))


def _window_statistics(
    rows: Float[Array, '*b h wc'], channels: int
) -> tuple[Float[Array, '*b i jc'], Float[Array, '*b i jc']]:
  """Mean and sample variance of each whole window: i is h - 6, j is w - 6.

  It takes one axis at a time, by the law of total variance: the variance of a
  window is the mean of its columns' variances plus the variance of its columns'
  means. Each variance is about its own mean, so float32 suffices at any
  brightness.
  """
  column_means, column_variances = _mean_and_variance(rows, axis=-2, step=1)
  mean, between = _mean_and_variance(column_means, axis=-1, step=channels)
  within, _ = _mean_and_variance(column_variances, axis=-1, step=channels)
  samples = _WINDOW**2
  return mean, (within + between) * (samples / (samples - 1))


def _mean_and_variance(
    values: Float[Array, '*b _ _'], axis: int, step: int
) -> tuple[Float[Array, '*b _ _'], Float[Array, '*b _ _']]:
  """Mean and variance of every 7 values that lie `step` apart on an axis."""
  runs = values.shape[axis] - (_WINDOW - 1) * step
  shifted = [
      jax.lax.slice_in_dim(values, start, start + runs, axis=axis)
      for start in range(0, _WINDOW * step, step)]
  # Without the barrier, XLA computes the mean again for each difference.
  mean = jax.lax.optimization_barrier(sum(shifted) / _WINDOW)
  variance = sum(jnp.square(value - mean) for value in shifted) / _WINDOW
  return mean, variance
