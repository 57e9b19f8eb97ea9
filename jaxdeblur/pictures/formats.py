"""The formats that are read and written: a row and a module for each.

A module has these names:
  * read_header(data) -> Header. Raises an ImageFileError for kinds that are
    not read; may raise struct.error or IndexError for damaged files.
  * read_metadata(data) -> Metadata, alike.
  * insert_metadata(encoded, blocks): puts blocks into a file without any.
  * LOAD: libvips' options for reading.
  * list_levels(data): libvips' levels of `fail_on`, tried in turn.
  * list_save_options(bits, compression): libvips' options for writing.
And, where the format needs them:
  * with_profile(blocks, profile): exchanges the ICC profile; knows CMYK.
  * decode_plain(data): decodes without libvips what is stored plainly, or
    returns None.
  * prepare(data): changes bytes before libvips reads them.
  * is_damage(message): whether a level's complaint is about damage; without
    it, one of the last level always is and others never are.
"""

import dataclasses
import re
import types

from jaxdeblur.pictures import jpeg, png, tiff, webp
from jaxdeblur.pictures.tiff_tags import Encoded


@dataclasses.dataclass(frozen=True)
class Format:
  """A format of picture files.

  Attributes:
    name: as libvips calls it.
    suffixes: what its files' names end in, lower case; the usual one first.
    signature: a pattern of the bytes that its files begin with.
    module: what is particular to it, see above.
  """
  name: str
  suffixes: tuple[str, ...]
  signature: bytes
  module: types.ModuleType


FORMATS = {row.name: row for row in (
    Format('png', ('.png',), rb'\x89PNG\r\n\x1a\n', png),
    Format('jpeg', ('.jpg', '.jpeg'), rb'\xff\xd8\xff', jpeg),
    Format('tiff', ('.tif', '.tiff'), rb'II[*+]\0|MM\0[*+]', tiff),
    Format('webp', ('.webp',), rb'RIFF....WEBP', webp))}
BY_SUFFIX = {suffix: row for row in FORMATS.values() for suffix in row.suffixes}
SUFFIXES = tuple(BY_SUFFIX)


def recognise(data: Encoded) -> Format | None:
  """Finds the format of a file by how it begins; None if it is not read."""
  return next((row for row in FORMATS.values()
               if re.match(row.signature, data, re.DOTALL)), None)
