"""Parameters with which an untrained DRBNet returns the photograph unchanged.

DRBNet builds its result up from the mean over 8 x 8 pixels. With random
parameters it first takes long to learn to draw what the input already shows.
Here three channels carry the photograph through the encoder and the decoder to
every scale, where the residual adds what the estimate lacks. The other channels
keep their random start. This is ours; the paper states no initialisation.
"""

from flax import linen as nn, traverse_util
import jax
import numpy as np

from jaxdeblur.errors import UserError
from jaxdeblur.models.drbnet.blocks import SCALES
from jaxdeblur.models.layers import LEAKY_SLOPE

_COLOURS = 3
_SMALL = 0.1  # Scales the random part of residual blocks.
_TINY = 0.01  # Scales randomness, or equal channels would stay equal.

_Flat = dict[str, jax.Array]  # Parameters by 'module/module/name'.


def start_as_identity(model: nn.Module, params: dict) -> dict:
  """Changes a fresh DRBNet's parameters so that all estimates are means.

  Each value of an estimate becomes the photograph's mean over the pixels that
  it stands for, apart from the small random start of the heads' last layers.

  Args:
    model: the DRBNet.
    params: its freshly initialised parameters.

  Returns:
    Parameters of the same structure.

  Raises:
    UserError: the network is too narrow for three colours.
  """
  if model.width < _COLOURS:
    raise UserError(
        f'A start as the identity needs a DRBNet of width {_COLOURS} or more; '
        f'got one of width {model.width}.', argument='width')
  flat = traverse_util.flatten_dict(params, sep='/')
  _carry_through_encoder(flat, views=len(model.views))
  for scale in SCALES[1:]:
    _carry_through_decoder(flat, f'encoder_decoder/decoder{scale}')
    _carry_estimate(flat, f'block{scale}')
    _make_up_the_difference(flat, f'block{scale}')
  return traverse_util.unflatten_dict(flat, sep='/')


def _carry_through_encoder(flat: _Flat, views: int) -> None:
  """Lets each level's first three channels carry the photograph's mean + 1."""
  encoder = 'encoder_decoder/encoder'
  for level in range(1, 5):
    for i in range(1, 4):
      layer = f'{encoder}/level{level}_conv{i}'
      if level == i == 1:
        # x + 1 is never negative, so it passes leaky ReLUs unchanged. With
        # three views the encoder sees two; their mean is the photograph.
        _carry(flat, layer, sources=1 if views == 1 else 2, offset=1)
      elif i == 1:
        _carry_mean(flat, layer)
      else:
        _carry(flat, layer)
  _carry(flat, f'{encoder}/neck_in')
  for i in (1, 2):
    _let_pass(flat, f'{encoder}/neck_res{i}')
  _carry(flat, f'{encoder}/neck_out')


def _carry_through_decoder(flat: _Flat, decoder: str) -> None:
  """Passes on what the encoder carries, but not the coarser scale's part."""
  _set_kernel(flat, f'{decoder}/up', 0)
  for i in (1, 2):
    _let_pass(flat, f'{decoder}/res{i}')


def _let_pass(flat: _Flat, block: str) -> None:
  """Makes a residual block add little, and nothing to the carried channels."""
  flat[f'{block}/conv2/kernel'] *= _SMALL
  _set_kernel(flat, f'{block}/conv2', 0)


def _carry_estimate(flat: _Flat, block: str) -> None:
  _carry(flat, f'{block}/image_conv1', offset=1)
  for i in (2, 3):
    _carry(flat, f'{block}/image_conv{i}')


def _make_up_the_difference(flat: _Flat, block: str) -> None:
  """Makes the residual the carried photograph minus the estimate."""
  layer = f'{block}/residual_conv1'
  estimate = (flat[f'{layer}/kernel'].shape[2]
              - flat[f'{block}/image_conv3/bias'].size)
  both = _zeros(flat, layer, 2 * _COLOURS)
  for colour in range(_COLOURS):
    both[1, 1, colour, colour] = 1
    both[1, 1, estimate + colour, _COLOURS + colour] = 1
  _set_kernel(flat, layer, both)

  # The last leaky ReLU shrinks negative values: lrelu(-lrelu(-d) / slope) = d.
  # Many channels share the large factor, which trains more evenly.
  layer = f'{block}/residual_conv2'
  copies = flat[f'{layer}/kernel'].shape[3] // _COLOURS
  channels = copies * _COLOURS
  minus = _TINY * flat[f'{layer}/kernel'][..., :channels]
  out = np.zeros((channels, _COLOURS), np.float32)
  for channel in range(channels):
    colour = channel % _COLOURS
    minus = minus.at[1, 1, colour, channel].set(-1)
    minus = minus.at[1, 1, _COLOURS + colour, channel].set(1)
    out[channel, colour] = -1 / (LEAKY_SLOPE * copies)
  _set_kernel(flat, layer, minus)
  layer = f'{block}/residual_out/kernel'
  flat[layer] = flat[layer].at[0, 0, :channels].set(out)


def _carry(
    flat: _Flat, layer: str, sources: int = 1, offset: float = 0
) -> None:
  """Lets three colours pass: their mean over `sources` pictures."""
  passing = _zeros(flat, layer)
  for source in range(sources):
    for colour in range(_COLOURS):
      passing[1, 1, source * _COLOURS + colour, colour] = 1 / sources
  _set_kernel(flat, layer, passing)
  bias = flat[f'{layer}/bias']
  flat[f'{layer}/bias'] = bias.at[:_COLOURS].set(offset)


def _carry_mean(flat: _Flat, layer: str) -> None:
  """Makes a convolution with stride 2 pass the mean over 2 x 2 pixels."""
  passing = _zeros(flat, layer)
  for colour in range(_COLOURS):
    passing[1:, 1:, colour, colour] = 1 / 4
  _set_kernel(flat, layer, passing)


def _zeros(flat: _Flat, layer: str, channels: int = _COLOURS) -> np.ndarray:
  shape = flat[f'{layer}/kernel'].shape
  return np.zeros((*shape[:3], channels), np.float32)


def _set_kernel(
    flat: _Flat, layer: str, values: jax.Array | np.ndarray | int
) -> None:
  """Sets the kernels of a convolution's first output channels.

  These are as many as `values` has, or three for a single value.
  """
  kernel = flat[f'{layer}/kernel']
  channels = np.shape(values)[-1] if np.ndim(values) else _COLOURS
  flat[f'{layer}/kernel'] = kernel.at[..., :channels].set(values)
