"""Time and memory of one picture through a network."""

import dataclasses
import resource
import statistics
import sys
import time

import jax
import jax.numpy as jnp
import ml_collections

from jaxdeblur.checkpoints import abstract_variables
from jaxdeblur.models import registry


@dataclasses.dataclass(frozen=True)
class Measurement:
  """What one forward pass costs.

  Attributes:
    network: its settings.
    device: what it ran on.
    height: of the picture, px.
    width: of the picture, px.
    parameters: how many there are.
    compile_seconds: for this size of picture, once.
    seconds: median of the runs after a first one.
    temporary_bytes: what XLA takes beside inputs, outputs and parameters.
    peak_bytes: largest resident memory of this process so far, everything
      included; of a device other than the CPU it says nothing.
  """
  network: str
  device: str
  height: int
  width: int
  parameters: int
  compile_seconds: float
  seconds: float
  temporary_bytes: int
  peak_bytes: int

  def describe(self) -> str:
    """A row of a Markdown table; see HEADER."""
    return (
        f'| {self.network} | {self.parameters / 1e6:.2f} | '
        f'{self.compile_seconds:.1f} | {self.seconds:.2f} | '
        f'{self.temporary_bytes / 2 ** 30:.2f} | '
        f'{self.peak_bytes / 2 ** 30:.2f} |')


HEADER = (
    '| network | parameters [M] | compilation [s] | forward [s] | '
    'temporaries [GiB] | peak of the process [GiB] |\n'
    '| --- | ---: | ---: | ---: | ---: | ---: |')


def measure(config: ml_collections.ConfigDict) -> Measurement:
  """Measures the network of `config.model` with arbitrary parameters.

  Args:
    config: `model`, `dtype`, and `bench`: `size` (height and width, px;
      multiples of what the network takes) and `repeats`.

  Raises:
    ValueError: the network does not take pictures of this size.
  """
  model = registry.create(**config.model.to_dict(), dtype=config.dtype)
  height, width = config.bench.size
  variables = jax.tree.map(
      lambda x: jnp.full(x.shape, 0.01, x.dtype), abstract_variables(model))
  views = {name: jnp.full((1, height, width, 3), 0.5)
           for name in model.required_views}
  started = time.perf_counter()
  # The picture alone is asked for, as when restoring.
  forward = jax.jit(
      lambda variables, views: model.apply(variables, views).image).lower(
          variables, views).compile()
  compile_seconds = time.perf_counter() - started
  seconds = []
  for _ in range(config.bench.repeats + 1):
    started = time.perf_counter()
    forward(variables, views).block_until_ready()
    seconds.append(time.perf_counter() - started)
  settings = dict(config.model.to_dict())
  name = settings.pop('name')
  return Measurement(
      network=f'{name} ' + ' '.join(
          f'{key}={value}' for key, value in settings.items()),
      device=jax.devices()[0].device_kind,
      height=height, width=width,
      parameters=sum(x.size for x in jax.tree.leaves(variables['params'])),
      compile_seconds=compile_seconds,
      seconds=statistics.median(seconds[1:]),
      temporary_bytes=forward.memory_analysis().temp_size_in_bytes,
      peak_bytes=_peak_resident_bytes())


def _peak_resident_bytes() -> int:
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak if sys.platform == 'darwin' else peak * 1024
