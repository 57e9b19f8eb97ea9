"""JPEG: its segments, and how libvips reads and writes it."""

from collections.abc import Iterator
import struct
from typing import Any

from jaxdeblur.pictures import tiff_tags
from jaxdeblur.pictures.errors import damaged
from jaxdeblur.pictures.metadata import (
  EXIF_PREFIX,
  Header,
  Metadata,
  upright_photoshop,
  upright_xmp,
)

QUALITY = 95  # Of written files; WebP uses it too.
LOAD = {'unlimited': True}  # The limits guard servers.

_JFIF, _APP1, _APP2, _APP13, _COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xFE
_START_OF_SCAN = 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PLAIN_JFIF = b'JFIF\0\1\1\0\0\1\0\1\0\0'  # 1.1, square pixels, no resolution.
_XMP = b'http://ns.adobe.com/xap/1.0/\0'
_EXTENDED_XMP = b'http://ns.adobe.com/xmp/extension/\0'
_ICC = b'ICC_PROFILE\0'
_PHOTOSHOP = b'Photoshop 3.0\0'
# Segments that are copied unread; others hold previews or describe them.
_KEPT = {_APP1: _EXTENDED_XMP, _APP2: _ICC}
# Marks in XMP of the parts behind the picture, which are not copied.
_LOSSES = {
    b'hdrgm:': 'loses its HDR gain map, which belongs to the old pixels.',
    b'GCamera:MotionPhoto': 'loses the video of its motion photo.'}
_SEGMENT_BYTES = 65_000  # At most 65,533, less room for every header above.


def list_levels(data: bytes) -> tuple[str, ...]:
  """The levels of complaints at which libvips gives up, tried in turn.

  libjpeg also warns of whole files from cameras, so a warning counts only if it
  is about damage.
  """
  del data
  return ('warning', 'truncated')


def list_save_options(bits: int, compression: str) -> dict[str, Any]:
  """Options for writing in high quality without chroma subsampling."""
  del bits, compression
  return dict(Q=QUALITY, subsample_mode='off', optimize_coding=True)


def is_damage(message: str) -> bool:
  """Whether a warning of libjpeg is about damage."""
  return 'Corrupt JPEG' in message


def _segments(data: tiff_tags.Encoded) -> Iterator[tuple[int, bytes]]:
  """Yields the segments before the pixels."""
  at = 2
  while True:
    mark, marker = data[at], data[at + 1]
    if mark != 0xFF:
      raise damaged(f'no JPEG segment begins at byte {at}')
    if marker == 0xFF:  # Padding.
      at += 1
      continue
    if marker == _START_OF_SCAN:
      return
    size, = struct.unpack_from('>H', data, at + 2)
    yield marker, data[at + 4:at + 2 + size]
    at += 2 + size


def read_header(data: tiff_tags.Encoded) -> Header:
  """Reads size and orientation."""
  size, orientations = None, []
  for marker, payload in _segments(data):
    if marker in _FRAMES and size is None:
      size = struct.unpack_from('>HH', payload, 1)
    elif marker == _APP1 and payload.startswith(EXIF_PREFIX):
      orientations.append(
          tiff_tags.read_orientation(payload[len(EXIF_PREFIX):]))
  if size is None:
    raise damaged('it states no size')
  return Header(*size, next(iter(orientations), 1))


def read_metadata(data: bytes) -> Metadata:
  """Reads the metadata to keep."""
  blocks, orientations, photoshop, notes = [], [], b'', ()
  for marker, payload in _segments(data):
    if marker == _JFIF and payload.startswith(b'JFIF\0'):
      blocks.append((marker, payload[:12] + b'\0\0'))  # No thumbnail.
    elif marker == _APP1 and payload.startswith(EXIF_PREFIX):
      orientation, exif = tiff_tags.upright(payload[len(EXIF_PREFIX):])
      orientations.append(orientation)
      blocks.append((marker, EXIF_PREFIX + exif))
    elif marker == _APP1 and payload.startswith(_XMP):
      blocks.append((marker, upright_xmp(payload)))
      notes = tuple(
          note for mark, note in _LOSSES.items() if mark in payload)
    elif marker == _APP13 and payload.startswith(_PHOTOSHOP):
      photoshop += payload[len(_PHOTOSHOP):]
    elif marker == _COMMENT or payload.startswith(_KEPT.get(marker, ())):
      blocks.append((marker, payload))
  blocks += [(_APP13, _PHOTOSHOP + part)
             for part in _parts(upright_photoshop(photoshop))]
  return Metadata(next(iter(orientations), 1), tuple(blocks), notes=notes)


def insert_metadata(encoded: bytes, blocks) -> bytes:
  """Replaces libvips' JFIF segment, with its arbitrary resolution."""
  if not any(marker in (_JFIF, _APP1) for marker, _ in blocks):
    blocks = ((_JFIF, _PLAIN_JFIF), *blocks)
  rest = 2
  if encoded[3] == _JFIF:
    rest += 2 + struct.unpack_from('>H', encoded, 4)[0]
  return encoded[:2] + b''.join(
      struct.pack('>BBH', 0xFF, marker, 2 + len(payload)) + payload
      for marker, payload in blocks) + encoded[rest:]


def with_profile(blocks, profile: bytes) -> tuple[tuple[int, bytes], ...]:
  """Replaces the ICC profile."""
  parts = _parts(profile)
  return (*(b for b in blocks if not b[1].startswith(_ICC)), *(
      (_APP2, _ICC + bytes((number, len(parts))) + part)
      for number, part in enumerate(parts, 1)))


def _parts(data: bytes) -> list[bytes]:
  """Cuts data that is too long for one segment."""
  return [data[at:at + _SEGMENT_BYTES]
          for at in range(0, len(data), _SEGMENT_BYTES)]
