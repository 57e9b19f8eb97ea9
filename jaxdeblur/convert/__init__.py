"""Weights of other programs, as ours.

  from jaxdeblur.convert import torch_NETWORK
  variables = torch_NETWORK.convert(state_dict)

where NETWORK is the name of any registered network whose published weights are
known; see `published.PublishedWeights`.
"""

from typing import Any

_PREFIX = 'torch_'


def __getattr__(name: str) -> Any:
  if not name.startswith(_PREFIX):
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  # Imported here: to read a file of weights needs no network.
  from jaxdeblur.convert.published import PublishedWeights
  from jaxdeblur.errors import UserError
  try:
    return PublishedWeights(name.removeprefix(_PREFIX))
  except UserError as error:
    raise AttributeError(str(error)) from error
