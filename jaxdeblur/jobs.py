"""The jobs of the command line, by name.

Each job imports what it needs itself, so restoring a picture loads neither
TensorFlow nor the data pipelines. Libraries raise errors about their arguments;
here these errors get the matching flags of the command line.
"""

from collections.abc import Callable, Collection
import dataclasses
import errno
import os
import pathlib
import sys
import time
import traceback
from typing import Any, NoReturn

from etils import epath
import ml_collections

from jaxdeblur.config.check import check_config
from jaxdeblur.errors import UserError
from jaxdeblur.job_fields import check_read
from jaxdeblur.memory import is_out_of_memory
from jaxdeblur.suggestion import choose_one

INTERRUPTED = 130  # The exit code after Ctrl-C.
PAIRS_NAME = 'pairs.png'  # The contact sheet of training pairs.


class UsageError(UserError):
  """The command lacks something, or holds things that do not fit together."""


@dataclasses.dataclass(frozen=True)
class Arguments:
  """The arguments of the command line, apart from the config."""
  workdir: epath.PathLike | None = None
  input: pathlib.Path | None = None
  more_inputs: tuple[pathlib.Path, ...] = ()
  output: pathlib.Path | None = None
  report: pathlib.Path | None = None
  left: pathlib.Path | None = None
  right: pathlib.Path | None = None
  dataset: str | None = None
  data_dir: pathlib.Path | None = None
  overwrite: bool = False
  show: bool = False

  def need(self, *names: str) -> None:
    missing = [f'--{name}' for name in names if getattr(self, name) is None]
    if missing:
      raise UsageError(f'This mode needs {" and ".join(missing)}.')


def run(
    name: str,
    config: ml_collections.ConfigDict,
    arguments: Arguments,
    overrides: Collection[str] = (),
    debug: bool = False,
) -> int:
  """Runs a job; returns the exit code: 0 done, 1 failed, 2 wrong usage.

  Errors that the user can fix are printed as one sentence. Any other error is a
  fault of this program and keeps its traceback. Ctrl-C ends with one line.

  Args:
    name: a name in `JOBS`.
    config: the config of the experiment.
    arguments: the other flags.
    overrides: fields of the config that the command line changed, such as
      'train.steps'; the job refuses those that it would ignore.
    debug: whether to keep every traceback.
  """
  try:
    if name not in JOBS:
      raise UsageError(f'Unknown mode {name!r}: {choose_one(name, JOBS)}')
    check_config(config)
    check_read(name, config, arguments, overrides)
    if config.compilation_cache:
      from jaxdeblur.compilation import keep_compilations
      keep_compilations(config.compilation_cache)
    return JOBS[name](config, arguments)
  except KeyboardInterrupt:
    print(f'Interrupted: --mode {name} is not finished.', file=sys.stderr)
    return INTERRUPTED
  except Exception as error:
    sentence = describe_error(name, error)
    if sentence is None:
      raise
    if debug:
      traceback.print_exc()
    if isinstance(error, UsageError):
      print(f'{sentence} See --help.', file=sys.stderr)
      return 2
    print(f'error: {sentence}', file=sys.stderr)
    return 1


def locate_workdir(value: str, job: str) -> epath.Path:
  """Locates a workdir: a folder here comes before shipped weights."""
  workdir = epath.Path(value)
  if '://' in value:  # A bucket, gs://; other paths cannot hold this.
    return workdir
  is_folder = job == 'train' or workdir.exists()
  return workdir.absolute() if is_folder else workdir


def leave(name: str, code: int) -> NoReturn:
  """Ends the process with a job's exit code."""
  if name == 'train' and code != INTERRUPTED:
    from jaxdeblur.training.multihost import leave as leave_processes
    leave_processes(code)
  if code == INTERRUPTED:
    # End at once, since XLA may still compile in a thread for minutes.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
  sys.exit(code)


def describe_error(job: str, error: Exception) -> str | None:
  """Describes an error that the user can fix; None for other errors."""
  if isinstance(error, UserError):
    how = _FLAGS.get(job, {}).get(error.argument) or _FLAGS['*'].get(
        error.argument)
    return f'{error} ({how})' if how else str(error)
  if is_out_of_memory(error):
    return _TOO_LITTLE_MEMORY.get(job, _TOO_LITTLE_MEMORY['*']).format(
        (str(error).splitlines() or ['MemoryError'])[0])
  if isinstance(error, ModuleNotFoundError):
    package = (error.name or '').partition('.')[0]
    for extra, packages in _EXTRAS.items():
      if package in packages:
        return (f'The package {package} is not installed. It comes with the '
                f"extra {extra}: in a clone, pip install -e '.[{extra}]'.")
  if isinstance(error, OSError) and error.errno in _MENDABLE:
    place = f'{error.filename}: ' if error.filename else ''
    return f'{place}{error.strerror}.'
  return None


# Extra of pyproject.toml -> what a job imports of it.
_EXTRAS = {
    'train': ('clu', 'grain', 'optax', 'tensorboard', 'tensorflow',
              'tensorflow_datasets'),
    'report': ('jinja2', 'matplotlib'),
    'baselines': ('skimage',),
}

# How arguments of libraries are given on the command line, by job; '*': all.
_FLAGS: dict[str, dict[str, str]] = {
    '*': {
        'overwrite': 'add --overwrite to replace it',
        'output': '--output', 'input': '--input', 'report': '--report',
        'left': '--left and --right', 'workdir': '--workdir',
        'data_dir': '--data_dir', 'dataset': '--dataset',
        'tile': '--config.restore.tile', 'fit': '--config.restore.fit',
        'pick': '--config.restore.pick', 'mesh': '--config.mesh',
        'protocol': '--config.eval.protocol',
        'metrics': '--config.eval.metrics',
        'disc_radius': '--config.eval.disc_radius',
        'exchange_views': '--config.eval.exchange_views',
        'partial': '--config.prepare.partial=True',
        'heads': '--config.convert.heads',
        'dtype': '--config.compute.dtype',
        'remat': '--config.compute.remat',
        'dynamic_conv_method': '--config.compute.dynamic_conv_method',
    },
    'train': {
        name: f'--config.data.{name}' for name in (
            'crop', 'photos', 'tile', 'bit_depth', 'disparity', 'workers',
            'min_radius', 'max_radius', 'layer_shares', 'bank', 'scene',
            'depth_maps', 'depth_kind',
            'folder', 'name', 'split')
    } | {
        name: f'--config.train.{name}' for name in (
            'batch_size', 'start', 'init_from')
    } | {
        'scales': '--config.train.losses.pyramid.scales',
        'layers': '--config.train.losses.feature.layers',
        'network': '--config.train.losses.feature.network',
        'data_dir': '--config.data.data_dir',
        'pick': 'train with --config.validation.batches above 0',
    },
    'patches': {
        name: f'--config.patches.{name}' for name in (
            'size', 'overlap', 'drop_share')
    } | {'split': '--config.data.split'},
    'calibrate': {
        name: f'--config.calibrate.{name}' for name in (
            'grid', 'smoothness', 'depths', 'signs')
    } | {'photographs': '--input'},
    'eval': {'split': '--config.eval.split'},
    'bench': {'crop': '--config.data.crop',
              'batch_size': '--config.train.batch_size'},
    'convert': {'dtype': '--config.convert.dtype'},
}

_TOO_LITTLE_MEMORY = {
    'train': 'Out of device memory: take a smaller --config.train.batch_size '
             'or --config.data.crop, more --config.train.accumulation_steps, '
             '--config.compute.remat=True, or more devices (--config.mesh). '
             '({})',
    '*': 'Out of memory: take a smaller --config.restore.tile. ({})',
}

# Errors of the operating system that a user can fix.
_MENDABLE = frozenset({
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC,
    errno.EDQUOT, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.EMFILE,
    errno.ENAMETOOLONG, errno.EFBIG, errno.EIO})


def _train(config: ml_collections.ConfigDict, arguments: Arguments) -> int:
  arguments.need('workdir')
  from jaxdeblur.training.loop import train
  step = int(train(config, arguments.workdir).step)
  if step < config.train.steps:
    print(f'Stopped at step {step} of {config.train.steps}, as asked, with a '
          f'checkpoint in {arguments.workdir}: the same command goes on.')
  else:
    print(f'Trained to step {step}: see {arguments.workdir}')
  return 0


def _restore(config: ml_collections.ConfigDict, arguments: Arguments) -> int:
  arguments.need('output')
  if arguments.input is None and arguments.left is None:
    raise UsageError('--mode restore needs --input, or --left and --right.')
  from jaxdeblur.restoration import restore, restorer
  from jaxdeblur.restoration.options import RestoreOptions
  started = time.perf_counter()
  options = RestoreOptions.from_config(config.restore.to_dict())
  tasks = restore.plan_tasks(
      arguments.output,
      [path for path in (arguments.input, *arguments.more_inputs) if path],
      arguments.left, arguments.right)
  model = restorer.load_as_configured(
      config, _choose_weights(config, arguments))
  print(f'With {model!r}')
  failures = restore.restore_files(
      model, tasks, options, panels=config.restore.panels,
      overwrite=arguments.overwrite)
  done = len(tasks) - len(failures)
  print(f'Restored {done} of {len(tasks)} in '
        f'{time.perf_counter() - started:.1f} s, start and compilation '
        f'included: see {arguments.output}')
  for failure in failures:
    print(f'error: {describe_error("restore", failure)}', file=sys.stderr)
  return 1 if failures else 0


def _choose_weights(
    config: ml_collections.ConfigDict, arguments: Arguments
) -> epath.PathLike:
  """Returns the weights to restore with; raises an error if there are none."""
  weights = arguments.workdir or config.restore.weights
  if not weights:
    network = config.model.get('name', 'a network')
    raise UsageError(
        f'This config describes {network} and names no weights: give --workdir '
        'FOLDER, of a training or of converted weights, or '
        '--config.restore.weights=starter for those that come with jaxdeblur.')
  return weights


def _evaluate(config: ml_collections.ConfigDict, arguments: Arguments) -> int:
  arguments.need('output')
  if arguments.input is None and arguments.dataset is None:
    raise UsageError(
        '--mode eval needs --input, or --dataset and --data_dir.')
  from jaxdeblur.evaluation.evaluate import evaluate
  from jaxdeblur.evaluation.source import Source
  weights = (_choose_weights(config, arguments)
             if config.eval.method == 'network' else '')
  result = evaluate(
      config, weights,
      Source(arguments.input, arguments.dataset, config.eval.split,
             arguments.data_dir),
      arguments.output, arguments.report, arguments.overwrite)
  print(result)
  print(f'Written: {arguments.output}')
  if arguments.report is not None:
    print(f'Written: {arguments.report}')
  if config.eval.compare:
    from jaxdeblur.evaluation.compare import compare_files
    print(compare_files(arguments.output, config.eval.compare))
  failures = result.provenance['failures']
  if failures:
    print(f'error: {len(failures)} pictures could not be scored; see above.',
          file=sys.stderr)
  return 1 if failures else 0


def _compare(config: ml_collections.ConfigDict, arguments: Arguments) -> int:
  arguments.need('input')
  if not config.eval.compare:
    raise UsageError(
        '--mode compare needs --config.eval.compare=OTHER/scores.json.')
  from jaxdeblur.evaluation.compare import compare_files
  print(compare_files(arguments.input, config.eval.compare))
  return 0


def _convert(config: ml_collections.ConfigDict, arguments: Arguments) -> int:
  arguments.need('input', 'output')
  from jaxdeblur.convert.job import convert_file
  print(convert_file(arguments.input, arguments.output,
                     config.convert.dtype, config.convert.heads))
  return 0


def _bench(config: ml_collections.ConfigDict, arguments: Arguments) -> int:
  from jaxdeblur.benchmark.jobs import run_benchmark
  return run_benchmark(config, arguments.output, arguments.overwrite)


def _show_pairs(
    config: ml_collections.ConfigDict, arguments: Arguments
) -> int:
  arguments.need('output')
  from jaxdeblur.outputs import check_result
  check_result(arguments.output, PAIRS_NAME, arguments.overwrite)
  from jaxdeblur.training.contact_sheet import draw_contact_sheet
  arguments.output.mkdir(parents=True, exist_ok=True)
  draw_contact_sheet(config, arguments.output / PAIRS_NAME)
  print(f'Written: {arguments.output / PAIRS_NAME}')
  return 0


def _prepare(config: ml_collections.ConfigDict, arguments: Arguments) -> int:
  if arguments.show:
    return _show_pairs(config, arguments)
  arguments.need('dataset', 'data_dir', 'input')
  from data_pipelines.datasets.prepare import prepare
  print(prepare(
      arguments.dataset, arguments.data_dir, arguments.input,
      partial=config.prepare.partial, overwrite=arguments.overwrite))
  return 0


def _cut_patches(
    config: ml_collections.ConfigDict, arguments: Arguments
) -> int:
  arguments.need('output')
  from data_pipelines.datasets.catalogue import open_dataset
  from data_pipelines.pairs import FolderPairs
  from data_pipelines.patches import PatchSettings, prepare_patches
  settings = PatchSettings(**config.patches)
  if arguments.dataset:
    arguments.need('data_dir')
    source: Any = open_dataset(
        arguments.dataset, config.data.split, arguments.data_dir)
  else:
    arguments.need('input')
    source = FolderPairs(arguments.input)
  count = prepare_patches(source, arguments.output, settings)
  print(f'Cut {len(source)} scenes into {count} patches: train on them with '
        f'--config.data.name=patches --config.data.folder={arguments.output}')
  return 0


def _calibrate(config: ml_collections.ConfigDict, arguments: Arguments) -> int:
  arguments.need('output')
  from jaxdeblur.calibration import job
  settings = config.calibrate.to_dict()
  inputs = [
      path for path in (arguments.input, *arguments.more_inputs) if path]
  if settings.pop('draw'):
    if inputs or arguments.left or arguments.right:
      raise UsageError('The chart is drawn without photographs: leave them '
                       'out, or config.calibrate.draw.')
    print(job.draw_chart(arguments.output, arguments.overwrite))
    return 0
  if not inputs and arguments.left is None and arguments.right is None:
    raise UsageError('--mode calibrate needs --input, or --left and --right, '
                     'or --config.calibrate.draw=True.')
  print(job.calibrate_files(
      inputs, arguments.output, arguments.left, arguments.right,
      overwrite=arguments.overwrite, **settings))
  return 0


JOBS: dict[str, Callable[[ml_collections.ConfigDict, Arguments], int]] = {
    'train': _train,
    'restore': _restore,
    'eval': _evaluate,
    'compare': _compare,
    'convert': _convert,
    'prepare': _prepare,
    'patches': _cut_patches,
    'calibrate': _calibrate,
    'bench': _bench,
}
