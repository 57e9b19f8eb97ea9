"""Converts weights of other programs to ours.

  from jaxdeblur.convert import torch_NETWORK
  variables = torch_NETWORK.convert(state_dict)

NETWORK is the name of any registered network that declares the names of its
published weights; see `published.PublishedWeights`.
"""

from typing import Any

_PREFIX = 'torch_'


def __getattr__(name: str) -> Any:
  if not name.startswith(_PREFIX):
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  # Imported here, since reading a file of weights needs no network.
  from jaxdeblur.convert.published import PublishedWeights
  from jaxdeblur.errors import UserError
  try:
    return PublishedWeights(name.removeprefix(_PREFIX))
  except UserError as error:
    raise AttributeError(str(error)) from error
