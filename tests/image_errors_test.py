"""Damaged files, unsuitable ones, and failed writing."""

import io
import logging
import os

import numpy as np
from picture_files import (
  ENDINGS,
  again,
  encoded,
  make_exif,
  message,
  noise,
  save,
  smooth,
)
from PIL import (
  Image,
)
import pytest
import tifffile

from jaxdeblur import pictures


def test_what_is_no_picture_is_named(tmp_path):
  assert 'does not exist' in message(tmp_path / 'missing.png')
  assert 'is a folder' in message(tmp_path)
  (tmp_path / 'folder.png').mkdir()
  assert 'is a folder' in message(tmp_path / 'folder.png')
  raw = tmp_path / 'IMG_1.CR3'
  raw.write_bytes(b'x')
  assert "'.CR3'" in message(raw) and '.tif' in message(raw)
  empty = tmp_path / 'empty.jpg'
  empty.touch()
  assert 'is empty' in message(empty)
  text = tmp_path / 'text.png'
  text.write_text('a list of pictures')
  assert 'not a PNG' in message(text)
  renamed = tmp_path / 'renamed.png'
  renamed.write_bytes(encoded(smooth(), 'jpeg'))
  assert 'rename it to renamed.jpg' in message(renamed)


@pytest.mark.parametrize('file_format, options', [
    ('png', {}), ('jpeg', {}), ('jpeg', {'progressive': True}),
    ('tiff', {}), ('tiff', {'compression': 'tiff_lzw'}),
    ('tiff', {'compression': 'tiff_adobe_deflate'}),
    ('webp', {}), ('webp', {'lossless': True})])
def test_a_file_cut_short_is_never_restored(tmp_path, file_format, options):
  whole = encoded(noise(40, 60, 3), file_format, **options)
  path = tmp_path / f'a.{ENDINGS[file_format]}'
  path.write_bytes(whole)
  pictures.read(path)
  for size in (*range(12, len(whole) - 1, len(whole) // 40), len(whole) - 2):
    path.write_bytes(whole[:size])
    assert 'damaged or cut short' in message(path)


def test_damage_is_found(tmp_path):
  whole = bytearray(encoded(smooth(), 'png', exif=make_exif()))
  path = tmp_path / 'a.png'
  for at in range(20, len(whole), len(whole) // 20):
    flipped = whole.copy()
    flipped[at] ^= 4
    path.write_bytes(flipped)
    assert 'damaged' in message(path)

  jpeg = encoded(noise(64, 64, 3), 'jpeg')
  path = tmp_path / 'a.jpg'
  path.write_bytes(jpeg[:1000] + b'\xff\xd0' * 20 + jpeg[1000:])
  assert 'Corrupt JPEG' in message(path)


def test_a_harmless_warning_is_no_damage(tmp_path):
  """Some phones write a last coefficient of 0 in the scan's header."""
  jpeg = bytearray(encoded(smooth(), 'jpeg'))
  expected = np.asarray(Image.open(io.BytesIO(jpeg)))
  scan = jpeg.index(b'\xff\xda')
  assert jpeg[scan + 11:scan + 14] == b'\0\x3f\0'
  jpeg[scan + 12] = 0
  path = tmp_path / 'a.jpg'
  path.write_bytes(jpeg)
  np.testing.assert_allclose(
      pictures.read(path).pixels.astype(int), expected, atol=1)


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
  assert told in message(path)


@pytest.mark.parametrize('file_format', ['png', 'webp'])
def test_animations_are_refused(tmp_path, file_format):
  path = tmp_path / f'a.{file_format}'
  frames = [Image.fromarray(noise(8, 8, 3)), Image.fromarray(smooth(8, 8))]
  frames[0].save(path, save_all=True, append_images=frames[1:])
  assert 'is an animation' in message(path)


def test_decoders_stay_silent(tmp_path, capfd):
  path = tmp_path / 'a.tif'
  tifffile.imwrite(
      path, noise(40, 40, 3), photometric='rgb',
      extratags=[(65000, 'H', 1, 5, True)])
  handler = logging.StreamHandler()  # As absl and run.py set one.
  logging.getLogger().addHandler(handler)
  try:
    pictures.read(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(pictures.ImageFileError):
      pictures.read(path)
  finally:
    logging.getLogger().removeHandler(handler)
  assert capfd.readouterr() == ('', '')


# Writing.


def test_pixels_must_be_the_pictures(tmp_path):
  source = save(tmp_path / 'a.png', noise(4, 5, 3))
  picture = pictures.read(source)
  for pixels, told in (
      (picture.pixels.astype(np.uint16), 'uint16 (4, 5, 3)'),
      (picture.pixels / np.float32(255), 'float32 (4, 5, 3)'),
      (picture.pixels[:, :4], 'uint8 (4, 4, 3)')):
    with pytest.raises(pictures.ImageFileError) as caught:
      pictures.write(tmp_path / 'b.png', picture, pixels)
    assert str(tmp_path / 'b.png') in str(caught.value)
    assert told in str(caught.value)
  for name in ('b.jpg', 'b', 'b.tif'):
    with pytest.raises(pictures.ImageFileError, match='is a PNG'):
      pictures.write(tmp_path / name, picture, picture.pixels)
  pictures.write(tmp_path / 'b.PNG', picture, picture.pixels)
  with pytest.raises(pictures.ImageFileError, match='No such file'):
    pictures.write(
        tmp_path / 'no' / 'b.png', picture, picture.pixels)
  assert sorted(p.name for p in tmp_path.iterdir()) == ['a.png', 'b.PNG']


@pytest.mark.parametrize('step', ['fsync', 'replace'])
@pytest.mark.parametrize('error', [OSError(28, 'No space left'),
                                   KeyboardInterrupt()])
def test_a_failed_write_leaves_all_as_it_was(
    tmp_path, monkeypatch, step, error):
  source = save(tmp_path / 'a.png', noise(4, 5, 3))
  target = save(tmp_path / 'b.png', smooth())
  before = target.read_bytes()
  picture = pictures.read(source)
  seen = []

  def fail(*_):
    seen.extend(p.name for p in tmp_path.iterdir())
    raise error

  monkeypatch.setattr(os, step, fail)
  expected = pictures.ImageFileError
  if isinstance(error, KeyboardInterrupt):
    expected = KeyboardInterrupt
  with pytest.raises(expected) as caught:
    pictures.write(target, picture, picture.pixels)
  if expected is pictures.ImageFileError:
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
  again(save(tmp_path / 'a.png', noise(4, 5, 3)))
  assert steps == ['fsync', 'replace']


def test_written_files_have_the_usual_permissions(tmp_path):
  written = again(save(tmp_path / 'a.png', noise(4, 5, 3)))
  (tmp_path / 'plain').touch()
  assert written.stat().st_mode == (tmp_path / 'plain').stat().st_mode
