"""Compiles programs for devices that are not there.

libtpu compiles for a TPU chip on any x86-64 machine with Linux. Its figures are
those of the program that the chip would run. Without a GPU nothing compiles for
NVIDIA's GPUs. There we only check that a program can be lowered for them, and
list the custom calls in it.
"""

import collections
from collections.abc import Iterator, Mapping
import dataclasses
import re
import time
from typing import Any

import jax
import ml_collections

from jaxdeblur.benchmark import roofline
from jaxdeblur.benchmark.counting import Count, count
from jaxdeblur.benchmark.measurement import accessed_bytes
from jaxdeblur.benchmark.programs import PROGRAMS, Program
from jaxdeblur.benchmark.roofline import Roofline
from jaxdeblur.benchmark.tpu_compilation import (
  describe_devices,
  first_lines,
  fitting,
)
from jaxdeblur.benchmark.tpu_program import main_memory_bytes
from jaxdeblur.errors import UserError

# Chip -> topology of a single one, as libtpu names it.
CHIPS = {
    'tpu-v5e': 'v5e:1x1',
    'tpu-v5p': 'v5p:1x1x1',
    'tpu-v6e': 'v6e:1x1',
}
CUDA = 'cuda'
TARGETS = (*CHIPS, CUDA)


@dataclasses.dataclass(frozen=True)
class ChipCompilation:
  """The cost of a program on a TPU chip.

  Attributes:
    what: 'forward' or 'train_step'.
    program: the program.
    target: the chip, one of `CHIPS`.
    count: multiply-adds of the traced program.
    xla_flops: floating-point operations by XLA's count.
    accessed: bytes by XLA's count, which leaves kernels out and counts vector
      memory as main memory.
    traffic: bytes to and from main memory; see `main_memory_bytes`.
    argument_bytes: size of its arguments.
    temporary_bytes: size of its temporaries.
    compile_seconds: time that libtpu took to compile.
    roofline: the peaks of the chip.
  """
  what: str
  program: Program
  target: str
  count: Count
  xla_flops: float
  accessed: int
  traffic: int
  argument_bytes: int
  temporary_bytes: int
  compile_seconds: float
  roofline: Roofline

  @property
  def roofline_seconds(self) -> float:
    """The least time that arithmetic and traffic allow."""
    return self.roofline.seconds(2 * self.count.macs(), self.traffic)

  def describe(self) -> Iterator[str]:
    """Yields the lines of a Markdown table, one row per figure."""
    program, roof = self.program, self.roofline
    yield f'{self.what} of {program.title}, compiled for {self.target}:'
    yield '| figure | value |'
    yield '| --- | ---: |'
    for name, value in (
        ('MACs [G]', f'{self.count.macs() / 1e9:.4g}'),
        ("GFLOP, XLA's count", f'{self.xla_flops / 1e9:.4g}'),
        ("accessed, XLA's count [GB]", f'{self.accessed / 1e9:.4g}'),
        ('main memory traffic [GB]', f'{self.traffic / 1e9:.4g}'),
        ('arguments [GB]', f'{self.argument_bytes / 1e9:.4g}'),
        ('temporaries [GB]', f'{self.temporary_bytes / 1e9:.4g}'),
        ('compilation [s]', f'{self.compile_seconds:.0f}'),
        ('peak TFLOP a second', f'{roof.peak_flops / 1e12:.4g}'),
        ('peak GB a second', f'{roof.bandwidth / 1e9:.4g}'),
        ('arithmetic at its peak [ms]',
         f'{2e3 * self.count.macs() / roof.peak_flops:.4g}'),
        ('traffic at its peak [ms]',
         f'{1e3 * self.traffic / roof.bandwidth:.4g}'),
        ('roofline [ms]', f'{1e3 * self.roofline_seconds:.4g}')):
      yield f'| {name} | {value} |'
    yield f'Peaks: {roof.source}.'

  def to_json(self) -> dict[str, Any]:
    """All figures, for JSON."""
    return {
        'what': self.what, 'target': self.target, 'macs': self.count.macs(),
        'xla_flops': self.xla_flops, 'accessed_bytes': self.accessed,
        'main_memory_bytes': self.traffic,
        'argument_bytes': self.argument_bytes,
        'temporary_bytes': self.temporary_bytes,
        'compile_seconds': self.compile_seconds,
        **self.program.to_json(),
        'roofline': {**dataclasses.asdict(self.roofline),
                     'seconds': self.roofline_seconds},
    }


@dataclasses.dataclass(frozen=True)
class CudaLowering:
  """A program lowered for NVIDIA's GPUs.

  Attributes:
    what: 'forward' or 'train_step'.
    program: the program.
    count: its multiply-adds.
    custom_calls: name -> how often the lowered program calls it.
    seconds: time that lowering took.
  """
  what: str
  program: Program
  count: Count
  custom_calls: Mapping[str, int]
  seconds: float

  def describe(self) -> Iterator[str]:
    """Yields sentences on the lowered program."""
    yield (f'{self.what} of {self.program.title}, lowers for cuda, in '
           f'{self.seconds:.1f} s.')
    calls = [f'{name} ({times})' for name, times in self.custom_calls.items()]
    yield f'Custom calls: {", ".join(calls) or "none"}.'

  def to_json(self) -> dict[str, Any]:
    """All figures, for JSON."""
    return {'what': self.what, 'target': CUDA,
            'custom_calls': dict(self.custom_calls),
            'lowering_seconds': self.seconds, **self.program.to_json()}


def compile_for_chip(
    config: ml_collections.ConfigDict,
    compiler_options: Mapping[str, Any] | None = None,
) -> ChipCompilation:
  """Compiles the program `config.bench.what` for the chip `bench.target`.

  Args:
    config: `bench`, and the sections that the program reads; see `programs`.
    compiler_options: options of XLA.

  Raises:
    UserError: the program takes more memory than the chip has.
    MissingPackageError: libtpu is not installed.
  """
  target = config.bench.target
  chip, = describe_devices(CHIPS[target])
  program = PROGRAMS[config.bench.what](config, [chip])
  traced = program.function.trace(*program.arguments)
  started = time.perf_counter()
  with fitting(
      f'{config.bench.what} of {program.title} does not fit {target}',
      'Take smaller or fewer pictures.'):
    compiled = traced.lower().compile(compiler_options)
  seconds = time.perf_counter() - started
  memory = compiled.memory_analysis()
  return ChipCompilation(
      what=config.bench.what, program=program, target=target,
      count=count(traced.jaxpr),
      xla_flops=float(compiled.cost_analysis().get('flops', 0)),
      accessed=accessed_bytes(compiled),
      traffic=main_memory_bytes(compiled.as_text()),
      argument_bytes=memory.argument_size_in_bytes,
      temporary_bytes=memory.temp_size_in_bytes, compile_seconds=seconds,
      roofline=roofline.look_up(chip.device_kind, program.dtype))


def lower_for_cuda(config: ml_collections.ConfigDict) -> CudaLowering:
  """Lowers the program `config.bench.what` for NVIDIA's GPUs.

  Args:
    config: `bench`, and the sections that the program reads; see `programs`.

  Raises:
    UserError: the program cannot run on a GPU.
  """
  program = PROGRAMS[config.bench.what](config, jax.devices()[:1])
  started = time.perf_counter()
  traced = program.function.trace(*program.arguments)
  try:
    lowered = traced.lower(lowering_platforms=(CUDA,))
  except NotImplementedError as error:
    raise UserError(
        f'{config.bench.what} of {program.title} does not lower for cuda: '
        f'{first_lines(error)}') from error
  seconds = time.perf_counter() - started
  calls = collections.Counter(
      re.findall(r'stablehlo\.custom_call @([\w.$]+)', lowered.as_text()))
  return CudaLowering(
      config.bench.what, program, count(traced.jaxpr), calls, seconds)

