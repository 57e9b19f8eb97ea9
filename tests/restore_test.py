"""Picture files through a network: what is written, what is said."""

import json

import numpy as np
from PIL import Image
import pytest
import tifffile

from configs import starter
import jaxdeblur
from jaxdeblur import jobs
from jaxdeblur.checkpoints import load_weights

SIZE = (40, 24)  # Width and height, as Pillow counts.


@pytest.fixture
def restore(weights_folder, tmp_path, capsys):
  """Runs the job: restore(input, ...) -> (exit code, what it printed)."""
  def run(source, output='out', **options):
    code = jobs.run('restore', starter.get_config(), jobs.Arguments(
        workdir=weights_folder, input=tmp_path / source,
        output=tmp_path / output, **options))
    printed = capsys.readouterr()
    return code, printed.out + printed.err

  return run


def _pixels(*shape, dtype=np.uint8):
  top = np.iinfo(dtype).max
  return np.random.default_rng(0).integers(0, top, shape, dtype, endpoint=True)


def _save(path, mode='RGB', size=SIZE, **options):
  bands = len(Image.new(mode, (1, 1)).getbands())
  shape = (size[1], size[0], bands) if bands > 1 else (size[1], size[0])
  Image.fromarray(_pixels(*shape), mode).save(path, **options)


@pytest.mark.parametrize('name, mode', [
    ('colour.png', 'RGB'), ('grey.png', 'L'), ('alpha.png', 'RGBA'),
    ('colour.jpg', 'RGB'), ('grey.jpg', 'L'), ('colour.tif', 'RGB'),
    ('colour.webp', 'RGB')])
def test_the_files_kind_is_kept(restore, tmp_path, name, mode):
  _save(tmp_path / name, mode)
  code, _ = restore(name)
  assert code == 0
  with Image.open(tmp_path / name) as before:
    with Image.open(tmp_path / 'out' / name) as after:
      assert (after.size, after.mode, after.format) == (
          before.size, before.mode, before.format)
      if mode == 'RGBA':
        np.testing.assert_array_equal(
            after.getchannel('A'), before.getchannel('A'))


def test_16_bits_stay_16_bits(restore, tmp_path):
  pixels = _pixels(24, 40, 3, dtype=np.uint16)
  tifffile.imwrite(tmp_path / 'deep.tif', pixels, photometric='rgb')
  assert restore('deep.tif')[0] == 0
  restored = tifffile.imread(tmp_path / 'out' / 'deep.tif')
  assert restored.dtype == np.uint16 and restored.shape == pixels.shape
  assert np.any(restored % 257)  # Not 8 bits made wide.


def test_cmyk_becomes_rgb_and_is_told(restore, tmp_path):
  _save(tmp_path / 'press.jpg', 'CMYK')
  code, printed = restore('press.jpg')
  assert code == 0 and 'press.jpg is CMYK and becomes RGB (sRGB).' in printed
  with Image.open(tmp_path / 'out' / 'press.jpg') as after:
    assert after.mode == 'RGB' and after.size == SIZE


def test_one_bad_file_does_not_stop_a_folder(restore, tmp_path):
  folder = tmp_path / 'in'
  folder.mkdir()
  for name in ('a.png', 'b.png', 'c.jpg'):
    _save(folder / name)
  whole = (folder / 'b.png').read_bytes()
  (folder / 'b.png').write_bytes(whole[:len(whole) // 2])
  (folder / 'd.png').write_text('no picture')
  _save(folder / 'e.png', size=(1, 1))
  (folder / 'notes.txt').write_text('left alone')

  code, printed = restore('in')

  assert code == 1
  assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
      'a.png', 'c.jpg', 'restored.json']
  assert 'Restored 2 of 5' in printed
  errors = [line for line in printed.splitlines() if line.startswith('error:')]
  assert len(errors) == 3
  for name, error in zip(('b.png', 'd.png', 'e.png'), errors):
    assert str(folder / name) in error
  assert 'damaged or cut short' in errors[0]
  assert 'is 1 x 1 px' in errors[2]


@pytest.mark.slow
def test_how_results_were_made_is_recorded(restore, weights_folder, tmp_path):
  for name in ('a.png', 'b.png'):  # One run each: entries are kept.
    _save(tmp_path / name)
    assert restore(name)[0] == 0
  record = json.loads((tmp_path / 'out' / 'restored.json').read_text())
  assert list(record) == ['a.png', 'b.png']
  assert record['b.png'] == {
      'views': {'center': 'b.png'},
      'network': {'name': 'drbnet', 'views': ['center'], 'width': 2},
      'checkpoint': load_weights(weights_folder).digest(),
      'compute': {'dtype': 'float32', 'remat': 'False',
                  'dynamic_conv_method': 'auto'},
      'tile': 2048, 'halo': None, 'fit': 'pad',
      'jaxdeblur': jaxdeblur.__version__}


def test_a_file_that_is_no_record_is_left_alone(restore, tmp_path):
  _save(tmp_path / 'photo.png')
  (tmp_path / 'out').mkdir()
  (tmp_path / 'out' / 'restored.json').write_text('my own notes')
  code, printed = restore('photo.png')
  assert code == 1 and 'is no record of restored pictures' in printed
  assert (tmp_path / 'out' / 'restored.json').read_text() == 'my own notes'
  assert not (tmp_path / 'out' / 'photo.png').exists()


def test_results_are_not_overwritten_unasked(restore, tmp_path):
  _save(tmp_path / 'photo.png')
  (tmp_path / 'out').mkdir()
  (tmp_path / 'out' / 'photo.png').write_text('precious')
  code, printed = restore('photo.png')
  assert code == 1
  assert 'exists already and is not replaced. (add --overwrite ' in printed
  assert (tmp_path / 'out' / 'photo.png').read_text() == 'precious'
  assert restore('photo.png', overwrite=True)[0] == 0
  with Image.open(tmp_path / 'out' / 'photo.png') as restored:
    assert restored.size == SIZE


def test_the_original_is_never_overwritten(restore, tmp_path):
  _save(tmp_path / 'photo.png')
  before = (tmp_path / 'photo.png').read_bytes()
  code, printed = restore('photo.png', output='.', overwrite=True)
  assert code == 1 and 'is the picture itself' in printed
  assert (tmp_path / 'photo.png').read_bytes() == before


@pytest.mark.parametrize('source, sentence', [
    ('absent.png', 'absent.png does not exist.'),
    ('empty', 'empty holds no picture'),
    ('text.txt', "ends in '.txt', which is not read here"),
])
def test_what_is_no_picture_is_said(restore, tmp_path, source, sentence):
  (tmp_path / 'empty').mkdir()
  (tmp_path / 'text.txt').write_text('text')
  code, printed = restore(source)
  assert code == 1 and sentence in printed
  assert not (tmp_path / 'out').exists()


def test_an_output_that_is_a_file_is_said(restore, tmp_path):
  _save(tmp_path / 'photo.png')
  (tmp_path / 'out').write_text('a file')
  code, printed = restore('photo.png')
  assert code == 1 and 'out is a file' in printed and '(--output)' in printed


def test_views_that_the_network_does_not_read_are_said(restore, tmp_path):
  _save(tmp_path / 'photo.png')
  code, printed = restore('photo.png', left=tmp_path / 'photo.png')
  assert code == 1
  assert 'reads the views center; got center, left' in printed


def test_no_memory_for_one_picture_is_said(restore, tmp_path, monkeypatch):
  import jax

  from jaxdeblur.restoration.restorer import Restorer

  def exhaust(self, *args, **kwargs):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory')

  monkeypatch.setattr(Restorer, 'restore', exhaust)
  _save(tmp_path / 'photo.png')
  code, printed = restore('photo.png')
  assert code == 1 and 'in smaller tiles. (--config.restore.tile)' in printed
