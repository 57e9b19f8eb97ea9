"""Errors that the user can mend."""


class UserError(ValueError):
  """What the user gave cannot be used; the message says what to do.

  A message is one sentence or two: what was got, what was expected, what to do.
  It speaks of the function's own arguments. Whoever calls the function knows
  how these were given, and can say so with `hint`.

  Attributes:
    argument: the argument that the message is about, '' for none.
  """

  def __init__(self, message: str, argument: str = ''):
    super().__init__(message)
    self.argument = argument


class MissingFileError(UserError, FileNotFoundError):
  """A file or folder does not exist, or holds nothing that is looked for."""


class ExistingFileError(UserError, FileExistsError):
  """A result would replace a file that is there."""


class NoFolderError(UserError, NotADirectoryError):
  """A file stands where a folder was expected."""


class MissingPackageError(UserError, ImportError):
  """An optional package is needed and not installed."""
