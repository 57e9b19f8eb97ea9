"""Runs one jaxdeblur job: trains, evaluates, restores, converts or prepares.

  python run.py --config configs/starter.py --mode restore \
      --input PHOTO_OR_FOLDER --output FOLDER
"""

import pathlib
import sys

from absl import app, flags
from etils import epath
from ml_collections import config_flags

from jaxdeblur import jobs
from jaxdeblur.log_lines import choose_log_lines

_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'The experiment, a file of configs/.', lock_config=True)
_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'The training: its checkpoints and logs.')
_MODE = flags.DEFINE_enum('mode', 'train', sorted(jobs.JOBS), 'The job.')
_INPUT = flags.DEFINE_string(
    'input', None, 'restore: a photograph or a folder of them; eval: a folder '
    'of what the protocol reads; compare: scores of an evaluation; convert: '
    'weights or a checkpoint; prepare: the downloaded dataset, or a folder of '
    'pairs to cut into patches.')
_OUTPUT = flags.DEFINE_string('output', None, 'The folder for the results.')
_REPORT = flags.DEFINE_string(
    'report', None, 'eval: the folder for a page with scores and pictures.')
_LEFT = flags.DEFINE_string('left', None, 'The left dual-pixel view.')
_RIGHT = flags.DEFINE_string('right', None, 'The right dual-pixel view.')
_DATASET = flags.DEFINE_string('dataset', None, 'The name of a dataset.')
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'The folder of the built datasets.')
_OVERWRITE = flags.DEFINE_bool(
    'overwrite', False,
    'restore, prepare, bench: replace what exists already.')


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'Unexpected argument {argv[1]!r}.', exitcode=2)
  paths = {flag.name: pathlib.Path(flag.value)
           for flag in (_INPUT, _OUTPUT, _REPORT, _LEFT, _RIGHT, _DATA_DIR)
           if flag.value is not None}
  if _WORKDIR.value is not None:
    paths['workdir'] = _locate_workdir(_WORKDIR.value)
  arguments = jobs.Arguments(
      overwrite=_OVERWRITE.value, dataset=_DATASET.value, **paths)
  if not flags.FLAGS['verbosity'].present:
    choose_log_lines(training=_MODE.value == 'train')
  code = jobs.run(_MODE.value, _CONFIG.value, arguments)
  if _MODE.value == 'train':
    from jaxdeblur.training.multihost import leave
    leave(code)
  sys.exit(code)


def _locate_workdir(value: str) -> epath.Path:
  """A folder here rather than the shipped weights of that name."""
  workdir = epath.Path(value)
  if '://' in value:  # A bucket, gs://, which no other path may be.
    return workdir
  is_folder = _MODE.value == 'train' or workdir.exists()
  return workdir.absolute() if is_folder else workdir


def _parse_flags(argv: list[str]) -> list[str]:
  """Parses the command line; what is wrong with it is one sentence."""
  try:
    rest = flags.FLAGS(argv)
    if not flags.FLAGS['config'].present:
      raise flags.Error('--config is needed: name a file of configs/.')
    # A variant may follow: configs/NAME.py:VARIANT.
    file = config_flags.get_config_filename(flags.FLAGS['config']).split(':')[0]
    if not pathlib.Path(file).is_file():
      raise flags.Error(f'{file} does not exist: --config names a config file.')
    return rest
  except (AttributeError, KeyError) as error:  # ml_collections' own sentence.
    what = str(error.args[0]).strip('"').splitlines()[-1]
    problem = f'The config has no such field: {what}.'
  except (flags.Error, TypeError) as error:
    # The last line is the sentence; a config's traceback comes before it.
    problem = str(error).strip().splitlines()[-1]
  print(f'{problem} See --help.', file=sys.stderr)
  sys.exit(2)


if __name__ == '__main__':
  app.run(main, flags_parser=_parse_flags)
