"""Errors of picture files, each in one sentence."""

from collections.abc import Iterator
import contextlib
import os

from jaxdeblur.errors import UserError


class ImageFileError(UserError):
  """A picture file that cannot be read or written, in one sentence.

  Functions that know only a file's bytes raise it without a subject. `naming`
  puts the file's name before it.
  """


@contextlib.contextmanager
def naming(name: str | os.PathLike) -> Iterator[None]:
  """Puts the file's name before the sentence of an error."""
  try:
    yield
  except ImageFileError as error:
    raise ImageFileError(f'{name} {error}') from error.__cause__


def damaged(detail: str) -> ImageFileError:
  """The error for an incomplete file."""
  return ImageFileError(
      f'is damaged or cut short ({detail}): copy it anew from the camera or '
      'a backup.')


def animation() -> ImageFileError:
  """The error for a file with several frames."""
  return ImageFileError(
      'is an animation, of which all but one frame would be lost: save each '
      'frame as a file of its own.')
