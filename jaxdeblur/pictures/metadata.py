"""What a picture file says beside its pixels, whatever its format.

libvips, which decodes and encodes the pixels, loses a TIFF's EXIF, a PNG's
gamma and every maker note (seen in 8.18). So the metadata goes from the old
file to the new one here, block by block, as bytes. What describes the old
pixels or shows them does not go along: orientation becomes 1, and thumbnails
(in EXIF, JFIF, XMP and Photoshop's block) are dropped.

The blocks of a `Metadata` are in the terms of its file format: pairs of a
chunk's name and its bytes (PNG, WebP), of a marker and its bytes (JPEG), or
`tiff_tags.Tag` (TIFF).
"""

import dataclasses
import re
import struct

from jaxdeblur.pictures import tiff_tags

EXIF_PREFIX = b'Exif\0\0'  # Of EXIF in JPEG, and sometimes in WebP.
_PHOTOSHOP_SIGNATURES = (b'8BIM', b'MeSa', b'AgHg', b'PHUT', b'DCSR')
_PHOTOSHOP_THUMBNAILS = (1033, 1036)

Block = tuple[bytes, bytes] | tuple[int, bytes] | tiff_tags.Tag


@dataclasses.dataclass(frozen=True)
class Header:
  """What is known of a picture before its pixels are decoded.

  Attributes:
    height: of the stored pixels, not turned upright.
    width: alike.
    orientation: of the stored pixels, 1 to 8 as EXIF counts.
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
    orientation: of the stored pixels, 1 to 8 as EXIF counts.
    blocks: what is kept, upright, in the terms of the file format.
    compression: how TIFF stores ('none', 'lzw', 'deflate', 'packbits'), and
      'lossless' or 'lossy' of WebP; '' elsewhere.
    notes: what is lost, each a sentence without its subject.
  """
  orientation: int = 1
  blocks: tuple[Block, ...] = ()
  compression: str = ''
  notes: tuple[str, ...] = ()


def upright_xmp(xmp: bytes) -> bytes:
  """States orientation 1 and drops thumbnails."""
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
      return resources  # Not as Adobe specifies it: left as it is.
    if number not in _PHOTOSHOP_THUMBNAILS:
      kept += resources[at:end]
    at = end
  return kept
