"""The metadata of picture files, for all formats.

libvips, which decodes and encodes the pixels, loses a TIFF's EXIF, a PNG's
gamma and every maker note (seen in 8.18). So the metadata is copied here from
the old file to the new one, block by block, as bytes. Metadata that describes
or shows the old pixels is not copied: orientation becomes 1, and thumbnails (in
EXIF, JFIF, XMP and Photoshop's block) are dropped.

The blocks of a `Metadata` depend on the file format: pairs of a chunk's name
and its bytes (PNG, WebP), pairs of a marker and its bytes (JPEG), or
`tiff_tags.Tag` (TIFF).
"""

import dataclasses
import re
import struct

from jaxdeblur.pictures import tiff_tags

EXIF_PREFIX = b'Exif\0\0'  # Precedes EXIF in JPEG, and sometimes in WebP.
_PHOTOSHOP_SIGNATURES = (b'8BIM', b'MeSa', b'AgHg', b'PHUT', b'DCSR')
_PHOTOSHOP_THUMBNAILS = (1033, 1036)

Block = tuple[bytes, bytes] | tuple[int, bytes] | tiff_tags.Tag


@dataclasses.dataclass(frozen=True)
class Header:
  """Facts about a picture that are known before its pixels are decoded.

  Attributes:
    height: height of the stored pixels, not turned upright.
    width: width of the stored pixels.
    orientation: orientation of the stored pixels, 1 to 8 as in EXIF.
  """
  height: int
  width: int
  orientation: int = 1

  @property
  def upright_size(self) -> tuple[int, int]:
    """Height and width of the upright picture."""
    size = self.height, self.width
    return size[::-1] if self.orientation >= 5 else size


@dataclasses.dataclass(frozen=True)
class Metadata:
  """A file's metadata, ready for the restored file.

  Attributes:
    orientation: orientation of the stored pixels, 1 to 8 as in EXIF.
    blocks: the blocks to keep, for the upright picture, in the form of the file
      format.
    compression: 'none', 'lzw', 'deflate' or 'packbits' for TIFF, 'lossless' or
      'lossy' for WebP, '' for others.
    notes: the losses, each a sentence without its subject.
  """
  orientation: int = 1
  blocks: tuple[Block, ...] = ()
  compression: str = ''
  notes: tuple[str, ...] = ()


def upright_xmp(xmp: bytes) -> bytes:
  """Sets orientation 1 and drops thumbnails."""
  xmp = re.sub(
      rb'(\btiff:Orientation\s*(?:=\s*["\']|>)\s*)[2-8]', rb'\g<1>1', xmp)
  return re.sub(rb'(?s)<(\w+:Thumbnails)\b[^>]*>.*?</\1\s*>', b'', xmp)


def upright_photoshop(resources: bytes) -> bytes:
  """Drops the thumbnails of Photoshop's image resources."""
  kept, at = b'', 0
  while at < len(resources):
    signature, number, name = struct.unpack_from(
        '>4sHB', resources.ljust(at + 7, b'\0'), at)
    begin = at + 6 + (name + 2) // 2 * 2 + 4  # Name and data: padded to even.
    size, = struct.unpack_from('>I', resources.ljust(begin, b'\0'), begin - 4)
    end = begin + size + size % 2
    if signature not in _PHOTOSHOP_SIGNATURES or end > len(resources) + 1:
      return resources  # Not as Adobe specifies: left unchanged.
    if number not in _PHOTOSHOP_THUMBNAILS:
      kept += resources[at:end]
    at = end
  return kept
