"""PNG: its chunks, and how libvips reads and writes it."""

from collections.abc import Iterator
import struct
from typing import Any
import zlib

from jaxdeblur.pictures import tiff_tags
from jaxdeblur.pictures.errors import animation, damaged
from jaxdeblur.pictures.metadata import Header, Metadata, upright_xmp

LOAD = {'unlimited': True}  # The limits guard servers.

_SIGNATURE = b'\x89PNG\r\n\x1a\n'
# Colour, resolution, texts, dates. Other chunks describe the old samples
# (palette, background, histogram) or sign them (content credentials).
_KEPT = frozenset((
    b'cHRM', b'gAMA', b'iCCP', b'sRGB', b'cICP', b'mDCV', b'cLLI', b'pHYs',
    b'oFFs', b'sCAL', b'sTER', b'tEXt', b'zTXt', b'iTXt', b'eXIf', b'tIME'))
_XMP = b'XML:com.adobe.xmp\0'


def list_levels(data: bytes) -> tuple[str, ...]:
  """The levels of complaints at which libvips gives up."""
  del data
  return ('error',)


def list_save_options(bits: int, compression: str) -> dict[str, Any]:
  """Options for writing without loss, in the given bit depth."""
  del compression
  return dict(filter='paeth', bitdepth=bits)


def _places(data: tiff_tags.Encoded) -> Iterator[tuple[bytes, int, int]]:
  """Yields each chunk's name and where its bytes begin and end."""
  at, name = len(_SIGNATURE), b''
  while name != b'IEND':
    size, name = struct.unpack_from('>I4s', data, at)
    if at + 12 + size > len(data):
      raise damaged(f'its chunk {name!r} runs past the end')
    yield name, at + 8, at + 8 + size
    at += 12 + size


def _chunks(data: tiff_tags.Encoded) -> Iterator[tuple[bytes, bytes]]:
  for name, begin, end in _places(data):
    payload = data[begin:end]
    checksum, = struct.unpack_from('>I', data, end)
    if checksum != zlib.crc32(payload, zlib.crc32(name)):
      raise damaged(f'the checksum of its chunk {name!r} is wrong')
    yield name, payload


def read_header(data: tiff_tags.Encoded) -> Header:
  """Reads size and orientation, which may follow the pixels.

  The checksums of the pixels are left to the decoder, which checks them anyway.
  """
  orientation = 1
  for name, begin, end in _places(data):
    if name == b'acTL':
      raise animation()
    if name == b'eXIf':
      orientation = tiff_tags.read_orientation(data[begin:end])
  width, height = struct.unpack_from('>II', data, len(_SIGNATURE) + 8)
  return Header(height, width, orientation)


def read_metadata(data: bytes) -> Metadata:
  """Reads the metadata to keep, and checks all checksums."""
  blocks, orientation = [], 1
  for name, payload in _chunks(data):
    if name == b'acTL':
      raise animation()
    if name == b'eXIf':
      orientation, payload = tiff_tags.upright(payload)
    elif name == b'iTXt' and payload.startswith(_XMP):
      payload = upright_xmp(payload)
    if name in _KEPT:
      blocks.append((name, payload))
  return Metadata(orientation, tuple(blocks))


def insert_metadata(encoded: bytes, blocks) -> bytes:
  """Replaces all chunks that libvips wrote, except those of the pixels."""
  header, *others = _chunks(encoded)
  pixels = [c for c in others if c[0] in (b'IDAT', b'IEND')]
  return _SIGNATURE + b''.join(
      struct.pack('>I', len(payload)) + name + payload
      + struct.pack('>I', zlib.crc32(payload, zlib.crc32(name)))
      for name, payload in (header, *blocks, *pixels))
