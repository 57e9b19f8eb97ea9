"""What a picture file says beside its pixels stays true, and stays."""

import io
import struct

import numpy as np
from picture_files import (
  ENDINGS,
  MAKER_NOTE,
  PROFILE,
  UPRIGHT_XMP,
  XMP,
  again,
  encoded,
  make_exif,
  noise,
  read_segments,
  smooth,
  with_segments,
  with_thumbnail,
)
from PIL import (
  ExifTags,
  Image,
  PngImagePlugin,
)
import pytest
import tifffile

from jaxdeblur import pictures


@pytest.mark.parametrize('file_format', ['jpeg', 'png', 'tiff', 'webp'])
def test_camera_date_place_and_maker_note_stay(tmp_path, file_format):
  source = tmp_path / f'a.{ENDINGS[file_format]}'
  Image.fromarray(smooth()).save(
      source, file_format, exif=make_exif(6), icc_profile=PROFILE)
  with Image.open(again(source)) as written:
    exif = written.getexif()
    assert (exif[0x010F], exif[0x0110]) == ('Canon', 'EOS R5')
    inner = exif.get_ifd(0x8769)
    assert inner[0x9003] == '2024:05:06 07:08:09'
    assert inner[0x829A] == 0.004
    assert inner[0x927C] == MAKER_NOTE
    assert exif.get_ifd(0x8825) == {1: 'N', 2: (52.0, 31.0, 12.5)}
    assert written.info['icc_profile'] == PROFILE


def test_exif_block_changes_in_orientation_only(tmp_path):
  """So that offsets in maker notes, from the block's start, stay true."""
  source = tmp_path / 'a.jpg'
  Image.fromarray(smooth()).save(source, exif=make_exif(3))
  blocks = [
      next(p for _, p in read_segments(path.read_bytes()) if p[:4] == b'Exif')
      for path in (source, again(source))]
  changed = np.flatnonzero(
      np.frombuffer(blocks[0], 'u1') != np.frombuffer(blocks[1], 'u1'))
  assert len(blocks[0]) == len(blocks[1])
  assert len(changed) == 1


def test_exif_may_end_with_its_last_tag(tmp_path):
  """Without the link to a thumbnail; the orientation counts all the same."""
  exif = b'Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0'
  source = tmp_path / 'a.jpg'
  source.write_bytes(with_segments(
      encoded(smooth(), 'jpeg'), (0xE1, exif)))
  assert pictures.read(source).pixels.shape == (64, 48, 3)


def test_jpeg_segments_stay(tmp_path):
  photoshop = b'8BIM\x04\x04\0\0\0\0\0\x06iptc!!'
  extended = b'http://ns.adobe.com/xmp/extension/\0' + b'G' * 32 + b'more'
  large_profile = PROFILE + bytes(90_000)
  source = tmp_path / 'a.jpg'
  source.write_bytes(with_segments(
      encoded(smooth(), 'jpeg', dpi=(300, 300), comment=b'by hand',
               icc_profile=large_profile, xmp=XMP),
      (0xE1, extended), (0xED, b'Photoshop 3.0\0' + photoshop),
      (0xE2, b'MPF\0' + bytes(30))))
  written = again(source)
  with Image.open(written) as image:
    assert image.info['dpi'] == (300, 300)
    assert image.info['comment'] == b'by hand'
    assert image.info['icc_profile'] == large_profile
    assert image.info['xmp'] == UPRIGHT_XMP
    assert image.info['photoshop'] == {0x0404: b'iptc!!'}
  segments = read_segments(written.read_bytes())
  assert (0xE1, extended) in segments
  assert [p[:4] for _, p in segments].count(b'JFIF') == 1
  # Lists pictures behind this one, which are not there any more.
  assert not any(payload.startswith(b'MPF') for _, payload in segments)


@pytest.mark.parametrize('trailing', [b'', b'maker note behind it'])
def test_stale_jpeg_thumbnails_go(tmp_path, trailing):
  thumbnail = encoded(smooth(8, 8), 'jpeg')
  exif = with_thumbnail(make_exif(), thumbnail) + trailing
  resources = (
      b'8BIM\x04\x0c\0\0' + struct.pack('>I', len(thumbnail)) + thumbnail
      + bytes(len(thumbnail) % 2) + b'8BIM\x04\x0a\0\0\0\0\0\x01\x01\0')
  jfif = b'JFIF\0\1\1\0\0\1\0\1\1\1rgb'
  source = tmp_path / 'a.jpg'
  bare = encoded(smooth(), 'jpeg')
  bare = bare[:2] + bare[20:]  # Without its own JFIF segment.
  source.write_bytes(with_segments(
      bare, (0xE0, jfif), (0xE1, b'Exif\0\0' + exif),
      (0xED, b'Photoshop 3.0\0' + resources)))
  with Image.open(source) as image:  # The file is what we think it is.
    assert image.getexif().get_ifd(ExifTags.IFD.IFD1)[514] == len(thumbnail)
    assert 0x040C in image.info['photoshop']

  written = again(source).read_bytes()
  assert thumbnail not in written
  assert thumbnail[-40:] not in written
  assert trailing in written
  with Image.open(io.BytesIO(written)) as image:
    assert image.getexif().get_ifd(ExifTags.IFD.IFD1) == {}
    assert image.getexif()[0x0110] == 'EOS R5'
    assert image.info['photoshop'] == {0x040A: b'\x01'}
  assert read_segments(written)[0] == (0xE0, jfif[:12] + b'\0\0')


def test_webp_exif_with_a_header_of_jpeg(tmp_path):
  """As Pillow and Android write it; its orientation counts all the same."""
  source = tmp_path / 'a.webp'
  data = encoded(smooth(), 'webp', exif=make_exif(6), lossless=True)
  at = data.index(b'EXIF')
  size, = struct.unpack_from('<I', data, at + 4)
  data = (data[:4] + struct.pack('<I', len(data) - 2) + data[8:at + 4]
          + struct.pack('<I', size + 6) + b'Exif\0\0' + data[at + 8:])
  source.write_bytes(data)
  assert pictures.read(source).pixels.shape == (64, 48, 3)


def test_png_chunks_stay(tmp_path):
  info = PngImagePlugin.PngInfo()
  info.add(b'gAMA', struct.pack('>I', 55555))
  info.add(b'tIME', struct.pack('>HBBBBB', 2024, 5, 6, 7, 8, 9))
  info.add_text('Author', 'Ansel')
  info.add_text('Long', 'word ' * 500, zip=True)
  info.add_itxt('XML:com.adobe.xmp', XMP.decode())
  info.add(b'bKGD', b'\0\1\0\1\0\1')
  source = tmp_path / 'a.png'
  Image.fromarray(smooth()).save(
      source, pnginfo=info, dpi=(300, 300), exif=make_exif())
  with Image.open(again(source)) as written:
    written.load()
    assert written.info['gamma'] == 0.55555
    assert written.info['Author'] == 'Ansel'
    assert written.info['Long'] == 'word ' * 500
    assert written.info['dpi'] == pytest.approx((300, 300), abs=0.01)
    assert written.info['XML:com.adobe.xmp'] == UPRIGHT_XMP.decode()
  chunks = (tmp_path / 'written.png').read_bytes()
  assert b'tIME' in chunks
  assert b'bKGD' not in chunks


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('bigtiff', [False, True])
def test_tiff_tags_stay(tmp_path, order, bigtiff):
  iptc = b'\x1c\x02\x78\0\x07caption'
  source = tmp_path / 'a.tif'
  tifffile.imwrite(
      source, noise(6, 8, 3, dtype=np.uint16), photometric='rgb',
      byteorder=order, bigtiff=bigtiff, resolution=(300, 240),
      resolutionunit='inch', software='a converter', metadata=None,
      description='a caption', iccprofile=PROFILE,
      extratags=[
          (271, 's', 0, 'Canon', True), (700, 'B', len(XMP), XMP, True),
          (33723, 7, len(iptc), iptc, True),
          (33550, 'd', 3, (0.5, 0.25, 0.0), True),  # GeoTIFF's pixel scale.
          (65000, 'H', 3, (1, 2, 3), True), (65001, 'H', 1, 515, True),
          (65002, '2I', 1, (7, 9), True)])
  written = again(source)
  with tifffile.TiffFile(written) as tiff:
    page, = tiff.pages
    tags = {tag.code: tag.value for tag in page.tags}
    assert tags[282] == (300, 1) and tags[283] == (240, 1) and tags[296] == 2
    assert tags[305] == 'a converter'
    assert tags[270] == 'a caption'
    assert tags[271] == 'Canon'
    assert bytes(tags[34675]) == PROFILE
    assert bytes(tags[700]) == UPRIGHT_XMP
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
    tiff.write(noise(8, 8, 3), photometric='rgb', metadata=None,
               extratags=[
                   (37724, 7, 40, b'Adobe Photoshop'.ljust(40), True),
                   (34377, 'B', 32, b'8BIM\x04\x0c\0\0\0\0\0\x06thumb!'
                    b'8BIM\x04\x0a\0\0\0\0\0\x02\1\0', True)])
    tiff.write(noise(4, 4, 3), photometric='rgb', metadata=None,
               subfiletype=1)
  picture = pictures.read(source)
  assert picture.pixels.shape == (8, 8, 3)
  assert picture.notes == (
      f'{source} loses its Photoshop layers, which hold the old pixels.',)
  with Image.open(again(source)) as written, Image.open(source) as original:
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
  Image.fromarray(smooth()).save(source, xmp=xmp)
  note, = pictures.read(source).notes
  assert note.startswith(f'{source} loses ') and lost in note


def test_broken_exif_stays_as_it_is(tmp_path):
  """The picture is whole: a viewer shows it as stored, and so do we."""
  for exif in (b'', b'II*\0', b'II*\0\xff\xff\xff\xff', b'rubbish' * 9):
    source = tmp_path / 'a.jpg'
    source.write_bytes(with_segments(
        encoded(smooth(), 'jpeg'), (0xE1, b'Exif\0\0' + exif)))
    assert pictures.read(source).pixels.shape == (48, 64, 3)
    segments = read_segments(again(source).read_bytes())
    assert (0xE1, b'Exif\0\0' + exif) in segments
