"""Restores picture files and folders of pictures."""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import dataclasses
import pathlib
import time
import warnings

import jax
import numpy as np
import tqdm

from jaxdeblur import pictures
from jaxdeblur.errors import ExistingFileError, UserError
from jaxdeblur.memory import is_out_of_memory
from jaxdeblur.outputs import check_folder
from jaxdeblur.pictures import ImageFileError
from jaxdeblur.restoration.options import RestoreOptions
from jaxdeblur.restoration.panels import draw_panels
from jaxdeblur.restoration.record import Record
from jaxdeblur.restoration.restorer import Restorer, ViewOrderWarning

# Errors that fail one picture and let the others go on.
_FAILURES = (ValueError, OSError, MemoryError, jax.errors.JaxRuntimeError)


@dataclasses.dataclass(frozen=True)
class Task:
  """A picture to restore: its views' files and the file to write."""
  views: dict[str, pathlib.Path]
  output: pathlib.Path

  @property
  def name(self) -> pathlib.Path:
    return next(iter(self.views.values()))


def plan_tasks(
    output: pathlib.Path,
    inputs: Sequence[pathlib.Path] = (),
    left: pathlib.Path | None = None,
    right: pathlib.Path | None = None,
) -> list[Task]:
  """Lists what to restore.

  Args:
    output: the folder for the results.
    inputs: pictures and folders of pictures.
    left: the picture's left dual-pixel view, if the network reads it.
    right: its right dual-pixel view.

  Raises:
    UserError: there is nothing to restore, the output is no folder, dual-pixel
      views come with several pictures, or two results have one name.
  """
  check_folder(output)
  dual = {name: path for name, path in (('left', left), ('right', right))
          if path is not None}
  if dual:
    if len(inputs) > 1 or any(path.is_dir() for path in inputs):
      raise UserError(
          f'{inputs[0]} is a folder, or one of several: a left and a right '
          'view go with one picture.', argument='left')
    views = ({'center': inputs[0]} if inputs else {}) | dual
    return [Task(views, output / next(iter(views.values())).name)]
  tasks = [Task({'center': path}, output / path.name)
           for given in inputs for path in _list_pictures(given)]
  _check_names(tasks)
  return tasks


def _list_pictures(given: pathlib.Path) -> list[pathlib.Path]:
  if not given.is_dir():
    return [given]
  found = pictures.find_pictures(given)
  if not found:
    raise ImageFileError(
        f'{given} holds no picture ({", ".join(pictures.SUFFIXES)}).')
  return found


def _check_names(tasks: Sequence[Task]) -> None:
  by_output = {}
  for task in tasks:
    other = by_output.setdefault(task.output, task)
    if other is not task:
      raise UserError(
          f'{other.name} and {task.name} would both be written to '
          f'{task.output}: restore them into two folders.', argument='output')


def restore_files(
    restorer: Restorer,
    tasks: list[Task],
    options: RestoreOptions,
    *,
    panels: bool = False,
    overwrite: bool = False,
) -> list[UserError]:
  """Restores files one by one; a failure does not stop the others.

  It prints a line for each file, with a progress bar if there are several, and
  records in its folder's restored.json how each result was made.

  Args:
    restorer: the restorer.
    tasks: the pictures to restore.
    options: how to restore them.
    panels: whether to write panels beside each result: NAME_before_after.png
      and those that the network draws; see `draw_panels`.
    overwrite: whether results may replace existing files.

  Returns:
    An error for each picture that failed.
  """
  failures = []
  record = Record(restorer.weights, options)
  with _progress(tasks) as progress:
    for task in tasks:
      try:
        record.check(task.output)
        progress.write(
            _restore_task(restorer, task, options, panels, overwrite))
        record.add(task.output, task.views)
      except _FAILURES as error:
        failures.append(_describe(task, error))
      progress.update()
  return failures


def _restore_task(
    restorer: Restorer, task: Task, options: RestoreOptions, panels: bool,
    overwrite: bool
) -> str:
  started = time.perf_counter()
  _check_output(task, overwrite)
  read = {name: pictures.read(path) for name, path in task.views.items()}
  first = next(iter(read.values()))
  views = {name: picture.pixels for name, picture in read.items()}
  drawn = {}
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always', ViewOrderWarning)
    if panels:
      restored, inspection = restorer.inspect(views, options)
      drawn = draw_panels(
          restorer.weights.model, first.pixels, restored, inspection)
    else:
      restored = restorer.restore(views=views, options=options)
  task.output.parent.mkdir(parents=True, exist_ok=True)
  pictures.write(task.output, first, restored)
  height, width = restored.shape[:2]
  seconds = time.perf_counter() - started
  lines = [f'{task.name} -> {task.output} '
           f'({width} x {height} px, fit by {options.fit}, {seconds:.1f} s)']
  if drawn:
    lines.append(_write_panels(task, drawn))
  notes = [*first.notes, *(str(warning.message) for warning in caught)]
  return '\n'.join([*lines, *(f'  note: {note}' for note in notes)])


def _write_panels(task: Task, panels: Mapping[str, np.ndarray]) -> str:
  """Writes NAME_PANEL.png beside the result; replaces older ones."""
  paths = [task.output.with_name(f'{task.output.stem}_{name}.png')
           for name in panels]
  for path, pixels in zip(paths, panels.values()):
    pictures.write(path, pictures.Picture(pixels, 'png'), pixels)
  return f'  beside it: {", ".join(path.name for path in paths)}'


def _check_output(task: Task, overwrite: bool) -> None:
  if not task.output.exists():
    return
  if any(task.output.samefile(path) for path in task.views.values()
         if path.exists()):
    raise UserError(
        f'{task.output} is the picture itself: name another folder for the '
        'results.', argument='output')
  if not overwrite:
    raise ExistingFileError(
        f'{task.output} exists already and is not replaced.',
        argument='overwrite')


def _describe(task: Task, error: Exception) -> UserError:
  if isinstance(error, ImageFileError | ExistingFileError):
    return error  # The message names its file already.
  if is_out_of_memory(error):
    return UserError(
        f'{task.name} does not fit into memory: restore it in smaller tiles.',
        argument='tile')
  return UserError(
      f'{task.name} cannot be restored: {error}',
      argument=getattr(error, 'argument', ''))


@contextlib.contextmanager
def _progress(tasks: list[Task]) -> Iterator[tqdm.tqdm]:
  bar = tqdm.tqdm(
      total=len(tasks), unit='picture', disable=len(tasks) < 2,
      dynamic_ncols=True)
  with bar:
    yield bar
