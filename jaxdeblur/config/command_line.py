"""A config from the command line: its file, and fields set by flags."""

from collections.abc import Sequence
import contextlib
import io
import re

from absl import flags
import ml_collections
from ml_collections import config_flags

from jaxdeblur.config import recipes
from jaxdeblur.config.check import has_field, hint
from jaxdeblur.errors import UserError

_NAME = 'config'


class CommandLineError(UserError):
  """The command line cannot be understood."""


def define(
    flag_values: flags.FlagValues = flags.FLAGS,
    argv: Sequence[str] | None = None,
) -> flags.FlagHolder:
  """Defines --config, and --config.ANY.FIELD for the fields in `argv`.

  Args:
    flag_values: where the flags are defined.
    argv: the command line; this program's own by default.
  """
  return config_flags.DEFINE_config_file(
      _NAME, None, 'The experiment: a recipe by name or the path of a config '
      'file, then :VARIANT if it has variants.', lock_config=True,
      flag_values=flag_values, sys_argv=argv)


def parse(
    argv: Sequence[str], flag_values: flags.FlagValues = flags.FLAGS
) -> list[str]:
  """Parses a command line.

  Args:
    argv: the program's name and its arguments.
    flag_values: where --config is defined, and perhaps other flags.

  Returns:
    The program's name and the arguments that are no flags.

  Raises:
    CommandLineError: the command line is wrong; one sentence says how, and
      suggests names that are close.
  """
  argv = _find_recipe(list(argv))
  try:
    return flag_values(argv)
  except UserError as error:  # From a config file.
    raise CommandLineError(str(error)) from error
  except (AttributeError, KeyError) as error:
    raise CommandLineError(_describe_unknown(argv, error)) from error
  except (flags.Error, TypeError, ValueError) as error:
    raise CommandLineError(_last_line(error)) from error


def list_overrides(flag_values: flags.FlagValues = flags.FLAGS) -> list[str]:
  """The fields that flags have set, such as 'train.steps'."""
  return list(config_flags.get_override_values(flag_values[_NAME]))


def load(
    name: str, overrides: Sequence[str] = ()
) -> tuple[ml_collections.ConfigDict, list[str]]:
  """Loads a config by its name or path, with fields set by flags.

  Args:
    name: see `recipes.find`.
    overrides: flags, such as '--config.train.steps=5'.

  Returns:
    The config, and the fields that the flags have set.

  Raises:
    CommandLineError: there is no such config or field.
  """
  argv = ['jaxdeblur', f'--config={name}', *overrides]
  flag_values = flags.FlagValues()
  define(flag_values, argv)
  rest = parse(argv, flag_values)
  if len(rest) > 1:
    raise CommandLineError(f'Unexpected argument {rest[1]!r}.')
  return flag_values[_NAME].value, list_overrides(flag_values)


def print_help(argv: Sequence[str]) -> None:
  """Prints every field, with the values of the config that `argv` names."""
  from jaxdeblur.config import base
  from jaxdeblur.config.description import list_help
  config = _load_plain(_find_recipe(list(argv)))
  for line in list_help(base.get_config() if config is None else config):
    print(line)


def _find_recipe(argv: list[str]) -> list[str]:
  """Replaces the name of a recipe by its path."""
  for i, argument in enumerate(argv):
    if argument in ('--config', '-config') and i + 1 < len(argv):
      argv[i + 1] = _find(argv[i + 1])
    elif re.match('--?config=', argument):
      flag, _, name = argument.partition('=')
      argv[i] = f'{flag}={_find(name)}'
  return argv


def _find(name: str) -> str:
  try:
    return recipes.find(name)
  except UserError as error:
    raise CommandLineError(str(error)) from error


def _describe_unknown(argv: Sequence[str], error: Exception) -> str:
  """Names the fields that the config does not have."""
  config = _load_plain(argv)
  if config is not None:
    given = [match[1] for argument in argv
             if (match := re.match(r'--?config\.([\w.]+)', argument))]
    unknown = [f'config.{field}{hint(field, config)}' for field in given
               if not has_field(config, field)]
    if unknown:
      return f'The config has no {"; no ".join(unknown)}.'
  return _last_line(error)


def _load_plain(argv: Sequence[str]) -> ml_collections.ConfigDict | None:
  """The config without its overrides; None if it cannot be loaded."""
  names = [argument.partition('=')[2] or following
           for argument, following in zip(argv, [*argv[1:], ''])
           if re.match('--?config(=|$)', argument)]
  if not names:
    return None
  argv = ['jaxdeblur', f'--config={names[-1]}']
  flag_values = flags.FlagValues()
  define(flag_values, argv)
  with contextlib.suppress(Exception), contextlib.redirect_stderr(
      io.StringIO()):
    flag_values(argv)
    return flag_values[_NAME].value
  return None


def _last_line(error: Exception) -> str:
  """The last line of an error: tracebacks of a config file come before it."""
  lines = str(error.args[0] if error.args else error).strip().splitlines()
  text = lines[-1].strip() if lines else type(error).__name__
  # An exception in a config file begins with its class.
  return re.sub(r'^[\w.]*(Error|Exception): ', '', text)
