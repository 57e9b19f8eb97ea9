"""Test session: shapes checked at run time, silent broadcasting refused."""

import atexit
import importlib.util
import os
import pathlib
import shutil
import tempfile

from etils import epath
import jax
from jax.experimental import topologies
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding
from jaxtyping import install_import_hook
import numpy as np
from oracle_files import Oracle
import pytest

# etils asks once whether TensorFlow opens gs://; tests of buckets replace it.
os.environ['EPATH_USE_TF'] = 'no'


# Most of the session is compilation, and LLVM's optimisation is half of that.
# XLA_FLAGS=--xla_backend_optimization_level=3 tests optimised programs.
_LEVEL = '--xla_backend_optimization_level'
if _LEVEL not in os.environ.get('XLA_FLAGS', ''):
  os.environ['XLA_FLAGS'] = f'{os.environ.get("XLA_FLAGS", "")} {_LEVEL}=0'


def _share_compilations() -> None:
  """Many tests train, or run a program that does: in one session each step is
  compiled once, in whatever process, and the next session starts anew."""
  folder = tempfile.mkdtemp(prefix='jaxdeblur_compilations_')
  atexit.register(shutil.rmtree, folder, ignore_errors=True)
  for name, value in {
      'jax_compilation_cache_dir': folder,
      'jax_persistent_cache_min_compile_time_secs': 0.3}.items():
    jax.config.update(name, value)
    os.environ[name.upper()] = str(value)  # For the processes it starts.


if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
  _share_compilations()

# Every annotated shape of the package is checked in every call of the tests.
install_import_hook('jaxdeblur', 'shape_checks.check')

jax.config.update('jax_numpy_rank_promotion', 'raise')

_SHARED = pathlib.Path(__file__).resolve().parents[2] / 'shared'


def _shared_folder(name: str) -> pathlib.Path:
  folder = _SHARED / name
  if not folder.is_dir():
    pytest.skip(f'{name} is not beside this checkout (looked in {folder})')
  return folder


@pytest.fixture
def drbnet_oracle() -> Oracle:
  """The published DRBNet's inputs and outputs."""
  return Oracle('drbnet')


@pytest.fixture
def k3dn_oracle() -> Oracle:
  """The published K3DN's outputs."""
  return Oracle('k3dn')


@pytest.fixture
def shared_data() -> pathlib.Path:
  """The folder of photographs for development."""
  return _shared_folder('data')


@pytest.fixture(scope='session')
def make_weights():
  """Makes a narrow network with random parameters, without compiling init.

  The heads' last layers are as large as the rest, so that all of the network
  shows in its result.
  """
  # Imported here: the hook above must come first.
  from jaxdeblur.checkpoints import Weights, abstract_variables
  from jaxdeblur.models import registry

  def make(name='drbnet', views=('center',), seed=0, **others):
    others = others or {'width': 2}
    settings = {'name': name, 'views': list(views), **others}
    model = registry.create(**settings)
    random = np.random.default_rng(seed)

    def draw(path, array):
      if path[-1].key in ('var', 'signs', 'scale'):
        return jnp.ones(array.shape)
      fan = np.prod(array.shape[:-1]) or 1
      scale = 0.05 if len(array.shape) == 1 else (2 / fan) ** 0.5
      return jnp.asarray(
          scale * random.standard_normal(array.shape), jnp.float32)

    variables = jax.tree.map_with_path(draw, abstract_variables(model))
    return Weights(settings, model, variables, epath.Path('nowhere'))

  return make


@pytest.fixture(scope='session')
def saved(make_weights, tmp_path_factory):
  """Narrow weights and the folder they were saved in; tests only read it."""
  from jaxdeblur.checkpoints import save_weights

  weights = make_weights()
  folder = tmp_path_factory.mktemp('weights') / 'narrow'
  save_weights(folder, weights.settings, weights.variables)
  return weights, folder


@pytest.fixture(scope='session')
def weights_folder(saved):
  return saved[1]


@pytest.fixture(scope='session')
def tpu():
  """The sharding of one TPU v5e that is described, not there."""
  if importlib.util.find_spec('libtpu') is None:
    pytest.skip('libtpu, which compiles for TPUs, is not installed')
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('TPU_SKIP_MDS_QUERY', '1')
    # No TPU is used here, so that other processes may compile as well.
    patch.setenv('ALLOW_MULTIPLE_LIBTPU_LOAD', '1')
    topology = topologies.get_topology_desc('v5e:2x2', platform='tpu')
  return SingleDeviceSharding(topology.devices[0])
