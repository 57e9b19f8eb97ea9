"""Errors that the user can fix."""


class UserError(ValueError):
  """Something that the user gave cannot be used; the message says what to do.

  A message is one sentence or two: what was got, what was expected, what to do.
  It is about the function's own arguments. The caller knows how these were
  given, and can add that by `argument`.

  Attributes:
    argument: the argument that the message is about; '' for none.
  """

  def __init__(self, message: str, argument: str = ''):
    super().__init__(message)
    self.argument = argument


class MissingFileError(UserError, FileNotFoundError):
  """A file or folder does not exist, or does not hold what it should."""


class ExistingFileError(UserError, FileExistsError):
  """A result would replace an existing file."""


class NoFolderError(UserError, NotADirectoryError):
  """A path is a file where a folder was expected."""


class MissingPackageError(UserError, ImportError):
  """An optional package is needed but not installed."""
