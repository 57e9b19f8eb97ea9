"""Finds the pictures of a downloaded dataset, and groups them into scenes."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import pathlib
import re

from jaxdeblur.errors import UserError
from jaxdeblur.pictures import is_picture

# The text that the stars of a pattern stand for; it identifies a scene.
Key = tuple[str, ...]
# View -> key -> file.
NamedFiles = dict[str, dict[Key, pathlib.Path]]


@dataclasses.dataclass(frozen=True)
class Scene:
  """The files of one scene.

  Attributes:
    name: its name, unique in its split.
    files: view -> picture.
    place: 'indoor' or 'outdoor'; '' if unknown.
  """
  name: str
  files: Mapping[str, pathlib.Path]
  place: str = ''


@dataclasses.dataclass(frozen=True)
class Layout:
  """A way in which a dataset is packed.

  Attributes:
    patterns: view -> pattern of its files, without suffix, such as
      '{split}_c/source/*'. The text in place of the stars is a scene's key.
    splits: split -> possible values of `{split}`.
  """
  patterns: Mapping[str, str]
  splits: Mapping[str, Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Tree:
  """The pictures that were found of a dataset.

  Attributes:
    root: the folder that the patterns start from.
    splits: split -> its pictures.
  """
  root: pathlib.Path
  splits: Mapping[str, NamedFiles]


def find_tree(
    folder: pathlib.Path, layouts: Sequence[Layout]
) -> Tree | None:
  """Finds the pictures of a dataset in a folder, or up to two levels below.

  Args:
    folder: the folder of the download.
    layouts: ways in which the dataset is packed. The layout that finds the most
      files is used, or the first of equals.

  Returns:
    The tree; None if no picture is found.

  Raises:
    UserError: more than one folder below holds the dataset.
  """
  for roots in _list_roots(folder):
    trees = [tree for root in roots if (tree := _fit(root, layouts))]
    if len(trees) > 1:
      raise UserError(
          f'{trees[0].root} and {trees[1].root} both look like the dataset: '
          'name one of them.', argument='input')
    if trees:
      return trees[0]
  return None


def make_scenes(
    named: NamedFiles, places: Mapping[str, str] | None = None
) -> list[Scene]:
  """Groups files with the same key, in the natural order of their names.

  Args:
    named: view -> key -> file.
    places: scene -> 'indoor' or 'outdoor', if known.

  Raises:
    UserError: a scene lacks a view.
  """
  places = places or {}
  keys = sorted(set().union(*named.values()), key=natural)
  for view, files in named.items():
    missing = [key for key in keys if key not in files]
    if missing:
      others = next(other for other in named.values() if missing[0] in other)
      raise UserError(
          f'{len(missing)} of {len(keys)} scenes have no {view} view, first '
          f'that of {others[missing[0]]}: complete the download, or take the '
          'scenes out.')
  return [
      Scene(name, {view: files[key] for view, files in named.items()},
            places.get(name, ''))
      for key in keys for name in [name_scene(key)]]


def name_scene(key: Key) -> str:
  """Names a scene: ('seq_001', '000012') -> 'seq_001_000012'."""
  return '_'.join(part for part in key if part)


def natural(key: Key) -> list[tuple[int, str]]:
  """Orders names as people do: 2 before 10."""
  return [(int(part) if part.isdigit() else -1, part)
          for part in re.split(r'(\d+)', '/'.join(key))]


def describe_folder(folder: pathlib.Path) -> str:
  """Names the first files and folders in a folder."""
  found = sorted(
      f'{child.name}/' if child.is_dir() else child.name
      for child in folder.iterdir() if not child.name.startswith('.'))
  more = f' and {len(found) - 8} more' if len(found) > 8 else ''
  return (', '.join(found[:8]) or 'nothing') + more


def _list_roots(folder: pathlib.Path) -> Iterator[list[pathlib.Path]]:
  """Yields the folder itself, the folders in it, and those one level deeper."""
  level = [folder]
  for _ in range(3):
    yield level
    level = [child for parent in level for child in sorted(parent.iterdir())
             if child.is_dir() and not child.name.startswith('.')]


def _fit(root: pathlib.Path, layouts: Sequence[Layout]) -> Tree | None:
  trees = [
      Tree(root, {split: files for split, words in layout.splits.items()
                  if (files := _find_views(root, layout.patterns, words))})
      for layout in layouts]
  best = max(trees, key=lambda tree: sum(
      len(files) for named in tree.splits.values() for files in named.values()))
  return best if best.splits else None


def _find_views(root, patterns, words) -> NamedFiles:
  named = {view: {} for view in patterns}
  for view, pattern in patterns.items():
    for word in words:
      named[view] |= _find_files(root, pattern.replace('{split}', word))
  return {view: files for view, files in named.items() if files}


def _find_files(root: pathlib.Path, pattern: str) -> dict[Key, pathlib.Path]:
  stars = re.compile(
      re.escape(pattern).replace(r'\*', '([^/]*)') + r'\.[^./]+')
  named = {}
  for file in sorted(root.glob(f'{pattern}.*')):
    match = stars.fullmatch(file.relative_to(root).as_posix())
    if not match or not is_picture(file):
      continue
    if match.groups() in named:
      raise UserError(
          f'{named[match.groups()]} and {file} have one name: take one away.')
    named[match.groups()] = file
  return named
