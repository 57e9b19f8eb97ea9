"""K3DN's two stages of training, on a temporary folder."""

import cv2
import jax
import numpy as np
import pytest

from configs import k3dn
from jaxdeblur.checkpoints import load_weights
from jaxdeblur.training import loop

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
  folder = tmp_path_factory.mktemp('photos')
  for i in range(2):
    coarse = np.random.default_rng(i).random((40, 40, 3), np.float32)
    cv2.imwrite(str(folder / f'{i}.png'), 255 * cv2.resize(coarse, (256, 256)))
  return folder


def make_config(photos, variant):
  """One patch of a very narrow network."""
  config = k3dn.get_config(variant)
  config.model = dict(
      name='k3dn', views=('center',), base_channels=3, num_blocks=1,
      srp=config.model.srp)
  config.data.update(
      photos=str(photos), crop=(144, 112), tile=0, dual_pixel=False,
      max_radius=3.0)
  config.train.update(
      batch_size=2, steps=2, checkpoint_every=2, log_every=1, picture_every=99)
  return config


@pytest.fixture(scope='module')
def first(photos, tmp_path_factory):
  """The first stage's workdir and last state."""
  workdir = tmp_path_factory.mktemp('first')
  return workdir, loop.train(make_config(photos, 'tiny,single'), workdir)


@pytest.fixture(scope='module')
def second(photos, first, tmp_path_factory):
  """The second stage's workdir and last state."""
  config = make_config(photos, 'tiny,single,stage2')
  config.train.init_from = str(first[0])
  workdir = tmp_path_factory.mktemp('second')
  return workdir, loop.train(config, workdir)


def _without_srp(params):
  return {name: value for name, value in params.items()
          if not name.startswith('srp')}


def _assert_equal(tree, expected):
  assert jax.tree.structure(tree) == jax.tree.structure(expected)
  jax.tree.map(np.testing.assert_array_equal, tree, expected)


def test_the_first_stage_moves_statistics(first):
  workdir, state = first
  means = [leaf for path, leaf in jax.tree.leaves_with_path(
      state.collections['batch_stats']) if path[-1].key == 'mean']
  assert all(np.abs(mean).max() > 0 for mean in means)
  weights = load_weights(workdir)
  # Averaged parameters are published with averaged statistics.
  _assert_equal(weights.variables['batch_stats'],
                state.ema_statistics['batch_stats'])
  _assert_equal(weights.params, state.ema_params)


def test_frozen_means_frozen(first, second):
  """Bit-equal parameters and statistics, those that the first published."""
  published, (_, state) = load_weights(first[0]), second
  for params in (state.params, state.ema_params):
    _assert_equal(_without_srp(params), published.params)
  _assert_equal(state.collections['batch_stats'],
                published.variables['batch_stats'])
  _assert_equal(state.collections['constants'],
                published.variables['constants'])


def test_sharp_region_preservation_is_trained(second):
  workdir, state = second
  start = load_weights(workdir)
  assert any(name.startswith('srp') for name in start.params)
  moved = jax.tree.map(
      lambda x, y: float(np.abs(x - y).max()),
      {name: value for name, value in state.params.items()
       if name.startswith('srp')},
      {name: value for name, value in start.params.items()
       if name.startswith('srp')})
  assert max(jax.tree.leaves(moved)) > 0


def test_frozen_parameters_cost_the_optimizer_no_memory(second):
  _, state = second
  srp = sum(leaf.size for name, value in state.params.items()
            if name.startswith('srp') for leaf in jax.tree.leaves(value))
  kept = sum(leaf.size for leaf in jax.tree.leaves(state.opt_state))
  assert 2 * srp <= kept <= 2 * srp + 8  # Two moments, and step counters.


def test_a_resumed_second_stage_does_not_start_anew(photos, second):
  """The checkpoint counts, not config.train.init_from."""
  config = make_config(photos, 'tiny,single,stage2')
  config.train.init_from = 'nowhere'
  state = loop.train(config, second[0])
  _assert_equal(state.params, second[1].params)


@pytest.mark.parametrize('change, sentence', [
    ({'train.trainable': ('spr',)}, 'no module of the network begins so'),
    ({'train.init_from': 'nowhere'}, 'nowhere does not exist'),
    ({'train.losses': {'l2': {'weight': 1.0}}},
     "config.train.losses has 'l2', which is no declared loss"),
    ({'train.schedule': 'flat'}, "config.train.schedule is 'flat'"),
])
def test_what_cannot_be_trained_is_said(photos, tmp_path, change, sentence):
  config = make_config(photos, 'tiny,single')
  config.update_from_flattened_dict(change)
  with pytest.raises(ValueError, match=sentence):
    loop.train(config, tmp_path / 'workdir')
  assert not (tmp_path / 'workdir').exists()


def test_another_networks_weights_are_no_start(photos, first, tmp_path):
  config = make_config(photos, 'tiny,single')
  config.model.base_channels = 4
  config.train.init_from = str(first[0])
  with pytest.raises(ValueError, match='of another network: it differs in dec'):
    loop.train(config, tmp_path)
