"""Lists picture files in folders, reads files, and writes them whole."""

import os
import pathlib
import re
import secrets

from jaxdeblur.pictures.errors import ImageFileError
from jaxdeblur.pictures.formats import SUFFIXES


def is_picture(path: pathlib.Path) -> bool:
  """Whether a path counts as a picture: a file with the right suffix.

  Hidden files do not count, such as macOS' companions (`._a.png`) and
  .DS_Store; nor do folders, whatever their names.
  """
  return (path.suffix.lower() in SUFFIXES and not path.name.startswith('.')
          and path.is_file())


def find_pictures(folder: str | os.PathLike) -> list[pathlib.Path]:
  """Lists a folder's picture files, 2.png before 10.png; see `is_picture`.

  Raises:
    ImageFileError: the path is no folder.
  """
  folder = pathlib.Path(folder)
  if not folder.is_dir():
    raise ImageFileError(f'{folder} is not a folder: name one with pictures.')
  return sorted(filter(is_picture, folder.iterdir()), key=_natural)


def _natural(path: pathlib.Path) -> tuple:
  # Every second part is a number, so numbers are compared with numbers.
  parts = re.split(r'(\d+)', path.name.casefold())
  return [int(p) if i % 2 else p for i, p in enumerate(parts)], path.name


def read_bytes(path: pathlib.Path) -> bytes:
  """Reads a file that must not be empty.

  Raises:
    ImageFileError: the file is missing, empty, a folder, or cannot be read.
      The sentence lacks its subject.
  """
  if path.is_dir():
    raise ImageFileError('is a folder: name a picture in it.')
  try:
    data = path.read_bytes()
  except FileNotFoundError as error:
    raise ImageFileError('does not exist.') from error
  except OSError as error:
    raise ImageFileError(f'cannot be read: {reason(error)}.') from error
  if not data:
    raise ImageFileError(
        'is empty: copy it anew from the camera or a backup.')
  return data


def write_whole(path: pathlib.Path, data: bytes | bytearray) -> None:
  """Writes a file so that others see it whole or not at all."""
  unfinished = path.with_name(f'.{secrets.token_hex(8)}.tmp')
  try:
    with open(unfinished, 'xb') as file:
      file.write(data)
      file.flush()
      os.fsync(file.fileno())
    os.replace(unfinished, path)
  except BaseException:
    unfinished.unlink(missing_ok=True)
    raise


def reason(error: OSError) -> str:
  """The operating system's message, without the file's name."""
  return error.strerror or str(error)
