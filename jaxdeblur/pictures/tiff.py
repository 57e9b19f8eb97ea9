"""TIFF: its tags, unsupported kinds, and how libvips reads and writes it."""

import dataclasses
from typing import Any

import numpy as np

from jaxdeblur.pictures import tiff_tags
from jaxdeblur.pictures.errors import ImageFileError, damaged
from jaxdeblur.pictures.metadata import (
  Header,
  Metadata,
  upright_photoshop,
  upright_xmp,
)

LOAD = {'unlimited': True}  # The limits guard servers.

# TIFF compression -> libvips' name. Others are lossy, obsolete or not written
# by libvips' wheels; they become deflate.
_COMPRESSIONS = {
    1: 'none', 5: 'lzw', 8: 'deflate', 32946: 'deflate', 32773: 'packbits'}
_SAMPLES = {1: 'unsigned', 2: 'signed', 3: 'floating-point', 4: 'unsigned'}
_JPEG, _YCBCR = 7, 6
_GREY, _RGB = 1, 2
_PHOTOMETRICS = (0, _GREY, _RGB, 3, 5)  # 0: negative, 3: palette, 5: CMYK.
_LAYERS = 37724  # Photoshop's layers, which hold the old picture.
# Tags about the samples of the old file and their places. Tag 338, the meaning
# of alpha, is not among them: it holds for the new file too.
_OF_PIXELS = frozenset((
    *range(254, 260), 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280,
    281, 284, *range(288, 294), 297, 317, *range(320, 329), 330, 332, 333, 334,
    336, 339, 340, 341, 342, 343, 346, 347, *range(512, 522),
    *range(529, 533), 559, 33421, 33422, _LAYERS))
_RESOLUTION = {282, 283, 296}
_UPRIGHT = tiff_tags.Tag(tiff_tags.ORIENTATION, 3, 1, b'\1\0')


def list_levels(data: bytes) -> tuple[str, ...]:
  """The levels of complaints at which libvips gives up.

  At 'error' it makes damaged tiles black. At 'warning' it refuses undamaged
  files in strips because of unusual tags.
  """
  return ('warning',) if _Page(data).tiled else ('error',)


def list_save_options(bits: int, compression: str) -> dict[str, Any]:
  """Options for writing without loss."""
  del bits
  return dict(compression=compression or 'deflate', predictor='horizontal')


class _Page:
  """The only picture of a file, of a supported kind.

  Raises:
    ImageFileError: the file has several pictures, or an unsupported one.
    struct.error: its parts lead past its end.
  """

  def __init__(self, data: tiff_tags.Encoded):
    self.block = tiff_tags.Block(data)
    pages = self.block.directories()
    if not pages:
      raise damaged('it holds no picture')
    self.entries = pages[0].entries
    previews = [self._is_preview(page.entries) for page in pages]
    if previews.count(False) > 1:
      raise ImageFileError(
          f'holds {previews.count(False)} pages, of which all but one would '
          'be lost: save each page as a file of its own.')
    if previews[0]:
      raise ImageFileError(
          'begins with a preview, as raw files do: develop it and export an '
          '8- or 16-bit TIFF.')
    self.compression = self.number(tiff_tags.COMPRESSION, 1)
    self.photometric = self.number(tiff_tags.PHOTOMETRIC, 1)
    self.tiled = tiff_tags.TILE_OFFSETS in self.entries
    self._check_samples()
    orientation = self.number(tiff_tags.ORIENTATION, 1)
    self.orientation = orientation if orientation in range(1, 9) else 1

  def numbers(self, tag: int) -> tuple[int, ...]:
    """A tag's numbers; () if it is missing."""
    return self.block.numbers(self.entries.get(tag))

  def number(self, tag: int, default: int) -> int:
    """A tag's first number."""
    return (self.numbers(tag) or (default,))[0]

  def _is_preview(self, entries) -> bool:
    new, old = (
        self.block.numbers(entries.get(tag)) or (0,)
        for tag in (tiff_tags.NEW_SUBFILE_TYPE, tiff_tags.OLD_SUBFILE_TYPE))
    return bool(new[0] & 1 or old[0] == 2)

  def _check_samples(self) -> None:
    bits = self.numbers(tiff_tags.BITS_PER_SAMPLE) or (1,)
    kind = _SAMPLES.get(self.number(tiff_tags.SAMPLE_FORMAT, 1), 'complex')
    if (set(bits) - {1, 2, 4, 8, 16} or len(set(bits)) > 1
        or kind != 'unsigned'):
      raise ImageFileError(
          f'has {bits[0]}-bit {kind} samples: export it with 8 or 16 bits a '
          'channel, which is what is read here.')
    if self.photometric not in _PHOTOMETRICS and (
        (self.photometric, self.compression) != (_YCBCR, _JPEG)):
      raise ImageFileError(
          f'stores colour in a way that is not read here (TIFF photometric '
          f'interpretation {self.photometric}): export it as RGB or '
          'greyscale.')


def read_header(data: tiff_tags.Encoded) -> Header:
  """Reads size and orientation."""
  page = _Page(data)
  height, width = (
      page.number(tag, 0) for tag in (tiff_tags.HEIGHT, tiff_tags.WIDTH))
  if not height or not width:
    raise damaged('it states no size')
  return Header(height, width, page.orientation)


def read_metadata(data: bytes) -> Metadata:
  """Reads the metadata to keep."""
  page = _Page(data)
  tags = [tag for number, entry in sorted(page.entries.items())
          if number not in _OF_PIXELS
          and (tag := _upright_tag(
              page.block.portable(entry), page.orientation))]
  notes = ('loses its Photoshop layers, which hold the old pixels.',)
  return Metadata(
      page.orientation, tuple(tags),
      _COMPRESSIONS.get(page.compression, 'deflate'),
      notes if _LAYERS in page.entries else ())


def _upright_tag(
    tag: tiff_tags.Tag | None, orientation: int) -> tiff_tags.Tag | None:
  if tag is None:
    return None
  if tag.number == tiff_tags.EXIF and orientation >= 5:
    return tiff_tags.transposed(tag)
  cleaners = {
      tiff_tags.XMP: upright_xmp, tiff_tags.PHOTOSHOP: upright_photoshop}
  if tag.number not in cleaners or tag.kind not in (1, 7):
    return tag
  value = cleaners[tag.number](tag.value)
  return dataclasses.replace(tag, count=len(value), value=value)


def insert_metadata(encoded: bytes, blocks) -> bytearray:
  """Inserts tags, and removes the resolution that libvips added."""
  return tiff_tags.with_tags(encoded, [*blocks, _UPRIGHT], without=_RESOLUTION)


def with_profile(blocks, profile: bytes) -> tuple[tiff_tags.Tag, ...]:
  """Replaces the ICC profile."""
  return (*(b for b in blocks if b.number != tiff_tags.ICC_PROFILE),
          tiff_tags.Tag(tiff_tags.ICC_PROFILE, 7, len(profile), profile))


def prepare(data: bytes) -> bytes:
  """Marks premultiplied alpha as unassociated, to get the samples as stored.

  Otherwise libvips divides premultiplied colours by alpha and rounds down,
  which multiplying again cannot undo.
  """
  return tiff_tags.with_number(data, tiff_tags.EXTRA_SAMPLES, 1, 2)


def decode_plain(data: bytes) -> np.ndarray | None:
  """Decodes plain arrays: uncompressed grey or RGB in strips.

  Patches for training are such files. libvips takes three times as long for
  one, and spends nearly all of it before the first sample.

  Returns:
    uint8 or uint16 [h, w, 1 or 3], not turned upright; None if the file is of
    another kind, or its strips do not add up to the picture.
  """
  page = _Page(data)
  bits = set(page.numbers(tiff_tags.BITS_PER_SAMPLE))
  channels = page.number(tiff_tags.SAMPLES_PER_PIXEL, 1)
  if (page.compression != 1 or bits not in ({8}, {16})
      or (page.photometric, channels) not in ((_GREY, 1), (_RGB, 3))
      or (channels > 1 and page.number(tiff_tags.PLANES, 1) != 1)
      or page.number(tiff_tags.FILL_ORDER, 1) != 1
      or page.tiled):
    return None
  height, width = (
      page.number(tag, 0) for tag in (tiff_tags.HEIGHT, tiff_tags.WIDTH))
  whole = memoryview(data)
  # A bytearray, so that the samples are writable.
  joined = bytearray().join(
      whole[start:start + size] for start, size in zip(
          page.numbers(tiff_tags.STRIP_OFFSETS),
          page.numbers(tiff_tags.STRIP_BYTE_COUNTS)))
  stored = np.dtype(f'{page.block.order}u{max(bits) // 8}')
  if not joined or len(joined) != height * width * channels * stored.itemsize:
    return None
  samples = np.frombuffer(joined, stored).reshape(height, width, channels)
  return samples.astype(stored.newbyteorder('='), copy=False)
