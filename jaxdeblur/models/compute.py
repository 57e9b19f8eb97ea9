"""How a network computes, apart from what it computes."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import ml_collections

from jaxdeblur.errors import UserError
from jaxdeblur.models import registry
from jaxdeblur.models.network import Network
from jaxdeblur.ops.dynamic_conv import METHODS
from jaxdeblur.suggestion import choose_one


@dataclasses.dataclass(frozen=True)
class Compute:
  """Options that change speed, memory and rounding, but no parameter.

  They are the section `config.compute`, the same in every job. Checkpoints do
  not store them: weights trained in bfloat16 can restore in float32.

  Attributes:
    dtype: number type of the convolutions, 'float32' or 'bfloat16'.
    remat: whether features are computed again for the gradients instead of
      kept, which saves memory.
    dynamic_conv_method: how kernels are applied; see `ops.dynamic_conv`.
  """
  dtype: str = 'float32'
  remat: bool = False
  dynamic_conv_method: str = 'auto'

  def __post_init__(self):
    """Raises a UserError for an unknown type or method."""
    registry.read_dtype(self.dtype)
    if self.dynamic_conv_method not in METHODS:
      raise UserError(
          f'dynamic_conv_method is {self.dynamic_conv_method!r}: '
          f'{choose_one(self.dynamic_conv_method, METHODS)}',
          argument='dynamic_conv_method')

  def create(self, settings: Mapping[str, Any]) -> Network:
    """Creates a network with these options.

    Args:
      settings: the network's name and settings, as for `registry.create`.

    Raises:
      UserError: there is no such network or setting, or the network lacks one
        of these options.
    """
    fields = registry.list_fields(registry.get(settings['name']))
    options = {}
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if field.name in fields:
        options[field.name] = value
      elif value != field.default:
        raise UserError(
            f'The network {settings["name"]!r} has no {field.name}, but it '
            f'is set to {value!r}: leave it {field.default!r}.',
            argument=field.name)
    return registry.create(**{**settings, **options})


DEFAULT = Compute()


def create_as_configured(config: ml_collections.ConfigDict) -> Network:
  """Creates the network of `config.model`, computing as in `config.compute`.

  Raises:
    UserError: as from `Compute` and its `create`.
  """
  return Compute(**config.compute).create(config.model.to_dict())
