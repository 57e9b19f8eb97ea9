"""K3DN's weights: published PyTorch names <-> our Flax variables."""

from collections.abc import Mapping
import re
from typing import Any

import numpy as np

from jaxdeblur.errors import UserError
from jaxdeblur.models.published_names import (
  CONV,
  CONV_3D,
  CONV_TRANSPOSE,
  DENSE,
  NORM,
  Kind,
  Parameter,
  PublishedNames,
  Table,
)

_FIRST = 'feat_extract.0.main.0.weight'
_VIEWS_OF_CHANNELS = {3: ('center',), 6: ('left', 'right')}

# [1, channel, 1, row, column, (real, imaginary)].
_SPECTRUM: Kind = {
    'weight': Parameter(
        'params', 'spectrum', (1, 3, 4, 5), single=(0, 2))}
_MIX: Kind = {
    'lower': Parameter('params', 'lower', (0, 1)),
    'upper': Parameter('params', 'upper', (0, 1)),
    'log_s': Parameter('params', 'log_scales', (0,)),
    'p': Parameter('constants', 'permutation', (0, 1)),
    'sign_s': Parameter('constants', 'signs', (0,)),
}
_MODULATION: Kind = {
    'weight': Parameter('params', 'modulation', (1, 0)),
    'bias': Parameter('params', 'modulation_bias', (0,)),
}
_POOLING: Kind = {
    'to_w': Parameter('params', 'pooling', (1, 3, 4), single=(0, 2))}
_NO_BIAS: Kind = {'weight': CONV['weight']}
_UP: Kind = {'weight': CONV_TRANSPOSE['weight']}

TABLE = Table(
    rows=[
        # PyTorch layer, Flax path, kind. Encoder and decoder: Tab. 13.
        ('feat_extract.{down}.main.0', 'encoder/down{down}', _NO_BIAS),
        ('Encoder.{level}.layers.{block}.main.{half}.main.0',
         'encoder/level{level}_res{block}/conv{half}', _NO_BIAS),
        ('feat_extract.{up}.main.0', 'decoder/up{up}', _UP),
        ('Decoder.{rise}.layers.{block}.main.{half}.main.0',
         'decoder/level{rise}_res{block}/conv{half}', _NO_BIAS),
        ('out.main.0', 'decoder/out', _NO_BIAS),
        # The disparity estimator of two views.
        ('disp.feature.start.{start}.conv',
         'disparity/features/conv{start}/conv', _NO_BIAS),
        ('disp.feature.start.{start}.bn',
         'disparity/features/conv{start}/norm', NORM),
        ('disp.feature.layer1.{dilated}.conv',
         'disparity/features/conv{dilated}/conv', _NO_BIAS),
        ('disp.feature.layer1.{dilated}.bn',
         'disparity/features/conv{dilated}/norm', NORM),
        ('disp.feature.branch{branch}.1.0',
         'disparity/features/branch{branch}/conv', _NO_BIAS),
        ('disp.feature.branch{branch}.1.1',
         'disparity/features/branch{branch}/norm', NORM),
        ('disp.feature.end.0.conv', 'disparity/features/merge/conv', _NO_BIAS),
        ('disp.feature.end.0.bn', 'disparity/features/merge/norm', NORM),
        ('disp.feature.end.1.conv', 'disparity/features/out', _NO_BIAS),
        ('disp.matching.start.{match}.conv', 'disparity/match{match}/conv',
         CONV_3D),
        ('disp.matching.start.{match}.bn', 'disparity/match{match}/norm', NORM),
        ('disp.matching.conv1a.{last}.conv', 'disparity/match{last}/conv',
         CONV_3D),
        ('disp.matching.conv1a.{last}.bn', 'disparity/match{last}/norm', NORM),
        # The disparity estimator of one view.
        ('disp.model.{layer}.conv', 'disparity/conv{layer}/conv', _NO_BIAS),
        ('disp.model.{layer}.bn', 'disparity/conv{layer}/norm', NORM),
        ('disp.fc.0', 'disparity/project/dense', DENSE),
        # PSF blocks.
        ('deblur.{psf}.conv1', 'psf{psf}/kernels', _SPECTRUM),
        ('deblur.{psf}.conv2', 'psf{psf}/mix', _MIX),
        ('deblur.{psf}.conv2.modulation', 'psf{psf}/weights', _MODULATION),
        ('deblur.{psf}.inter', 'psf{psf}/weights', _POOLING),
        ('deblur.{psf}.inter.to_r', 'psf{psf}/weights/ask', DENSE),
        ('deblur.{psf}.inter.out', 'psf{psf}/weights/answer', DENSE),
        # SRP blocks.
        ('srp.{srp}.conv_q', 'srp{srp}/query', CONV),
        ('srp.{srp}.conv_k', 'srp{srp}/key', CONV),
        ('srp.{srp}.conv_v', 'srp{srp}/gate', CONV),
        ('srp.{srp}.conv_o.0', 'srp{srp}/in', CONV),
        ('srp.{srp}.conv_o.1.layers.{block}.main.{half}.main.0',
         'srp{srp}/res{block}/conv{half}', _NO_BIAS),
        ('srp.{srp}.conv_o.2', 'srp{srp}/out', CONV),
    ],
    numbers={
        # PyTorch counts everything from 0; our names have scales.
        'down': {0: 2, 1: 4, 2: 8},
        'level': {0: 2, 1: 4, 2: 8},
        'up': {3: 4, 4: 2, 5: 1},
        'rise': {0: 4, 1: 2, 2: 1},
        'srp': {0: 4, 1: 2, 2: 1},
        'branch': {1: 32, 3: 16},
        'half': {0: 1, 1: 2},
        'start': {0: 1, 1: 2},
        'dilated': {0: 3, 1: 4},
        'match': {0: 1, 1: 2, 2: 3},
        'last': {0: 4, 1: 5},
        # Any number of blocks.
        **{word: {i: i + 1 for i in range(99)}
           for word in ('block', 'layer', 'psf')},
    },
    ignored=frozenset({'num_batches_tracked'}),
)


def _read_settings(state_dict: Mapping[str, Any]) -> dict[str, Any]:
  """Reads views, width, numbers of blocks and kernel size from the arrays."""
  shape = np.shape(state_dict.get(_FIRST))
  if len(shape) != 4 or shape[1] not in _VIEWS_OF_CHANNELS:
    got = f'it is {shape}' if _FIRST in state_dict else 'it is missing'
    raise UserError(
        f'The weights are not K3DN\'s: its first layer, {_FIRST}, is '
        f'(base channels, 3 or 6, 3, 3); here {got}.')
  spectrum = np.shape(state_dict.get('deblur.0.conv1.weight'))
  return {
      'views': _VIEWS_OF_CHANNELS[shape[1]],
      'base_channels': shape[0],
      'num_blocks': _count(state_dict, r'Encoder\.0\.layers\.(\d+)\.'),
      'num_psf_blocks': _count(state_dict, r'deblur\.(\d+)\.'),
      'kernel_size': spectrum[3] - 1 if len(spectrum) == 6 else 9,
      'srp': any(name.startswith('srp.') for name in state_dict),
  }


def _count(state_dict, pattern) -> int:
  """Counts blocks by name; returns 1 for none, which is reported later."""
  found = {match[1] for name in state_dict
           if (match := re.match(pattern, name))}
  return max(len(found), 1)


PUBLISHED = PublishedNames('K3DN', TABLE, _FIRST, _read_settings)
