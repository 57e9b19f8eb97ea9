"""The benchmarks that `--mode bench` runs, by name."""

from collections.abc import Callable, Iterable, Mapping
import importlib.util
import json
import pathlib
import sys
from typing import Any

import ml_collections

from jaxdeblur.errors import UserError
from jaxdeblur.evaluation.provenance import describe_run
from jaxdeblur.outputs import check_result
from jaxdeblur.pictures import write_whole
from jaxdeblur.suggestion import choose_one, did_you_mean

JSON_NAME = 'bench.json'
PLOT_NAME = 'bench.png'

# The sections of a config that a program's cost depends on.
_SECTIONS = ('model', 'compute', 'bench', 'data', 'train', 'mesh', 'restore')


def run_benchmark(
    config: ml_collections.ConfigDict,
    output: pathlib.Path | None,
    overwrite: bool = False,
) -> int:
  """Runs `config.bench.what` and prints the results; returns the exit code.

  Args:
    config: `bench`, and the sections that this benchmark reads.
    output: the folder for bench.json (all figures, with versions, device,
      command and config) and bench.png; only for forward, train_step and
      scaling.
    overwrite: whether these may replace older ones.

  Raises:
    UserError: there is no such benchmark, or it has no such target.
    ExistingFileError: there are results in `output` already.
  """
  what = config.bench.what
  if what not in _BENCHMARKS:
    raise UserError(
        f'config.bench.what is {what!r}: {choose_one(what, _BENCHMARKS)}')
  if output is not None:
    _check_output(what, output, overwrite)
  return _BENCHMARKS[what](config, output)


def _bench_program(
    config: ml_collections.ConfigDict, output: pathlib.Path | None
) -> int:
  """Measures a forward pass or a training step, here or for a target."""
  from jaxdeblur.benchmark import measurement, plots, targets
  bench = config.bench
  _check_target(bench.what, bench.target, targets.TARGETS)
  if bench.target:
    result = (targets.lower_for_cuda(config) if bench.target == targets.CUDA
              else targets.compile_for_chip(config))
  else:
    result = measurement.measure(config)
  _print(result.describe())
  record = result.to_json()
  if bench.layers:
    _print(result.count.describe())
    record['operations'] = result.count.to_json()
  if output is not None:
    _write(output, config, record)
    if not bench.target:
      _draw(plots.draw_measurement, output, result)
  return 0


def _bench_scaling(
    config: ml_collections.ConfigDict, output: pathlib.Path | None
) -> int:
  """Restores pictures of several sizes."""
  from jaxdeblur.benchmark import plots, scaling
  _check_target('scaling', config.bench.target, ())
  result = scaling.measure(config)
  _print(result.describe())
  if output is not None:
    _write(output, config, result.to_json())
    _draw(plots.draw_scaling, output, result)
  return 0


def _bench_loader(
    config: ml_collections.ConfigDict, output: pathlib.Path | None
) -> int:
  del output
  from jaxdeblur.benchmark import loader
  _check_target('loader', config.bench.target, ())
  _print(loader.measure(config))
  return 0


def _bench_compilation(
    config: ml_collections.ConfigDict, output: pathlib.Path | None
) -> int:
  del output
  from jaxdeblur.benchmark import tpu_compilation
  _check_target(
      'compilation', config.bench.target, tpu_compilation.SLICES, needed=True)
  compilation = tpu_compilation.compile_train_step(config)
  print(tpu_compilation.HEADER)
  print(compilation.describe())
  if not compilation.fits:
    print(f'error: The step does not fit {compilation.target}: take a smaller '
          'batch or crop, or more of config.train.accumulation_steps.',
          file=sys.stderr)
    return 1
  return 0


_BENCHMARKS: Mapping[str, Callable[..., int]] = {
    'forward': _bench_program,
    'train_step': _bench_program,
    'scaling': _bench_scaling,
    'loader': _bench_loader,
    'compilation': _bench_compilation,
}
_WRITING = ('forward', 'train_step', 'scaling')


def _check_target(
    what: str, target: str, known: Iterable[str], needed: bool = False
) -> None:
  """Raises a UserError if a benchmark cannot compile for a target."""
  if target in known or (not target and not needed):
    return
  names = ', '.join(known)
  if not names:
    raise UserError(
        f'config.bench.target is {target!r}, but config.bench.what={what} '
        'runs on this machine only: leave it empty.')
  otherwise = '' if needed else ', or leave it empty for this machine'
  raise UserError(
      f'config.bench.target is {target!r}: for config.bench.what={what} choose '
      f'one of {names}{otherwise}.{did_you_mean(target, known)}')


def _check_output(what: str, output: pathlib.Path, overwrite: bool) -> None:
  if what not in _WRITING:
    raise UserError(
        f'config.bench.what={what} only prints: it takes no output.',
        argument='output')
  check_result(output, JSON_NAME, overwrite)


def _print(lines: Iterable[str]) -> None:
  for line in lines:
    print(line, flush=True)


def _write(
    output: pathlib.Path, config: ml_collections.ConfigDict,
    record: Mapping[str, Any],
) -> None:
  settings = {name: value for name, value in config.to_dict().items()
              if name in _SECTIONS}
  text = json.dumps(
      {**describe_run(), 'config': settings, 'result': record}, indent=2)
  output.mkdir(parents=True, exist_ok=True)
  write_whole(output / JSON_NAME, f'{text}\n'.encode())
  print(f'Written: {output / JSON_NAME}')


def _draw(draw, output: pathlib.Path, result: Any) -> None:
  if importlib.util.find_spec('matplotlib') is None:
    print('There is no plot: it is drawn with matplotlib, not installed here '
          "(pip install -e '.[report]').")
    return
  draw(output / PLOT_NAME, result)
  print(f'Written: {output / PLOT_NAME}')
