"""Restores picture files and folders of them."""

from collections.abc import Iterator
import contextlib
import dataclasses
import pathlib
import time
import warnings

import jax
import numpy as np
import tqdm

from jaxdeblur import pictures
from jaxdeblur.pictures import ImageFileError
from jaxdeblur.restoration import inside
from jaxdeblur.restoration.record import Record
from jaxdeblur.restoration.restorer import Restorer, ViewOrderWarning

# What a single picture may fail with; others go on.
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
    input_path: pathlib.Path | None = None,
    left: pathlib.Path | None = None,
    right: pathlib.Path | None = None,
) -> list[Task]:
  """Lists what to restore.

  Args:
    output: the folder for the results.
    input_path: a picture or a folder of pictures.
    left: the picture's left dual-pixel view, if the network reads it.
    right: its right dual-pixel view.

  Raises:
    ImageFileError: there is nothing to restore, the output is no folder, or
      dual-pixel views come with a folder.
  """
  if output.exists() and not output.is_dir():
    raise ImageFileError(
        f'{output} is a file: --output names the folder for the results.')
  dual = {name: path for name, path in (('left', left), ('right', right))
          if path is not None}
  if input_path is not None and input_path.is_dir():
    if dual:
      raise ImageFileError(
          f'{input_path} is a folder: --left and --right go with one picture.')
    found = pictures.find_pictures(input_path)
    if not found:
      raise ImageFileError(
          f'{input_path} holds no picture ({", ".join(pictures.SUFFIXES)}).')
    return [Task({'center': path}, output / path.name) for path in found]
  center = {} if input_path is None else {'center': input_path}
  views = center | dual
  return [Task(views, output / next(iter(views.values())).name)]


def restore_files(
    restorer: Restorer,
    tasks: list[Task],
    *,
    tile: int | None,
    fit: str = 'pad',
    show: bool = False,
    overwrite: bool = False,
) -> list[str]:
  """Restores files one by one; one that fails does not stop the others.

  Prints a line for each, with a progress bar if there are several, and records
  how each result was made in its folder's restored.json.

  Args:
    restorer: the network.
    tasks: what to restore.
    tile: see `Restorer.restore`.
    fit: see `Restorer.restore`.
    show: whether to write panels of what the network makes of each picture
      beside it, NAME_kernels.png and others; see `inside`.
    overwrite: whether results may replace what is there.

  Returns:
    A sentence for each failure.
  """
  failures = []
  record = Record(restorer.weights, tile=tile, fit=fit)
  with _progress(tasks) as progress:
    for task in tasks:
      try:
        record.check(task.output)
        progress.write(
            _restore_task(restorer, task, overwrite, tile=tile, fit=fit))
        record.add(task.output, task.views)
        if show:
          progress.write(_write_panels(restorer, task, fit))
      except _FAILURES as error:
        failures.append(_describe(task, error))
      progress.update()
  return failures


def _restore_task(restorer, task, overwrite, **options) -> str:
  started = time.perf_counter()
  _check_output(task, overwrite)
  views = {name: pictures.read(path) for name, path in task.views.items()}
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always', ViewOrderWarning)
    restored = restorer.restore(**_name_views(views), **options)
  first = next(iter(views.values()))
  task.output.parent.mkdir(parents=True, exist_ok=True)
  pictures.write(task.output, first, restored)
  height, width = restored.shape[:2]
  seconds = time.perf_counter() - started
  lines = [f'{task.name} -> {task.output} '
           f'({width} x {height} px, fit by {options["fit"]}, '
           f'{seconds:.1f} s)']
  notes = [*first.notes, *(str(warning.message) for warning in caught)]
  return '\n'.join([*lines, *(f'  note: {note}' for note in notes)])


def _name_views(views) -> dict[str, np.ndarray]:
  """Names the pixels of views as the arguments of `Restorer.restore`."""
  return {'picture' if name == 'center' else name: picture.pixels
          for name, picture in views.items()}


def _write_panels(restorer: Restorer, task: Task, fit: str) -> str:
  """Writes NAME_PANEL.png beside the result; replaces older ones."""
  views = {name: pictures.read(path) for name, path in task.views.items()}
  panels = inside.draw_panels(
      *restorer.inspect(**_name_views(views), fit=fit))
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
    raise ImageFileError(
        f'{task.output} is the picture itself: name another --output folder.')
  if not overwrite:
    raise ImageFileError(
        f'{task.output} exists already: add --overwrite to replace it.')


def _describe(task: Task, error: Exception) -> str:
  if isinstance(error, ImageFileError):
    return str(error)  # It names its file.
  if isinstance(error, MemoryError) or 'RESOURCE_EXHAUSTED' in str(error):
    return (f'{task.name} does not fit the memory: restore it in smaller '
            'tiles with --config.restore.tile.')
  return f'{task.name} cannot be restored: {error}'


@contextlib.contextmanager
def _progress(tasks: list[Task]) -> Iterator[tqdm.tqdm]:
  bar = tqdm.tqdm(
      total=len(tasks), unit='picture', disable=len(tasks) < 2,
      dynamic_ncols=True)
  with bar:
    yield bar
