"""The feature loss: what it is, and that it trains."""

import cv2
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import starter
from jaxdeblur.checkpoints import abstract_variables, load_weights
from jaxdeblur.losses import feature_loss
from jaxdeblur.models import registry
from jaxdeblur.models.feature_networks import SqueezeNet
from jaxdeblur.models.network import Network
from jaxdeblur.models.restored import Restored
from jaxdeblur.training import loop
from jaxdeblur.training.features import load_frozen
from jaxdeblur.training.objective import make_objective
from jaxdeblur.training.reporting import Reporter

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def variables():
  return load_weights('squeezenet').variables


@pytest.fixture(scope='module')
def pictures():
  """Two pictures, and the same as they are blurred."""
  random = np.random.default_rng(0)
  sharp = jnp.asarray(random.random((2, 48, 40, 3), np.float32))
  blurred = (sharp + jnp.roll(sharp, 1, 1) + jnp.roll(sharp, 1, 2)) / 3
  return blurred, sharp


def loss_of(variables, restored, sharp, layers=()):
  return feature_loss(SqueezeNet(), variables, restored, sharp, layers)


def test_equal_pictures_cost_nothing_and_stay(variables, pictures):
  _, sharp = pictures
  loss, gradient = jax.jit(jax.value_and_grad(loss_of, argnums=1))(
      variables, sharp, sharp)
  assert float(loss) == 0
  np.testing.assert_array_equal(gradient, 0)


def test_every_pixel_and_nothing_else_has_a_gradient(variables, pictures):
  """The network is frozen, and the sharp picture is what it is."""
  blurred, sharp = pictures
  frozen, restored, truth = jax.jit(jax.grad(loss_of, argnums=(0, 1, 2)))(
      variables, blurred, sharp)
  assert np.abs(restored).sum(-1).min() > 0
  for leaf in (*jax.tree.leaves(frozen), truth):
    np.testing.assert_array_equal(leaf, 0)


def test_the_loss_is_relative_to_the_features(variables, pictures):
  blurred, sharp = pictures
  network = SqueezeNet()
  mirrored = ((0, 0), (3, 3), (3, 3), (0, 0))
  of_blurred, of_sharp = (
      network.apply(variables, jnp.pad(x, mirrored, mode='reflect'))
      for x in (blurred, sharp))
  expected = np.mean([
      [np.abs(of_blurred[layer][i] - of_sharp[layer][i]).mean()
       / np.abs(of_sharp[layer][i]).mean() for i in range(2)]
      for layer in ('conv1', 'fire4', 'fire8')])
  assert float(loss_of(variables, blurred, sharp)) == pytest.approx(
      expected, rel=1e-3)


def test_a_batch_costs_the_mean_of_its_pictures(variables, pictures):
  """So that a batch may be shared by devices, or taken in parts."""
  blurred, sharp = pictures
  single = [float(loss_of(variables, blurred[i:i + 1], sharp[i:i + 1]))
            for i in range(2)]
  assert single[0] != pytest.approx(single[1], rel=1e-4)
  assert float(loss_of(variables, blurred, sharp)) == pytest.approx(
      np.mean(single), rel=1e-5)


def test_layers_that_cannot_be_compared_are_named(variables, pictures):
  blurred, sharp = pictures
  with pytest.raises(ValueError, match='no layer relu1_1; it has conv1, fire2'):
    loss_of(variables, blurred, sharp, ('conv1', 'relu1_1'))
  with pytest.raises(ValueError, match='4 x 4 px are too small for the layer '
                     'fire8'):
    loss_of(variables, blurred[:, :4, :4], sharp[:, :4, :4])


def make_train(**losses):
  """What training reads, with options of losses changed."""
  config = starter.get_config()
  config.train.update(warmup_steps=1, steps=9, losses=losses)
  return config.train


@pytest.mark.parametrize('changes, sentence', [
    (dict(network='vgg'), "is 'vgg': choose one of squeezenet, vgg19"),
    (dict(network='vgg19'),
     'do not come with jaxdeblur.*vgg19.pth, with the mode convert'),
    (dict(network='vgg19', weights='squeezenet'),
     'holds the weights of squeezenet; .* asks for vgg19'),
    (dict(network='squeezenet', weights='nowhere'), 'nowhere does not exist'),
])
def test_weights_that_are_missing_are_asked_for(changes, sentence):
  with pytest.raises(ValueError, match=sentence):
    load_frozen(make_train(feature=dict(weight=1.0, **changes)).losses)


def test_a_loss_without_weight_reads_no_network():
  assert load_frozen(make_train(feature=dict(network='vgg19')).losses) == {}


def test_something_must_be_learnt():
  model = registry.create('drbnet', views=('center',), width=2)
  with pytest.raises(ValueError, match='nothing would be learnt'):
    make_objective(model, make_train(pyramid=dict(weight=0.0)))


class Brightness(Network):
  """A network of one parameter, which compiles at once."""

  @nn.compact
  def __call__(self, views, *, train=False):
    del train
    bias = self.param('bias', nn.initializers.zeros, ())
    return Restored(views['center'] + bias)


@pytest.mark.parametrize('weight, parts', [
    (0.0, {}),
    (1.0, {'pyramid_loss': 1, 'feature_loss': 0.5}),
])
def test_features_replace_the_absolute_error_or_join_it(
    variables, pictures, weight, parts):
  """The parts that are reported add up; all of them have a gradient."""
  _, sharp = pictures
  objective = make_objective(Brightness(), make_train(
      feature=dict(weight=0.5, layers=('conv1',)),
      pyramid=dict(weight=weight, scales=(1.0,))))

  def loss_fn(bias):
    loss, (_, _, scalars) = objective(
        {'bias': bias}, {}, {'center': sharp - 0.25, 'sharp': sharp},
        {'feature': variables})
    return loss, scalars

  (loss, scalars), gradient = jax.value_and_grad(loss_fn, has_aux=True)(
      jnp.zeros(()))
  alone = 0.5 * float(loss_of(variables, sharp - 0.25, sharp, ('conv1',)))
  assert scalars.keys() == parts.keys()
  assert float(loss) == pytest.approx(
      sum(weight * float(scalars[name]) for name, weight in parts.items())
      or alone, rel=1e-5)
  assert float(loss) > alone if parts else float(loss) == pytest.approx(alone)
  assert gradient < 0  # Brighter is better.


def test_a_training_reports_its_parts_and_keeps_none_of_the_features(
    tmp_path, monkeypatch):
  cv2.imwrite(
      str(tmp_path / 'photo.png'),
      np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8))
  config = starter.get_config()
  config.model = dict(name='drbnet_baseline', views=('center',), width=2)
  config.data.update(
      photos=str(tmp_path), crop=(16, 16), max_radius=2.0)
  config.train.update(
      start='random', batch_size=2, steps=2, warmup_steps=1,
      checkpoint_every=2, log_every=1, picture_every=99,
      losses=dict(feature=dict(weight=0.01, layers=('conv1',))))
  reported = []
  report = Reporter.report
  monkeypatch.setattr(Reporter, 'report', lambda self, step_scalars: (
      reported.append(step_scalars), report(self, step_scalars)))

  loop.train(config, tmp_path / 'workdir')
  step, scalars = reported[-1]
  assert step == 2
  assert float(scalars['loss']) == pytest.approx(
      float(scalars['pyramid_loss']) + 0.01 * float(scalars['feature_loss']))
  assert load_weights(tmp_path / 'workdir').params.keys() == (
      abstract_variables(registry.create(**config.model.to_dict()))['params'].keys())
