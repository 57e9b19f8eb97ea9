"""Picture files in and out: samples, orientation, folders."""

import io
import struct
import zlib

import numpy as np
from picture_files import (
  ENDINGS,
  again,
  chunk,
  encoded,
  load,
  make_exif,
  noise,
  save,
  smooth,
)
from PIL import (
  Image,
  ImageCms,
  ImageOps,
  JpegImagePlugin,
)
import pytest
import pyvips
import tifffile

from jaxdeblur import pictures

# Samples.


@pytest.mark.parametrize('channels', [1, 2, 3, 4])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('ending', ['png', 'tif'])
def test_lossless_files_keep_every_bit(tmp_path, ending, dtype, channels):
  samples = noise(5, 7, channels, dtype=dtype)
  if channels == 1:
    samples = samples[..., 0]
  source = save(tmp_path / f'a.{ending}', samples)

  picture = pictures.read(source)
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

  written = load(again(source))
  np.testing.assert_array_equal(written, samples)
  assert written.dtype == dtype


@pytest.mark.parametrize('channels', [3, 4])
def test_lossless_webp_keeps_every_bit(tmp_path, channels):
  samples = noise(5, 7, channels)
  samples[0, :, 3:] = 0  # Colours that nobody sees are kept as well.
  source = save(tmp_path / 'a.webp', samples, lossless=True, exact=True)
  written = again(source)
  np.testing.assert_array_equal(load(written), samples)
  header = written.read_bytes()
  assert header[12:16] == b'VP8X'
  assert header[20] == (0x10 if channels == 4 else 0)  # It has alpha.


def test_lossy_webp_stays_webp_and_close(tmp_path):
  source = save(tmp_path / 'a.webp', smooth(), quality=90)
  written = again(source)
  assert Image.open(written).format == 'WEBP'
  assert b'VP8 ' in written.read_bytes()
  picture = pictures.read(source)
  difference = load(written).astype(int) - picture.pixels
  assert np.abs(difference).mean() < 2


@pytest.mark.parametrize('shape', [(48, 64, 3), (48, 64), (1, 1, 3)])
def test_jpeg_is_written_finely_and_in_full_colour(tmp_path, shape):
  samples = smooth(*shape[:2])
  samples = samples if len(shape) == 3 else samples[..., 0]
  source = save(tmp_path / 'a.jpg', samples, quality=70)
  picture = pictures.read(source)
  assert picture.grey == (samples.ndim == 2)
  # Two builds of libjpeg may round the inverse transform differently by 1.
  stored = np.broadcast_to(np.atleast_3d(load(source)), picture.pixels.shape)
  assert np.abs(picture.pixels.astype(int) - stored).max() <= 1

  with Image.open(again(source)) as written:
    assert written.format == 'JPEG'
    assert written.mode == ('RGB' if samples.ndim == 3 else 'L')
    if written.mode == 'RGB':
      assert JpegImagePlugin.get_sampling(written) == 0  # 4:4:4.
    reference = Image.open(io.BytesIO(
        encoded(samples, 'jpeg', quality=95)))
    assert written.quantization == reference.quantization
    difference = np.asarray(written, int) - stored[..., :1 if (
        samples.ndim == 2) else 3].reshape(np.asarray(written).shape)
    assert np.abs(difference).max() <= 3


def test_grey_gets_the_mean_of_the_channels(tmp_path):
  source = save(tmp_path / 'a.png', noise(2, 3, dtype=np.uint16))
  picture = pictures.read(source)
  pixels = np.zeros((2, 3, 3), np.uint16)
  pixels[0] = 65535
  pixels[1, :, 0], pixels[1, :, 1] = (1, 2, 3), (0, 0, 2)
  pictures.write(source, picture, pixels)
  np.testing.assert_array_equal(
      load(source), [[65535] * 3, [0, 1, 2]])  # 1/3, 2/3, 5/3: the nearest.


def test_a_restored_file_may_replace_its_source(tmp_path):
  source = save(tmp_path / 'a.tif', noise(4, 4, 3))
  picture = pictures.read(source)
  for value in (3, 200):  # The second reading must not see the first file.
    pictures.write(source, picture, np.full_like(picture.pixels, value))
    assert (pictures.read(source).pixels == value).all()


@pytest.mark.parametrize('mode', ['1', 'P', 'PA', 'L+', 'RGB+', '2', '4'])
def test_small_png_kinds_become_8_bits(tmp_path, mode):
  """Palettes, few bits, and one colour that is transparent."""
  source = tmp_path / 'a.png'
  rgb = Image.fromarray(smooth())
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
        b'\x89PNG\r\n\x1a\n' + chunk(
            b'IHDR', struct.pack('>IIBBBBB', 2, 1, int(mode), 0, 0, 0, 0))
        + chunk(b'IDAT', zlib.compress(b'\0\x10')) + chunk(b'IEND', b''))
    # The bits 00 01 and 0001 0000, scaled to 8.
    expected = np.array([[0, 85]] if mode == '2' else [[17, 0]], np.uint8)
  written = load(again(source))
  np.testing.assert_array_equal(written, expected)
  assert written.dtype == np.uint8


def test_interlaced_png(tmp_path):
  samples = noise(9, 9, 3, dtype=np.uint16)
  source = tmp_path / 'a.png'
  pyvips.Image.new_from_array(samples).copy(interpretation='rgb16').pngsave(
      str(source), interlace=True)
  assert source.read_bytes()[28] == 1
  np.testing.assert_array_equal(pictures.read(source).pixels, samples)


@pytest.mark.parametrize('options', [
    {'compression': 'lzw'}, {'compression': 'zlib'},
    {'compression': 'zlib', 'predictor': True}, {'compression': 'packbits'},
    {'byteorder': '>'}, {'bigtiff': True}, {'tile': (16, 16)},
    {'photometric': 'miniswhite'}, {'planarconfig': 'separate'}])
def test_tiff_layouts(tmp_path, options):
  samples = noise(20, 33, 3, dtype=np.uint16)
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
    save(source, stored, **options)
  if options.get('photometric') == 'miniswhite':
    samples = 65535 - samples

  picture = pictures.read(source)
  pixels = samples if samples.ndim == 3 else samples[..., None]
  np.testing.assert_array_equal(
      picture.pixels, np.broadcast_to(pixels, picture.pixels.shape))
  written = again(source)
  with Image.open(written) as image, Image.open(source) as original:
    assert image.tag_v2[259] == original.tag_v2[259]  # Compression.
  if options.get('compression') == 'lzw':  # tifffile alone cannot read it.
    np.testing.assert_array_equal(np.asarray(Image.open(written)), samples)
  else:
    np.testing.assert_array_equal(tifffile.imread(written), samples)


def test_lossy_tiff_compression_becomes_deflate(tmp_path):
  source = tmp_path / 'a.tif'
  Image.fromarray(smooth()).save(source, compression='jpeg')
  written = again(source)
  with Image.open(written) as image, Image.open(source) as original:
    assert image.tag_v2[259] == 8
    np.testing.assert_allclose(
        np.asarray(image).astype(int), np.asarray(original), atol=2)


@pytest.mark.parametrize('compression', [None, 'group4'])
def test_bilevel_tiff_becomes_8_bit_grey(tmp_path, compression):
  source = tmp_path / 'a.tif'
  Image.fromarray(smooth()).convert('1').save(source, compression=compression)
  written = again(source)
  with Image.open(written) as image, Image.open(source) as original:
    assert image.mode == 'L'
    np.testing.assert_array_equal(image, original.convert('L'))


def test_palette_tiff_becomes_rgb(tmp_path):
  source = tmp_path / 'a.tif'
  Image.fromarray(smooth()).quantize(13).save(source)
  with Image.open(again(source)) as image, Image.open(source) as original:
    np.testing.assert_array_equal(image, original.convert('RGB'))


def test_premultiplied_tiff_alpha_keeps_every_bit(tmp_path):
  samples = noise(6, 7, 4)
  source = save(tmp_path / 'a.tif', samples, extrasamples=['assocalpha'])
  written = again(source)
  np.testing.assert_array_equal(tifffile.imread(written), samples)
  with tifffile.TiffFile(written) as tiff:
    assert tuple(tiff.pages[0].extrasamples) == (1,)


def test_a_picture_that_never_was_a_file(tmp_path):
  pixels = noise(4, 5, 3, dtype=np.uint16)
  for ending, file_format in (('png', 'png'), ('tif', 'tiff')):
    path = tmp_path / f'a.{ending}'
    pictures.write(path, pictures.Picture(pixels, file_format), pixels)
    np.testing.assert_array_equal(load(path), pixels)
  with Image.open(tmp_path / 'a.tif') as image:
    assert 282 not in image.tag_v2  # No resolution that nobody stated.
  path = tmp_path / 'a.jpg'
  pictures.write(path, pictures.Picture(smooth(), 'jpeg'), smooth())
  assert Image.open(path).info['jfif_version'] == (1, 1)
  picture = pictures.Picture(pixels, 'jpeg')
  with pytest.raises(pictures.ImageFileError, match='8 bits a channel'):
    pictures.write(path, picture, pixels)


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

  picture = pictures.read(source)
  white, black, cyan = (picture.pixels[8, x].astype(int) for x in (8, 24, 40))
  assert white.min() >= 250
  assert black.max() < 60
  assert cyan[0] < 90 and cyan[1] > 110 and cyan[2] > 180
  assert picture.notes == (f'{source} is CMYK and becomes RGB (sRGB).',)
  written = Image.open(again(source))
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
  usual = pictures.read(source).pixels.mean()
  inks.save(source, icc_profile=bytes(profile))
  assert pictures.read(source).pixels.mean() < 0.6 * usual


# Orientation.


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('file_format', ['jpeg', 'png', 'tiff', 'webp'])
def test_pixels_are_upright_and_the_file_says_so(
    tmp_path, file_format, orientation):
  source = tmp_path / f'a.{ENDINGS[file_format]}'
  options = {'lossless': True} if file_format == 'webp' else {}
  Image.fromarray(smooth()).save(
      source, file_format, exif=make_exif(orientation), **options)
  with Image.open(source) as image:
    expected = np.asarray(ImageOps.exif_transpose(image))

  pixels = pictures.read(source).pixels
  np.testing.assert_allclose(pixels.astype(int), expected, atol=1)
  with Image.open(again(source)) as written:
    exif = written.getexif()
    assert exif[0x0112] == 1
    height, width = expected.shape[:2]
    inner = exif.get_ifd(0x8769)
    assert (inner[0xA002], inner[0xA003]) == (width, height)
    shown = np.asarray(ImageOps.exif_transpose(written), int)
    np.testing.assert_allclose(shown, expected, atol=4)


def test_alpha_turns_with_the_pixels(tmp_path):
  samples = noise(4, 6, 4)
  source = save(tmp_path / 'a.png', samples, exif=make_exif(6))
  picture = pictures.read(source)
  turned = np.rot90(samples, -1)
  np.testing.assert_array_equal(picture.pixels, turned[..., :3])
  np.testing.assert_array_equal(picture.alpha, turned[..., 3])


# Folders.


def test_pictures_of_a_folder(tmp_path):
  for name in ('IMG_10.jpg', 'img_2.JPEG', 'IMG_1.png', 'b.tiff', 'a.TIF',
               'c.webp', '.hidden.png', 'notes.txt', 'raw.cr2', '._a.jpg'):
    (tmp_path / name).touch()
  (tmp_path / 'album.png').mkdir()
  (tmp_path / 'album.png' / 'inner.png').touch()
  assert [path.name for path in pictures.find_pictures(tmp_path)] == [
      'a.TIF', 'b.tiff', 'c.webp', 'IMG_1.png', 'img_2.JPEG', 'IMG_10.jpg']
  with pytest.raises(pictures.ImageFileError, match='is not a folder'):
    pictures.find_pictures(tmp_path / 'missing')


def test_every_suffix_is_lower_case():
  assert set(pictures.SUFFIXES) == {
      '.png', '.jpg', '.jpeg', '.tif', '.tiff', '.webp'}
