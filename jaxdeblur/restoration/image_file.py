"""Picture files in and out, so that a photographer loses nothing.

PNG, JPEG, TIFF and WebP are read as they are stored, 8 or 16 bits a channel,
in the file's own colour space, and written back in their own format with
alpha, bit depth, ICC profile and metadata (see `file_metadata` for what of
it describes the old pixels and is therefore dropped).

What changes, because a restored picture cannot be stored as before:
  * The pixels are upright, and the written file says so.
  * JPEG is written with quality 95 and without chroma subsampling (4:4:4);
    lossy WebP with quality 95.
  * Palettes become 8-bit RGB; 1-, 2- and 4-bit grey becomes 8-bit grey.
  * CMYK (JPEG and TIFF) becomes RGB in sRGB, by the file's own profile or,
    where it has none, a generic one: a restored photograph is edited and
    shown on screens, and a new separation would be a guess at the press.
  * Lossy TIFF compression becomes deflate; tiles and planes become strips.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import os
import pathlib
import re
import secrets

from jaxtyping import UInt8, UInt16
import numpy as np

from jaxdeblur.restoration import file_metadata, picture_codec

ImageFileError = file_metadata.ImageFileError

_FORMATS = {
    '.png': 'png', '.jpg': 'jpeg', '.jpeg': 'jpeg', '.tif': 'tiff',
    '.tiff': 'tiff', '.webp': 'webp'}
SUFFIXES = tuple(_FORMATS)
_SIGNATURES = (
    (rb'\x89PNG\r\n\x1a\n', 'png'), (rb'\xff\xd8\xff', 'jpeg'),
    (rb'II[*+]\0|MM\0[*+]', 'tiff'), (rb'RIFF....WEBP', 'webp'))


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
  """A picture and all that its file needs to be written again.

  A picture that never was a file needs `pixels` and `format` alone.

  Attributes:
    pixels: RGB, upright, in the file's own colour space; the three channels
      are equal if `grey`.
    format: 'png', 'jpeg', 'tiff' or 'webp'.
    alpha: opacity, of the type of `pixels`, or None. Colours are as stored:
      premultiplied only where a TIFF says that they are.
    grey: the file holds one channel of light.
    path: where it was read.
    metadata: the rest.
  """
  pixels: UInt8[np.ndarray, 'h w 3'] | UInt16[np.ndarray, 'h w 3']
  format: str
  alpha: UInt8[np.ndarray, 'h w'] | UInt16[np.ndarray, 'h w'] | None = None
  grey: bool = False
  path: pathlib.Path | None = None
  metadata: file_metadata.Metadata = dataclasses.field(
      default_factory=file_metadata.Metadata)

  @property
  def bit_depth(self) -> int:
    """Bits a channel: 8 or 16."""
    return 8 * self.pixels.dtype.itemsize

  @property
  def notes(self) -> tuple[str, ...]:
    """What a written file will lack, each a sentence that names the file."""
    return tuple(f'{self.path} {note}' for note in self.metadata.notes)


def read(path: str | os.PathLike) -> Picture:
  """Reads a picture file.

  Raises:
    ImageFileError: it is missing, no picture, damaged, cut short, or of a
      kind that cannot be restored without loss.
  """
  path = pathlib.Path(path)
  with _naming(path):
    data, file_format = _read_bytes(path)
    metadata = file_metadata.read(file_format, data)
    decoded = picture_codec.decode(file_format, data)
    if decoded.profile is not None:
      metadata = dataclasses.replace(
          metadata,
          blocks=file_metadata.with_profile(
              file_format, metadata.blocks, decoded.profile),
          notes=(*metadata.notes, 'is CMYK and becomes RGB (sRGB).'))
    samples = _upright(decoded.samples, metadata.orientation)
    colours = 1 if decoded.grey else 3
    pixels = np.ascontiguousarray(
        np.broadcast_to(samples[..., :colours], (*samples.shape[:2], 3)))
    alpha = None
    if samples.shape[2] > colours:
      alpha = np.ascontiguousarray(samples[..., colours])
    return Picture(
        pixels, file_format, alpha, decoded.grey, path, metadata)


def write(
    path: str | os.PathLike, picture: Picture, pixels: np.ndarray) -> None:
  """Writes restored pixels as a file of the kind the picture came from.

  The file appears whole or not at all: it is written beside its place under
  another name and then renamed. A grey file gets the mean of the three
  channels, three estimates of one value.

  Args:
    path: where; its ending must be one of the picture's format.
    picture: what `read` returned.
    pixels: [h, w, 3] of the size and type of `picture.pixels`.

  Raises:
    ImageFileError: the ending or the pixels are not the picture's, or the
      file cannot be written.
  """
  path = pathlib.Path(path)
  with _naming(path):
    if _FORMATS.get(path.suffix.lower()) != picture.format:
      endings = ' or '.join(
          s for s, form in _FORMATS.items() if form == picture.format)
      raise ImageFileError(
          f'cannot be written: the picture is a {picture.format.upper()}, '
          f'whose file ends in {endings}.')
    if (pixels.shape, pixels.dtype) != (
        picture.pixels.shape, picture.pixels.dtype):
      raise ImageFileError(
          f'cannot be written: the restored pixels are {pixels.dtype} '
          f'{pixels.shape}, the picture is {picture.pixels.dtype} '
          f'{picture.pixels.shape}; restore at its size and type.')
    try:
      write_whole(path, _encode(picture, pixels))
    except OSError as error:
      raise ImageFileError(f'cannot be written: {_reason(error)}.') from error


def _encode(picture: Picture, pixels: np.ndarray) -> bytes | bytearray:
  """Encodes upright pixels with the picture's alpha and metadata."""
  if picture.grey:
    total = pixels.sum(-1, dtype=np.uint32, keepdims=True)
    pixels = ((total + 1) // 3).astype(pixels.dtype)  # To the nearest.
  if picture.alpha is not None:
    pixels = np.concatenate([pixels, picture.alpha[..., None]], -1)
  encoded = picture_codec.encode(
      picture.format, pixels, picture.grey, picture.metadata.compression)
  return file_metadata.insert(
      picture.format, encoded, picture.metadata.blocks)


def find_pictures(folder: str | os.PathLike) -> list[pathlib.Path]:
  """Lists a folder's picture files, 2.png before 10.png.

  Hidden files, folders within and other endings than SUFFIXES are left out.

  Raises:
    ImageFileError: it is no folder.
  """
  folder = pathlib.Path(folder)
  if not folder.is_dir():
    raise ImageFileError(f'{folder} is not a folder: name one with pictures.')
  return sorted(
      (path for path in folder.iterdir()
       if path.suffix.lower() in SUFFIXES and not path.name.startswith('.')
       and path.is_file()),
      key=_natural)


def _natural(path: pathlib.Path) -> tuple:
  # Every second part is a number, so that like is compared with like.
  parts = re.split(r'(\d+)', path.name.casefold())
  return [int(p) if i % 2 else p for i, p in enumerate(parts)], path.name


@contextlib.contextmanager
def _naming(path: pathlib.Path) -> Iterator[None]:
  """Puts the file's name before the sentence of an error."""
  try:
    yield
  except ImageFileError as error:
    raise ImageFileError(f'{path} {error}') from error.__cause__


def _reason(error: OSError) -> str:
  return error.strerror or str(error)


def _read_bytes(path: pathlib.Path) -> tuple[bytes, str]:
  """Returns a file's bytes and format, which its ending must tell."""
  if path.is_dir():
    raise ImageFileError('is a folder: name a picture in it.')
  if path.suffix.lower() not in SUFFIXES:
    raise ImageFileError(
        f'ends in {path.suffix!r}, which is not read here: export it as one '
        f'of {", ".join(SUFFIXES)}.')
  try:
    data = path.read_bytes()
  except FileNotFoundError as error:
    raise ImageFileError('does not exist.') from error
  except OSError as error:
    raise ImageFileError(f'cannot be read: {_reason(error)}.') from error
  if not data:
    raise ImageFileError(
        'is empty: copy it anew from the camera or a backup.')
  expected = _FORMATS[path.suffix.lower()]
  found = next(
      (f for pattern, f in _SIGNATURES if re.match(pattern, data, re.DOTALL)),
      None)
  if found is None:
    raise ImageFileError(
        f'is not a {expected.upper()} file: it begins with {data[:12]!r}.')
  if found != expected:
    ending = next(s for s in SUFFIXES if _FORMATS[s] == found)
    raise ImageFileError(
        f'holds a {found.upper()}, not a {expected.upper()}: rename it to '
        f'{path.stem}{ending}.')
  return data, expected


def _upright(stored: np.ndarray, orientation: int) -> np.ndarray:
  """Turns [h, w, c] pixels as the EXIF orientation says (EXIF 2.32, 4.6.4)."""
  if orientation >= 5:  # Stored rows are columns.
    stored = stored.swapaxes(0, 1)
  if orientation in (3, 4, 7, 8):
    stored = stored[::-1]
  if orientation in (2, 3, 6, 7):
    stored = stored[:, ::-1]
  return stored


def write_whole(path: pathlib.Path, data: bytes | bytearray) -> None:
  """Writes a file that others see whole or not at all."""
  unfinished = path.with_name(f'.{secrets.token_hex(8)}.tmp')
  try:
    with open(unfinished, 'xb') as file:
      file.write(data)
      file.flush()
      os.fsync(file.fileno())
    os.replace(unfinished, path)
  except BaseException:
    unfinished.unlink(missing_ok=True)
    raise
