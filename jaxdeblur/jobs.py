"""The jobs that run.py runs, by name.

Each job imports what it needs itself: restoring a picture loads neither
TensorFlow nor the data pipelines.
"""

from collections.abc import Callable
import dataclasses
import pathlib
import sys
import time

from etils import epath
import ml_collections

from jaxdeblur.config_check import check_config


class UsageError(ValueError):
  """The command lacks something, or says things that do not go together."""


@dataclasses.dataclass(frozen=True)
class Arguments:
  """What the command line says beside the config, if given."""
  workdir: epath.PathLike | None = None
  input: pathlib.Path | None = None
  output: pathlib.Path | None = None
  report: pathlib.Path | None = None
  left: pathlib.Path | None = None
  right: pathlib.Path | None = None
  dataset: str | None = None
  data_dir: pathlib.Path | None = None
  overwrite: bool = False

  def need(self, *names: str) -> None:
    missing = [f'--{name}' for name in names if getattr(self, name) is None]
    if missing:
      raise UsageError(f'This mode needs {" and ".join(missing)}.')


def run(
    name: str, config: ml_collections.ConfigDict, arguments: Arguments
) -> int:
  """Runs a job; returns the exit code: 0 done, 1 failed, 2 wrong usage.

  What the user can mend is printed as one sentence; anything else is a fault
  of this program and keeps its traceback.
  """
  try:
    check_config(config)
    if config.compilation_cache:
      from jaxdeblur.compilation import keep_compilations
      keep_compilations(config.compilation_cache)
    return JOBS[name](config, arguments)
  except UsageError as error:
    print(f'{error} See --help.', file=sys.stderr)
    return 2
  except (ValueError, OSError, FloatingPointError, ImportError) as error:
    print(f'error: {error}', file=sys.stderr)
    return 1
  except RuntimeError as error:  # As JAX's own are.
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    print('error: The memory of the device does not suffice: train with a '
          'smaller config.train.batch_size or config.data.crop, more '
          'config.train.accumulation_steps, config.train.remat or more devices '
          '(config.mesh); restore with a smaller config.restore.tile. '
          f'({str(error).splitlines()[0]})', file=sys.stderr)
    return 1


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
  from jaxdeblur import partitioning
  from jaxdeblur.restoration import restore, restorer
  started = time.perf_counter()
  tasks = restore.plan_tasks(
      arguments.output, arguments.input, arguments.left, arguments.right)
  mesh = (partitioning.make_mesh(config.mesh.to_dict())
          if config.mesh.height > 1 else None)
  model = restorer.load(
      arguments.workdir or config.restore.checkpoint, config.restore.pick, mesh)
  failures = restore.restore_files(
      model, tasks, tile=config.restore.tile or None,
      fit=config.restore.fit, show=config.restore.show,
      overwrite=arguments.overwrite)
  done = len(tasks) - len(failures)
  print(f'Restored {done} of {len(tasks)} in '
        f'{time.perf_counter() - started:.1f} s, start and compilation '
        f'included: see {arguments.output}')
  for failure in failures:
    print(f'error: {failure}', file=sys.stderr)
  return 1 if failures else 0


def _evaluate(config: ml_collections.ConfigDict, arguments: Arguments) -> int:
  arguments.need('output')
  if arguments.input is None and arguments.dataset is None:
    raise UsageError(
        '--mode eval needs --input, or --dataset and --data_dir.')
  from jaxdeblur.evaluation.evaluate import evaluate
  from jaxdeblur.evaluation.source import Source
  print(evaluate(
      config, arguments.workdir or config.restore.checkpoint,
      Source(arguments.input, arguments.dataset, config.eval.split,
             arguments.data_dir),
      arguments.output, arguments.report))
  if config.eval.compare:
    from jaxdeblur.evaluation.compare import compare_files
    print(compare_files(arguments.output, config.eval.compare))
  return 0


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


def _prepare(config: ml_collections.ConfigDict, arguments: Arguments) -> int:
  if config.prepare.patch_size:
    return _prepare_patches(config, arguments)
  arguments.need('dataset', 'data_dir', 'input')
  from data_pipelines.datasets.prepare import prepare
  print(prepare(
      arguments.dataset, arguments.data_dir, arguments.input,
      partial=config.prepare.partial, overwrite=arguments.overwrite))
  return 0


def _prepare_patches(
    config: ml_collections.ConfigDict, arguments: Arguments
) -> int:
  arguments.need('output')
  from data_pipelines.datasets.catalogue import open_dataset
  from data_pipelines.pairs import FolderPairs
  from data_pipelines.patches import PatchSettings, prepare_patches
  if arguments.dataset:
    arguments.need('data_dir')
    source = open_dataset(
        arguments.dataset, config.data.split, arguments.data_dir)
  else:
    arguments.need('input')
    source = FolderPairs(arguments.input)
  settings = PatchSettings(
      config.prepare.patch_size, config.prepare.overlap,
      config.prepare.drop_share)
  count = prepare_patches(source, arguments.output, settings)
  print(f'Cut {len(source)} scenes into {count} patches: train on them with '
        f'--config.data.name=patches --config.data.folder={arguments.output}')
  return 0


JOBS: dict[str, Callable[[ml_collections.ConfigDict, Arguments], int]] = {
    'bench': _bench,
    'compare': _compare,
    'train': _train,
    'eval': _evaluate,
    'prepare': _prepare,
    'restore': _restore,
    'convert': _convert,
}
