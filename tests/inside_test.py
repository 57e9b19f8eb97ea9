"""Panels of what networks make of a picture."""

import numpy as np
import pytest

from jaxdeblur.restoration import inside
from jaxdeblur.restoration.restorer import Restorer


def test_kernels_lie_where_their_pixels_are():
  """A kernel with one value above 0 in the left half, below 0 in the right."""
  kernels = np.zeros((48, 96, 49), np.float32)
  kernels[:, :48, 24] = 0.5
  kernels[:, 48:, 24] = -1
  sheet = inside.draw_predicted_kernels(kernels)
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
  sheet = inside.draw_pyramid(levels)
  assert sheet.shape == (32, 4 * 48 + 3 * 8, 3)
  assert [sheet[0, i * 56, 0] for i in range(4)] == [32, 64, 128, 255]


def test_patches_alike_have_one_colour():
  disparity = np.zeros((4, 6, 256), np.float32)
  disparity[:, 3:] = 1
  panel = inside.draw_clusters(
      np.full((64, 96, 3), 0.5, np.float32), disparity)
  assert len(np.unique(panel[:, :48].reshape(-1, 3), axis=0)) == 1
  assert len(np.unique(panel[:, 48:].reshape(-1, 3), axis=0)) == 1
  assert (panel[0, 0] != panel[0, -1]).any()


@pytest.mark.parametrize('network, expected', [
    (dict(name='drbnet'), {'kernels', 'pyramid'}),
    (dict(name='drbnet_baseline'), set()),
    (dict(name='k3dn', base_channels=2, num_blocks=1),
     {'disparity', 'kernels', 'reblurred'}),
])
def test_every_network_shows_what_it_has(make_weights, network, expected):
  restorer = Restorer(make_weights(**network))
  picture = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
  panels = inside.draw_panels(*restorer.inspect(picture))
  assert set(panels) == expected
  for panel in panels.values():
    assert panel.dtype == np.uint8 and panel.ndim == 3
