"""What a JPEG file loses, as arithmetic that runs on any device.

Baseline JPEG with the tables of its Annex K, scaled by the quality as libjpeg
scales them, and colours at half resolution (4:2:0), which is the usual choice
of cameras and OpenCV. Entropy coding loses nothing and is left out.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

_LUMA = np.array([
    [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56], [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99],
], np.float32)
_CHROMA = np.full((8, 8), 99, np.float32)
_CHROMA[:4, :4] = [
    [17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

_TO_YCC = np.array([
    [0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5],
    [0.5, -0.418688, -0.081312]], np.float32)
_FROM_YCC = np.linalg.inv(_TO_YCC).astype(np.float32)

BLOCK = 16  # Side of a block of four luma blocks and one of each colour, px.


def _make_transform() -> np.ndarray:
  """The DCT-II of 8 x 8 pixels as an orthogonal matrix, [64, 64]."""
  frequency, position = np.mgrid[:8, :8]
  matrix = np.cos((2 * position + 1) * frequency * np.pi / 16) / 2
  matrix[0] /= np.sqrt(2)
  return np.kron(matrix, matrix).astype(np.float32)


_DCT = _make_transform()


def pass_through_jpeg(
    picture: Float[Array, 'h w 3'], quality: Float[Array, ''] | float
) -> Float[Array, 'h w 3']:
  """Returns a picture as it comes back from a JPEG file.

  Args:
    picture: display values in [0, 1]; height and width are multiples of 16.
    quality: 1 to 100, as in libjpeg.
  """
  levels = jnp.round(jnp.clip(picture, 0, 1) * 255)
  luma, *colours = jnp.moveaxis(jnp.round(levels @ _TO_YCC.T), -1, 0)
  luma = _lose(luma - 128, _scale(_LUMA, quality)) + 128
  colours = [
      jnp.round(_enlarge(_lose(
          jnp.round(_halve(colour)), _scale(_CHROMA, quality))))
      for colour in colours]
  decoded = jnp.stack([luma, *colours], axis=-1) @ _FROM_YCC.T
  return jnp.clip(jnp.round(decoded), 0, 255) / 255


def _scale(table: np.ndarray, quality) -> Array:
  """Scales a table of quantisation steps as libjpeg does."""
  quality = jnp.clip(quality, 1, 100)
  percent = jnp.where(
      quality < 50, jnp.floor(5000 / quality), 200 - 2 * quality)
  return jnp.clip(jnp.floor((table * percent + 50) / 100), 1, 255)


def _lose(plane: Float[Array, 'h w'], steps: Array) -> Float[Array, 'h w']:
  """Rounds the frequencies of each block of 8 x 8 to multiples of steps."""
  height, width = plane.shape
  blocks = plane.reshape(height // 8, 8, width // 8, 8).swapaxes(1, 2)
  frequencies = blocks.reshape(-1, 64) @ _DCT.T
  steps = steps.reshape(1, 64)
  kept = jnp.round(frequencies / steps) * steps @ _DCT
  kept = jnp.clip(jnp.round(kept), -128, 127)  # Decoders keep whole levels.
  return kept.reshape(height // 8, width // 8, 8, 8).swapaxes(1, 2).reshape(
      plane.shape)


def _halve(plane: Float[Array, 'h w']) -> Float[Array, 'h2 w2']:
  height, width = plane.shape
  return plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))


def _enlarge(plane: Float[Array, 'h w']) -> Float[Array, 'h2 w2']:
  """Doubles both sides with libjpeg's triangle filter: 3/4 and 1/4."""
  for axis in (0, 1):
    padded = jnp.pad(plane, [(int(i == axis),) * 2 for i in (0, 1)], 'edge')
    before, after = (
        jnp.take(padded, jnp.arange(start, start + plane.shape[axis]), axis)
        for start in (0, 2))
    pair = jnp.stack(
        [0.75 * plane + 0.25 * before, 0.75 * plane + 0.25 * after], axis + 1)
    shape = [n * (1 + (i == axis)) for i, n in enumerate(plane.shape)]
    plane = pair.reshape(shape)
  return plane
