"""A file beside restored pictures that records how each was made."""

from collections.abc import Mapping
import json
import pathlib

import jaxdeblur
from jaxdeblur.checkpoints import Weights
from jaxdeblur.errors import UserError
from jaxdeblur.models.network import COMPUTE_FIELDS
from jaxdeblur.pictures import write_whole
from jaxdeblur.restoration.options import RestoreOptions

NAME = 'restored.json'


class Record:
  """Keeps FOLDER/restored.json up to date with the results in FOLDER.

  For each result it records the names of the input files, the network, the
  digest of its weights, how it computed, all options, and the version of this
  package.
  """

  def __init__(self, weights: Weights, options: RestoreOptions):
    """Takes the weights and options that all results have in common."""
    self._common = {
        'network': dict(weights.settings),
        'checkpoint': weights.digest(),
        'compute': {
            name: str(getattr(weights.model, name))
            for name in COMPUTE_FIELDS if hasattr(weights.model, name)},
        **options.to_json(),
        'jaxdeblur': jaxdeblur.__version__,
    }

  def check(self, output: pathlib.Path) -> None:
    """Raises a UserError if a result could not be recorded; see `add`."""
    _read(output.with_name(NAME))

  def add(
      self, output: pathlib.Path, views: Mapping[str, pathlib.Path]
  ) -> None:
    """Records a result; other results' entries stay as they are.

    Args:
      output: the result's file.
      views: its input files by view.

    Raises:
      UserError: restored.json exists, but holds something else.
    """
    path = output.with_name(NAME)
    entries = _read(path) | {output.name: {
        'views': {view: file.name for view, file in views.items()},
        **self._common}}
    text = json.dumps(entries, indent=2, ensure_ascii=False)
    write_whole(path, (text + '\n').encode())


def _read(path: pathlib.Path) -> dict:
  if not path.exists():
    return {}
  try:
    entries = json.loads(path.read_text(encoding='utf-8'))
  except ValueError:  # Neither JSON nor UTF-8.
    entries = None
  if not isinstance(entries, dict):
    raise UserError(
        f'{path} is no record of restored pictures: move it elsewhere, or name '
        'another folder for the results.', argument='output')
  return entries
