"""The recipes that come with jaxdeblur: the config files of `configs/`.

In a clone they lie beside the package; in an installed copy, inside it.
"""

import ast
import pathlib
import sys

from jaxdeblur.errors import MissingFileError
from jaxdeblur.suggestion import choose_one

_PACKAGE = pathlib.Path(__file__).resolve().parents[1]
_FOLDERS = (_PACKAGE.parent / 'configs', _PACKAGE / 'recipes' / 'configs')
_SHARED = ('recorded',)  # Imported by several recipes; no recipe itself.


def folder() -> pathlib.Path:
  """The folder of the recipes."""
  return next((folder for folder in _FOLDERS
               if (folder / 'starter.py').is_file()), _FOLDERS[-1])


def names() -> list[str]:
  """The names of the recipes."""
  return sorted(file.stem for file in folder().glob('*.py')
                if not file.stem.startswith('_') and file.stem not in _SHARED)


def describe(name: str) -> str:
  """The first line of a recipe's docstring."""
  tree = ast.parse((folder() / f'{name}.py').read_text())
  return (ast.get_docstring(tree) or '').partition('\n')[0]


def find(name: str) -> str:
  """Finds the config file for a name or a path.

  Args:
    name: a recipe, such as 'starter', or the path of a config file; a variant
      may follow both, after a colon.

  Returns:
    The path, with the variant.

  Raises:
    MissingFileError: there is no such file or recipe.
  """
  file, colon, variant = name.partition(':')
  if not pathlib.Path(file).is_file():
    if file not in names():
      stem = pathlib.PurePath(file).stem
      raise MissingFileError(
          f'{file} does not exist: give the path of a config file, or '
          f'{choose_one(stem, names())}', argument='config')
    file = str(folder() / f'{file}.py')
  # Recipes import each other as `configs.NAME`.
  root = str(pathlib.Path(file).resolve().parent.parent)
  if root not in sys.path:
    sys.path.insert(0, root)
  return f'{file}{colon}{variant}'
