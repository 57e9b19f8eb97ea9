"""The training losses."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur import losses
from jaxdeblur.losses import charbonnier, pyramid_charbonnier


def test_charbonnier_is_the_absolute_error_far_from_zero():
  restored, sharp = jnp.zeros((1, 2, 2, 3)), jnp.full((1, 2, 2, 3), 0.5)
  assert float(charbonnier(restored, sharp)) == pytest.approx(0.5, abs=1e-5)


def test_charbonnier_has_a_gradient_where_the_pictures_are_equal():
  picture = jnp.full((1, 2, 2, 3), 0.5)
  gradient = jax.grad(lambda x: charbonnier(x, picture))(picture)
  np.testing.assert_array_equal(gradient, 0)
  assert float(charbonnier(picture, picture)) == pytest.approx(1e-3)


def test_estimates_are_compared_with_means_of_the_sharp_picture():
  random = np.random.default_rng(0)
  sharp = jnp.asarray(random.random((2, 8, 8, 3), np.float32))
  mean = sharp.reshape(2, 4, 2, 4, 2, 3).mean(axis=(2, 4))
  # Each exact estimate leaves its weight times epsilon.
  loss = pyramid_charbonnier((mean, sharp), sharp, (0.5, 1.0))
  assert float(loss) == pytest.approx(1.5e-3, rel=1e-3)


def test_every_estimate_needs_a_weight():
  sharp = jnp.zeros((1, 8, 8, 3))
  with pytest.raises(ValueError, match='1 weights of scales for 2 estimates'):
    pyramid_charbonnier((sharp, sharp), sharp, (1.0,))


@pytest.mark.slow
def test_k3dns_losses_are_those_of_the_oracle(k3dn_oracle):
  expected = json.loads((k3dn_oracle / 'loss_lr.json').read_text())
  with np.load(k3dn_oracle / 'loss_inputs.npz') as arrays:
    x, y = (jnp.asarray(arrays[name].transpose(0, 2, 3, 1))
            for name in ('x', 'y'))
  for name, loss in (('chb', charbonnier), ('edg', losses.edge_loss),
                     ('frq', losses.frequency_loss)):
    assert float(loss(x, y)) == pytest.approx(
        expected['single'][name], rel=1e-6)
  assert float(losses.deblurring_loss(x, y)) == pytest.approx(
      expected['ms3']['L_deb'], rel=1e-6)


@pytest.mark.slow
def test_equal_pictures_cost_only_charbonniers_epsilon():
  picture = jnp.asarray(
      np.random.default_rng(0).random((1, 16, 16, 3), np.float32))
  loss, gradient = jax.jit(jax.value_and_grad(losses.deblurring_loss))(
      picture, picture)
  assert float(loss) == pytest.approx(3 * 1.05 * 1e-3, rel=1e-5)
  assert np.isfinite(gradient).all()
