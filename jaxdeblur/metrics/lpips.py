"""LPIPS: how far apart two pictures look, by the features of AlexNet.

Zhang, Isola, Efros, Shechtman and Wang, The Unreasonable Effectiveness of Deep
Features as a Perceptual Metric, CVPR 2018: the squared difference of features
of unit length, weighted by channel, averaged over the picture, and summed over
five layers. Lower is better; identical pictures score 0. This is version 0.1
with AlexNet ('alex'), which deblurring papers report. The network is that of
Krizhevsky (2014), as in torchvision.

Neither AlexNet's weights nor the heads come with jaxdeblur: `--mode convert`
reads them from PyTorch's files.
"""

from collections.abc import Mapping
import pathlib
from typing import Any

from flax import linen as nn, traverse_util
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np
import safetensors
import safetensors.numpy

from jaxdeblur.errors import ExistingFileError, MissingFileError, UserError

FILE = 'lpips_alex.safetensors'

# ImageNet's mean and standard deviation of RGB, for pictures in [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)

# Filters, kernel, stride, padding, and whether a 3 x 3 maximum comes first.
_LAYERS = (
    (64, 11, 4, 2, False),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, True),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, False),
)

# The smallest side of which 11 x 11 filters and two maxima leave a pixel.
_SMALLEST_SIDE = 31

Pictures = Float[Array | np.ndarray, 'b h w 3']


class Lpips(nn.Module):
  """Distances of pictures: two float32 [b, h, w, 3], sRGB in [0, 1] -> [b]."""

  @nn.compact
  def __call__(self, restored: Pictures, sharp: Pictures) -> Float[Array, ' b']:
    pictures = 2 * jnp.concatenate([restored, sharp]) - 1
    shift, scale = (
        jnp.array(values, pictures.dtype).reshape(1, 1, 1, 3)
        for values in (_SHIFT, _SCALE))
    x = (pictures - shift) / scale
    total = jnp.zeros(len(restored), x.dtype)
    for i, (filters, kernel, stride, padding, shrink) in enumerate(_LAYERS, 1):
      if shrink:
        x = nn.max_pool(x, (3, 3), strides=(2, 2))
      x = nn.relu(nn.Conv(
          filters, (kernel, kernel), (stride, stride), padding,
          precision=jax.lax.Precision.HIGHEST, name=f'conv{i}')(x))
      unit = x / (jnp.linalg.norm(x, axis=-1, keepdims=True) + 1e-10)
      first, second = jnp.split(unit, 2)
      weighted = nn.Dense(
          1, use_bias=False, precision=jax.lax.Precision.HIGHEST,
          name=f'head{i}')(jnp.square(first - second))
      total += weighted.mean(axis=(1, 2, 3))
    return total


class LpipsMetric:
  """LPIPS of two NumPy pictures, with weights that `--mode convert` wrote."""

  def __init__(self, variables: Mapping[str, Any]):
    self._variables = jax.device_put(variables)
    self._apply = jax.jit(Lpips().apply)

  def __call__(
      self,
      restored: Float[np.ndarray, 'h w 3'],
      sharp: Float[np.ndarray, 'h w 3'],
  ) -> float:
    """Compares two sRGB pictures in [0, 1].

    Raises:
      UserError: they are less than 31 pixels high or wide.
    """
    height, width = restored.shape[:2]
    if min(height, width) < _SMALLEST_SIDE:
      raise UserError(
          f'LPIPS needs pictures of at least {_SMALLEST_SIDE}x'
          f'{_SMALLEST_SIDE} px, but they are {height}x{width} (height x '
          'width). Compare larger pictures.')
    return float(self._apply(self._variables, restored[None], sharp[None])[0])


def load(folder: str | pathlib.Path) -> LpipsMetric:
  """Reads the weights that `--mode convert` wrote into a folder.

  Raises:
    MissingFileError: the folder holds no weights of LPIPS.
    UserError: they are damaged or incomplete.
  """
  path = pathlib.Path(folder) / FILE
  if not path.is_file():
    raise MissingFileError(
        f'{folder} holds no {FILE}: make it from the weights of AlexNet and '
        'the heads of LPIPS with --mode convert, as docs/evaluation.md says.')
  try:
    flat = safetensors.numpy.load_file(path)
  except (safetensors.SafetensorError, OSError) as error:
    raise UserError(
        f'{path} is damaged: make it again with --mode convert.') from error
  expected = {
      name: array.shape for name, array in _flatten(shapes()).items()}
  if {name: array.shape for name, array in flat.items()} != expected:
    raise UserError(
        f'{path} does not hold the weights of LPIPS: make it again with --mode '
        'convert.')
  return LpipsMetric(traverse_util.unflatten_dict(flat, sep='/'))


def save(folder: str | pathlib.Path, variables: Mapping[str, Any]) -> None:
  """Writes LPIPS's weights into a new folder.

  Raises:
    ExistingFileError: the folder exists.
  """
  folder = pathlib.Path(folder)
  if folder.exists():
    raise ExistingFileError(
        f'{folder} exists already: name another folder or remove it first.')
  arrays = {name: np.ascontiguousarray(array, np.float32)
            for name, array in _flatten(variables).items()}
  folder.mkdir(parents=True)
  safetensors.numpy.save_file(arrays, folder / FILE)


def shapes() -> Mapping[str, Any]:
  """Shapes of LPIPS's weights, without computing weights."""
  picture = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
  return jax.eval_shape(Lpips().init, jax.random.key(0), picture, picture)


def _flatten(variables: Mapping[str, Any]) -> dict[str, Any]:
  return traverse_util.flatten_dict(dict(variables), sep='/')
