"""Compiles a train step for a TPU slice, without having one.

The package libtpu compiles for a described topology on any x86-64 machine with
Linux. Its figures are those of the program that a TPU would run.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import os
import time
from typing import Any

import jax
import ml_collections

from jaxdeblur.benchmark.programs import make_step
from jaxdeblur.errors import MissingPackageError, UserError
from jaxdeblur.memory import is_out_of_memory
from jaxdeblur.suggestion import choose_one

# Name -> topology as libtpu names it, and memory of a chip in GB (from the
# vendor's system architecture pages).
SLICES = {
    'v4-8': ('v4:2x2x1', 32),
    'v5e-1': ('v5e:1x1', 16),
    'v5e-4': ('v5e:2x2', 16),
    'v5e-16': ('v5e:4x4', 16),
    'v6e-4': ('v6e:2x2', 32),
}


@dataclasses.dataclass(frozen=True)
class Compilation:
  """The memory that a compiled train step takes on each chip.

  Attributes:
    target: name of the slice.
    chips: number of its chips.
    batch_size: pictures in a step, over all chips.
    crop: height and width of the pictures, px.
    argument_bytes: size of state and batch.
    temporary_bytes: size of the temporaries.
    memory_bytes: memory of a chip.
    seconds: time that compiling took.
  """
  target: str
  chips: int
  batch_size: int
  crop: tuple[int, int]
  argument_bytes: int
  temporary_bytes: int
  memory_bytes: int
  seconds: float

  @property
  def fits(self) -> bool:
    return self.argument_bytes + self.temporary_bytes <= self.memory_bytes

  def describe(self) -> str:
    """A row of a Markdown table; see HEADER."""
    share = (self.argument_bytes + self.temporary_bytes) / self.memory_bytes
    return (
        f'| {self.target} | {self.batch_size} of {self.crop[0]} x '
        f'{self.crop[1]} px | {self.argument_bytes / 2 ** 30:.2f} | '
        f'{self.temporary_bytes / 2 ** 30:.2f} | {100 * share:.0f} % | '
        f'{self.seconds:.0f} |')


HEADER = (
    '| slice | batch | arguments a chip [GiB] | temporaries a chip [GiB] | of '
    'its memory | compilation [s] |\n'
    '| --- | --- | ---: | ---: | ---: | ---: |')


def compile_train_step(config: ml_collections.ConfigDict) -> Compilation:
  """Compiles the train step of a config for the slice `config.bench.target`.

  Args:
    config: `model`, `compute`, `data.crop`, `train` and `mesh`, as for
      training, and `bench.target`, one of `SLICES`.

  Raises:
    UserError: the slice is unknown, its devices cannot share the batch, or
      the step takes more memory than a chip has.
    MissingPackageError: libtpu is not installed.
  """
  target = config.bench.target
  if target not in SLICES:
    raise UserError(
        f'config.bench.target is {target!r}: {choose_one(target, SLICES)}')
  topology, gigabytes = SLICES[target]
  devices = describe_devices(topology)
  step = make_step(config, devices)
  started = time.perf_counter()
  with fitting(
      f'The step does not fit {target}', 'Take a smaller batch or crop, or '
      'more of config.train.accumulation_steps.'):
    compiled = step.function.lower(*step.arguments).compile()
  memory = compiled.memory_analysis()
  return Compilation(
      target, len(devices), step.batch_size, (step.height, step.width),
      memory.argument_size_in_bytes, memory.temp_size_in_bytes,
      gigabytes * 10 ** 9, time.perf_counter() - started)


@contextlib.contextmanager
def fitting(problem: str, advice: str) -> Iterator[None]:
  """Turns a compilation's lack of memory into a sentence.

  Raises:
    UserError: the problem, the compiler's message, and the advice.
  """
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if not is_out_of_memory(error):
      raise
    raise UserError(f'{problem}: {first_lines(error)} {advice}') from error


def describe_devices(topology: str) -> list[Any]:
  """Describes devices to compile for, which need not be there.

  Args:
    topology: as libtpu names it, such as 'v5e:2x2'.

  Raises:
    MissingPackageError: libtpu is not installed.
  """
  # Otherwise libtpu looks for a TPU's metadata server for minutes, and lets
  # only one process use it at a time.
  os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')
  os.environ.setdefault('ALLOW_MULTIPLE_LIBTPU_LOAD', '1')
  from jax.experimental import topologies
  # By default a host has four chips.
  alone = set(topology.partition(':')[2].split('x')) == {'1'}
  options = {'chips_per_host_bounds': (1, 1, 1)} if alone else {}
  if topology.startswith('v4:'):  # Both cores of a chip, as on a TPU VM.
    options['chip_config_name'] = 'megacore'
  try:
    return list(topologies.get_topology_desc(
        topology, platform='tpu', **options).devices)
  except (RuntimeError, ImportError) as error:
    raise MissingPackageError(
        'Compiling for TPUs needs libtpu on Linux, the extra tpu: pip install '
        f"-e '.[tpu]' ({first_lines(error)})") from error


def first_lines(error: Exception) -> str:
  """An error's message in one line, cut if it is long."""
  return ' '.join(str(error).split())[:300]

