"""WebP: its chunks, and how libvips reads and writes it."""

from collections.abc import Iterator
import struct
from typing import Any

from jaxdeblur.pictures import tiff_tags
from jaxdeblur.pictures.errors import animation, damaged
from jaxdeblur.pictures.jpeg import QUALITY
from jaxdeblur.pictures.metadata import (
  EXIF_PREFIX,
  Header,
  Metadata,
  upright_xmp,
)

LOAD = {}

_KEPT = {b'ICCP': 0x20, b'EXIF': 0x08, b'XMP ': 0x04}  # Flags of VP8X.
_ALPHA = 0x10


def list_levels(data: bytes) -> tuple[str, ...]:
  """The levels of complaints at which libvips gives up."""
  del data
  return ('error',)


def list_save_options(bits: int, compression: str) -> dict[str, Any]:
  """Options for writing: lossless stays lossless, colours under alpha stay."""
  del bits
  return dict(
      Q=QUALITY, smart_subsample=True, exact=True,
      lossless=compression == 'lossless')


def _chunks(data: tiff_tags.Encoded) -> Iterator[tuple[bytes, bytes]]:
  end = 8 + struct.unpack_from('<I', data, 4)[0]
  at = 12
  while at < end:
    name, size = struct.unpack_from('<4sI', data, at)
    payload = data[at + 8:at + 8 + size]
    if len(payload) < size:
      raise damaged(f'its chunk {name!r} runs past the end')
    yield name, payload
    at += 8 + size + size % 2


def _read_size(chunks: dict[bytes, bytes]) -> tuple[int, int, bool]:
  """Reads height, width, and whether there is alpha."""
  extended = chunks.get(b'VP8X')
  if extended is not None:
    width, height = (1 + int.from_bytes(extended[at:at + 3], 'little')
                     for at in (4, 7))
    return height, width, bool(extended[0] & _ALPHA)
  if b'VP8L' in chunks:
    bits, = struct.unpack_from('<I', chunks[b'VP8L'], 1)
    return (1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF),
            bool(bits >> 28 & 1))
  if b'VP8 ' not in chunks:
    raise damaged('it holds no pixels')
  width, height = struct.unpack_from('<HH', chunks[b'VP8 '], 6)
  return height & 0x3FFF, width & 0x3FFF, False


def read_header(data: tiff_tags.Encoded) -> Header:
  """Reads size and orientation."""
  chunks = dict(_chunks(data))
  if b'ANIM' in chunks:
    raise animation()
  height, width, _ = _read_size(chunks)
  # Some programs write a header before it that belongs to JPEG.
  exif = chunks.get(b'EXIF', b'').removeprefix(EXIF_PREFIX)
  return Header(height, width, tiff_tags.read_orientation(exif))


def read_metadata(data: bytes) -> Metadata:
  """Reads the metadata to keep."""
  blocks, orientation, compression = [], 1, 'lossy'
  for name, payload in _chunks(data):
    if name == b'ANIM':
      raise animation()
    if name == b'VP8L':
      compression = 'lossless'
    elif name == b'EXIF':
      orientation, payload = tiff_tags.upright(
          payload.removeprefix(EXIF_PREFIX))  # As in `read_header`.
    elif name == b'XMP ':
      payload = upright_xmp(payload)
    if name in _KEPT:
      blocks.append((name, payload))
  return Metadata(orientation, tuple(blocks), compression)


def insert_metadata(encoded: bytes, blocks) -> bytes:
  """Inserts chunks in the order of the format: profile, pixels, others."""
  chunks = dict(_chunks(encoded))
  height, width, alpha = _read_size(chunks)
  chunks.pop(b'VP8X', None)
  flags = _ALPHA * alpha
  for name, _ in blocks:
    flags |= _KEPT[name]
  size = (width - 1).to_bytes(3, 'little') + (height - 1).to_bytes(3, 'little')
  ordered = [(b'VP8X', bytes((flags, 0, 0, 0)) + size)]
  ordered += [block for block in blocks if block[0] == b'ICCP']
  ordered += [(n, p) for n, p in chunks.items() if n not in _KEPT]
  ordered += [block for block in blocks if block[0] != b'ICCP']
  body = b'WEBP' + b''.join(
      struct.pack('<4sI', name, len(payload)) + payload
      + bytes(len(payload) % 2) for name, payload in ordered)
  return b'RIFF' + struct.pack('<I', len(body)) + body
