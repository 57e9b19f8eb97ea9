"""How a network computes: what is set apart from what it is."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from jaxdeblur.errors import UserError
from jaxdeblur.models import registry
from jaxdeblur.models.network import Network
from jaxdeblur.ops.dynamic_conv import METHODS
from jaxdeblur.suggestion import choose_one


@dataclasses.dataclass(frozen=True)
class Compute:
  """Options that change speed, memory and rounding, but no parameter.

  They are `config.compute`, the same in every job. No checkpoint stores them:
  weights trained in bfloat16 restore in float32.

  Attributes:
    dtype: of the convolutions, 'float32' or 'bfloat16'.
    remat: whether gradients compute features anew, for less memory.
    dynamic_conv_method: see `ops.dynamic_conv`.
  """
  dtype: str = 'float32'
  remat: bool = False
  dynamic_conv_method: str = 'auto'

  def __post_init__(self):
    """Raises a UserError for a type or a method that does not exist."""
    registry.read_dtype(self.dtype)
    if self.dynamic_conv_method not in METHODS:
      raise UserError(
          f'dynamic_conv_method is {self.dynamic_conv_method!r}: '
          f'{choose_one(self.dynamic_conv_method, METHODS)}',
          argument='dynamic_conv_method')

  def create(self, settings: Mapping[str, Any]) -> Network:
    """Creates a network that computes like this.

    Args:
      settings: what `registry.create` takes: the network's name and settings.

    Raises:
      UserError: there is no such network or setting, or the network cannot
        compute like this.
    """
    fields = registry.list_fields(registry.get(settings['name']))
    options = {}
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if field.name in fields:
        options[field.name] = value
      elif value != field.default:
        raise UserError(
            f'The network {settings["name"]!r} has no {field.name}, which is '
            f'{value!r}: leave it {field.default!r}.', argument=field.name)
    return registry.create(**{**settings, **options})


DEFAULT = Compute()
