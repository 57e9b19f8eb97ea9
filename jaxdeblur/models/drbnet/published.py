"""DRBNet's weights: published PyTorch names <-> our Flax variables."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxdeblur.errors import UserError
from jaxdeblur.models.published_names import (
  CONV,
  CONV_TRANSPOSE,
  PublishedNames,
  Table,
)

_FIRST = 'conv1_1.0.weight'
_VIEWS_OF_CHANNELS = {3: ('center',), 6: ('center', 'left', 'right')}

# Encoder and decoder are those of Tab. S2, the blocks those of Tab. S3.
TABLE = Table(
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
        # Layers are counted from 0; an activation lies between the halves.
        'layer': {0: 1, 1: 2, 2: 3},
        'half': {0: 1, 2: 2},
    },
)


def _read_settings(state_dict: Mapping[str, Any]) -> dict[str, Any]:
  """Reads views and width from the shape of the first layer."""
  shape = np.shape(state_dict.get(_FIRST))
  if len(shape) != 4 or shape[1] not in _VIEWS_OF_CHANNELS or not shape[0]:
    got = f'it is {shape}' if _FIRST in state_dict else 'it is missing'
    raise UserError(
        f'The weights are not DRBNet\'s: its first layer, {_FIRST}, is '
        f'(width, 3 or 6, 3, 3); here {got}.')
  return {'views': _VIEWS_OF_CHANNELS[shape[1]], 'width': shape[0]}


PUBLISHED = PublishedNames(
    'DRBNet', TABLE, _FIRST, _read_settings,
    # The published network's settings.
    fallback={'views': ('center',), 'width': 32})
