"""Every mesh trains alike: eight devices in a process of their own."""

import concurrent.futures
import multiprocessing
from unittest import mock

from etils import epath
import jax
from jax.sharding import PartitionSpec
import numpy as np
import pytest

from configs import starter
from jaxdeblur import partitioning
from jaxdeblur.checkpoints import Weights
from jaxdeblur.models import registry
from jaxdeblur.restoration.restorer import Restorer
from jaxdeblur.training.objective import make_objective
from jaxdeblur.training.step import make_gradient

pytestmark = pytest.mark.slow

MESHES = {
    'data': dict(data=8),
    'height': dict(data=2, height=4),
    'all': dict(data=-1, fsdp=2, height=2),
}

# Takes half the time; how arrays are split is the same.
QUICKLY_COMPILED = {'xla_backend_optimization_level': 0}


def start_process():
  jax.config.update('jax_num_cpu_devices', 8)


@pytest.fixture(scope='module')
def eight_devices():
  with concurrent.futures.ProcessPoolExecutor(
      1, multiprocessing.get_context('spawn'), start_process) as process:
    yield process


def initialise(model, picture):
  # The default generator's code compiles four times as long.
  return jax.jit(model.init, compiler_options=QUICKLY_COMPILED)(
      jax.random.key(0, impl='rbg'), {'center': picture})


def compute_gradients():
  """The losses and gradients of one device, by parts, and of each mesh."""
  model = registry.create('drbnet', width=8)
  random = np.random.default_rng(0)
  views = {name: random.random((8, 32, 16, 3), np.float32)
           for name in ('center', 'sharp')}
  params = initialise(model, views['center'])['params']
  objective = make_objective(model, starter.get_config().train)
  alone = jax.sharding.Mesh(
      np.array(jax.devices()[:1]).reshape(1, 1, 1), partitioning.AXES)

  def differentiate(mesh, parts=1):
    shardings = partitioning.shardings_of(params, mesh)
    gradient = jax.jit(
        make_gradient(objective, mesh, parts),
        out_shardings=(shardings, None, None),
        compiler_options=QUICKLY_COMPILED)
    slopes, _, scalars = gradient(
        jax.device_put(params, shardings), {}, {},
        partitioning.put_batch(views, mesh))
    split = any(not x.is_fully_replicated for x in jax.tree.leaves(slopes))
    return split, *jax.device_get((scalars['loss'], slopes))

  results = {'alone': differentiate(alone), 'parts': differentiate(alone, 4)}
  for name, sizes in MESHES.items():
    results[name] = differentiate(partitioning.make_mesh(sizes))
  return results


def test_every_mesh_has_the_gradients_of_one_device(eight_devices):
  """So do the parts of a batch, one after the other."""
  results = eight_devices.submit(compute_gradients).result()
  _, loss, gradient = results.pop('alone')
  scale = max(np.abs(x).max() for x in jax.tree.leaves(gradient))
  for name, (_, other_loss, other) in results.items():
    assert other_loss == pytest.approx(loss, abs=1e-6), name
    jax.tree.map(lambda a, b: np.testing.assert_allclose(
        a, b, atol=1e-5 * scale, rtol=0), other, gradient)
  assert results['all'][0] and not results['data'][0]


def lay_out():
  mesh = partitioning.make_mesh(dict(data=2, fsdp=4))
  shapes = {
      'kernel': jax.ShapeDtypeStruct((3, 3, 128, 256), np.float32),
      'odd': jax.ShapeDtypeStruct((3, 3, 127, 129), np.float32),
      'bias': jax.ShapeDtypeStruct((256,), np.float32)}
  shardings = partitioning.shardings_of(shapes, mesh)
  return {name: sharding.spec for name, sharding in shardings.items()}


def test_large_parameters_are_split_along_their_longest_axis(eight_devices):
  assert eight_devices.submit(lay_out).result() == {
      'kernel': PartitionSpec(None, None, None, 'fsdp'),
      'odd': PartitionSpec(), 'bias': PartitionSpec()}


def check_batch(sizes, batch_size, height):
  mesh = partitioning.make_mesh(sizes)
  partitioning.check_batch(mesh, batch_size, 1, height)


@pytest.mark.parametrize('sizes, batch_size, height, sentence', [
    (dict(data=3), 8, 64, 'data=3, which 8 devices cannot form'),
    (dict(data=-1, fsdp=-1), 8, 64, 'data=-1, fsdp=-1, which 8 devices'),
    (dict(data=0, fsdp=-1), 8, 64, 'data=0, fsdp=-1, which 8 devices'),
    (dict(data=2, fsdp=4), 4, 64, 'is 4, which 8 devices'),
    (dict(data=2, height=4), 2, 66, 'are 66 px high, which 4 devices'),
])
def test_a_mesh_that_does_not_fit_is_said(
    eight_devices, sizes, batch_size, height, sentence):
  with pytest.raises(ValueError, match=sentence):
    eight_devices.submit(check_batch, sizes, batch_size, height).result()


def mesh_of_two_processes(**sizes):
  """With two devices each; of devices that are not there none can be made."""
  devices = [mock.Mock(process_index=i // 2) for i in range(4)]
  return mock.Mock(
      spec=jax.sharding.Mesh, shape=sizes,
      devices=np.array(devices).reshape(tuple(sizes.values())))


def test_a_picture_is_not_shared_by_processes():
  """Each of them reads its own."""
  partitioning.check_batch(
      mesh_of_two_processes(data=2, fsdp=1, height=2), 4, 1, 64)
  with pytest.raises(ValueError, match=r'mesh is 4, .* to 2 processes, .*: '
                     r'choose a divisor of the \d+ devices'):
    partitioning.check_batch(
        mesh_of_two_processes(data=1, fsdp=1, height=4), 4, 1, 64)


def restore_with(rows, picture, method='taps'):
  model = registry.create('drbnet', width=4, dynamic_conv_method=method)
  variables = initialise(model, picture[None, :8, :8])
  weights = Weights({}, model, variables, epath.Path('nowhere'))
  mesh = partitioning.make_mesh(dict(height=rows, data=8 // rows))
  return Restorer(weights, mesh).restore(picture)


def test_devices_share_the_rows_of_a_picture(eight_devices):
  """Of any height, whether or not the devices divide it."""
  picture = np.random.default_rng(0).random((77, 40, 3), np.float32)
  alone, shared = (
      eight_devices.submit(restore_with, rows, picture).result()
      for rows in (1, 4))
  np.testing.assert_allclose(shared, alone, atol=1e-6)


def test_devices_that_share_rows_may_use_the_kernel(eight_devices):
  """Where they divide the rows of the smallest scale, an eighth, as well."""
  picture = np.random.default_rng(0).random((64, 40, 3), np.float32)
  alone, shared = (
      eight_devices.submit(restore_with, *how).result()
      for how in ((1, picture), (4, picture, 'pallas')))
  np.testing.assert_allclose(shared, alone, atol=1e-6)
