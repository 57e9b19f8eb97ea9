"""Checks of where and with what results are written, before the work."""

import importlib.util
import pathlib

from jaxdeblur.errors import (
  ExistingFileError,
  MissingPackageError,
  NoFolderError,
)

_DRAW_PAGES = ('jinja2', 'matplotlib')


def check_page_packages() -> None:
  """Raises a MissingPackageError if no page can be drawn."""
  missing = [
      name for name in _DRAW_PAGES if importlib.util.find_spec(name) is None]
  if missing:
    raise MissingPackageError(
        f'The page is drawn with {" and ".join(missing)}, not '
        f'installed here: pip install {" ".join(missing)}.')


def check_folder(output: pathlib.Path) -> None:
  """Raises a NoFolderError if a file stands where the folder would be."""
  if output.exists() and not output.is_dir():
    raise NoFolderError(
        f'{output} is a file: the output is a folder for the results.',
        argument='output')


def check_result(output: pathlib.Path, name: str, overwrite: bool) -> None:
  """Checks the folder, and that a result of this name may be written there.

  Raises:
    NoFolderError: see `check_folder`.
    ExistingFileError: there is such a result, and it may not be replaced.
  """
  check_folder(output)
  if (output / name).exists() and not overwrite:
    raise ExistingFileError(
        f'{output / name} exists already and is not replaced.',
        argument='overwrite')
