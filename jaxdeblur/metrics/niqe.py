"""NIQE: how natural a picture looks, without a sharp one to compare with.

Mittal, Soundararajan and Bovik, Making a "Completely Blind" Image Quality
Analyzer, IEEE Signal Processing Letters 20 (2013): the distance between the
statistics of the picture's blocks and those of undistorted photographs. Lower
is better; photographs without defects score about 2 to 4. It measures traces of
distortion, not closeness to the truth. A picture that is sharpened too much may
score better than the sharp picture itself, and kinds of pictures that are
missing among the undistorted ones score worse than they look.

The parameters of the undistorted photographs and the window are those of the
authors' program, as distributed with BasicSR (Apache-2.0, weights/niqe/).
"""

import functools
import math
import pathlib
from typing import NamedTuple

import cv2
from jaxtyping import Float
import numpy as np

PARAMETERS = (pathlib.Path(__file__).parents[1] / 'weights' / 'niqe'
               / 'niqe_pris_params.npz')

_BLOCK = 96   # Side of a block at full size, px; half of it at half size.
_LUMA = (0.299, 0.587, 0.114)  # BT.601, full range.

# MATLAB's imresize to half size: Keys' cubic, a = -1/2, at twice its width.
_HALVING = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256

# Neighbours to multiply with: along rows, columns and diagonals.
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))


class _Pristine(NamedTuple):
  """Statistics of undistorted photographs, and the window for local means."""
  mean: Float[np.ndarray, '36']
  covariance: Float[np.ndarray, '36 36']
  window: Float[np.ndarray, '7 7']


class _Gamma(NamedTuple):
  """Tables of generalised Gaussians by shape, 0.2 to 10 in steps of 0.001.

  G(n) stands for gamma(n / shape).

  Attributes:
    shape: the shape; 1 is a Laplacian, 2 a Gaussian.
    ratio: squared mean of |x| over the mean of x^2: G(2)^2 / (G(1) G(3)). It
      rises with the shape.
    scale: factor from a side's deviation to its scale beta: sqrt(G(1) / G(3)).
    lean: factor from the difference of the scales to the mean: G(2) / G(1).
  """
  shape: np.ndarray
  ratio: np.ndarray
  scale: np.ndarray
  lean: np.ndarray


def niqe(picture: Float[np.ndarray, 'h w c']) -> float:
  """Scores a picture by itself; lower is better.

  Like the authors' program, it scores the grey picture (luma of BT.601, rounded
  to whole numbers in 0..255) at full and at half size. The picture is first cut
  at the right and at the bottom to whole blocks of 96 x 96 px.

  Args:
    picture: [h, w, 3] sRGB or [h, w, 1] grey, in [0, 1].

  Raises:
    ValueError: the picture holds less than two blocks (96 x 192 px), or its
      blocks have no texture.
  """
  height, width, channels = picture.shape
  rows, columns = height // _BLOCK, width // _BLOCK
  if rows * columns < 2:
    raise ValueError(
        f'NIQE compares blocks of {_BLOCK}x{_BLOCK} px and needs two of them, '
        f'but the picture is {height}x{width} (height x width). Score larger '
        'pictures.')
  light = np.asarray(picture, np.float64)
  grey = light @ _LUMA if channels == 3 else light[..., 0]
  grey = np.round(255 * grey)[:rows * _BLOCK, :columns * _BLOCK]
  pristine = _read_pristine()
  features = np.concatenate([
      _describe_blocks(_normalise(grey, pristine.window), _BLOCK),
      _describe_blocks(
          _normalise(_halve(grey), pristine.window), _BLOCK // 2)], axis=1)
  textured = features[np.isfinite(features).all(axis=1)]
  if len(textured) < 2:
    raise ValueError(
        'NIQE describes texture, and the picture has next to none: it cannot '
        'be scored.')
  # As the authors do: means over the blocks that have the feature, covariances
  # over the blocks that have all features.
  difference = pristine.mean - np.nanmean(features, axis=0)
  covariance = (pristine.covariance + np.cov(textured, rowvar=False)) / 2
  return float(np.sqrt(difference @ np.linalg.pinv(covariance) @ difference))


@functools.cache
def _read_pristine() -> _Pristine:
  with np.load(PARAMETERS) as arrays:
    return _Pristine(
        arrays['mu_pris_param'][0], arrays['cov_pris_param'],
        arrays['gaussian_window'])


def _normalise(
    grey: Float[np.ndarray, 'h w'], window: Float[np.ndarray, '7 7']
) -> Float[np.ndarray, 'h w']:
  """Subtracts the local mean and divides by the local deviation + 1."""
  def average(values):
    return cv2.filter2D(
        values, cv2.CV_64F, window, borderType=cv2.BORDER_REPLICATE)

  mean = average(grey)
  deviation = np.sqrt(np.abs(average(grey * grey) - mean * mean))
  return (grey - mean) / (deviation + 1)


def _halve(grey: Float[np.ndarray, 'h w']) -> Float[np.ndarray, 'i j']:
  """Shrinks to half size: bicubic, antialiased, mirrored at the border."""
  reach = len(_HALVING) // 2 - 1
  for _ in range(2):  # Along the rows, then, transposed, along the columns.
    padded = np.pad(grey, ((0, 0), (reach, reach)), mode='symmetric')
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, len(_HALVING), axis=1)
    grey = (windows[:, ::2] @ _HALVING).T
  return grey


def _describe_blocks(
    normalised: Float[np.ndarray, 'h w'], side: int
) -> Float[np.ndarray, 'n 18']:
  """Computes 18 features of each block, row by row; NaN without texture."""
  rows, columns = (length // side for length in normalised.shape)
  blocks = normalised.reshape(rows, side, columns, side)
  blocks = blocks.transpose(0, 2, 1, 3).reshape(-1, side, side)
  shape, _, left, right = _fit_asymmetric(blocks)
  features = [shape, (left + right) / 2]
  for shift in _SHIFTS:  # Within a block, wrapping at its borders.
    features += _fit_asymmetric(
        blocks * np.roll(blocks, shift, axis=(1, 2)))
  return np.stack(features, axis=1)


def _fit_asymmetric(
    values: Float[np.ndarray, 'n i j']
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """Fits an asymmetric generalised Gaussian to each block (by moments).

  Returns:
    Shape, mean, and the scales of the left and the right side, [n] each.
  """
  table = _tabulate_gamma()
  squares = values * values
  with np.errstate(invalid='ignore', divide='ignore'):
    left, right = (
        np.sqrt((squares * side).sum(axis=(1, 2)) / side.sum(axis=(1, 2)))
        for side in (values < 0, values > 0))
    asymmetry = left / right
    ratio = (np.abs(values).mean(axis=(1, 2)) ** 2
             / squares.mean(axis=(1, 2)))
    ratio *= ((asymmetry ** 3 + 1) * (asymmetry + 1)
              / (asymmetry ** 2 + 1) ** 2)
  middles = (table.ratio[1:] + table.ratio[:-1]) / 2
  nearest = np.searchsorted(middles, ratio)
  scale = np.where(np.isfinite(ratio), table.scale[nearest], np.nan)
  left, right = left * scale, right * scale
  return (table.shape[nearest], (right - left) * table.lean[nearest],
          left, right)


@functools.cache
def _tabulate_gamma() -> _Gamma:
  shape = np.arange(0.2, 10.001, 0.001)
  one, two, three = (
      np.array([math.gamma(n / a) for a in shape]) for n in (1, 2, 3))
  return _Gamma(shape, two ** 2 / (one * three), np.sqrt(one / three),
                two / one)
