"""Picture files for the tests, written by Pillow, OpenCV and tifffile."""

import io
import pathlib
import struct
import zlib

import cv2
import numpy as np
from PIL import (
  Image,
  ImageCms,
)
import pytest
import tifffile

from jaxdeblur import pictures

ENDINGS = {'png': 'png', 'jpeg': 'jpg', 'tiff': 'tif', 'webp': 'webp'}
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
MAKER_NOTE = b'SONY DSC \0\0\0' + bytes(range(100))
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description '
    b'tiff:Orientation="6" xmp:Rating="5"><xmp:Thumbnails><rdf:Alt>'
    b'the picture as it was</rdf:Alt></xmp:Thumbnails></rdf:Description>'
    b'</x:xmpmeta>')
UPRIGHT_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description '
    b'tiff:Orientation="1" xmp:Rating="5"></rdf:Description></x:xmpmeta>')


def noise(*shape, dtype=np.uint8) -> np.ndarray:
  high = np.iinfo(dtype).max
  return np.random.default_rng(7).integers(0, high, shape, dtype, True)


def smooth(height=48, width=64) -> np.ndarray:
  """A picture [h, w, 3] that JPEG hardly changes."""
  rows, columns = np.mgrid[0:height, 0:width]
  return np.stack([rows * 3, columns * 3, rows + columns], -1).astype(np.uint8)


def make_exif(orientation=1, width=64, height=48) -> bytes:
  exif = Image.Exif()
  exif[0x010F], exif[0x0110] = 'Canon', 'EOS R5'
  exif[0x0112] = orientation
  inner = exif.get_ifd(0x8769)
  inner[0x9003] = '2024:05:06 07:08:09'
  inner[0x829A] = 0.004
  inner[0x927C] = MAKER_NOTE
  inner[0xA002], inner[0xA003] = width, height
  place = exif.get_ifd(0x8825)
  place[1], place[2] = 'N', (52.0, 31.0, 12.5)
  return exif.tobytes()


def with_thumbnail(exif: bytes, thumbnail: bytes) -> bytes:
  """Appends a second directory and the JPEG it points to."""
  exif = exif.removeprefix(b'Exif\0\0')
  order = '<' if exif[:1] == b'I' else '>'
  first, = struct.unpack_from(order + 'I', exif, 4)
  count, = struct.unpack_from(order + 'H', exif, first)
  link, start = first + 2 + 12 * count, len(exif)
  directory = struct.pack(
      order + 'HHHIIHHIII', 2, 513, 4, 1, start + 30, 514, 4, 1,
      len(thumbnail), 0)
  return (exif[:link] + struct.pack(order + 'I', start) + exif[link + 4:]
          + directory + thumbnail)


def read_segments(data: bytes) -> list[tuple[int, bytes]]:
  at, found = 2, []
  while data[at + 1] != 0xDA:
    size, = struct.unpack_from('>H', data, at + 2)
    found.append((data[at + 1], data[at + 4:at + 2 + size]))
    at += 2 + size
  return found


def with_segments(jpeg: bytes, *segments: tuple[int, bytes]) -> bytes:
  return jpeg[:2] + b''.join(
      struct.pack('>BBH', 255, marker, len(payload) + 2) + payload
      for marker, payload in segments) + jpeg[2:]


def chunk(name: bytes, payload: bytes) -> bytes:
  return (struct.pack('>I', len(payload)) + name + payload
          + struct.pack('>I', zlib.crc32(name + payload)))


def encoded(pixels: np.ndarray, file_format: str, **options) -> bytes:
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, file_format, **options)
  return buffer.getvalue()


def save(path: pathlib.Path, samples: np.ndarray, **options) -> pathlib.Path:
  """Writes [h, w] grey, [h, w, 2] grey and alpha, or RGB(A) samples."""
  if path.suffix == '.tif':
    channels = samples.shape[2] if samples.ndim == 3 else 1
    options.setdefault('photometric', 'rgb' if channels > 2 else 'minisblack')
    if channels in (2, 4):
      options.setdefault('extrasamples', ['unassalpha'])
      options.setdefault('planarconfig', 'contig')
    tifffile.imwrite(path, samples, **options)
  elif samples.dtype == np.uint8:
    Image.fromarray(samples).save(path, **options)
  elif samples.ndim == 3 and samples.shape[2] == 2:
    path.write_bytes(png_grey_alpha(samples))
  else:
    order = {2: slice(None), 3: [2, 1, 0], 4: [2, 1, 0, 3]}
    channels = samples.shape[2] if samples.ndim == 3 else 2
    cv2.imwrite(str(path), samples[..., order[channels]])
  return path


def png_grey_alpha(samples: np.ndarray) -> bytes:
  """16-bit grey with alpha, which no library here writes."""
  height, width, _ = samples.shape
  rows = samples.astype('>u2').tobytes()
  stride = len(rows) // height
  lines = b''.join(
      b'\0' + rows[at:at + stride] for at in range(0, len(rows), stride))
  return (b'\x89PNG\r\n\x1a\n'
          + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 16, 4,
                                        0, 0, 0))
          + chunk(b'IDAT', zlib.compress(lines)) + chunk(b'IEND', b''))


def load(path: pathlib.Path) -> np.ndarray:
  """Reads samples as they are stored, by a library that is not libvips."""
  if path.suffix == '.tif':
    return tifffile.imread(path)
  deep = path.suffix == '.png' and path.read_bytes()[24] == 16
  if not deep:
    with Image.open(path) as image:
      return np.asarray(image)
  samples = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
  if path.read_bytes()[25] == 4:  # OpenCV reads grey and alpha as BGRA.
    return samples[..., [0, 3]]
  if samples.ndim == 3:
    samples = samples[..., [2, 1, 0, 3][:samples.shape[2]]]
  return samples


def again(source: pathlib.Path) -> pathlib.Path:
  """Reads a file and writes what was read as another one."""
  written = source.with_name('written' + source.suffix)
  picture = pictures.read(source)
  pictures.write(written, picture, picture.pixels)
  return written


def message(path: pathlib.Path) -> str:
  with pytest.raises(pictures.ImageFileError) as caught:
    pictures.read(path)
  message = str(caught.value)
  assert message.startswith(f'{path} ')
  assert message.endswith('.') and '\n' not in message
  return message
