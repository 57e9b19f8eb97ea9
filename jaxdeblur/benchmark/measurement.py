"""Measures time, memory and work of a forward pass or a training step."""

from collections.abc import Iterator
import dataclasses
import os
import resource
import sys
import time
from typing import Any

import jax
import ml_collections
import numpy as np
import tqdm

from jaxdeblur.benchmark import roofline
from jaxdeblur.benchmark.counting import DYNAMIC, PRODUCT, Count, count
from jaxdeblur.benchmark.programs import PROGRAMS, Program
from jaxdeblur.benchmark.roofline import Roofline
from jaxdeblur.benchmark.tpu_program import main_memory_bytes
from jaxdeblur.errors import UserError


@dataclasses.dataclass(frozen=True)
class Memory:
  """The memory that a compiled program takes on one device, in bytes.

  Attributes:
    arguments: its arguments.
    outputs: its results, if they do not replace arguments.
    temporaries: all other arrays.
    accessed: traffic to and from main memory: on a TPU as `main_memory_bytes`
      adds it up, elsewhere by XLA's own count. That counts all that operations
      read and write, from caches too, and counts loops once.
    device_peak: the most that the device has held so far, including while
      compilation tried algorithms; None if unknown, as on CPUs.
    process_peak: the largest resident memory of this process so far, including
      compilation.
  """
  arguments: int
  outputs: int
  temporaries: int
  accessed: int
  device_peak: int | None
  process_peak: int

  @property
  def peak(self) -> int:
    """Arguments, outputs and temporaries together."""
    return self.arguments + self.outputs + self.temporaries


@dataclasses.dataclass(frozen=True)
class Measurement:
  """The cost of a program.

  Attributes:
    what: 'forward' or 'train_step'.
    program: the program.
    device: the device's name in JAX.
    devices: number of devices.
    count: its multiply-adds.
    compile_seconds: time to compile the traced function.
    warm_up_seconds: time of each run before the timed ones.
    seconds: time of each timed run, from the call until all results are there.
    load: the machine's load average (1 minute) before and after the runs.
    memory: the memory of one device.
    roofline: the peaks of one device.
  """
  what: str
  program: Program
  device: str
  devices: int
  count: Count
  compile_seconds: float
  warm_up_seconds: tuple[float, ...]
  seconds: tuple[float, ...]
  load: tuple[float, float]
  memory: Memory
  roofline: Roofline

  @property
  def quartiles(self) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile of the seconds."""
    return tuple(map(float, np.percentile(self.seconds, (25, 50, 75))))

  @property
  def median(self) -> float:
    return self.quartiles[1]

  @property
  def flops(self) -> int:
    """Floating-point operations of a run; a multiply-add is two."""
    return 2 * self.count.macs()

  @property
  def roofline_seconds(self) -> float:
    """The least time that the devices' peaks allow."""
    return self.roofline.seconds(
        self.flops / self.devices, self.memory.accessed)

  def describe(self) -> Iterator[str]:
    """Yields the lines of a Markdown table, one row per figure."""
    yield (f'{self.what} of {self.program.title}, on {self.devices} x '
           f'{self.device}; {len(self.warm_up_seconds)} runs to warm up, '
           f'{len(self.seconds)} timed, load {self.load[0]:.1f} to '
           f'{self.load[1]:.1f}:')
    yield '| figure | value |'
    yield '| --- | ---: |'
    for name, value in self._figures():
      yield f'| {name} | {value} |'
    yield f'Peaks: {self.roofline.source}.'
    if self.count.unknown_loops:
      yield ('Loops of unknown length, counted once: '
             f'{", ".join(self.count.unknown_loops)}.')

  def _figures(self) -> Iterator[tuple[str, str]]:
    program, memory, roof = self.program, self.memory, self.roofline
    low, median, high = self.quartiles
    yield 'parameters [M]', f'{program.parameters / 1e6:.2f}'
    for name, macs in (
        ('MACs of convolutions [G]', self.count.convolution_macs),
        ('MACs of matrix products [G]', self.count.macs(PRODUCT)),
        ('MACs of dynamic convolutions [G]', self.count.macs(DYNAMIC))):
      yield name, f'{macs / 1e9:.4g}'
    yield 'compilation [s]', f'{self.compile_seconds:.1f}'
    yield 'median [s]', f'{median:.4g}'
    yield 'quartiles [s]', f'{low:.4g} to {high:.4g}'
    yield 'pictures a second', f'{program.batch_size / median:.4g}'
    yield 'megapixels a second', f'{program.megapixels / median:.4g}'
    for name, size in (
        ('arguments [GiB]', memory.arguments),
        ('temporaries [GiB]', memory.temporaries),
        ('peak memory [GiB]', memory.peak),
        ('peak of the device [GiB]', memory.device_peak),
        ('peak of the process [GiB]', memory.process_peak)):
      if size is not None:
        yield name, f'{size / 2 ** 30:.2f}'
    yield 'GFLOP a second', f'{self.flops / median / 1e9:.4g}'
    yield ('peak GFLOP a second',
           f'{self.devices * roof.peak_flops / 1e9:.4g}')
    yield 'peak GB a second', f'{self.devices * roof.bandwidth / 1e9:.4g}'
    bound = roof.bound(self.flops / self.devices, memory.accessed)
    yield f'roofline [s], bound by {bound}', f'{self.roofline_seconds:.4g}'
    yield 'of the roofline', f'{100 * self.roofline_seconds / median:.0f} %'

  def to_json(self) -> dict[str, Any]:
    """All figures, for JSON."""
    low, median, high = self.quartiles
    return {
        'what': self.what,
        **self.program.to_json(),
        'device': self.device,
        'devices': self.devices,
        'macs': {
            'convolution': self.count.convolution_macs,
            'matrix_product': self.count.macs(PRODUCT),
            'dynamic_convolution': self.count.macs(DYNAMIC),
        },
        'unknown_loops': list(self.count.unknown_loops),
        'compile_seconds': self.compile_seconds,
        'warm_up_seconds': list(self.warm_up_seconds),
        'seconds': list(self.seconds),
        'median_seconds': median,
        'quartile_seconds': [low, high],
        'pictures_per_second': self.program.batch_size / median,
        'megapixels_per_second': self.program.megapixels / median,
        'load': list(self.load),
        'memory_bytes': dataclasses.asdict(self.memory),
        'flops_per_second': self.flops / median,
        'roofline': {
            **dataclasses.asdict(self.roofline),
            'seconds': self.roofline_seconds,
            'share': self.roofline_seconds / median,
        },
    }


def measure(config: ml_collections.ConfigDict) -> Measurement:
  """Measures what `config.bench.what` names, with arbitrary parameters.

  Args:
    config: `what`, `warm_up` and `repeats` of `bench`, and the sections that
      the program reads; see `programs`.

  Raises:
    UserError: the network does not take pictures of this size, or the devices
      cannot share the batch.
  """
  bench = config.bench
  if bench.repeats < 1 or bench.warm_up < 0:
    raise UserError(
        f'config.bench.repeats is {bench.repeats} and config.bench.warm_up '
        f'{bench.warm_up}: time at least one run, after none or some.')
  program = PROGRAMS[bench.what](config, jax.devices())
  traced = program.function.trace(*program.arguments)
  started = time.perf_counter()
  compiled = traced.lower().compile()
  compile_seconds = time.perf_counter() - started
  devices = jax.device_count() if program.carries else 1
  load = os.getloadavg()[0]
  seconds = time_runs(
      compiled, program.make_arguments(), carries=program.carries,
      runs=bench.warm_up + bench.repeats)
  device = jax.devices()[0]
  memory = _read_memory(compiled, device)
  return Measurement(
      what=bench.what, program=program, device=device.device_kind,
      devices=devices, count=count(traced.jaxpr),
      compile_seconds=compile_seconds,
      warm_up_seconds=tuple(seconds[:bench.warm_up]),
      seconds=tuple(seconds[bench.warm_up:]),
      load=(load, os.getloadavg()[0]), memory=memory,
      # Last, since it takes memory itself.
      roofline=roofline.find(device, program.dtype))


def time_runs(compiled, arguments, *, carries: bool, runs: int) -> list[float]:
  """Times each run, in seconds, from the call until its results are there.

  Args:
    compiled: the program.
    arguments: its arguments; donated if it carries.
    carries: whether its first result is the first argument of the next run.
    runs: number of runs.
  """
  seconds = []
  jax.block_until_ready(arguments)
  for _ in tqdm.trange(runs, unit='run', disable=None, leave=False):
    started = time.perf_counter()
    results = jax.block_until_ready(compiled(*arguments))
    seconds.append(time.perf_counter() - started)
    if carries:
      arguments = (results[0], *arguments[1:])
  return seconds


def process_peak_bytes() -> int:
  """The largest resident memory of this process so far."""
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak if sys.platform == 'darwin' else peak * 1024


def accessed_bytes(compiled) -> int:
  """XLA's count of the bytes that a compiled program reads and writes."""
  costs = compiled.cost_analysis() or {}
  return int(costs.get('bytes accessed', 0))


def _read_memory(compiled, device: jax.Device) -> Memory:
  analysis = compiled.memory_analysis()
  accessed = (main_memory_bytes(compiled.as_text())
              if device.platform == 'tpu' else accessed_bytes(compiled))
  return Memory(
      arguments=analysis.argument_size_in_bytes,
      outputs=(analysis.output_size_in_bytes
               - analysis.alias_size_in_bytes),
      temporaries=analysis.temp_size_in_bytes,
      accessed=accessed,
      device_peak=(device.memory_stats() or {}).get('peak_bytes_in_use'),
      process_peak=process_peak_bytes())

