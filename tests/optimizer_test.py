"""Schedules, and what the optimizer leaves alone."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import starter
from jaxdeblur.training.optimizer import (
  cosine_with_restarts,
  make_optimizer,
  make_schedule,
)


def test_restarts_are_those_of_the_table(k3dn_oracle):
  table = json.loads((k3dn_oracle / 'loss_lr.json').read_text())['lr']
  schedule = cosine_with_restarts(3e-4, 6e-5, 100, 200)
  for step, rate in table.items():
    assert float(schedule(int(step))) == pytest.approx(rate, rel=1e-5)


def test_the_rate_rises_linearly_and_falls_to_its_end():
  train = starter.get_config().train
  train.update(steps=100, warmup_steps=10, learning_rate=1e-3,
               final_learning_rate=1e-6)
  rates = np.array([make_schedule(train)(step) for step in range(101)])
  np.testing.assert_allclose(rates[:11], np.linspace(0, 1e-3, 11), rtol=1e-5)
  assert (np.diff(rates[10:]) < 0).all()
  assert rates[-1] == pytest.approx(1e-6)


def test_the_rate_is_halved_after_a_linear_rise():
  train = starter.get_config().train
  train.update(schedule='halving', warmup_steps=4, learning_rate=8e-4,
               halve_at=(10, 20))
  schedule = make_schedule(train)
  rates = [float(schedule(step)) for step in (0, 2, 4, 9, 11, 19, 21, 99)]
  np.testing.assert_allclose(
      rates, [0, 4e-4, 8e-4, 8e-4, 4e-4, 4e-4, 2e-4, 2e-4], rtol=1e-5)


def test_biases_are_not_decayed():
  """Without a gradient only decay moves a parameter."""
  train = starter.get_config().train
  train.update(warmup_steps=0)
  optimizer = make_optimizer(train)
  params = {'layer': {'kernel': jnp.ones(3), 'bias': jnp.ones(3)}}
  updates, _ = optimizer.update(
      jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
  assert (updates['layer']['kernel'] < 0).all()
  np.testing.assert_array_equal(updates['layer']['bias'], 0)
