"""The recipes: complete, consistent, and of shapes that can be trained."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines.datasets import catalogue
from jaxdeblur import partitioning
from jaxdeblur.config.check import check_config
from jaxdeblur.losses import LOSSES
from jaxdeblur.models import feature_networks, registry
from jaxdeblur.training.optimizer import make_optimizer
from jaxdeblur.training.state import TrainState, create_state, start_from
from jaxdeblur.training.step import make_train_step, views_to_train

pytestmark = pytest.mark.slow

SIZES = ('tiny', 'lightweight', 'large')
K3DN = [size + mode for size in SIZES for mode in ('', ',single')]
RECIPES = {
    'drbnet_lfdof': ['single'],
    'drbnet_dpdd': ['single', 'dual'],
    'drbnet_lfdof_dpdd': ['single', 'dual'],
    'k3dn_dpdd': [*K3DN, *(f'{variant},stage2' for variant in K3DN)],
    'k3dn_rdpd': K3DN,
    'k3dn_ddd_syn': K3DN,
}
VIEWS = {'lfdof': ('center', 'sharp')}  # The others have both views, too.
SIZE = {'lfdof': (688, 1008), 'dpdd_canon': (1120, 1680), 'rdpd': (1080, 1920),
        'ddd_syn': (480, 640)}


def get_config(recipe, variant):
  return importlib.import_module(f'configs.{recipe}').get_config(variant)


@pytest.mark.parametrize('recipe, variant', [
    (recipe, variant) for recipe, variants in RECIPES.items()
    for variant in variants])
def test_a_recipe_fits_its_network_and_its_data(recipe, variant):
  config = get_config(recipe, variant)
  check_config(config)
  model = registry.create(**config.model.to_dict())
  name = config.data.name
  assert name in catalogue.NAMES
  has = VIEWS.get(name, ('center', 'left', 'right', 'sharp'))
  assert set(views_to_train(model)) <= set(has)
  for crop, multiple, size in zip(
      config.data.crop, model.padded_multiple, SIZE[name]):
    assert crop % multiple == 0
    # IFAN's scaling down needs a larger window, with some room to lie in.
    scale = config.data.smallest_scale if config.data.scale_share else 1
    assert crop / scale < size


@pytest.mark.parametrize('recipe, variant', [
    ('drbnet_lfdof', 'single'), ('drbnet_dpdd', 'dual'),
    ('drbnet_lfdof_dpdd', 'single'), ('k3dn_dpdd', 'tiny,stage2'),
    ('k3dn_ddd_syn', 'tiny,single'), ('k3dn_rdpd', 'tiny')])
def test_a_recipes_step_has_shapes(recipe, variant):
  """Traced at its full size, without computing anything."""
  config = get_config(recipe, variant)
  train = config.train
  model, optimizer = (
      registry.create(**config.model.to_dict()), make_optimizer(train))
  train_step = make_train_step(
      model, optimizer, train, partitioning.make_mesh())

  def create_and_step(key, views, frozen):
    state = create_state(
        model, optimizer, key, train.start, tuple(train.trainable))
    after, scalars = train_step(state, views, frozen)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    for x, y in zip(jax.tree.leaves(after), jax.tree.leaves(state)):
      assert (x.shape, x.dtype) == (y.shape, y.dtype)
    return scalars

  batch = jax.ShapeDtypeStruct(
      (train.batch_size, *config.data.crop, 3), jnp.float32)
  frozen = {
      name: feature_networks.abstract_variables(
          feature_networks.create(train.losses[name].network))
      for name, loss in LOSSES.items()
      if loss.frozen and train.losses[name].weight}

  scalars = jax.eval_shape(
      create_and_step, jax.random.key(0),
      {view: batch for view in views_to_train(model)}, frozen)
  assert all(scalar.shape == () for scalar in scalars.values())


def test_iterations_are_the_papers():
  """K3DN's supplement, A: 20k on DPDD in two stages, 4k and 40k on the others;
  whole cycles of the learning rate."""
  steps = [get_config(*recipe).train.steps for recipe in (
      ('k3dn_dpdd', 'tiny'), ('k3dn_dpdd', 'tiny,stage2'),
      ('k3dn_ddd_syn', 'tiny'), ('k3dn_rdpd', 'tiny'))]
  assert steps == [9_800, 10_200, 4_000, 40_000]
  assert not any(count % 200 for count in steps)


@pytest.mark.parametrize('recipe, variant, sentence', [
    ('drbnet_dpdd', 'both', "Unknown variant 'both'.*choose one of single"),
    ('drbnet_lfdof', 'dual', 'LFDOF has no dual-pixel views: train'),
    ('k3dn_dpdd', 'small', "Unknown variant 'small'.*tiny, lightweight, large"),
    ('k3dn_rdpd', 'tiny,stage2', 'asks for a second stage, which has no rec'),
])
def test_what_there_is_no_recipe_for_is_said(recipe, variant, sentence):
  with pytest.raises(ValueError, match=sentence):
    get_config(recipe, variant)


def test_dual_pixel_training_starts_from_one_photograph(make_weights):
  """With the photograph for both views, the network does what it did. The
  baseline has DRBNet's encoder and compiles sooner."""
  name = 'drbnet_baseline'
  weights = make_weights(name=name, width=2)
  picture = jnp.asarray(
      np.random.default_rng(0).random((1, 16, 8, 3), np.float32))
  expected = weights.model.apply(weights.variables, {'center': picture})

  views = ('center', 'left', 'right')
  model = registry.create(name, views=views, width=2)
  fresh = make_weights(name=name, views=views, width=2, seed=1)
  state = start_from(model, TrainState(
      step=jnp.zeros((), jnp.int32), params=fresh.params,
      ema_params=fresh.params, opt_state=()), weights)
  restored = model.apply(
      {'params': state.params}, {view: picture for view in views})
  np.testing.assert_allclose(restored.image, expected.image, atol=1e-5)
