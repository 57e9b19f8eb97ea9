"""TIFF tags, the form in which TIFF files and EXIF blocks keep their metadata.

This works on bytes on purpose. Libraries that decode an EXIF block and write it
again lose everything they do not know, such as the camera's maker notes. Here a
block is changed in place, and a tag is copied from file to file as bytes.

Layout: TIFF 6.0 (1992), section 2; EXIF 2.32, section 4.6; BigTIFF (43).
"""

import dataclasses
import mmap
import struct

import numpy as np

Encoded = bytes | bytearray | mmap.mmap  # A file's bytes, or a part of them.

NEW_SUBFILE_TYPE, OLD_SUBFILE_TYPE = 254, 255
WIDTH, HEIGHT = 256, 257
BITS_PER_SAMPLE, SAMPLE_FORMAT, EXTRA_SAMPLES = 258, 339, 338
COMPRESSION, PHOTOMETRIC, PREDICTOR = 259, 262, 317
FILL_ORDER, SAMPLES_PER_PIXEL, PLANES = 266, 277, 284
STRIP_OFFSETS, STRIP_BYTE_COUNTS = 273, 279
TILE_OFFSETS = 324
ORIENTATION = 274
XMP, PHOTOSHOP, ICC_PROFILE = 700, 34377, 34675
EXIF, GPS, INTEROPERABILITY = 34665, 34853, 40965  # Each points to tags.

_EXIF_WIDTH, _EXIF_HEIGHT = 0xA002, 0xA003
_THUMBNAIL, _THUMBNAIL_SIZE = 513, 514

# Bytes in one value of a kind, and in each number of the value: a rational is
# two numbers. Kinds 13 and 16 to 18 point to other data; see `portable`.
_VALUE_BYTES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8,
    13: 4, 16: 8, 17: 8, 18: 8}
_NUMBER_BYTES = _VALUE_BYTES | {5: 4, 10: 4}
_UNSIGNED = {1: 'B', 3: 'H', 4: 'I', 13: 'I', 16: 'Q', 18: 'Q'}
_POINTERS = (13, 16, 17, 18)


@dataclasses.dataclass(frozen=True)
class Entry:
  """One tag and its place in a block.

  Attributes:
    tag: its number.
    kind: the type of its values (3 is a 16-bit integer, for example).
    count: the number of values.
    place: where its 4 (BigTIFF: 8) bytes for a value or an offset are.
    start: where its values are: `place` itself if they fit there.
  """
  tag: int
  kind: int
  count: int
  place: int
  start: int

  @property
  def size(self) -> int:
    """The values' size in bytes."""
    return self.count * _VALUE_BYTES[self.kind]


@dataclasses.dataclass(frozen=True)
class Tag:
  """A tag to be written: little-endian values, or the tags it points to."""
  number: int
  kind: int
  count: int
  value: 'bytes | tuple[Tag, ...]'


@dataclasses.dataclass(frozen=True)
class Directory:
  """Entries by tag; `link` is where the offset of the next one is."""
  entries: dict[int, Entry]
  link: int


class Block:
  """A TIFF file or an EXIF block in memory.

  `data` is read and, if it is a bytearray, changed in place.

  Raises:
    ValueError: the data do not begin like TIFF.
    struct.error: a directory lies outside the data. Every method may raise it.
  """

  def __init__(self, data: Encoded):
    self.data = data
    signature = bytes(data[:4])
    if signature not in (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'):
      raise ValueError(f'TIFF tags begin with {signature!r}')
    self.order = '<' if signature[:1] == b'I' else '>'
    self.big = b'+' in signature
    self.offset = 'Q' if self.big else 'I'
    self.first = self._number(self.offset, 8 if self.big else 4)

  def _number(self, form: str, place: int) -> int:
    return struct.unpack_from(self.order + form, self.data, place)[0]

  def directory(self, start: int) -> Directory:
    """Reads the directory at `start`; leaves out tags without bytes here."""
    slot = 8 if self.big else 4
    number = self._number('Q' if self.big else 'H', start)
    first = start + (8 if self.big else 2)
    stride = 4 + 2 * slot
    link = first + number * stride
    entries = {}
    for at in range(first, link, stride):
      tag, kind = struct.unpack_from(self.order + 'HH', self.data, at)
      count = self._number(self.offset, at + 4)
      place = at + 4 + slot
      size = count * _VALUE_BYTES.get(kind, len(self.data))
      begin = place if size <= slot else self._number(self.offset, place)
      if size and begin + size <= len(self.data):
        entries.setdefault(tag, Entry(tag, kind, count, place, begin))
    return Directory(entries, link)

  def directories(self) -> list[Directory]:
    """Reads the chain of directories: in a TIFF file, its pages."""
    chain, seen = [], set()
    start = self.first
    while start and start not in seen:
      seen.add(start)
      chain.append(self.directory(start))
      start = self.next(chain[-1])
    return chain

  def next(self, directory: Directory) -> int:
    """Where the directory after this one begins; 0 if it is the last."""
    try:
      return self._number(self.offset, directory.link)
    except struct.error:  # Some programs end a block with its last tag.
      return 0

  def numbers(self, entry: Entry | None) -> tuple[int, ...]:
    """The unsigned integers of an entry; () if it has none or is None."""
    if entry is None or entry.kind not in _UNSIGNED:
      return ()
    form = f'{self.order}{entry.count}{_UNSIGNED[entry.kind]}'
    return struct.unpack_from(form, self.data, entry.start)

  def value(self, entry: Entry) -> bytes:
    """An entry's values as little-endian bytes."""
    value = bytes(self.data[entry.start:entry.start + entry.size])
    return value if self.order == '<' else _swapped(value, entry.kind)

  def portable(self, entry: Entry) -> Tag | None:
    """The tag without its place; None if it points to unknown data."""
    if entry.tag in (EXIF, GPS, INTEROPERABILITY):
      try:
        inner = self.directory(self.numbers(entry)[0])
      except (IndexError, OverflowError, struct.error):
        return None  # No program can read it.
      tags = (self.portable(e) for _, e in sorted(inner.entries.items()))
      tags = tuple(tag for tag in tags if tag is not None)
      return Tag(entry.tag, 4, 1, tags) if tags else None
    if entry.kind in _POINTERS:
      return None
    return Tag(entry.tag, entry.kind, entry.count, self.value(entry))


def read_orientation(exif: bytes) -> int:
  """Reads the orientation that an EXIF block states, 1 to 8.

  It is 1 if the block states none or cannot be read.
  """
  try:
    block = Block(exif)
    entry = block.directory(block.first).entries.get(ORIENTATION)
    stated = block.numbers(entry)
  except (ValueError, OverflowError, struct.error):
    return 1
  return stated[0] if stated and stated[0] in range(1, 9) else 1


def upright(exif: bytes) -> tuple[int, bytes]:
  """Makes an EXIF block describe the upright picture without a thumbnail.

  Orientation becomes 1, width and height change places if the sides do, and the
  thumbnail, which shows the old picture, is wiped. Everything else, including
  maker notes, stays in place, byte for byte.

  Args:
    exif: the block, from its byte order mark on.

  Returns:
    Its former orientation, 1 to 8 (1 if it states none), and the block. An
    unreadable block is returned unchanged.
  """
  data = bytearray(exif)
  try:
    block = Block(data)
    first = block.directory(block.first)
  except (ValueError, OverflowError, struct.error):
    return 1, exif
  orientation = 1
  stated = block.numbers(first.entries.get(ORIENTATION))
  if stated:
    orientation = stated[0] if stated[0] in range(1, 9) else 1
    entry = first.entries[ORIENTATION]
    struct.pack_into(
        block.order + _UNSIGNED[entry.kind], data, entry.start, 1)
  if orientation >= 5:
    _swap(block, first.entries.get(WIDTH), first.entries.get(HEIGHT))
    try:
      start, = block.numbers(first.entries.get(EXIF))
      inner = block.directory(start).entries
    except (ValueError, OverflowError, struct.error):
      inner = {}  # Without an EXIF directory there is no width and height.
    _swap(block, inner.get(_EXIF_WIDTH), inner.get(_EXIF_HEIGHT))
  _drop_thumbnail(block, first)
  return orientation, bytes(data)


def _drop_thumbnail(block: Block, first: Directory) -> None:
  """Unlinks an EXIF block's second directory and wipes its JPEG."""
  if not block.next(first):
    return
  try:
    thumbnail = block.directory(block.next(first)).entries
    start, = block.numbers(thumbnail.get(_THUMBNAIL))
    size, = block.numbers(thumbnail.get(_THUMBNAIL_SIZE))
  except (ValueError, OverflowError, struct.error):
    start = size = 0  # No program can read this thumbnail.
  struct.pack_into(block.order + block.offset, block.data, first.link, 0)
  end = start + size
  if block.data[start:start + 2] == b'\xff\xd8':
    if end >= len(block.data):  # Usually nothing lies behind it.
      del block.data[start:]
    else:
      block.data[start:end] = bytes(size)


def with_tags(tiff: bytes, tags: list[Tag], without: set[int]) -> bytearray:
  """Replaces tags of a TIFF file of one page.

  The new directory is appended, and the file's pixels stay in place.

  Args:
    tiff: a file, not BigTIFF.
    tags: new tags; they replace old ones of the same number.
    without: numbers of old tags to remove.
  """
  out = bytearray(tiff)
  block = Block(out)
  replaced = without | {tag.number for tag in tags}
  # Copied unchanged: a value in place, or an offset that stays valid.
  fields = {
      entry.tag: struct.pack(
          block.order + 'HHI', entry.tag, entry.kind, entry.count)
      + bytes(out[entry.place:entry.place + 4])
      for entry in block.directories()[0].entries.values()
      if entry.tag not in replaced}
  start = _append(out, block.order, fields, tags)
  struct.pack_into(block.order + 'I', out, 4, start)
  return out


def transposed(tag: Tag) -> Tag:
  """Exchanges the picture's width and height in an EXIF directory."""
  swap = {_EXIF_WIDTH: _EXIF_HEIGHT, _EXIF_HEIGHT: _EXIF_WIDTH}
  return dataclasses.replace(tag, value=tuple(
      dataclasses.replace(inner, number=swap.get(inner.number, inner.number))
      for inner in tag.value))


def with_number(tiff: bytes, tag: int, old: int, new: int) -> bytes:
  """Replaces the only number of a tag, if it is `old`."""
  block = Block(tiff)
  entry = block.directories()[0].entries.get(tag)
  if block.numbers(entry) != (old,):
    return tiff
  block.data = bytearray(tiff)
  struct.pack_into(
      block.order + _UNSIGNED[entry.kind], block.data, entry.start, new)
  return bytes(block.data)


def _append(
    out: bytearray, order: str, fields: dict[int, bytes], tags) -> int:
  """Appends the tags' values and a directory; returns the directory's start."""
  for tag in tags:
    if isinstance(tag.value, tuple):
      value = struct.pack(order + 'I', _append(out, order, {}, tag.value))
    else:
      value = tag.value if order == '<' else _swapped(tag.value, tag.kind)
    if len(value) > 4:
      out.extend(bytes(len(out) % 2))  # Offsets are even.
      offset = struct.pack(order + 'I', len(out))
      out.extend(value)
      value = offset
    fields[tag.number] = struct.pack(
        order + 'HHI', tag.number, tag.kind, tag.count) + value.ljust(4, b'\0')
  out.extend(bytes(len(out) % 2))
  start = len(out)
  out.extend(struct.pack(order + 'H', len(fields)))
  out.extend(b''.join(field for _, field in sorted(fields.items())))
  out.extend(bytes(4))
  return start


def _swap(block: Block, one: Entry | None, other: Entry | None) -> None:
  """Exchanges type, count and value of two entries of one number each."""
  if one is None or other is None or one.count != 1 or other.count != 1:
    return
  spans = [slice(e.place - 6, e.place + 4) for e in (one, other)]
  values = [block.data[span] for span in spans]
  block.data[spans[0]], block.data[spans[1]] = values[1], values[0]


def _swapped(value: bytes, kind: int) -> bytes:
  """Converts values of `kind` to the other byte order."""
  return np.frombuffer(value, f'V{_NUMBER_BYTES[kind]}').view(
      f'u{_NUMBER_BYTES[kind]}').byteswap().tobytes()
