"""PSF blocks: kernels weighted by the disparity, forwards and backwards.

A block keeps a set of candidate kernels, one for each channel, as complex
spectra. The disparity vector of a patch says how much each kernel counts there.
Deblurring filters with the kernels. Reblurring filters with the kernels of the
reciprocal spectra and inverts every other step (Yang et al. 2023; Tab. 13, PSF,
and its note).
"""

import functools
import math

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float
import numpy as np

from jaxdeblur.errors import UserError
from jaxdeblur.models.k3dn.disparity import FEATURES
from jaxdeblur.models.k3dn.layers import leaky_relu

MODES = ('released', 'wiener')

_EPSILON = 1e-8
_LARGEST_INVERSE_WEIGHT = 100.0
_WIENER_EPSILON = 1e-8
_SMALL_NORMAL = nn.initializers.truncated_normal(1e-3)
_ONES = nn.initializers.ones


class PSFBlock(nn.Module):
  """Deblurs or reblurs the features of patches, with the same parameters.

  Attributes:
    kernel_size: side of the candidate kernels, odd; 9 in the paper (Tab. 10).
    mode: 'released' is as published. There reblurring only roughly inverts
      deblurring, since the kernels are cropped, mirrored and normalised, and
      there are activations: a freshly initialised block returns noise with an
      error of 0.15 of its norm (tests/psf_block_test.py). 'wiener' inverts
      each patch's filter by dividing circular spectra, and has no activations
      (error 3e-6). It is ours, to study the inverse.
  """
  kernel_size: int = 9
  mode: str = 'released'

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'n h w c'],
      disparity: Float[Array, 'n 256'],
      reblur: bool = False,
  ) -> Float[Array, 'n h w c']:
    if self.mode not in MODES:
      raise UserError(
          f'Unknown psf_mode {self.mode!r}: choose one of {", ".join(MODES)}.')
    channels = x.shape[-1]
    spectra = CandidateKernels(
        channels, self.kernel_size, name='kernels')
    kernels = spectra()
    weights = KernelWeights(name='weights')(disparity, kernels)
    mix = InvertibleMix(channels, name='mix')
    self.sow('intermediates', 'candidates', kernels)
    self.sow('intermediates', 'kernel_weights', weights)
    weights = weights[:, None, None, :]
    if self.mode == 'wiener':
      return self._filter_exactly(x, kernels, weights, mix, reblur)
    if not reblur:
      filtered = depthwise_conv(x, kernels)
      self.sow('intermediates', 'filtered', filtered)
      mixed = mix(weights * leaky_relu(filtered))
      self.sow('intermediates', 'mixed', mixed)
      return leaky_relu(mixed) + x
    unmixed = mix(x, inverse=True)
    inverse = jnp.clip(1 / (weights + _EPSILON), 0, _LARGEST_INVERSE_WEIGHT)
    unmixed = _unit_norm(inverse, axis=-1) * unmixed
    self.sow('intermediates', 'mixed', unmixed)
    filtered = depthwise_conv(
        leaky_relu(unmixed), spectra(inverse=True))
    self.sow('intermediates', 'filtered', filtered)
    return leaky_relu(filtered) + x

  def _filter_exactly(self, x, kernels, weights, mix, reblur):
    """Computes mix(weights * (x * kernels)), or its inverse if `reblur`."""
    if not reblur:
      return mix(weights * _filter_circularly(x, kernels, inverse=False))
    x = mix(x, inverse=True) / weights
    return _filter_circularly(x, kernels, inverse=True)


class CandidateKernels(nn.Module):
  """One kernel for each channel, kept as a complex spectrum (Fig. 13)."""
  channels: int
  size: int

  def setup(self):
    period = self.size + 1
    self.spectrum = self.param(
        'spectrum', nn.initializers.normal(1.0),
        (self.channels, period, period // 2 + 1, 2), jnp.float32)

  def __call__(self, inverse: bool = False) -> Float[Array, 'c k k']:
    """Kernels [c, row, column], mirror-symmetric, each of unit norm.

    Args:
      inverse: whether to take the reciprocal of each value of the spectrum.
    """
    spectrum = lax.complex(self.spectrum[..., 0], self.spectrum[..., 1])
    if inverse:
      spectrum = _reciprocal(spectrum)
    period = self.size + 1
    half = self.size // 2 + 1
    kernels = jnp.fft.irfft2(spectrum, (period, period))[
        :, :self.size, :half]
    mirrored = kernels[:, :, :-1][:, :, ::-1]
    return _unit_norm(
        jnp.concatenate([kernels, mirrored], axis=-1), axis=(1, 2))


class KernelWeights(nn.Module):
  """How much each candidate counts in each patch: convex weights."""

  @nn.compact
  def __call__(
      self,
      disparity: Float[Array, 'n 256'],
      kernels: Float[Array, 'c k k'],
  ) -> Float[Array, 'n c']:
    channels, size, _ = kernels.shape
    half = size // 2 + 1
    pooling = self.param(
        'pooling', nn.initializers.zeros, (channels, size, half), jnp.float32)
    query = (pooling * kernels[:, :, :half]).sum(axis=(1, 2))
    asked = nn.Dense(channels, kernel_init=_SMALL_NORMAL, name='ask')(disparity)
    answer = nn.Dense(
        FEATURES, kernel_init=_SMALL_NORMAL, name='answer')(asked * query[None])
    refined = disparity + leaky_relu(answer)
    self.sow('intermediates', 'refined', refined)
    weight = self.param(
        'modulation', nn.initializers.normal(1.0), (FEATURES, channels),
        jnp.float32)
    bias = self.param('modulation_bias', _ONES, (channels,), jnp.float32)
    scores = refined @ (weight / math.sqrt(FEATURES)) + bias[None]
    return nn.softmax(scores)


class InvertibleMix(nn.Module):
  """A 1 x 1 convolution P L U, inverted by two triangular solves (Glow).

  P and the signs of U's diagonal are constant: collection `constants`.
  """
  channels: int

  def setup(self):
    key = (self.make_rng('params') if self.is_initializing()
           else jax.random.key(0))  # Then only the shapes matter.

    @functools.cache
    def decompose():
      return _decompose_rotation(key, self.channels)

    def part(name):
      return lambda *_: decompose()[name]

    self.permutation = self.variable(
        'constants', 'permutation', part('permutation'))
    self.signs = self.variable('constants', 'signs', part('signs'))
    self.lower = self.param('lower', part('lower'))
    self.upper = self.param('upper', part('upper'))
    self.log_scales = self.param('log_scales', part('log_scales'))

  def __call__(
      self, x: Float[Array, 'n h w c'], inverse: bool = False
  ) -> Float[Array, 'n h w c']:
    matrix = self.inverse_matrix() if inverse else self.matrix()
    return x @ matrix.T

  def matrix(self) -> Float[Array, 'c c']:
    lower, upper = self._factors()
    # In float32 on every device; otherwise the inverse would not undo it.
    triangular = jnp.matmul(lower, upper, precision='highest')
    return jnp.matmul(
        self.permutation.value, triangular, precision='highest')

  def inverse_matrix(self) -> Float[Array, 'c c']:
    lower, upper = self._factors()
    solve = jax.scipy.linalg.solve_triangular
    return solve(upper, solve(
        lower, self.permutation.value.T, lower=True, unit_diagonal=True))

  def _factors(self):
    scales = self.signs.value * jnp.exp(self.log_scales)
    lower = jnp.tril(self.lower, -1) + jnp.eye(
        self.channels, dtype=self.lower.dtype)
    return lower, jnp.triu(self.upper, 1) + jnp.diag(scales)


def depthwise_conv(
    x: Float[Array, 'n h w c'], kernels: Float[Array, 'c k k']
) -> Float[Array, 'n h w c']:
  """Filters each channel of small patches, with zeros beyond their borders.

  It multiplies each channel by a matrix [h w, h w], which all patches share.
  For 128 patches of 18 x 14 px and 96 channels, this takes a CPU a seventh of
  the time of a grouped convolution, gradients included.
  """
  _, height, width, _ = x.shape
  rows, columns = (
      _offsets(length, kernels.shape[1]) for length in (height, width))
  # A ring of zeros stands for all offsets outside the kernel.
  ringed = jnp.pad(kernels, ((0, 0), (1, 1), (1, 1)))
  matrix = ringed[:, rows][:, :, :, columns]  # [c, y, y', x, x'].
  planes = x.transpose(3, 0, 1, 2)
  filtered = jnp.einsum('cnij,cyixj->cnyx', planes, matrix)
  return filtered.transpose(1, 2, 3, 0)


def _offsets(length: int, size: int) -> np.ndarray:
  """Indexes the ringed kernel by the offset of two pixels: [out, in]."""
  pixels = np.arange(length)
  offsets = pixels[None] - pixels[:, None] + size // 2 + 1
  return np.clip(offsets, 0, size + 1)


def _filter_circularly(x, kernels, inverse):
  """Multiplies the spectra of patches and kernels, or undoes that."""
  height, width = x.shape[1:3]
  reach = kernels.shape[1] // 2
  # A correlation, like the convolution above: conjugate the kernel's spectrum.
  placed = jnp.zeros((height, width, x.shape[-1]), x.dtype)
  placed = placed.at[:kernels.shape[1], :kernels.shape[2]].set(
      kernels.transpose(1, 2, 0))
  placed = jnp.roll(placed, (-reach, -reach), axis=(0, 1))
  response = jnp.conj(jnp.fft.rfft2(placed, axes=(0, 1)))
  spectrum = jnp.fft.rfft2(x, axes=(1, 2))
  if inverse:
    power = jnp.square(jnp.abs(response)) + _WIENER_EPSILON
    spectrum = spectrum * (jnp.conj(response) / power)[None]
  else:
    spectrum = spectrum * response[None]
  return jnp.fft.irfft2(spectrum, (height, width), axes=(1, 2))


def _reciprocal(
    spectrum: Complex[Array, 'c i j']
) -> Complex[Array, 'c i j']:
  # Only -epsilon has no reciprocal; its reciprocal is set to 0.
  shifted = spectrum + _EPSILON
  safe = jnp.where(shifted == 0, 1, shifted)
  return jnp.where(shifted == 0, 0, 1 / safe)


def _unit_norm(x: Array, axis: int | tuple[int, ...]) -> Array:
  power = jnp.square(x).sum(axis=axis, keepdims=True)
  return x / jnp.sqrt(power + _EPSILON)


def _decompose_rotation(key: jax.Array, size: int) -> dict[str, jax.Array]:
  """P, L, U of a random rotation; U's diagonal as signs and logarithms."""
  rotation, _ = jnp.linalg.qr(
      jax.random.normal(key, (size, size), jnp.float32))
  permutation, lower, upper = jax.scipy.linalg.lu(rotation)
  diagonal = jnp.diag(upper)
  return {
      'permutation': permutation,
      'signs': jnp.sign(diagonal),
      'lower': lower,
      'upper': jnp.triu(upper, 1),
      'log_scales': jnp.log(jnp.abs(diagonal)),
  }
