"""What a picture file says beside its pixels: read, made upright, put back.

libvips, which decodes and encodes the pixels, loses a TIFF's EXIF, a PNG's
gamma and every maker note (seen in 8.18). So the metadata goes from the old
file to the new one here, block by block, as bytes. What describes the old
pixels or shows them does not go along: orientation becomes 1, and thumbnails
(in EXIF, JFIF, XMP and Photoshop's block) are dropped.

The blocks of a `Metadata` are in the terms of its file format: pairs of a
chunk's name and its bytes (PNG, WebP), of a marker and its bytes (JPEG), or
`tiff_tags.Tag` (TIFF).
"""

from collections.abc import Iterator
import dataclasses
import re
import struct
import zlib

from jaxdeblur.restoration import tiff_tags

_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
# Colour, resolution, texts, dates. What else there is describes the old
# samples (palette, background, histogram) or signs them (content credentials).
_PNG_KEPT = frozenset((
    b'cHRM', b'gAMA', b'iCCP', b'sRGB', b'cICP', b'mDCV', b'cLLI', b'pHYs',
    b'oFFs', b'sCAL', b'sTER', b'tEXt', b'zTXt', b'iTXt', b'eXIf', b'tIME'))
_PNG_XMP = b'XML:com.adobe.xmp\0'

_JFIF, _APP1, _APP2, _APP13, _COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xFE
_START_OF_SCAN = 0xDA
_PLAIN_JFIF = b'JFIF\0\1\1\0\0\1\0\1\0\0'  # 1.1, square pixels, no resolution.
_EXIF = b'Exif\0\0'
_XMP = b'http://ns.adobe.com/xap/1.0/\0'
_EXTENDED_XMP = b'http://ns.adobe.com/xmp/extension/\0'
_ICC = b'ICC_PROFILE\0'
_PHOTOSHOP = b'Photoshop 3.0\0'
# What goes along unread; other segments hold previews or describe them.
_JPEG_KEPT = {_APP1: _EXTENDED_XMP, _APP2: _ICC}
# What XMP says of the parts behind the picture, which do not go along.
_JPEG_LOSSES = {
    b'hdrgm:': 'loses its HDR gain map, which belongs to the old pixels.',
    b'GCamera:MotionPhoto': 'loses the video of its motion photo.'}
_PHOTOSHOP_SIGNATURES = (b'8BIM', b'MeSa', b'AgHg', b'PHUT', b'DCSR')
_PHOTOSHOP_THUMBNAILS = (1033, 1036)
_SEGMENT_BYTES = 65_000  # Of at most 65,533: room for every header above.

_WEBP_KEPT = {b'ICCP': 0x20, b'EXIF': 0x08, b'XMP ': 0x04}  # Flags of VP8X.
_WEBP_ALPHA = 0x10

# TIFF compression -> (libvips' name). Others are lossy, obsolete or not
# written by libvips' wheels: deflate takes their place.
_TIFF_COMPRESSIONS = {
    1: 'none', 5: 'lzw', 8: 'deflate', 32946: 'deflate', 32773: 'packbits'}
_TIFF_SAMPLES = {1: 'unsigned', 2: 'signed', 3: 'floating-point', 4: 'unsigned'}
_TIFF_JPEG, _TIFF_YCBCR = 7, 6
_TIFF_PHOTOMETRICS = (0, 1, 2, 3, 5)  # Grey, RGB, palette, CMYK.
_TIFF_LAYERS = 37724  # Photoshop's: they hold the picture as it was.
# Tags about samples and their place in the file: those of the old one. What
# its alpha means (338) holds for the new one too.
_TIFF_OF_PIXELS = frozenset((
    *range(254, 260), 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280,
    281, 284, *range(288, 294), 297, 317, *range(320, 329), 330, 332, 333, 334,
    336, 339, 340, 341, 342, 343, 346, 347, *range(512, 522),
    *range(529, 533), 559, 33421, 33422, _TIFF_LAYERS))
_TIFF_RESOLUTION = {282, 283, 296}
_TIFF_UPRIGHT = tiff_tags.Tag(tiff_tags.ORIENTATION, 3, 1, b'\1\0')

_Block = tuple[bytes, bytes] | tuple[int, bytes] | tiff_tags.Tag


class ImageFileError(ValueError):
  """A picture file that cannot be read or written, in one sentence.

  Raised in this module, it lacks the subject: `image_file` puts the file's
  name before it.
  """


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
  blocks: tuple[_Block, ...] = ()
  compression: str = ''
  notes: tuple[str, ...] = ()


def read(file_format: str, data: bytes) -> Metadata:
  """Reads the metadata of a file of the format 'png', 'jpeg', 'tiff', 'webp'.

  Raises:
    ImageFileError: the file is damaged, cut short, or holds what cannot be
      restored without loss (several pages, an animation, other samples than
      8 or 16 bits).
  """
  readers = {
      'png': _read_png, 'jpeg': _read_jpeg, 'tiff': _read_tiff,
      'webp': _read_webp}
  try:
    return readers[file_format](data)
  except (struct.error, IndexError) as error:
    raise damaged('its parts lead past its end') from error


def insert(
    file_format: str, encoded: bytes, blocks: tuple[_Block, ...]
) -> bytes | bytearray:
  """Puts metadata into a file that libvips encoded without any."""
  writers = {
      'png': _insert_png, 'jpeg': _insert_jpeg, 'tiff': _insert_tiff,
      'webp': _insert_webp}
  return writers[file_format](encoded, blocks)


def with_profile(
    file_format: str, blocks: tuple[_Block, ...], profile: bytes
) -> tuple[_Block, ...]:
  """Exchanges the ICC profile; of the two formats that know CMYK."""
  if file_format == 'tiff':
    return (*(b for b in blocks if b.number != tiff_tags.ICC_PROFILE),
            tiff_tags.Tag(tiff_tags.ICC_PROFILE, 7, len(profile), profile))
  parts = _parts(profile)
  return (*(b for b in blocks if not b[1].startswith(_ICC)), *(
      (_APP2, _ICC + bytes((number, len(parts))) + part)
      for number, part in enumerate(parts, 1)))


def damaged(detail: str) -> ImageFileError:
  """The error of a file that is not whole."""
  return ImageFileError(
      f'is damaged or cut short ({detail}): copy it anew from the camera or '
      'a backup.')


def _upright_xmp(xmp: bytes) -> bytes:
  """States orientation 1 and drops thumbnails."""
  xmp = re.sub(
      rb'(\btiff:Orientation\s*(?:=\s*["\']|>)\s*)[2-8]', rb'\g<1>1', xmp)
  return re.sub(rb'(?s)<(\w+:Thumbnails)\b[^>]*>.*?</\1\s*>', b'', xmp)


def _upright_photoshop(resources: bytes) -> bytes:
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


def _parts(data: bytes) -> list[bytes]:
  """Cuts what is too long for one JPEG segment."""
  return [data[at:at + _SEGMENT_BYTES]
          for at in range(0, len(data), _SEGMENT_BYTES)]


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
  at, name = len(_PNG_SIGNATURE), b''
  while name != b'IEND':
    size, name = struct.unpack_from('>I4s', data, at)
    payload = data[at + 8:at + 8 + size]
    checksum, = struct.unpack_from('>I', data, at + 8 + size)
    if checksum != zlib.crc32(payload, zlib.crc32(name)):
      raise damaged(f'the checksum of its chunk {name!r} is wrong')
    yield name, payload
    at += 12 + size


def _read_png(data: bytes) -> Metadata:
  blocks, orientation = [], 1
  for name, payload in _png_chunks(data):
    if name == b'acTL':
      raise _animation()
    if name == b'eXIf':
      orientation, payload = tiff_tags.upright(payload)
    elif name == b'iTXt' and payload.startswith(_PNG_XMP):
      payload = _upright_xmp(payload)
    if name in _PNG_KEPT:
      blocks.append((name, payload))
  return Metadata(orientation, tuple(blocks))


def _insert_png(encoded: bytes, blocks) -> bytes:
  """Of the chunks that libvips wrote, only those of the pixels stay."""
  header, *others = _png_chunks(encoded)
  pixels = [c for c in others if c[0] in (b'IDAT', b'IEND')]
  return _PNG_SIGNATURE + b''.join(
      struct.pack('>I', len(payload)) + name + payload
      + struct.pack('>I', zlib.crc32(payload, zlib.crc32(name)))
      for name, payload in (header, *blocks, *pixels))


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
  """The segments of a JPEG file before its pixels."""
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


def _read_jpeg(data: bytes) -> Metadata:
  blocks, orientations, photoshop, notes = [], [], b'', ()
  for marker, payload in _segments(data):
    if marker == _JFIF and payload.startswith(b'JFIF\0'):
      blocks.append((marker, payload[:12] + b'\0\0'))  # No thumbnail.
    elif marker == _APP1 and payload.startswith(_EXIF):
      orientation, exif = tiff_tags.upright(payload[len(_EXIF):])
      orientations.append(orientation)
      blocks.append((marker, _EXIF + exif))
    elif marker == _APP1 and payload.startswith(_XMP):
      blocks.append((marker, _upright_xmp(payload)))
      notes = tuple(
          note for mark, note in _JPEG_LOSSES.items() if mark in payload)
    elif marker == _APP13 and payload.startswith(_PHOTOSHOP):
      photoshop += payload[len(_PHOTOSHOP):]
    elif marker == _COMMENT or payload.startswith(_JPEG_KEPT.get(marker, ())):
      blocks.append((marker, payload))
  blocks += [(_APP13, _PHOTOSHOP + part)
             for part in _parts(_upright_photoshop(photoshop))]
  return Metadata(next(iter(orientations), 1), tuple(blocks), notes=notes)


def _insert_jpeg(encoded: bytes, blocks) -> bytes:
  """libvips' JFIF segment goes: it states a resolution nobody asked for."""
  if not any(marker in (_JFIF, _APP1) for marker, _ in blocks):
    blocks = ((_JFIF, _PLAIN_JFIF), *blocks)
  rest = 2
  if encoded[3] == _JFIF:
    rest += 2 + struct.unpack_from('>H', encoded, 4)[0]
  return encoded[:2] + b''.join(
      struct.pack('>BBH', 0xFF, marker, 2 + len(payload)) + payload
      for marker, payload in blocks) + encoded[rest:]


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
  end = 8 + struct.unpack_from('<I', data, 4)[0]
  at = 12
  while at < end:
    name, size = struct.unpack_from('<4sI', data, at)
    payload = data[at + 8:at + 8 + size]
    if len(payload) < size:
      raise damaged(f'its chunk {name!r} runs past the end')
    yield name, payload
    at += 8 + size + size % 2


def _read_webp(data: bytes) -> Metadata:
  blocks, orientation, compression = [], 1, 'lossy'
  for name, payload in _webp_chunks(data):
    if name == b'ANIM':
      raise _animation()
    if name == b'VP8L':
      compression = 'lossless'
    elif name == b'EXIF':
      # Some programs write JPEG's header before it, which belongs to JPEG.
      orientation, payload = tiff_tags.upright(payload.removeprefix(_EXIF))
    elif name == b'XMP ':
      payload = _upright_xmp(payload)
    if name in _WEBP_KEPT:
      blocks.append((name, payload))
  return Metadata(orientation, tuple(blocks), compression)


def _insert_webp(encoded: bytes, blocks) -> bytes:
  """In the order that the format asks for: profile, pixels, the others."""
  chunks = dict(_webp_chunks(encoded))
  extended = chunks.pop(b'VP8X', None)
  if extended is not None:
    flags, size = extended[0] & _WEBP_ALPHA, extended[4:]
  elif b'VP8L' in chunks:
    bits, = struct.unpack_from('<I', chunks[b'VP8L'], 1)
    flags = _WEBP_ALPHA * (bits >> 28 & 1)
    size = _webp_size(bits & 0x3FFF, bits >> 14 & 0x3FFF)
  else:
    width, height = struct.unpack_from('<HH', chunks[b'VP8 '], 6)
    flags, size = 0, _webp_size((width & 0x3FFF) - 1, (height & 0x3FFF) - 1)
  for name, _ in blocks:
    flags |= _WEBP_KEPT[name]
  ordered = [(b'VP8X', bytes((flags, 0, 0, 0)) + size)]
  ordered += [block for block in blocks if block[0] == b'ICCP']
  ordered += [(n, p) for n, p in chunks.items() if n not in _WEBP_KEPT]
  ordered += [block for block in blocks if block[0] != b'ICCP']
  body = b'WEBP' + b''.join(
      struct.pack('<4sI', name, len(payload)) + payload
      + bytes(len(payload) % 2) for name, payload in ordered)
  return b'RIFF' + struct.pack('<I', len(body)) + body


def _webp_size(width_less_one: int, height_less_one: int) -> bytes:
  return (width_less_one.to_bytes(3, 'little')
          + height_less_one.to_bytes(3, 'little'))


def _read_tiff(data: bytes) -> Metadata:
  block = tiff_tags.Block(data)
  pages = block.directories()

  def numbers(tag, default, page=pages[0]):
    return block.numbers(page.entries.get(tag)) or (default,)

  def is_preview(page):
    return (numbers(tiff_tags.NEW_SUBFILE_TYPE, 0, page)[0] & 1
            or numbers(tiff_tags.OLD_SUBFILE_TYPE, 1, page)[0] == 2)

  pictures = sum(not is_preview(page) for page in pages)
  if pictures > 1:
    raise ImageFileError(
        f'holds {pictures} pages, of which all but one would be lost: save '
        'each page as a file of its own.')
  if is_preview(pages[0]):
    raise ImageFileError(
        'begins with a preview, as raw files do: develop it and export an '
        '8- or 16-bit TIFF.')
  compression, = numbers(tiff_tags.COMPRESSION, 1)
  _check_tiff_samples(
      numbers(tiff_tags.BITS_PER_SAMPLE, 1),
      _TIFF_SAMPLES.get(numbers(tiff_tags.SAMPLE_FORMAT, 1)[0], 'complex'))
  photometric, = numbers(tiff_tags.PHOTOMETRIC, 1)
  if photometric not in _TIFF_PHOTOMETRICS and (
      (photometric, compression) != (_TIFF_YCBCR, _TIFF_JPEG)):
    raise ImageFileError(
        f'stores colour in a way that is not read here (TIFF photometric '
        f'interpretation {photometric}): export it as RGB or greyscale.')

  orientation, = numbers(tiff_tags.ORIENTATION, 1)
  orientation = orientation if orientation in range(1, 9) else 1
  entries = pages[0].entries
  tags = [tag for number, entry in sorted(entries.items())
          if number not in _TIFF_OF_PIXELS
          and (tag := _upright_tag(block.portable(entry), orientation))]
  notes = ('loses its Photoshop layers, which hold the old pixels.',)
  return Metadata(
      orientation, tuple(tags), _TIFF_COMPRESSIONS.get(compression, 'deflate'),
      notes if _TIFF_LAYERS in entries else ())


def _check_tiff_samples(bits: tuple[int, ...], kind: str) -> None:
  if set(bits) - {1, 2, 4, 8, 16} or len(set(bits)) > 1 or kind != 'unsigned':
    raise ImageFileError(
        f'has {bits[0]}-bit {kind} samples: export it with 8 or 16 bits a '
        'channel, which is what is read here.')


def _upright_tag(
    tag: tiff_tags.Tag | None, orientation: int) -> tiff_tags.Tag | None:
  if tag is None:
    return None
  if tag.number == tiff_tags.EXIF and orientation >= 5:
    return tiff_tags.transposed(tag)
  cleaners = {
      tiff_tags.XMP: _upright_xmp, tiff_tags.PHOTOSHOP: _upright_photoshop}
  if tag.number not in cleaners or tag.kind not in (1, 7):
    return tag
  value = cleaners[tag.number](tag.value)
  return dataclasses.replace(tag, count=len(value), value=value)


def _insert_tiff(encoded: bytes, blocks) -> bytearray:
  return tiff_tags.with_tags(
      encoded, [*blocks, _TIFF_UPRIGHT], without=_TIFF_RESOLUTION)


def _animation() -> ImageFileError:
  return ImageFileError(
      'is an animation, of which all but one frame would be lost: save each '
      'frame as a file of its own.')
