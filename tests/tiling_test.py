"""Tiles that leave no seam."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur.models import registry
from jaxdeblur.restoration.restorer import Restorer
from jaxdeblur.restoration.tiling import plan_spans

pytestmark = pytest.mark.slow


@pytest.mark.parametrize('length', [8, 40, 96, 104, 1000, 1304])
@pytest.mark.parametrize('tile', [1, 8, 30, 64])
def test_tiles_cover_an_axis_once(length, tile):
  """Every pixel is kept from one window, far from that window's cut ends."""
  halo, multiple = 13, 8
  spans = plan_spans(length, tile, halo, multiple)
  kept = np.concatenate([np.arange(length)[span.tile] for span in spans])
  np.testing.assert_array_equal(kept, np.arange(length))
  lengths = {span.window.stop - span.window.start for span in spans}
  assert len(lengths) == 1, 'one compilation serves every window'
  for span in spans:
    assert span.window.start % multiple == span.window.stop % multiple == 0
    assert span.window.start in (0,) or (
        span.tile.start - span.window.start >= halo)
    assert span.window.stop == length or (
        span.window.stop - span.tile.stop >= halo)


@pytest.fixture(scope='module', params=['drbnet', 'drbnet_baseline'])
def untrained(request, make_weights):
  """In float64: the network amplifies roundings, which depend on a size."""
  weights = make_weights(request.param)
  with jax.enable_x64(True):
    yield Restorer(dataclasses.replace(
        weights,
        model=registry.create(**weights.settings, dtype=jnp.float64),
        variables=jax.tree.map(
            lambda x: jnp.asarray(x, jnp.float64), weights.variables)))


def test_tiles_equal_the_whole_picture(untrained):
  """A halo as wide as the receptive field hides every seam: nothing further
  away can reach a pixel. With 8 px less the baseline is off by 3e-6, with 24 px
  less it is by 1e-3, and DRBNet by 1e-2."""
  picture = np.random.default_rng(0).random((301, 433, 3))
  whole = untrained.restore(picture)
  assert whole.std() > 0.1 and not np.allclose(whole, picture, atol=0.1)
  tiled = untrained.restore(picture, tile=40)
  np.testing.assert_allclose(tiled, whole, rtol=0, atol=2e-7)


def test_one_compilation_serves_pictures_of_many_sizes(make_weights):
  restorer = Restorer(make_weights('drbnet_baseline'))
  random = np.random.default_rng(0)
  for height, width in ((456, 472), (473, 449)):
    restorer.restore(random.random((height, width, 3), np.float32), tile=160)
  before = restorer._apply._cache_size()
  restorer.restore(random.random((450, 463, 3), np.float32), tile=160)
  assert restorer._apply._cache_size() == before


def test_a_halo_too_narrow_leaves_seams(untrained):
  picture = np.random.default_rng(0).random((301, 433, 3))
  whole = untrained.restore(picture)
  assert np.abs(untrained.restore(picture, tile=40, halo=0) - whole).max() > 0.1


def test_tiles_of_k3dn_nearly_equal_the_whole_picture(make_weights):
  """All but the disparity's pooling ends within two patches."""
  restorer = Restorer(make_weights(
      'k3dn', ('left', 'right'), base_channels=2, num_blocks=1))
  left, right = np.random.default_rng(0).random((2, 288, 896, 3), np.float32)
  whole = restorer.restore(left=left, right=right)
  assert whole.std() > 0.1
  near, far = (
      np.abs(restorer.restore(left=left, right=right, tile=224, halo=halo)
             - whole) for halo in (None, 0))
  assert 0 < near.mean() < 1e-3 / 255
  assert far.mean() > 1 / 255
