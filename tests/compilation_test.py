"""Compiled programs on disk, where a config names a folder for them."""

import jax
from jax.experimental.compilation_cache import compilation_cache
import pytest

from configs import starter
from jaxdeblur import jobs
from jaxdeblur.checkpoints import abstract_variables
from jaxdeblur.models import registry


@pytest.fixture
def folder(tmp_path):
  """A folder for compiled programs; JAX uses none afterwards."""
  threshold = jax.config.jax_persistent_cache_min_compile_time_secs
  compilation_cache.reset_cache()
  yield tmp_path / 'compilations'
  jax.monitoring.clear_event_listeners()
  jax.config.update('jax_compilation_cache_dir', None)
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
