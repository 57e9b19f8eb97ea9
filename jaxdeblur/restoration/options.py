"""Options for restoring, in one object that is passed and recorded whole."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from jaxdeblur.errors import UserError
from jaxdeblur.suggestion import choose_one

FITS = ('pad', 'resize')


@dataclasses.dataclass(frozen=True)
class RestoreOptions:
  """Choices for restoring a picture.

  Attributes:
    tile: side of the tiles to restore in, px; None and 0 restore the picture
      whole. Each tile is restored with the network's receptive field around it.
      This bounds the memory, and the result differs only by rounding. One
      compilation serves all pictures larger than a tile with its surroundings.
      Networks that see all of a picture at once differ a little; see their
      documents.
    halo: width of the surroundings that a tile is restored with, px, instead of
      the network's own choice; narrower ones leave seams.
    fit: how a picture gets a size that the network takes. 'pad' extends it by
      reflection and cuts the result back, so no pixel is resampled. 'resize'
      enlarges it and shrinks the result back, bicubically, as the authors of
      K3DN evaluate (Yang et al. 2023, supplement C): integers stay integers
      while they are enlarged, and the result is clipped after it is shrunk.
  """
  tile: int | None = None
  halo: int | None = None
  fit: str = 'pad'

  def __post_init__(self):
    """Raises a UserError for impossible values."""
    if self.tile is not None and self.tile < 0:
      raise UserError(
          f'Tiles of {self.tile} px cannot be restored: give a number of '
          'pixels, or 0 to restore pictures whole.', argument='tile')
    if not self.tile:
      object.__setattr__(self, 'tile', None)
    if self.halo is not None and self.halo < 0:
      raise UserError(
          f'A halo of {self.halo} px is impossible: give 0 or more pixels, or '
          "None for the network's own.", argument='halo')
    if self.fit not in FITS:
      raise UserError(
          f'fit is {self.fit!r}: {choose_one(self.fit, FITS)}', argument='fit')

  @classmethod
  def from_config(cls, section: Mapping[str, Any]) -> 'RestoreOptions':
    """Takes the options that `config.restore` has, all of them by name."""
    return cls(**{field.name: section[field.name]
                  for field in dataclasses.fields(cls)
                  if field.name in section})

  def to_json(self) -> dict[str, Any]:
    """All options, for a record."""
    return dataclasses.asdict(self)
