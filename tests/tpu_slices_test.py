"""The TPU slices that training steps are compiled for."""

import importlib.util

import pytest

from configs import drbnet
from jaxdeblur import jobs
from jaxdeblur.benchmark.tpu_compilation import SLICES, describe_devices

pytestmark = [pytest.mark.tpu_compile, pytest.mark.skipif(
    importlib.util.find_spec('libtpu') is None,
    reason='libtpu, which compiles for TPUs, is not installed')]

# The names of v4 slices count cores; two make a chip, and one device.
CHIPS = {'v4-8': 4, 'v5e-1': 1, 'v5e-4': 4, 'v5e-16': 16, 'v6e-4': 4}


@pytest.mark.parametrize('target', SLICES)
def test_every_chip_is_one_device(target):
  assert len(describe_devices(SLICES[target][0])) == CHIPS[target]


def test_a_step_that_does_not_fit_is_said(capsys):
  config = drbnet.get_config('baseline')
  config.model.width, config.data.crop = 2, (2048, 2048)
  config.train.batch_size = 64
  config.bench.update(what='compilation', target='v5e-1')
  assert jobs.run('bench', config, jobs.Arguments()) == 1
  said = capsys.readouterr().err
  assert said.startswith('error: The step does not fit v5e-1: ')
  assert said.count('\n') == 1
