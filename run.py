r"""Runs one jaxdeblur job: trains, evaluates, restores, as the config says.

  python run.py --config configs/starter.py --mode restore \
      --input PHOTO_OR_FOLDER --output FOLDER

--help lists all flags and fields; with --config, that config's values.
"""

import contextlib
import pathlib
import sys

from absl import app, flags

from jaxdeblur import jobs
from jaxdeblur.config import command_line
from jaxdeblur.log_lines import choose_log_lines

_CONFIG = command_line.define()
_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'The folder of a training, for its checkpoints and logs. '
    'Other jobs than train also take a folder of weights.')
_MODE = flags.DEFINE_string(
    'mode', 'train', f'The job: {", ".join(jobs.JOBS)}.')
_INPUT = flags.DEFINE_string(
    'input', None, 'restore, calibrate: a photograph or a folder of them; '
    'eval: the folder that the protocol reads; compare: scores of an '
    'evaluation; convert: weights or a checkpoint; prepare: the downloaded '
    'dataset; patches: a folder of pairs to cut.')
_SHOW = flags.DEFINE_bool(
    'show', False, 'prepare: draw training pairs of the config into '
    'OUTPUT/pairs.png instead.')
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
    'restore, eval, prepare, calibrate, bench: replace results that exist '
    'already.')
_DEBUG = flags.DEFINE_bool('debug', False, 'Keep the traceback of each error.')


def main(argv: list[str]) -> None:
  del argv
  paths = {flag.name: pathlib.Path(flag.value)
           for flag in (_INPUT, _OUTPUT, _REPORT, _LEFT, _RIGHT, _DATA_DIR)
           if flag.value is not None}
  if _WORKDIR.value is not None:
    paths['workdir'] = jobs.locate_workdir(_WORKDIR.value, _MODE.value)
  arguments = jobs.Arguments(
      overwrite=_OVERWRITE.value, dataset=_DATASET.value, show=_SHOW.value,
      **paths)
  if not flags.FLAGS['verbosity'].present:
    choose_log_lines(training=_MODE.value == 'train')
  jobs.leave(_MODE.value, jobs.run(
      _MODE.value, _CONFIG.value, arguments, command_line.list_overrides(),
      _DEBUG.value))


def _parse_flags(argv: list[str]) -> list[str]:
  """Parses the command line; prints one sentence if it is wrong."""
  asks_for_help = any(flag.lstrip('-') in ('help', 'h') and flag[:1] == '-'
                      for flag in argv)
  try:
    if asks_for_help:
      with contextlib.suppress(BrokenPipeError):  # Of `| head`.
        _print_help(argv)
        sys.stdout.flush()
      sys.stdout = None  # Or Python would try to flush it again.
      sys.exit(0)
    rest = command_line.parse(argv)
    if not flags.FLAGS['config'].present:
      raise command_line.CommandLineError(
          '--config is needed: name a file of configs/.')
    if len(rest) > 1:
      raise command_line.CommandLineError(f'Unexpected argument {rest[1]!r}.')
    return rest
  except command_line.CommandLineError as error:
    print(f'{error} See --help.', file=sys.stderr)
    sys.exit(2)


def _print_help(argv: list[str]) -> None:
  """Prints the flags, and every field of the chosen config, or of the base."""
  print(__doc__)
  print('Flags:')
  for flag in flags.FLAGS.get_key_flags_for_module(sys.modules[__name__]):
    print(f'  --{flag.name}: {flag.help}')
  print()
  command_line.print_help(argv)


if __name__ == '__main__':
  app.run(main, flags_parser=_parse_flags)
