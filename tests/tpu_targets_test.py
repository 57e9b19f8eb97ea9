"""What the whole DRBNet takes of a TPU that is not there.

How the dynamic convolution is written decides it, and only the compiled network
shows it: alone, XLA lays the same lines out otherwise.
"""

import importlib.util
import math

import pytest

from configs import drbnet
from jaxdeblur.benchmark import targets
from jaxdeblur.benchmark.counting import DYNAMIC
from jaxdeblur.benchmark.tpu_compilation import SLICES, describe_devices
from jaxdeblur.models.drbnet import blocks

pytestmark = pytest.mark.tpu_compile

_PIXELS = 32 * 64 * 85 // 64  # Of all four scales.


@pytest.fixture(scope='module', autouse=True)
def _libtpu():
  if importlib.util.find_spec('libtpu') is None:
    pytest.skip('libtpu, which compiles for TPUs, is not installed')


def _compile():
  """Compiles a narrow DRBNet for a small picture, in ten seconds of a core.

  With the least effort, XLA leaves arrays in main memory even where they would
  fit the vector memory, as those of a large picture do not.
  """
  config = drbnet.get_config()
  config.compute.dtype = 'bfloat16'
  config.model.width = 2
  config.bench.update(target='tpu-v5e', size=(32, 64))
  return targets.compile_for_chip(
      config, {'exec_time_optimization_effort': -1.0})


@pytest.fixture(scope='module')
def compilation(_libtpu):
  return _compile()


def _multiply_once(image, kernels, method):
  """Reads image and kernels and writes a result, and no more."""
  del method
  return image * kernels.sum(axis=-1, keepdims=True).astype(image.dtype)


def test_dynamic_convolutions_stay_within_their_budget(
    compilation, monkeypatch):
  """What they cost beyond reading and writing once, in multiples of that.

  Measured: 38 by XLA's count of bytes accessed, 8.9 of main memory traffic, 2.0
  of temporaries; with their taps written without barriers, 421, 12.8 and 36.
  """
  monkeypatch.setattr(blocks, 'dynamic_conv', _multiply_once)
  least = _compile()
  # Picture and result in float32, kernels in bfloat16.
  once = _PIXELS * (3 * 4 + 49 * 2 + 3 * 4)
  assert compilation.accessed - least.accessed <= 60 * once
  assert compilation.traffic - least.traffic <= 11 * once
  assert compilation.temporary_bytes - least.temporary_bytes <= 4 * once


def test_a_compilation_tells_what_it_implies(compilation):
  parameters = 4 * compilation.program.parameters
  assert compilation.traffic > parameters
  assert compilation.argument_bytes > parameters
  assert compilation.count.macs(DYNAMIC) == 49 * 3 * _PIXELS
  result = compilation.to_json()
  assert result['roofline']['seconds'] == max(
      2 * result['macs'] / 197e12, result['main_memory_bytes'] / 819e9)
  table = '\n'.join(compilation.describe())
  assert 'compiled for tpu-v5e' in table and '| roofline [ms] | ' in table


@pytest.mark.parametrize('topology', [
    *targets.CHIPS.values(), *(topology for topology, _ in SLICES.values())])
def test_every_target_is_one_that_libtpu_knows(topology):
  sides = map(int, topology.partition(':')[2].split('x'))
  chips = {tuple(device.coords) for device in describe_devices(topology)}
  assert len(chips) == math.prod(sides)
