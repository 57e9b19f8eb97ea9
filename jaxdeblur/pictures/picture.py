"""Reads and writes pictures; the package's docstring says what is kept."""

import dataclasses
import mmap
import os
import pathlib
import struct

from jaxtyping import UInt8, UInt16
import numpy as np

from jaxdeblur.pictures import codec, files
from jaxdeblur.pictures.errors import ImageFileError, damaged, naming
from jaxdeblur.pictures.formats import (
  BY_SUFFIX,
  FORMATS,
  SUFFIXES,
  Format,
  recognise,
)
from jaxdeblur.pictures.metadata import Header, Metadata
from jaxdeblur.pictures.tiff_tags import Encoded

Pixels = UInt8[np.ndarray, 'h w 3'] | UInt16[np.ndarray, 'h w 3']


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
  """A picture with all that is needed to write its file again.

  A picture that was never a file needs only `pixels` and `format`.

  Attributes:
    pixels: RGB, upright, in the file's own colour space; the three channels
      are equal if `grey`.
    format: one of FORMATS' names: 'png', 'jpeg', 'tiff' or 'webp'.
    alpha: opacity, of the type of `pixels`, or None. Colours are as stored:
      premultiplied only if a TIFF says so.
    grey: whether the file holds one channel of light.
    path: the file that it was read from.
    metadata: the file's metadata.
  """
  pixels: Pixels
  format: str
  alpha: UInt8[np.ndarray, 'h w'] | UInt16[np.ndarray, 'h w'] | None = None
  grey: bool = False
  path: pathlib.Path | None = None
  metadata: Metadata = dataclasses.field(default_factory=Metadata)

  @property
  def bit_depth(self) -> int:
    """Bits a channel: 8 or 16."""
    return 8 * self.pixels.dtype.itemsize

  @property
  def notes(self) -> tuple[str, ...]:
    """The losses in a written file, each a sentence that names the file."""
    return tuple(f'{self.path} {note}' for note in self.metadata.notes)


def read(path: str | os.PathLike) -> Picture:
  """Reads a picture file.

  Raises:
    ImageFileError: the file is missing, no picture, damaged, cut short, or of a
      kind that cannot be restored without loss.
  """
  path = pathlib.Path(path)
  with naming(path):
    data, file_format = _read_file(path)
    metadata = _parse(file_format.module.read_metadata, data)
    decoded = codec.decode(file_format, data)
    if decoded.profile is not None:
      metadata = dataclasses.replace(
          metadata,
          blocks=file_format.module.with_profile(
              metadata.blocks, decoded.profile),
          notes=(*metadata.notes, 'is CMYK and becomes RGB (sRGB).'))
    pixels = _to_pixels(decoded, metadata.orientation)
    alpha, colours = None, 1 if decoded.grey else 3
    if decoded.samples.shape[2] > colours:
      alpha = np.ascontiguousarray(_upright(
          decoded.samples[..., colours], metadata.orientation))
    return Picture(
        pixels, file_format.name, alpha, decoded.grey, path, metadata)


def read_pixels(path: str | os.PathLike) -> Pixels:
  """Reads only the pixels of a picture file; see `decode_pixels`.

  The file may have any suffix.

  Raises:
    ImageFileError: as `read`.
  """
  path = pathlib.Path(path)
  with naming(path):
    return _decode_pixels(files.read_bytes(path))


def decode_pixels(encoded: bytes, name: str) -> Pixels:
  """Decodes only the pixels of a picture, the same as those from `read`.

  They are upright, grey is repeated, and alpha is left out; the colours under
  it are as stored. The orientation is the only metadata that is read.

  Args:
    encoded: the bytes of a file, which show its format.
    name: its name in errors.

  Raises:
    ImageFileError: as `read`.
  """
  with naming(name):
    return _decode_pixels(encoded)


def read_size(path: str | os.PathLike) -> tuple[int, int]:
  """Reads height and width of an upright picture without decoding it.

  Raises:
    ImageFileError: the file is missing, no picture, or of an unsupported kind.
  """
  path = pathlib.Path(path)
  with naming(path):
    try:
      with path.open('rb') as file, mmap.mmap(
          file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _read_header(data)[1].upright_size
    except (OSError, ValueError) as error:
      if isinstance(error, ImageFileError):
        raise
      # The file is missing, empty or a folder, or it cannot be mapped.
      return _read_header(files.read_bytes(path))[1].upright_size


def _decode_pixels(data: bytes) -> Pixels:
  file_format, header = _read_header(data)
  return _to_pixels(codec.decode(file_format, data), header.orientation)


def _read_header(data: Encoded) -> tuple[Format, Header]:
  file_format = recognise(data)
  if file_format is None:
    raise ImageFileError(
        f'is no picture that is read here ({", ".join(SUFFIXES)}): it begins '
        f'with {data[:12]!r}.')
  return file_format, _parse(file_format.module.read_header, data)


def _parse(parser, data: Encoded):
  try:
    return parser(data)
  except (struct.error, IndexError, OverflowError, RecursionError) as error:
    raise damaged('its parts lead past its end') from error


def _to_pixels(decoded: codec.Decoded, orientation: int) -> Pixels:
  """Makes upright RGB without alpha."""
  samples = _upright(decoded.samples, orientation)
  if decoded.grey:
    return np.repeat(samples[..., :1], 3, axis=-1)
  return np.ascontiguousarray(samples[..., :3])


def write(
    path: str | os.PathLike, picture: Picture, pixels: np.ndarray) -> None:
  """Writes restored pixels in the format that the picture came in.

  The file appears whole or not at all: it is written in the same folder under
  another name and then renamed. A grey file gets the mean of the three
  channels, which are three estimates of one value.

  Args:
    path: the file to write; its suffix must fit the picture's format.
    picture: the picture that `read` returned.
    pixels: [h, w, 3] of the size and type of `picture.pixels`.

  Raises:
    ImageFileError: the suffix or the pixels do not fit the picture, or the file
      cannot be written.
  """
  path = pathlib.Path(path)
  with naming(path):
    endings = FORMATS[picture.format].suffixes
    if path.suffix.lower() not in endings:
      raise ImageFileError(
          f'cannot be written: the picture is a {picture.format.upper()}, '
          f'whose file ends in {" or ".join(endings)}.')
    if (pixels.shape, pixels.dtype) != (
        picture.pixels.shape, picture.pixels.dtype):
      raise ImageFileError(
          f'cannot be written: the restored pixels are {pixels.dtype} '
          f'{pixels.shape}, the picture is {picture.pixels.dtype} '
          f'{picture.pixels.shape}; restore at its size and type.')
    try:
      files.write_whole(path, _encode(picture, pixels))
    except OSError as error:
      raise ImageFileError(
          f'cannot be written: {files.reason(error)}.') from error


def _encode(picture: Picture, pixels: np.ndarray) -> bytes | bytearray:
  """Encodes upright pixels with the picture's alpha and metadata."""
  if picture.grey:
    total = pixels.sum(-1, dtype=np.uint32, keepdims=True)
    pixels = ((total + 1) // 3).astype(pixels.dtype)  # Rounded.
  if picture.alpha is not None:
    pixels = np.concatenate([pixels, picture.alpha[..., None]], -1)
  encoded = codec.encode(
      picture.format, pixels, picture.grey, picture.metadata.compression)
  return FORMATS[picture.format].module.insert_metadata(
      encoded, picture.metadata.blocks)


def _read_file(path: pathlib.Path) -> tuple[bytes, Format]:
  """Returns a file's bytes and format, which must fit its suffix."""
  expected = BY_SUFFIX.get(path.suffix.lower())
  if expected is None and not path.is_dir():
    raise ImageFileError(
        f'ends in {path.suffix!r}, which is not read here: export it as one '
        f'of {", ".join(SUFFIXES)}.')
  data = files.read_bytes(path)
  found = recognise(data)
  if found is None:
    raise ImageFileError(
        f'is not a {expected.name.upper()} file: it begins with '
        f'{data[:12]!r}.')
  if found is not expected:
    raise ImageFileError(
        f'holds a {found.name.upper()}, not a {expected.name.upper()}: rename '
        f'it to {path.stem}{found.suffixes[0]}.')
  return data, expected


def _upright(stored: np.ndarray, orientation: int) -> np.ndarray:
  """Turns [h, w, ...] as the EXIF orientation says (EXIF 2.32, 4.6.4)."""
  if orientation >= 5:  # Stored rows are columns.
    stored = stored.swapaxes(0, 1)
  if orientation in (3, 4, 7, 8):
    stored = stored[::-1]
  if orientation in (2, 3, 6, 7):
    stored = stored[:, ::-1]
  return stored
