"""DRBNet's weights: published PyTorch names <-> our Flax variables."""

from collections.abc import Mapping, Sequence
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdeblur.convert import table
from jaxdeblur.convert.table import CONV, CONV_TRANSPOSE
from jaxdeblur.models import registry

_FIRST = 'conv1_1.0.weight'
_VIEWS_OF_CHANNELS = {3: ('center',), 6: ('center', 'left', 'right')}

# Encoder and decoder are those of Tab. S2, the blocks those of Tab. S3.
TABLE = table.Table(
    rows=[
        # PyTorch layer, Flax path, kind.
        ('conv{level}_{i}.0',
         'encoder_decoder/encoder/level{level}_conv{i}', CONV),
        ('conv4_4.0.0', 'encoder_decoder/encoder/neck_in', CONV),
        ('conv4_4.{i}.stem.0.{half}',
         'encoder_decoder/encoder/neck_res{i}/conv{half}', CONV),
        ('conv4_4.3.0', 'encoder_decoder/encoder/neck_out', CONV),
        ('upconv{up}_u.0', 'encoder_decoder/decoder{up}/up', CONV_TRANSPOSE),
        ('upconv{up}_{i}.stem.0.{half}',
         'encoder_decoder/decoder{up}/res{i}/conv{half}', CONV),
        ('img_d{scale}_feature.{layer}.0', 'block{scale}/image_conv{layer}',
         CONV),
        ('upconv{head}_kernel.{layer}.0', 'block{head}/kernel_conv{layer}',
         CONV),
        ('upconv{head}_kernel.2', 'block{head}/kernel_out', CONV),
        ('upconv{head}_res.{layer}.0', 'block{head}/residual_conv{layer}',
         CONV),
        ('upconv{head}_res.2.0', 'block{head}/residual_out', CONV),
    ],
    numbers={
        # A trap: upconv3_u makes the features at 1/4, but upconv3_kernel and
        # upconv3_res are the heads at 1/8, one scale coarser. So PyTorch
        # numbers a head one lower than the decoder that comes before it, and
        # the heads at full size are upconv0_*, without an upconv0_u.
        'up': {3: 4, 2: 2, 1: 1},
        'head': {3: 8, 2: 4, 1: 2, 0: 1},
        # Layers in a row count from 0; an activation sits between the halves.
        'layer': {0: 1, 1: 2, 2: 3},
        'half': {0: 1, 2: 2},
    },
)


def convert(state_dict: Mapping[str, Any]) -> dict:
  """Turns the published PyTorch weights into variables of `DRBNet`.

  Views and width are read off the first layer, see `settings`: narrower
  networks convert as well. The 'module.' of a parallel wrapper may stand before
  every name.

  Args:
    state_dict: {PyTorch name: array of any float type}; `weights_file.read`
      returns one.

  Returns:
    {'params': ...}, nested dicts of float32 arrays, for
    `registry.create(**settings(state_dict))`.

  Raises:
    ValueError: names are missing, unknown or misshapen, all of them listed; or
      the dict is empty or wrapped in another.
  """
  state_dict = table.clean(state_dict)
  # A first layer that fits no network is reported with all else that is wrong.
  views, width = _guess(state_dict) or (('center',), 32)
  return table.convert(
      state_dict, TABLE, _variables(views, width),
      f'DRBNet with views {views} and width {width}')


def revert(variables: Mapping) -> dict[str, np.ndarray]:
  """Turns variables of `DRBNet` into PyTorch's arrays: `convert`, backwards.

  Returns:
    {PyTorch name: array of the variable's type}.

  Raises:
    ValueError: the variables are not DRBNet's.
  """
  return table.revert(variables, TABLE)


def settings(state_dict: Mapping[str, Any]) -> dict:
  """Tells which network the weights are for.

  Returns:
    The settings of `registry.create`: name, views and width.

  Raises:
    ValueError: the first layer, conv1_1, is missing or reads neither 3
      channels (one photograph) nor 6 (the right and the left view).
  """
  state_dict = table.clean(state_dict)
  guess = _guess(state_dict)
  if guess is None:
    got = (f'it is {np.shape(state_dict[_FIRST])}' if _FIRST in state_dict
           else 'it is missing')
    raise ValueError(
        f'The weights are not DRBNet\'s: its first layer, {_FIRST}, is '
        f'(width, 3 or 6, 3, 3); here {got}.')
  views, width = guess
  return {'name': 'drbnet', 'views': views, 'width': width}


def shapes(
    views: Sequence[str] = ('center',), width: int = 32
) -> dict[str, tuple[int, ...]]:
  """Lists the PyTorch names and shapes of a DRBNet with these settings."""
  expected = table.places(TABLE, _variables(tuple(views), width))
  return {name: place.torch_shape for name, place in expected.items()}


def _guess(state_dict):
  """Reads views and width off the first layer; None if it fits no network."""
  shape = np.shape(state_dict.get(_FIRST))
  if len(shape) != 4 or shape[1] not in _VIEWS_OF_CHANNELS or not shape[0]:
    return None
  return _VIEWS_OF_CHANNELS[shape[1]], shape[0]


@functools.cache
def _variables(views, width):
  module = registry.create('drbnet', views=views, width=width)
  picture = jax.ShapeDtypeStruct((1, *module.size_multiple, 3), jnp.float32)
  return table.shapes_of(module, {view: picture for view in views})
