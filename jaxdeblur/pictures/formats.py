"""The formats that can be read and written: a row and a module for each.

A module has these names:
  * read_header(data) -> Header. Raises an ImageFileError for unsupported kinds;
    may raise struct.error or IndexError for damaged files.
  * read_metadata(data) -> Metadata. Raises the same errors.
  * insert_metadata(encoded, blocks): puts blocks into a file without any.
  * LOAD: libvips' options for reading.
  * list_levels(data): libvips' levels of `fail_on`, tried in turn.
  * list_save_options(bits, compression): libvips' options for writing.
And, where the format needs them:
  * with_profile(blocks, profile): replaces the ICC profile, for CMYK.
  * decode_plain(data): decodes plainly stored files without libvips; returns
    None for others.
  * prepare(data): changes bytes before libvips reads them.
  * is_damage(message): whether a level's complaint is about damage. Without
    this function, only complaints of the last level are.
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
    name: its name in libvips.
    suffixes: the suffixes of its files, lower case; the usual one first.
    signature: a pattern of the bytes that its files begin with.
    module: the module for this format, see above.
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
  """Finds the format of a file by its first bytes; None if unsupported."""
  return next((row for row in FORMATS.values()
               if re.match(row.signature, data, re.DOTALL)), None)
