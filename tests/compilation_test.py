"""How programs are compiled, and kept on disk where a config names a folder."""

import os
import subprocess
import sys

import jax
from jax.experimental.compilation_cache import compilation_cache
import pytest

from configs import starter
from jaxdeblur import jobs
from jaxdeblur.checkpoints import abstract_variables
from jaxdeblur.models import registry


@pytest.fixture
def folder(tmp_path):
  """A folder for compiled programs; JAX uses the tests' own afterwards."""
  former = jax.config.jax_compilation_cache_dir
  threshold = jax.config.jax_persistent_cache_min_compile_time_secs
  compilation_cache.reset_cache()
  yield tmp_path / 'compilations'
  jax.monitoring.clear_event_listeners()
  jax.config.update('jax_compilation_cache_dir', former)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', threshold)
  compilation_cache.reset_cache()


def compile_network(config, arguments):
  model = registry.create('drbnet_baseline', width=2)
  picture = jax.ShapeDtypeStruct((1, 16, 24, 3), 'float32')
  jax.jit(model.apply).lower(
      abstract_variables(model), {'center': picture}).compile()
  return 0


def test_a_job_keeps_what_it_compiles_for_the_next(folder, monkeypatch):
  monkeypatch.setitem(jobs.JOBS, 'restore', compile_network)
  config = starter.get_config()
  config.compilation_cache = str(folder)
  assert jobs.run('restore', config, jobs.Arguments()) == 0
  assert len(list(folder.glob('jit_apply-*-cache'))) == 1

  events = []
  jax.monitoring.register_event_listener(
      lambda event, **_: events.append(event))
  jax.clear_caches()
  assert jobs.run('restore', config, jobs.Arguments()) == 0
  assert '/jax/compilation_cache/cache_hits' in events


_CONVOLUTION = """
import jax
from jaxdeblur.compilation import jit

def convolve(x, kernel):
  return jax.lax.conv_general_dilated(
      x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))

shapes = [jax.ShapeDtypeStruct(shape, 'float32')
          for shape in ((1, 128, 128, 64), (3, 3, 64, 64))]
for jitted in jax.jit(convolve), jit(convolve):
  print('ynn_fusion' in jitted.lower(*shapes).compile().as_text())
"""


def test_convolutions_are_not_left_to_ynnpack():
  """In a process of its own, whatever the flags of this one."""
  environment = {**os.environ, 'XLA_FLAGS': '', 'JAX_PLATFORMS': 'cpu'}
  printed = subprocess.run(
      [sys.executable, '-c', _CONVOLUTION], env=environment, check=True,
      capture_output=True, text=True).stdout
  assert printed.split() == ['True', 'False']
