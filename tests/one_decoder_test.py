"""Restoring, scoring pairs and training see the same pixels in a file."""

import pathlib

import cv2
import numpy as np
from picture_files import (
  encoded,
  make_exif,
  noise,
  save,
  smooth,
)
from PIL import Image
import pytest
import tifffile

from data_pipelines.datasets import trees
from data_pipelines.pairs import FolderPairs
from data_pipelines.sources import (
  Tile,
  TileSource,
  list_photographs,
  list_tiles,
  read_photograph,
)
from jaxdeblur import pictures
from jaxdeblur.evaluation.protocols.pixel4 import Scenes

# Each maker writes one picture's file; they are read in all the ways below.


def as_restored(file: pathlib.Path) -> np.ndarray:
  return pictures.read(file).pixels


def as_pixels(file: pathlib.Path) -> np.ndarray:
  return pictures.read_pixels(file)


def as_record(file: pathlib.Path) -> np.ndarray:
  return pictures.decode_pixels(file.read_bytes(), 'a record')


def as_pair(file: pathlib.Path) -> np.ndarray:
  folder = file.parent / 'pairs'
  (folder / 'blurry').mkdir(parents=True)
  (folder / 'blurry' / file.name).write_bytes(file.read_bytes())
  return FolderPairs(folder)[0].views['center']


def as_photograph(file: pathlib.Path) -> np.ndarray:
  return read_photograph(file)


def as_tile(file: pathlib.Path) -> np.ndarray:
  tile, *others = list_tiles(file.parent, size=32)
  assert tile == Tile(file, 0, 0, 32) and not others
  return TileSource([tile])[0]


WAYS = (as_restored, as_pixels, as_record, as_pair, as_photograph, as_tile)
EIGHT_BITS = (as_photograph, as_tile)


def expect(file: pathlib.Path, pixels: np.ndarray, atol: int = 0) -> None:
  """All ways give these pixels; training has the upper 8 bits of 16."""
  for way in WAYS:
    expected = pixels
    if way in EIGHT_BITS and pixels.dtype == np.uint16:
      expected = (pixels >> 8).astype(np.uint8)
    if way is as_tile:
      expected = expected[:32, :32]
    found = way(file)
    assert found.dtype == expected.dtype, way.__name__
    np.testing.assert_allclose(
        found.astype(int), expected, atol=atol, err_msg=way.__name__)
  assert pictures.read_size(file) == pixels.shape[:2]


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
  """What a camera stores whose EXIF says `orientation` (EXIF 2.32, 4.6.4).

  Spelled out by what row 0 and column 0 of the stored picture are.
  """
  return {
      1: lambda p: p,                              # top, left
      2: lambda p: p[:, ::-1],                     # top, right
      3: lambda p: p[::-1, ::-1],                  # bottom, right
      4: lambda p: p[::-1],                        # bottom, left
      5: lambda p: p.swapaxes(0, 1),               # left, top
      6: lambda p: p.swapaxes(0, 1)[::-1],         # right, top
      7: lambda p: p.swapaxes(0, 1)[::-1, ::-1],   # right, bottom
      8: lambda p: p.swapaxes(0, 1)[:, ::-1],      # left, bottom
  }[orientation](upright)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_jpeg_is_upright_everywhere(tmp_path, orientation):
  upright = smooth(40, 56)
  file = tmp_path / 'a.jpg'
  Image.fromarray(np.ascontiguousarray(stored(upright, orientation))).save(
      file, quality=100, subsampling=0, exif=make_exif(orientation))
  expect(file, upright, atol=4)  # JPEG's own loss on a smooth picture.


@pytest.mark.parametrize('options', [{}, {'compression': 'zlib'}])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_tiff_of_16_bits_is_upright_everywhere(
    tmp_path, orientation, options):
  upright = noise(40, 56, 3, dtype=np.uint16)
  file = save(
      tmp_path / 'a.tif', np.ascontiguousarray(stored(upright, orientation)),
      extratags=[(274, 'H', 1, orientation, True)], **options)
  expect(file, upright)


@pytest.mark.parametrize('ending', ['png', 'webp'])
def test_orientation_may_follow_the_pixels(tmp_path, ending):
  upright = noise(40, 56, 3)
  file = tmp_path / f'a.{ending}'
  Image.fromarray(np.ascontiguousarray(stored(upright, 6))).save(
      file, lossless=True, exif=make_exif(6))
  if ending == 'png':  # Pillow writes it before them.
    data = file.read_bytes()
    start = data.index(b'eXIf') - 4
    end = start + 12 + int.from_bytes(data[start:start + 4])
    file.write_bytes(data[:start] + data[end:-12] + data[start:end]
                     + data[-12:])
  expect(file, upright)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_a_tiff_whose_white_is_zero_is_no_negative(tmp_path, dtype):
  samples = noise(40, 56, dtype=dtype)
  file = save(tmp_path / 'a.tif', samples, photometric='miniswhite')
  light = np.iinfo(dtype).max - samples
  expect(file, np.repeat(light[..., None], 3, -1))


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('ending', ['png', 'tif'])
def test_alpha_is_left_out_and_not_multiplied_in(tmp_path, ending, dtype):
  samples = noise(40, 56, 4, dtype=dtype)
  samples[..., 3] = np.iinfo(dtype).max // 255 * 128
  expect(save(tmp_path / f'a.{ending}', samples), samples[..., :3])


@pytest.mark.parametrize('options', [
    {}, {'byteorder': '>'}, {'bigtiff': True}, {'rowsperstrip': 7},
    {'tile': (16, 16)}, {'compression': 'zlib'}, {'planarconfig': 'separate'}])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_tiff_keeps_every_bit(tmp_path, dtype, options):
  samples = noise(40, 56, 3, dtype=dtype)
  separate = options.get('planarconfig') == 'separate'
  file = save(tmp_path / 'a.tif', samples.transpose(2, 0, 1) if separate
              else samples, **options)
  expect(file, samples)


def test_patches_as_they_are_written_keep_every_bit(tmp_path):
  samples = noise(40, 56, 3, dtype=np.uint16)
  file = tmp_path / 'a.tif'
  cv2.imwrite(str(file), samples[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
  expect(file, samples)
  assert as_pixels(file).flags.writeable


@pytest.mark.parametrize('shape', [(40, 56), (40, 56, 3)])
def test_png_of_16_bits_keeps_every_bit(tmp_path, shape):
  samples = noise(*shape, dtype=np.uint16)
  expect(save(tmp_path / 'a.png', samples),
         samples if len(shape) == 3 else np.repeat(samples[..., None], 3, -1))


def test_cmyk_becomes_the_same_rgb_everywhere(tmp_path):
  file = tmp_path / 'a.jpg'
  ink = np.dstack([smooth(40, 56), np.zeros((40, 56), np.uint8)])
  Image.frombytes('CMYK', (56, 40), ink.tobytes()).save(file, quality=95)
  expect(file, pictures.read(file).pixels)


def test_a_record_is_recognised_by_its_bytes():
  for file_format in ('png', 'jpeg', 'tiff', 'webp'):
    pixels = pictures.decode_pixels(encoded(smooth(), file_format), 'x')
    assert pixels.shape == smooth().shape
  with pytest.raises(pictures.ImageFileError, match='scene 3 is no picture'):
    pictures.decode_pixels(b'GIF89a', 'scene 3')


# Damage.


def make_cut_jpeg(path):
  whole = encoded(noise(64, 64, 3), 'jpeg')
  path.write_bytes(whole[:len(whole) // 2])


def make_cut_png(path):
  whole = encoded(noise(64, 64, 3), 'png')
  path.write_bytes(whole[:len(whole) // 2])


def make_cut_strips(path):
  save(path, noise(64, 64, 3, dtype=np.uint16))
  path.write_bytes(path.read_bytes()[:-1000])


def make_cut_tiles(path):
  save(path, noise(64, 64, 3), tile=(16, 16))
  path.write_bytes(path.read_bytes()[:-1000])


def make_damaged_tile(path):
  save(path, noise(64, 64, 3), tile=(16, 16), compression='zlib')
  with tifffile.TiffFile(path) as tiff:
    offset = tiff.pages[0].dataoffsets[5]
  data = bytearray(path.read_bytes())
  data[offset:offset + 40] = bytes(40)
  path.write_bytes(data)


def make_unknown_compression(path):
  save(path, noise(64, 64, 3), compression='zlib')
  with tifffile.TiffFile(path, mode='r+') as tiff:
    tiff.pages[0].tags[259].overwrite(34712)  # JPEG 2000.


@pytest.mark.parametrize('name, make', [
    ('a.jpg', make_cut_jpeg), ('a.png', make_cut_png),
    ('a.tif', make_cut_strips), ('a.tif', make_cut_tiles),
    ('a.tif', make_damaged_tile), ('a.tif', make_unknown_compression)])
def test_what_is_not_whole_is_refused_everywhere(tmp_path, name, make):
  """Neither grey nor black in place of what cannot be decoded."""
  file = tmp_path / name
  make(file)
  for way in WAYS:
    if way is as_tile:
      continue  # It lists tiles first, which may find the damage or not.
    with pytest.raises(pictures.ImageFileError) as caught:
      way(file)
    message = str(caught.value)
    named = 'a record' if way is as_record else name
    assert f'{named} ' in message and 'damaged or cut short' in message
  with pytest.raises(pictures.ImageFileError):
    TileSource([Tile(file, 0, 0, 32)])[0]


# Folders.


def test_one_rule_says_what_is_a_picture(tmp_path):
  samples = noise(40, 40, 3, dtype=np.uint16)
  for folder in ('blurry', 'sharp'):
    (tmp_path / folder).mkdir()
    save(tmp_path / folder / 'a.png', samples)
    for name in ('._a.png', '.DS_Store', '.hidden.png', 'Thumbs.db'):
      (tmp_path / folder / name).write_bytes(b'not a picture')
    (tmp_path / folder / 'album.png').mkdir()
  folder = tmp_path / 'blurry'

  assert pictures.find_pictures(folder) == [folder / 'a.png']
  assert list_photographs(folder) == [folder / 'a.png']
  pairs = FolderPairs(tmp_path)
  assert [pair.scene for pair in (pairs[i] for i in range(len(pairs)))] == [
      'a']
  tree = trees.find_tree(tmp_path, [trees.Layout(
      {'center': '{split}/*'}, {'test': ['blurry']})])
  assert tree.splits == {'test': {'center': {('a',): folder / 'a.png'}}}


def test_companions_of_pixel4_scenes_are_ignored(tmp_path):
  samples = noise(8, 8, dtype=np.uint16)
  for part in ('left', 'right', 'gt'):
    save(tmp_path / f'001_{part}.png', samples)
    (tmp_path / f'._001_{part}.png').write_bytes(b'not a picture')
  scenes = Scenes(tmp_path)
  assert len(scenes) == 1
  np.testing.assert_array_equal(scenes[0].views['left'][..., 0], samples)


# Sizes and memory.


def test_sizes_are_read_without_decoding(tmp_path, monkeypatch):
  for index, ending in enumerate(('png', 'jpg', 'tif', 'webp')):
    save(tmp_path / f'{index}.{ending}', noise(40, 70, 3))
  (tmp_path / 'empty.jpg').touch()
  with pytest.raises(pictures.ImageFileError, match=r'empty\.jpg is empty'):
    list_tiles(tmp_path, size=32)
  (tmp_path / 'empty.jpg').unlink()
  monkeypatch.setattr(
      'data_pipelines.sources.read_pixels',
      lambda file: pytest.fail(f'{file} is decoded'))
  tiles = list_tiles(tmp_path, size=32)
  assert [(tile.file.name, tile.y, tile.x) for tile in tiles[:2]] == [
      ('0.png', 0, 0), ('0.png', 0, 32)]
  assert len(tiles) == 8
  assert len(list_tiles(tmp_path, size=32, enlarge_to=40)) == 8
  with pytest.raises(pictures.ImageFileError, match='does not exist'):
    pictures.read_size(tmp_path / 'missing.png')
  with pytest.raises(pictures.ImageFileError, match='is a folder'):
    pictures.read_size(tmp_path)


@pytest.mark.parametrize('lossless', [False, True])
@pytest.mark.parametrize('channels', [3, 4])
def test_sizes_of_every_kind_of_webp(tmp_path, channels, lossless):
  file = tmp_path / 'a.webp'
  Image.fromarray(noise(40, 70, channels)).save(file, lossless=lossless)
  assert pictures.read_size(file) == (40, 70)


def test_photographs_used_last_stay_in_memory(tmp_path, monkeypatch):
  """Two of three fit; the one that nobody used for longest goes."""
  files = [save(tmp_path / f'{i}.png', noise(32, 32, 3)) for i in range(3)]
  decoded = []
  monkeypatch.setattr(
      'data_pipelines.sources.read_photograph',
      lambda file: decoded.append(file) or read_photograph(file))
  source = TileSource(
      [Tile(file, 0, 0, 32) for file in files], 2 * 32 * 32 * 3)
  for index in (0, 1, 0, 2, 0, 1):
    np.testing.assert_array_equal(source[index], read_photograph(files[index]))
  assert decoded == [files[i] for i in (0, 1, 2, 1)]

  decoded.clear()
  source = TileSource([Tile(files[0], 0, 0, 32)], cache_bytes=1)
  for _ in range(2):  # One larger than the memory is still kept.
    _ = source[0]
  assert decoded == [files[0]]
