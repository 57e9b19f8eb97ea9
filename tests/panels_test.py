"""Panels of what networks make of a picture."""

import numpy as np
import pytest

from jaxdeblur.models import drawing
from jaxdeblur.models.drbnet import panels as of_drbnet
from jaxdeblur.models.k3dn import panels as of_k3dn
from jaxdeblur.restoration.panels import draw_panels
from jaxdeblur.restoration.restorer import Restorer


def take_drawing(panel, height, width):
  """What is drawn between a panel's title and its legend."""
  title = drawing.with_title(np.zeros((1, 1, 3), np.uint8), 'Title')
  top = title.shape[0] - 1
  return panel[top:top + height, :width]


def test_kernels_lie_where_their_pixels_are():
  """A kernel with one value above 0 in the left half, below 0 in the right."""
  kernels = np.zeros((48, 96, 49), np.float32)
  kernels[:, :48, 24] = 0.5
  kernels[:, 48:, 24] = -1
  sheet = np.round(255 * of_drbnet.draw_kernel_sheet(kernels))
  assert sheet.shape == (12 * 9 * 6, 24 * 9 * 6, 3)
  middle = slice(4 * 6, 5 * 6)
  assert (sheet[middle, 4 * 6:5 * 6] == 255).all()
  last = 23 * 9 * 6
  assert (sheet[middle, last + 4 * 6:last + 5 * 6] == 0).all()
  # The border tells a kernel's strength: half of the strongest, and that.
  assert sheet[0, 0, 0] == 128 and sheet[0, -1, 0] == 255


def test_the_pyramid_is_drawn_at_one_size():
  levels = [np.full((32 // s, 48 // s, 3), 1 / s, np.float32)
            for s in (8, 4, 2, 1)]
  width = 4 * 48 + 3 * 8
  panel = of_drbnet.draw_pyramid(levels)
  drawn = take_drawing(panel, 32, width)
  assert [drawn[0, i * 56, 0] for i in range(4)] == [32, 64, 128, 255]
  # Each fills its place, white lies between them and around.
  for i in range(4):
    assert len(np.unique(drawn[:, i * 56:i * 56 + 48])) == 1
  assert (drawn[:, 48:56] == 255).all()
  assert (take_drawing(panel, 32, None)[:, width:] == 255).all()


def test_patches_alike_have_one_colour():
  disparity = np.zeros((4, 6, 256), np.float32)
  disparity[:, 3:] = 1
  panel = of_k3dn.draw_clusters(
      np.full((64, 96, 3), 0.5, np.float32), disparity)
  # Beside the picture, with 8 px between them.
  panel = take_drawing(panel, 64, 96 + 8 + 96)[:, 96 + 8:]
  assert len(np.unique(panel[:, :48].reshape(-1, 3), axis=0)) == 1
  assert len(np.unique(panel[:, 48:].reshape(-1, 3), axis=0)) == 1
  assert (panel[0, 0] != panel[0, -1]).any()


@pytest.mark.slow
@pytest.mark.parametrize('network, expected', [
    (dict(name='drbnet'), ['kernels', 'pyramid']),
    (dict(name='drbnet_baseline'), []),
    (dict(name='k3dn', base_channels=2, num_blocks=1),
     ['disparity', 'kernels', 'reblurred']),
])
def test_every_network_shows_what_it_has(make_weights, network, expected):
  restorer = Restorer(make_weights(**network))
  picture = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
  panels = draw_panels(
      restorer.weights.model, picture, *restorer.inspect({'center': picture}))
  assert list(panels) == ['before_after', *expected]
  for panel in panels.values():
    assert panel.dtype == np.uint8 and panel.ndim == 3
