"""The start at which DRBNet returns the photograph."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdeblur.errors import UserError
from jaxdeblur.models.drbnet.start import start_as_identity
from jaxdeblur.models.registry import create
from jaxdeblur.ops.resize import shrink_by_mean
from jaxdeblur.training.state import create_state

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    'views', [('center',), ('center', 'left', 'right')])
def test_every_estimate_is_the_photographs_mean(make_weights, views):
  """But for the heads' random start, which is taken out here."""
  weights = make_weights(views=views, width=4)
  params = jax.tree_util.tree_map_with_path(_without_heads, weights.params)
  params = start_as_identity(weights.model, params)
  random = np.random.default_rng(0)
  left, right = random.random((2, 1, 16, 24, 3), np.float32)
  center = jnp.asarray((left + right) / 2)

  restored = jax.jit(weights.model.apply)(
      {'params': params}, {'center': center, 'left': left, 'right': right})

  for estimate in restored.pyramid:
    mean = shrink_by_mean(center, center.shape[1] // estimate.shape[1])
    # The channels that share the difference differ by a hundredth.
    assert np.abs(estimate - mean).max() < 0.03
    assert np.abs(estimate - mean).mean() < 0.01


def test_the_other_channels_stay_random(make_weights):
  """Channels that all did the same would stay the same in training."""
  weights = make_weights(width=4)
  params = start_as_identity(weights.model, weights.params)
  kernel = params['block1']['residual_conv2']['kernel']
  columns = np.asarray(kernel).reshape(-1, kernel.shape[-1]).T
  assert len(np.unique(columns, axis=0)) == len(columns)


@pytest.mark.parametrize('name, settings, sentence', [
    ('drbnet_baseline', dict(width=8),
     "is 'identity'; for DRBNetBaseline choose one of random"),
    ('k3dn', dict(variant='tiny'), 'for K3DN choose one of random'),
    ('drbnet', dict(width=2), 'got one of width 2')])
def test_other_networks_are_refused(name, settings, sentence):
  with pytest.raises(UserError, match=sentence):
    jax.eval_shape(lambda key: create_state(
        create(name, **settings), optax.identity(), key, 'identity'),
        jax.random.key(0))


def _without_heads(path, value):
  names = [key.key for key in path]
  is_head = names[-2] in ('kernel_out', 'residual_out')
  return jnp.asarray(value) * (0 if is_head or names[-1] == 'bias' else 0.3)
