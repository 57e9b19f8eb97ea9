"""Checks of the folder that results go to, before the work."""

import pathlib

from jaxdeblur.errors import ExistingFileError, NoFolderError


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
