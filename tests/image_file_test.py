"""Picture files: nothing that a photographer cares for is lost on the way.

The files are made, and what was written is read, by other libraries: Pillow,
OpenCV and tifffile.
"""

import io
import logging
import os
import pathlib
import struct
import zlib

import cv2
import numpy as np
from PIL import (
    ExifTags,
    Image,
    ImageCms,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
)
import pytest
import pyvips
import tifffile

from jaxdeblur.restoration import image_file

_ENDINGS = {'png': 'png', 'jpeg': 'jpg', 'tiff': 'tif', 'webp': 'webp'}
_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
_MAKER_NOTE = b'SONY DSC \0\0\0' + bytes(range(100))
_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description '
    b'tiff:Orientation="6" xmp:Rating="5"><xmp:Thumbnails><rdf:Alt>'
    b'the picture as it was</rdf:Alt></xmp:Thumbnails></rdf:Description>'
    b'</x:xmpmeta>')
_UPRIGHT_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description '
    b'tiff:Orientation="1" xmp:Rating="5"></rdf:Description></x:xmpmeta>')


def _noise(*shape, dtype=np.uint8) -> np.ndarray:
  high = np.iinfo(dtype).max
  return np.random.default_rng(7).integers(0, high, shape, dtype, True)


def _smooth(height=48, width=64) -> np.ndarray:
  """A picture [h, w, 3] that JPEG hardly changes."""
  rows, columns = np.mgrid[0:height, 0:width]
  return np.stack([rows * 3, columns * 3, rows + columns], -1).astype(np.uint8)


def _exif(orientation=1, width=64, height=48) -> bytes:
  exif = Image.Exif()
  exif[0x010F], exif[0x0110] = 'Canon', 'EOS R5'
  exif[0x0112] = orientation
  inner = exif.get_ifd(0x8769)
  inner[0x9003] = '2024:05:06 07:08:09'
  inner[0x829A] = 0.004
  inner[0x927C] = _MAKER_NOTE
  inner[0xA002], inner[0xA003] = width, height
  place = exif.get_ifd(0x8825)
  place[1], place[2] = 'N', (52.0, 31.0, 12.5)
  return exif.tobytes()


def _with_thumbnail(exif: bytes, thumbnail: bytes) -> bytes:
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


def _segments(data: bytes) -> list[tuple[int, bytes]]:
  at, found = 2, []
  while data[at + 1] != 0xDA:
    size, = struct.unpack_from('>H', data, at + 2)
    found.append((data[at + 1], data[at + 4:at + 2 + size]))
    at += 2 + size
  return found


def _with_segments(jpeg: bytes, *segments: tuple[int, bytes]) -> bytes:
  return jpeg[:2] + b''.join(
      struct.pack('>BBH', 255, marker, len(payload) + 2) + payload
      for marker, payload in segments) + jpeg[2:]


def _chunk(name: bytes, payload: bytes) -> bytes:
  return (struct.pack('>I', len(payload)) + name + payload
          + struct.pack('>I', zlib.crc32(name + payload)))


def _encoded(pixels: np.ndarray, file_format: str, **options) -> bytes:
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, file_format, **options)
  return buffer.getvalue()


def _save(path: pathlib.Path, samples: np.ndarray, **options) -> pathlib.Path:
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
    path.write_bytes(_png_grey_alpha(samples))
  else:
    order = {2: slice(None), 3: [2, 1, 0], 4: [2, 1, 0, 3]}
    channels = samples.shape[2] if samples.ndim == 3 else 2
    cv2.imwrite(str(path), samples[..., order[channels]])
  return path


def _png_grey_alpha(samples: np.ndarray) -> bytes:
  """16-bit grey with alpha, which no library here writes."""
  height, width, _ = samples.shape
  rows = samples.astype('>u2').tobytes()
  stride = len(rows) // height
  lines = b''.join(
      b'\0' + rows[at:at + stride] for at in range(0, len(rows), stride))
  return (b'\x89PNG\r\n\x1a\n'
          + _chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 16, 4,
                                        0, 0, 0))
          + _chunk(b'IDAT', zlib.compress(lines)) + _chunk(b'IEND', b''))


def _load(path: pathlib.Path) -> np.ndarray:
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


def _again(source: pathlib.Path) -> pathlib.Path:
  """Reads a file and writes what was read as another one."""
  written = source.with_name('written' + source.suffix)
  picture = image_file.read(source)
  image_file.write(written, picture, picture.pixels)
  return written


def _message(path: pathlib.Path) -> str:
  with pytest.raises(image_file.ImageFileError) as caught:
    image_file.read(path)
  message = str(caught.value)
  assert message.startswith(f'{path} ')
  assert message.endswith('.') and '\n' not in message
  return message


# Samples.


@pytest.mark.parametrize('channels', [1, 2, 3, 4])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('ending', ['png', 'tif'])
def test_lossless_files_keep_every_bit(tmp_path, ending, dtype, channels):
  samples = _noise(5, 7, channels, dtype=dtype)
  if channels == 1:
    samples = samples[..., 0]
  source = _save(tmp_path / f'a.{ending}', samples)

  picture = image_file.read(source)
  stack = np.atleast_3d(samples)
  light = stack[..., :3] if channels > 2 else stack[..., [0, 0, 0]]
  np.testing.assert_array_equal(picture.pixels, light)
  assert picture.pixels.dtype == dtype
  assert picture.grey == (channels < 3)
  assert picture.bit_depth == 8 * np.dtype(dtype).itemsize
  assert picture.path == source
  if channels in (2, 4):
    np.testing.assert_array_equal(picture.alpha, stack[..., -1])
    assert picture.alpha.dtype == dtype
  else:
    assert picture.alpha is None

  written = _load(_again(source))
  np.testing.assert_array_equal(written, samples)
  assert written.dtype == dtype


@pytest.mark.parametrize('channels', [3, 4])
def test_lossless_webp_keeps_every_bit(tmp_path, channels):
  samples = _noise(5, 7, channels)
  samples[0, :, 3:] = 0  # Colours that nobody sees are kept as well.
  source = _save(tmp_path / 'a.webp', samples, lossless=True, exact=True)
  written = _again(source)
  np.testing.assert_array_equal(_load(written), samples)
  header = written.read_bytes()
  assert header[12:16] == b'VP8X'
  assert header[20] == (0x10 if channels == 4 else 0)  # It has alpha.


def test_lossy_webp_stays_webp_and_close(tmp_path):
  source = _save(tmp_path / 'a.webp', _smooth(), quality=90)
  written = _again(source)
  assert Image.open(written).format == 'WEBP'
  assert b'VP8 ' in written.read_bytes()
  picture = image_file.read(source)
  difference = _load(written).astype(int) - picture.pixels
  assert np.abs(difference).mean() < 2


@pytest.mark.parametrize('shape', [(48, 64, 3), (48, 64), (1, 1, 3)])
def test_jpeg_is_written_finely_and_in_full_colour(tmp_path, shape):
  samples = _smooth(*shape[:2])
  samples = samples if len(shape) == 3 else samples[..., 0]
  source = _save(tmp_path / 'a.jpg', samples, quality=70)
  picture = image_file.read(source)
  assert picture.grey == (samples.ndim == 2)
  # Two builds of libjpeg may round the inverse transform differently by 1.
  stored = np.broadcast_to(np.atleast_3d(_load(source)), picture.pixels.shape)
  assert np.abs(picture.pixels.astype(int) - stored).max() <= 1

  with Image.open(_again(source)) as written:
    assert written.format == 'JPEG'
    assert written.mode == ('RGB' if samples.ndim == 3 else 'L')
    if written.mode == 'RGB':
      assert JpegImagePlugin.get_sampling(written) == 0  # 4:4:4.
    reference = Image.open(io.BytesIO(
        _encoded(samples, 'jpeg', quality=95)))
    assert written.quantization == reference.quantization
    difference = np.asarray(written, int) - stored[..., :1 if (
        samples.ndim == 2) else 3].reshape(np.asarray(written).shape)
    assert np.abs(difference).max() <= 3


def test_grey_gets_the_mean_of_the_channels(tmp_path):
  source = _save(tmp_path / 'a.png', _noise(2, 3, dtype=np.uint16))
  picture = image_file.read(source)
  pixels = np.zeros((2, 3, 3), np.uint16)
  pixels[0] = 65535
  pixels[1, :, 0], pixels[1, :, 1] = (1, 2, 3), (0, 0, 2)
  image_file.write(source, picture, pixels)
  np.testing.assert_array_equal(
      _load(source), [[65535] * 3, [0, 1, 2]])  # 1/3, 2/3, 5/3: the nearest.


def test_a_restored_file_may_replace_its_source(tmp_path):
  source = _save(tmp_path / 'a.tif', _noise(4, 4, 3))
  picture = image_file.read(source)
  for value in (3, 200):  # The second reading must not see the first file.
    image_file.write(source, picture, np.full_like(picture.pixels, value))
    assert (image_file.read(source).pixels == value).all()


@pytest.mark.parametrize('mode', ['1', 'P', 'PA', 'L+', 'RGB+', '2', '4'])
def test_small_png_kinds_become_8_bits(tmp_path, mode):
  """Palettes, few bits, and one colour that is transparent."""
  source = tmp_path / 'a.png'
  rgb = Image.fromarray(_smooth())
  if mode == '1':
    rgb.convert('1').save(source)
    expected = np.asarray(Image.open(source).convert('L'))
  elif mode == 'P':
    rgb.quantize(13).save(source)
    expected = np.asarray(Image.open(source).convert('RGB'))
  elif mode == 'PA':
    rgb.quantize(13).save(source, transparency=2)
    expected = np.asarray(Image.open(source).convert('RGBA'))
  elif mode == 'L+':
    rgb.convert('L').save(source, transparency=40)
    expected = np.asarray(Image.open(source).convert('LA'))
  elif mode == 'RGB+':
    rgb.save(source, transparency=(30, 60, 30))
    expected = np.asarray(Image.open(source).convert('RGBA'))
  else:
    source.write_bytes(
        b'\x89PNG\r\n\x1a\n' + _chunk(
            b'IHDR', struct.pack('>IIBBBBB', 2, 1, int(mode), 0, 0, 0, 0))
        + _chunk(b'IDAT', zlib.compress(b'\0\x10')) + _chunk(b'IEND', b''))
    # The bits 00 01 and 0001 0000, scaled to 8.
    expected = np.array([[0, 85]] if mode == '2' else [[17, 0]], np.uint8)
  written = _load(_again(source))
  np.testing.assert_array_equal(written, expected)
  assert written.dtype == np.uint8


def test_interlaced_png(tmp_path):
  samples = _noise(9, 9, 3, dtype=np.uint16)
  source = tmp_path / 'a.png'
  pyvips.Image.new_from_array(samples).copy(interpretation='rgb16').pngsave(
      str(source), interlace=True)
  assert source.read_bytes()[28] == 1
  np.testing.assert_array_equal(image_file.read(source).pixels, samples)


@pytest.mark.parametrize('options', [
    {'compression': 'lzw'}, {'compression': 'zlib'},
    {'compression': 'zlib', 'predictor': True}, {'compression': 'packbits'},
    {'byteorder': '>'}, {'bigtiff': True}, {'tile': (16, 16)},
    {'photometric': 'miniswhite'}, {'planarconfig': 'separate'}])
def test_tiff_layouts(tmp_path, options):
  samples = _noise(20, 33, 3, dtype=np.uint16)
  if 'photometric' in options:
    samples = samples[..., 0]
  stored = samples
  if 'planarconfig' in options:
    stored = samples.transpose(2, 0, 1)
  source = tmp_path / 'a.tif'
  if options.get('compression') in ('lzw', 'packbits'):
    samples = (samples >> 8).astype(np.uint8)
    Image.fromarray(samples).save(
        source, compression={'lzw': 'tiff_lzw', 'packbits': 'packbits'}[
            options['compression']])
  else:
    _save(source, stored, **options)
  if options.get('photometric') == 'miniswhite':
    samples = 65535 - samples

  picture = image_file.read(source)
  pixels = samples if samples.ndim == 3 else samples[..., None]
  np.testing.assert_array_equal(
      picture.pixels, np.broadcast_to(pixels, picture.pixels.shape))
  written = _again(source)
  with Image.open(written) as image, Image.open(source) as original:
    assert image.tag_v2[259] == original.tag_v2[259]  # Compression.
  if options.get('compression') == 'lzw':  # tifffile alone cannot read it.
    np.testing.assert_array_equal(np.asarray(Image.open(written)), samples)
  else:
    np.testing.assert_array_equal(tifffile.imread(written), samples)


def test_lossy_tiff_compression_becomes_deflate(tmp_path):
  source = tmp_path / 'a.tif'
  Image.fromarray(_smooth()).save(source, compression='jpeg')
  written = _again(source)
  with Image.open(written) as image, Image.open(source) as original:
    assert image.tag_v2[259] == 8
    np.testing.assert_allclose(
        np.asarray(image).astype(int), np.asarray(original), atol=2)


@pytest.mark.parametrize('compression', [None, 'group4'])
def test_bilevel_tiff_becomes_8_bit_grey(tmp_path, compression):
  source = tmp_path / 'a.tif'
  Image.fromarray(_smooth()).convert('1').save(source, compression=compression)
  written = _again(source)
  with Image.open(written) as image, Image.open(source) as original:
    assert image.mode == 'L'
    np.testing.assert_array_equal(image, original.convert('L'))


def test_palette_tiff_becomes_rgb(tmp_path):
  source = tmp_path / 'a.tif'
  Image.fromarray(_smooth()).quantize(13).save(source)
  with Image.open(_again(source)) as image, Image.open(source) as original:
    np.testing.assert_array_equal(image, original.convert('RGB'))


def test_premultiplied_tiff_alpha_keeps_every_bit(tmp_path):
  samples = _noise(6, 7, 4)
  source = _save(tmp_path / 'a.tif', samples, extrasamples=['assocalpha'])
  written = _again(source)
  np.testing.assert_array_equal(tifffile.imread(written), samples)
  with tifffile.TiffFile(written) as tiff:
    assert tuple(tiff.pages[0].extrasamples) == (1,)


def test_a_picture_that_never_was_a_file(tmp_path):
  pixels = _noise(4, 5, 3, dtype=np.uint16)
  for ending, file_format in (('png', 'png'), ('tif', 'tiff')):
    path = tmp_path / f'a.{ending}'
    image_file.write(path, image_file.Picture(pixels, file_format), pixels)
    np.testing.assert_array_equal(_load(path), pixels)
  with Image.open(tmp_path / 'a.tif') as image:
    assert 282 not in image.tag_v2  # No resolution that nobody stated.
  path = tmp_path / 'a.jpg'
  image_file.write(path, image_file.Picture(_smooth(), 'jpeg'), _smooth())
  assert Image.open(path).info['jfif_version'] == (1, 1)
  picture = image_file.Picture(pixels, 'jpeg')
  with pytest.raises(image_file.ImageFileError, match='8 bits a channel'):
    image_file.write(path, picture, pixels)


@pytest.mark.parametrize('profiled', [False, True])
@pytest.mark.parametrize('ending', ['jpg', 'tif'])
def test_cmyk_becomes_srgb(tmp_path, ending, profiled):
  """Black ink is black, no ink is white, cyan ink is a blue green."""
  ink = np.zeros((16, 64, 4), np.uint8)
  ink[:, 16:32, 3], ink[:, 32:48, 0], ink[:, 48:] = 255, 255, 40
  source = tmp_path / f'a.{ending}'
  options = {'quality': 100} if ending == 'jpg' else {}
  if profiled:
    options['icc_profile'] = pyvips.Image.profile_load('cmyk')
  Image.frombytes('CMYK', (64, 16), ink.tobytes()).save(source, **options)

  picture = image_file.read(source)
  white, black, cyan = (picture.pixels[8, x].astype(int) for x in (8, 24, 40))
  assert white.min() >= 250
  assert black.max() < 60
  assert cyan[0] < 90 and cyan[1] > 110 and cyan[2] > 180
  assert picture.notes == (f'{source} is CMYK and becomes RGB (sRGB).',)
  written = Image.open(_again(source))
  assert written.mode == 'RGB'
  profile = ImageCms.ImageCmsProfile(io.BytesIO(written.info['icc_profile']))
  assert 'sRGB' in ImageCms.getProfileDescription(profile)
  assert profile.profile.xcolor_space.strip() == 'RGB'
  assert np.abs(np.asarray(written, int) - picture.pixels).max() <= 8


def test_cmyk_is_converted_by_its_own_profile(tmp_path):
  """On a press that prints twice as dark, the same inks are darker."""
  profile = bytearray(pyvips.Image.profile_load('cmyk'))
  table = profile.index(b'mft2')  # Ink to Lab, for every intent.
  inputs, outputs = struct.unpack_from('>HH', profile, table + 48)
  start = table + 52 + 2 * (4 * inputs + 9**4 * 3)
  lightness = np.frombuffer(bytes(profile), '>u2', outputs, start)
  profile[start:start + 2 * outputs] = (lightness // 2).astype('>u2').tobytes()
  source = tmp_path / 'a.jpg'
  inks = Image.new('CMYK', (16, 16), (90, 90, 90, 0))
  inks.save(source)
  usual = image_file.read(source).pixels.mean()
  inks.save(source, icc_profile=bytes(profile))
  assert image_file.read(source).pixels.mean() < 0.6 * usual


# Orientation.


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('file_format', ['jpeg', 'png', 'tiff', 'webp'])
def test_pixels_are_upright_and_the_file_says_so(
    tmp_path, file_format, orientation):
  source = tmp_path / f'a.{_ENDINGS[file_format]}'
  options = {'lossless': True} if file_format == 'webp' else {}
  Image.fromarray(_smooth()).save(
      source, file_format, exif=_exif(orientation), **options)
  with Image.open(source) as image:
    expected = np.asarray(ImageOps.exif_transpose(image))

  pixels = image_file.read(source).pixels
  np.testing.assert_allclose(pixels.astype(int), expected, atol=1)
  with Image.open(_again(source)) as written:
    exif = written.getexif()
    assert exif[0x0112] == 1
    height, width = expected.shape[:2]
    inner = exif.get_ifd(0x8769)
    assert (inner[0xA002], inner[0xA003]) == (width, height)
    shown = np.asarray(ImageOps.exif_transpose(written), int)
    np.testing.assert_allclose(shown, expected, atol=4)


def test_alpha_turns_with_the_pixels(tmp_path):
  samples = _noise(4, 6, 4)
  source = _save(tmp_path / 'a.png', samples, exif=_exif(6))
  picture = image_file.read(source)
  turned = np.rot90(samples, -1)
  np.testing.assert_array_equal(picture.pixels, turned[..., :3])
  np.testing.assert_array_equal(picture.alpha, turned[..., 3])


# Metadata.


@pytest.mark.parametrize('file_format', ['jpeg', 'png', 'tiff', 'webp'])
def test_camera_date_place_and_maker_note_stay(tmp_path, file_format):
  source = tmp_path / f'a.{_ENDINGS[file_format]}'
  Image.fromarray(_smooth()).save(
      source, file_format, exif=_exif(6), icc_profile=_PROFILE)
  with Image.open(_again(source)) as written:
    exif = written.getexif()
    assert (exif[0x010F], exif[0x0110]) == ('Canon', 'EOS R5')
    inner = exif.get_ifd(0x8769)
    assert inner[0x9003] == '2024:05:06 07:08:09'
    assert inner[0x829A] == 0.004
    assert inner[0x927C] == _MAKER_NOTE
    assert exif.get_ifd(0x8825) == {1: 'N', 2: (52.0, 31.0, 12.5)}
    assert written.info['icc_profile'] == _PROFILE


def test_exif_block_changes_in_orientation_only(tmp_path):
  """So that offsets in maker notes, from the block's start, stay true."""
  source = tmp_path / 'a.jpg'
  Image.fromarray(_smooth()).save(source, exif=_exif(3))
  blocks = [
      next(p for _, p in _segments(path.read_bytes()) if p[:4] == b'Exif')
      for path in (source, _again(source))]
  changed = np.flatnonzero(
      np.frombuffer(blocks[0], 'u1') != np.frombuffer(blocks[1], 'u1'))
  assert len(blocks[0]) == len(blocks[1])
  assert len(changed) == 1


def test_exif_may_end_with_its_last_tag(tmp_path):
  """Without the link to a thumbnail; the orientation counts all the same."""
  exif = b'Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0'
  source = tmp_path / 'a.jpg'
  source.write_bytes(_with_segments(
      _encoded(_smooth(), 'jpeg'), (0xE1, exif)))
  assert image_file.read(source).pixels.shape == (64, 48, 3)


def test_jpeg_segments_stay(tmp_path):
  photoshop = b'8BIM\x04\x04\0\0\0\0\0\x06iptc!!'
  extended = b'http://ns.adobe.com/xmp/extension/\0' + b'G' * 32 + b'more'
  large_profile = _PROFILE + bytes(90_000)
  source = tmp_path / 'a.jpg'
  source.write_bytes(_with_segments(
      _encoded(_smooth(), 'jpeg', dpi=(300, 300), comment=b'by hand',
               icc_profile=large_profile, xmp=_XMP),
      (0xE1, extended), (0xED, b'Photoshop 3.0\0' + photoshop),
      (0xE2, b'MPF\0' + bytes(30))))
  written = _again(source)
  with Image.open(written) as image:
    assert image.info['dpi'] == (300, 300)
    assert image.info['comment'] == b'by hand'
    assert image.info['icc_profile'] == large_profile
    assert image.info['xmp'] == _UPRIGHT_XMP
    assert image.info['photoshop'] == {0x0404: b'iptc!!'}
  segments = _segments(written.read_bytes())
  assert (0xE1, extended) in segments
  assert [p[:4] for _, p in segments].count(b'JFIF') == 1
  # Lists pictures behind this one, which are not there any more.
  assert not any(payload.startswith(b'MPF') for _, payload in segments)


@pytest.mark.parametrize('trailing', [b'', b'maker note behind it'])
def test_stale_jpeg_thumbnails_go(tmp_path, trailing):
  thumbnail = _encoded(_smooth(8, 8), 'jpeg')
  exif = _with_thumbnail(_exif(), thumbnail) + trailing
  resources = (
      b'8BIM\x04\x0c\0\0' + struct.pack('>I', len(thumbnail)) + thumbnail
      + bytes(len(thumbnail) % 2) + b'8BIM\x04\x0a\0\0\0\0\0\x01\x01\0')
  jfif = b'JFIF\0\1\1\0\0\1\0\1\1\1rgb'
  source = tmp_path / 'a.jpg'
  bare = _encoded(_smooth(), 'jpeg')
  bare = bare[:2] + bare[20:]  # Without its own JFIF segment.
  source.write_bytes(_with_segments(
      bare, (0xE0, jfif), (0xE1, b'Exif\0\0' + exif),
      (0xED, b'Photoshop 3.0\0' + resources)))
  with Image.open(source) as image:  # The file is what we think it is.
    assert image.getexif().get_ifd(ExifTags.IFD.IFD1)[514] == len(thumbnail)
    assert 0x040C in image.info['photoshop']

  written = _again(source).read_bytes()
  assert thumbnail not in written
  assert thumbnail[-40:] not in written
  assert trailing in written
  with Image.open(io.BytesIO(written)) as image:
    assert image.getexif().get_ifd(ExifTags.IFD.IFD1) == {}
    assert image.getexif()[0x0110] == 'EOS R5'
    assert image.info['photoshop'] == {0x040A: b'\x01'}
  assert _segments(written)[0] == (0xE0, jfif[:12] + b'\0\0')


def test_webp_exif_with_a_header_of_jpeg(tmp_path):
  """As Pillow and Android write it; its orientation counts all the same."""
  source = tmp_path / 'a.webp'
  data = _encoded(_smooth(), 'webp', exif=_exif(6), lossless=True)
  at = data.index(b'EXIF')
  size, = struct.unpack_from('<I', data, at + 4)
  data = (data[:4] + struct.pack('<I', len(data) - 2) + data[8:at + 4]
          + struct.pack('<I', size + 6) + b'Exif\0\0' + data[at + 8:])
  source.write_bytes(data)
  assert image_file.read(source).pixels.shape == (64, 48, 3)


def test_png_chunks_stay(tmp_path):
  info = PngImagePlugin.PngInfo()
  info.add(b'gAMA', struct.pack('>I', 55555))
  info.add(b'tIME', struct.pack('>HBBBBB', 2024, 5, 6, 7, 8, 9))
  info.add_text('Author', 'Ansel')
  info.add_text('Long', 'word ' * 500, zip=True)
  info.add_itxt('XML:com.adobe.xmp', _XMP.decode())
  info.add(b'bKGD', b'\0\1\0\1\0\1')
  source = tmp_path / 'a.png'
  Image.fromarray(_smooth()).save(
      source, pnginfo=info, dpi=(300, 300), exif=_exif())
  with Image.open(_again(source)) as written:
    written.load()
    assert written.info['gamma'] == 0.55555
    assert written.info['Author'] == 'Ansel'
    assert written.info['Long'] == 'word ' * 500
    assert written.info['dpi'] == pytest.approx((300, 300), abs=0.01)
    assert written.info['XML:com.adobe.xmp'] == _UPRIGHT_XMP.decode()
  chunks = (tmp_path / 'written.png').read_bytes()
  assert b'tIME' in chunks
  assert b'bKGD' not in chunks


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('bigtiff', [False, True])
def test_tiff_tags_stay(tmp_path, order, bigtiff):
  iptc = b'\x1c\x02\x78\0\x07caption'
  source = tmp_path / 'a.tif'
  tifffile.imwrite(
      source, _noise(6, 8, 3, dtype=np.uint16), photometric='rgb',
      byteorder=order, bigtiff=bigtiff, resolution=(300, 240),
      resolutionunit='inch', software='a converter', metadata=None,
      description='a caption', iccprofile=_PROFILE,
      extratags=[
          (271, 's', 0, 'Canon', True), (700, 'B', len(_XMP), _XMP, True),
          (33723, 7, len(iptc), iptc, True),
          (33550, 'd', 3, (0.5, 0.25, 0.0), True),  # GeoTIFF's pixel scale.
          (65000, 'H', 3, (1, 2, 3), True), (65001, 'H', 1, 515, True),
          (65002, '2I', 1, (7, 9), True)])
  written = _again(source)
  with tifffile.TiffFile(written) as tiff:
    page, = tiff.pages
    tags = {tag.code: tag.value for tag in page.tags}
    assert tags[282] == (300, 1) and tags[283] == (240, 1) and tags[296] == 2
    assert tags[305] == 'a converter'
    assert tags[270] == 'a caption'
    assert tags[271] == 'Canon'
    assert bytes(tags[34675]) == _PROFILE
    assert bytes(tags[700]) == _UPRIGHT_XMP
    assert bytes(tags[33723]) == iptc
    assert tags[33550] == (0.5, 0.25, 0.0)
    assert tags[65000] == (1, 2, 3)
    assert tags[65001] == 515
    assert tags[65002] == (7, 9)
    assert tags[274] == 1
  with Image.open(written) as image:
    assert image.info['dpi'] == (300, 240)


def test_tiff_previews_are_dropped_and_layers_noted(tmp_path):
  source = tmp_path / 'a.tif'
  with tifffile.TiffWriter(source) as tiff:
    tiff.write(_noise(8, 8, 3), photometric='rgb', metadata=None,
               extratags=[
                   (37724, 7, 40, b'Adobe Photoshop'.ljust(40), True),
                   (34377, 'B', 32, b'8BIM\x04\x0c\0\0\0\0\0\x06thumb!'
                    b'8BIM\x04\x0a\0\0\0\0\0\x02\1\0', True)])
    tiff.write(_noise(4, 4, 3), photometric='rgb', metadata=None,
               subfiletype=1)
  picture = image_file.read(source)
  assert picture.pixels.shape == (8, 8, 3)
  assert picture.notes == (
      f'{source} loses its Photoshop layers, which hold the old pixels.',)
  with Image.open(_again(source)) as written, Image.open(source) as original:
    assert (original.n_frames, written.n_frames) == (2, 1)
    assert 37724 in original.tag_v2
    assert 37724 not in written.tag_v2
    assert b'thumb!' in original.tag_v2[34377]
    assert written.tag_v2[34377] == b'8BIM\x04\x0a\0\0\0\0\0\x02\1\0'


@pytest.mark.parametrize('xmp, lost', [
    (b'<x hdrgm:Version="1.0"/>', 'HDR gain map'),
    (b'<x GCamera:MotionPhoto="1"/>', 'video')])
def test_what_lies_behind_a_jpeg_is_noted(tmp_path, xmp, lost):
  source = tmp_path / 'a.jpg'
  Image.fromarray(_smooth()).save(source, xmp=xmp)
  note, = image_file.read(source).notes
  assert note.startswith(f'{source} loses ') and lost in note


def test_broken_exif_stays_as_it_is(tmp_path):
  """The picture is whole: a viewer shows it as stored, and so do we."""
  for exif in (b'', b'II*\0', b'II*\0\xff\xff\xff\xff', b'rubbish' * 9):
    source = tmp_path / 'a.jpg'
    source.write_bytes(_with_segments(
        _encoded(_smooth(), 'jpeg'), (0xE1, b'Exif\0\0' + exif)))
    assert image_file.read(source).pixels.shape == (48, 64, 3)
    segments = _segments(_again(source).read_bytes())
    assert (0xE1, b'Exif\0\0' + exif) in segments


# Errors.


def test_what_is_no_picture_is_named(tmp_path):
  assert 'does not exist' in _message(tmp_path / 'missing.png')
  assert 'is a folder' in _message(tmp_path)
  (tmp_path / 'folder.png').mkdir()
  assert 'is a folder' in _message(tmp_path / 'folder.png')
  raw = tmp_path / 'IMG_1.CR3'
  raw.write_bytes(b'x')
  assert "'.CR3'" in _message(raw) and '.tif' in _message(raw)
  empty = tmp_path / 'empty.jpg'
  empty.touch()
  assert 'is empty' in _message(empty)
  text = tmp_path / 'text.png'
  text.write_text('a list of pictures')
  assert 'not a PNG' in _message(text)
  renamed = tmp_path / 'renamed.png'
  renamed.write_bytes(_encoded(_smooth(), 'jpeg'))
  assert 'rename it to renamed.jpg' in _message(renamed)


@pytest.mark.parametrize('file_format, options', [
    ('png', {}), ('jpeg', {}), ('jpeg', {'progressive': True}),
    ('tiff', {}), ('tiff', {'compression': 'tiff_lzw'}),
    ('tiff', {'compression': 'tiff_adobe_deflate'}),
    ('webp', {}), ('webp', {'lossless': True})])
def test_a_file_cut_short_is_never_restored(tmp_path, file_format, options):
  whole = _encoded(_noise(40, 60, 3), file_format, **options)
  path = tmp_path / f'a.{_ENDINGS[file_format]}'
  path.write_bytes(whole)
  image_file.read(path)
  for size in (*range(12, len(whole) - 1, len(whole) // 40), len(whole) - 2):
    path.write_bytes(whole[:size])
    assert 'damaged or cut short' in _message(path)


def test_damage_is_found(tmp_path):
  whole = bytearray(_encoded(_smooth(), 'png', exif=_exif()))
  path = tmp_path / 'a.png'
  for at in range(20, len(whole), len(whole) // 20):
    flipped = whole.copy()
    flipped[at] ^= 4
    path.write_bytes(flipped)
    assert 'damaged' in _message(path)

  jpeg = _encoded(_noise(64, 64, 3), 'jpeg')
  path = tmp_path / 'a.jpg'
  path.write_bytes(jpeg[:1000] + b'\xff\xd0' * 20 + jpeg[1000:])
  assert 'Corrupt JPEG' in _message(path)


def test_a_harmless_warning_is_no_damage(tmp_path):
  """Some phones write a last coefficient of 0 in the scan's header."""
  jpeg = bytearray(_encoded(_smooth(), 'jpeg'))
  expected = np.asarray(Image.open(io.BytesIO(jpeg)))
  scan = jpeg.index(b'\xff\xda')
  assert jpeg[scan + 11:scan + 14] == b'\0\x3f\0'
  jpeg[scan + 12] = 0
  path = tmp_path / 'a.jpg'
  path.write_bytes(jpeg)
  np.testing.assert_allclose(
      image_file.read(path).pixels.astype(int), expected, atol=1)


@pytest.mark.parametrize('samples, options, told', [
    (np.zeros((4, 4, 3), np.float32), {}, '32-bit floating-point'),
    (np.zeros((4, 4), np.float16), {}, '16-bit floating-point'),
    (np.zeros((4, 4, 3), np.uint32), {}, '32-bit unsigned'),
    (np.zeros((4, 4), np.int16), {}, '16-bit signed'),
    (np.zeros((4, 4), np.complex64), {}, '64-bit complex'),
    (np.zeros((3, 4, 4), np.uint8), {'photometric': 'minisblack'}, '3 pages'),
    (np.zeros((4, 4, 3), np.uint8), {'photometric': 'cielab'}, 'tation 8'),
    (np.zeros((4, 4), np.uint16), {'photometric': 'cfa'}, 'tation 32803'),
    (np.zeros((4, 4, 5), np.uint8),
     {'extrasamples': [2, 0], 'planarconfig': 'contig'}, '5 channels'),
    (np.zeros((4, 4, 3), np.uint8), {'subfiletype': 1}, 'preview')])
def test_tiff_kinds_that_would_lose_are_refused(
    tmp_path, samples, options, told):
  path = tmp_path / 'a.tif'
  options = {'photometric': 'rgb' if samples.ndim == 3 else 'minisblack',
             **options}
  tifffile.imwrite(path, samples, **options)
  assert told in _message(path)


@pytest.mark.parametrize('file_format', ['png', 'webp'])
def test_animations_are_refused(tmp_path, file_format):
  path = tmp_path / f'a.{file_format}'
  frames = [Image.fromarray(_noise(8, 8, 3)), Image.fromarray(_smooth(8, 8))]
  frames[0].save(path, save_all=True, append_images=frames[1:])
  assert 'is an animation' in _message(path)


def test_decoders_stay_silent(tmp_path, capfd):
  path = tmp_path / 'a.tif'
  tifffile.imwrite(
      path, _noise(40, 40, 3), photometric='rgb',
      extratags=[(65000, 'H', 1, 5, True)])
  handler = logging.StreamHandler()  # As absl and run.py set one.
  logging.getLogger().addHandler(handler)
  try:
    image_file.read(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(image_file.ImageFileError):
      image_file.read(path)
  finally:
    logging.getLogger().removeHandler(handler)
  assert capfd.readouterr() == ('', '')


# Writing.


def test_pixels_must_be_the_pictures(tmp_path):
  source = _save(tmp_path / 'a.png', _noise(4, 5, 3))
  picture = image_file.read(source)
  for pixels, told in (
      (picture.pixels.astype(np.uint16), 'uint16 (4, 5, 3)'),
      (picture.pixels / np.float32(255), 'float32 (4, 5, 3)'),
      (picture.pixels[:, :4], 'uint8 (4, 4, 3)')):
    with pytest.raises(image_file.ImageFileError) as caught:
      image_file.write(tmp_path / 'b.png', picture, pixels)
    assert str(tmp_path / 'b.png') in str(caught.value)
    assert told in str(caught.value)
  for name in ('b.jpg', 'b', 'b.tif'):
    with pytest.raises(image_file.ImageFileError, match='is a PNG'):
      image_file.write(tmp_path / name, picture, picture.pixels)
  image_file.write(tmp_path / 'b.PNG', picture, picture.pixels)
  with pytest.raises(image_file.ImageFileError, match='No such file'):
    image_file.write(
        tmp_path / 'no' / 'b.png', picture, picture.pixels)
  assert sorted(p.name for p in tmp_path.iterdir()) == ['a.png', 'b.PNG']


@pytest.mark.parametrize('step', ['fsync', 'replace'])
@pytest.mark.parametrize('error', [OSError(28, 'No space left'),
                                   KeyboardInterrupt()])
def test_a_failed_write_leaves_all_as_it_was(
    tmp_path, monkeypatch, step, error):
  source = _save(tmp_path / 'a.png', _noise(4, 5, 3))
  target = _save(tmp_path / 'b.png', _smooth())
  before = target.read_bytes()
  picture = image_file.read(source)
  seen = []

  def fail(*_):
    seen.extend(p.name for p in tmp_path.iterdir())
    raise error

  monkeypatch.setattr(os, step, fail)
  expected = image_file.ImageFileError
  if isinstance(error, KeyboardInterrupt):
    expected = KeyboardInterrupt
  with pytest.raises(expected) as caught:
    image_file.write(target, picture, picture.pixels)
  if expected is image_file.ImageFileError:
    assert str(caught.value) == f'{target} cannot be written: No space left.'
  assert len(seen) == 3  # There was a file beside, in the same folder.
  assert sorted(p.name for p in tmp_path.iterdir()) == ['a.png', 'b.png']
  assert target.read_bytes() == before


def test_the_bytes_are_safe_before_they_are_seen(tmp_path, monkeypatch):
  steps = []
  fsync, replace = os.fsync, os.replace
  monkeypatch.setattr(
      os, 'fsync', lambda file: steps.append('fsync') or fsync(file))
  monkeypatch.setattr(
      os, 'replace', lambda *names: steps.append('replace') or replace(*names))
  _again(_save(tmp_path / 'a.png', _noise(4, 5, 3)))
  assert steps == ['fsync', 'replace']


def test_written_files_have_the_usual_permissions(tmp_path):
  written = _again(_save(tmp_path / 'a.png', _noise(4, 5, 3)))
  (tmp_path / 'plain').touch()
  assert written.stat().st_mode == (tmp_path / 'plain').stat().st_mode


# Folders.


def test_pictures_of_a_folder(tmp_path):
  for name in ('IMG_10.jpg', 'img_2.JPEG', 'IMG_1.png', 'b.tiff', 'a.TIF',
               'c.webp', '.hidden.png', 'notes.txt', 'raw.cr2', '._a.jpg'):
    (tmp_path / name).touch()
  (tmp_path / 'album.png').mkdir()
  (tmp_path / 'album.png' / 'inner.png').touch()
  assert [path.name for path in image_file.find_pictures(tmp_path)] == [
      'a.TIF', 'b.tiff', 'c.webp', 'IMG_1.png', 'img_2.JPEG', 'IMG_10.jpg']
  with pytest.raises(image_file.ImageFileError, match='is not a folder'):
    image_file.find_pictures(tmp_path / 'missing')


def test_every_suffix_is_lower_case():
  assert set(image_file.SUFFIXES) == {
      '.png', '.jpg', '.jpeg', '.tif', '.tiff', '.webp'}
