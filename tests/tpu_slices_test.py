"""The TPU slices that training steps are compiled for."""

import importlib.util

import pytest

from jaxdeblur.benchmark.tpu_compilation import SLICES, describe_devices

pytestmark = [pytest.mark.tpu_compile, pytest.mark.skipif(
    importlib.util.find_spec('libtpu') is None,
    reason='libtpu, which compiles for TPUs, is not installed')]

# The names of v4 slices count cores; two make a chip, and one device.
CHIPS = {'v4-8': 4, 'v5e-1': 1, 'v5e-4': 4, 'v5e-16': 16, 'v6e-4': 4}


@pytest.mark.parametrize('target', SLICES)
def test_every_chip_is_one_device(target):
  assert len(describe_devices(SLICES[target][0])) == CHIPS[target]
