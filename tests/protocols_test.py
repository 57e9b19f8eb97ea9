"""Protocols for recorded pairs, from the command's job to the scores."""

import csv
import dataclasses
import json

import cv2
import dataset_trees
import drbnet_oracle as oracle
import numpy as np
import pytest

from configs import starter
from data_pipelines.datasets.prepare import prepare
from jaxdeblur import jobs
from jaxdeblur.checkpoints import save_weights
from jaxdeblur.evaluation import result
from jaxdeblur.evaluation.protocols import recorded
from jaxdeblur.evaluation.source import Source
from jaxdeblur.metrics import psnr
from jaxdeblur.restoration.restorer import Restorer

pytestmark = pytest.mark.slow


def write_pair(folder, scene='a', dtype=np.uint16, **shapes):
  """Noise in each folder named, by default blurry/ and sharp/ of 40 x 50 px."""
  for i, (name, shape) in enumerate(
      (shapes or {'blurry': (40, 50, 3), 'sharp': (40, 50, 3)}).items()):
    (folder / name).mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(i).integers(
        0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    cv2.imwrite(str(folder / name / f'{scene}.png'), pixels)


def open_case(protocol, folder):
  (make_case,) = protocol.list_cases(Source(folder)).open()
  return make_case()


def read(file):
  return cv2.imread(str(file), cv2.IMREAD_UNCHANGED)[..., ::-1]


@pytest.fixture
def evaluate(make_weights, tmp_path):
  """Runs --mode eval with a narrow network; returns the exit code."""
  weights = make_weights()
  save_weights(tmp_path / 'weights', weights.settings, weights.variables)

  def run(folder, output='scores', **settings):
    config = starter.get_config()
    config.eval.update(settings)
    return jobs.run('eval', config, jobs.Arguments(
        workdir=tmp_path / 'weights', input=folder, output=tmp_path / output))

  return run


def test_drbnets_published_protocol_is_reproduced(drbnet_oracle, tmp_path):
  """From files to scores.json, as the authors' program scores them."""
  shapes = json.loads((drbnet_oracle / 'state_dict_single.json').read_text())
  np.savez(tmp_path / 'published.npz', **oracle.weights(shapes))
  arrays = np.load(drbnet_oracle / 'single_u8_75x110_protocol.npz')
  for folder, name in (('blurry', 'input_u8'), ('sharp', 'gt_u8')):
    (tmp_path / 'pairs' / folder).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'pairs' / folder / 'a.png'),
                arrays[name][..., ::-1])
  config = starter.get_config()
  config.eval.protocol = 'drbnet_paper'
  assert jobs.run('convert', config, jobs.Arguments(
      input=tmp_path / 'published.npz', output=tmp_path / 'weights')) == 0
  assert jobs.run('eval', config, jobs.Arguments(
      workdir=tmp_path / 'weights', input=tmp_path / 'pairs',
      output=tmp_path / 'scores')) == 0
  result = json.loads((tmp_path / 'scores' / 'scores.json').read_text())
  (row,) = result['pictures']
  expected = json.loads((drbnet_oracle / 'protocol_metrics.json').read_text())
  for prefix, published in (
      ('input_', expected['input']), ('', expected['output'])):
    for name, key in (('psnr', 'psnr_float64'), ('mae', 'mae_float64'),
                      ('ssim', 'ssim_skimage_default_float64')):
      assert row['scores'][prefix + name] == pytest.approx(
          published[key], rel=1e-6), prefix + name


def test_drbnet_reads_16_bits_as_8_and_crops(tmp_path):
  """The lower byte is dropped, not rounded away, as OpenCV's 8-bit read does.
  """
  write_pair(tmp_path)
  case = open_case(recorded.DRBNET_PAPER, tmp_path)
  stored = read(tmp_path / 'blurry' / 'a.png')
  np.testing.assert_array_equal(
      case.views['center'], (stored >> 8)[:32, :48].astype(np.uint8))
  compared = case.compare(np.zeros((32, 48, 3), np.float32))['recorded']
  sharp = read(tmp_path / 'sharp' / 'a.png')[:32, :48] >> 8
  np.testing.assert_array_equal(compared.sharp, np.float32(sharp / 255))
  np.testing.assert_array_equal(
      compared.before, np.float32((stored >> 8)[:32, :48] / 255))


def test_k3dn_compares_at_the_size_of_the_ground_truth(tmp_path):
  """16 bits, not cropped; the network's resizing is Restorer's."""
  shape = (40, 50, 3)
  write_pair(tmp_path, left=shape, right=shape, sharp=shape)
  assert recorded.K3DN_PAPER.fit == 'resize'
  case = open_case(recorded.K3DN_PAPER, tmp_path)
  assert case.views['left'].dtype == np.uint16
  left, right, sharp = (
      read(tmp_path / name / 'a.png') for name in ('left', 'right', 'sharp'))
  compared = case.compare(np.zeros(shape, np.float32))['recorded']
  np.testing.assert_allclose(
      compared.before, (left.astype(float) + right) / 2 / 65535, atol=1e-6)
  np.testing.assert_allclose(compared.sharp, sharp / 65535, atol=1e-7)


def test_k3dn_is_scored_as_its_authors_do(make_weights, tmp_path):
  """The protocol's own way to fit, whatever the config asks of others."""
  weights = make_weights(
      'k3dn', ('left', 'right'), base_channels=2, num_blocks=1,
      num_psf_blocks=1, srp=False)
  save_weights(tmp_path / 'weights', weights.settings, weights.variables)
  shape = (280, 200, 3)
  write_pair(tmp_path / 'pairs', left=shape, right=shape, sharp=shape)
  config = starter.get_config()
  config.eval.update(protocol='k3dn_paper', metrics=('psnr', 'rmse_rel'))
  assert config.restore.fit == 'pad'
  assert jobs.run('eval', config, jobs.Arguments(
      workdir=tmp_path / 'weights', input=tmp_path / 'pairs',
      output=tmp_path / 'scores')) == 0
  scored = result.read(tmp_path / 'scores')
  assert scored.protocol['fit'] == 'resize'
  views = {name: read(tmp_path / 'pairs' / name / 'a.png')
           for name in ('left', 'right')}
  restored = Restorer(weights).restore(**views, fit='resize', as_float=True)
  sharp = read(tmp_path / 'pairs' / 'sharp' / 'a.png') / 65535
  assert scored.rows[0].scores['psnr'] == pytest.approx(
      float(psnr(restored, sharp.astype(np.float32))), rel=1e-6)


def test_every_pixel_counts_at_the_depth_it_is_stored_in(tmp_path):
  for dtype in (np.uint8, np.uint16):
    folder = tmp_path / np.dtype(dtype).name
    write_pair(folder, dtype=dtype)
    case = open_case(recorded.FULL, folder)
    np.testing.assert_array_equal(
        case.views['center'], read(folder / 'blurry' / 'a.png'))


def test_without_ground_truth_naturalness_is_scored_alone(evaluate, tmp_path):
  write_pair(tmp_path / 'pairs', blurry=(100, 200, 3))
  assert evaluate(tmp_path / 'pairs', protocol='full') == 0
  with (tmp_path / 'scores' / 'scores.csv').open(newline='') as lines:
    (row,) = csv.DictReader(lines)
  assert row['protocol'] == 'full' and row['picture'] == 'a'
  assert 'psnr' not in row and float(row['input_niqe']) > 0


def test_metrics_are_chosen_on_the_command_line(evaluate, tmp_path, capsys):
  write_pair(tmp_path / 'pairs', blurry=(100, 200, 3), sharp=(100, 200, 3))
  assert evaluate(
      tmp_path / 'pairs', protocol='full', metrics=('rmse_rel,niqe',)) == 0
  printed = capsys.readouterr().out
  assert printed.startswith('Protocol full (fit: pad), on pairs: drbnet ')
  assert 'RMSE_rel' in printed and 'NIQE' in printed and 'PSNR' not in printed


@pytest.mark.parametrize('settings, sentence', [
    ({'protocol': 'drbnet-paper'}, 'Did you mean drbnet_paper?'),
    ({'method': 'weiner'}, 'Did you mean wiener?'),
    ({'metrics': ('pnsr',)}, 'Did you mean psnr?'),
    ({'metrics': ('lpips',)}, 'LPIPS needs weights, which do not come with'),
    ({'metrics': ('niqe',), 'method': 'input'}, 'a: NIQE compares blocks'),
    ({'method': 'wiener', 'disc_radius': 'wide'}, "disc_radius is 'wide'"),
    ({'method': 'wiener', 'disc_radius': 'known'}, 'Nobody knows the disc'),
    ({'protocol': 'k3dn_paper'}, 'its center view has 8 bits'),
    ({'compare': 'absent.json'}, 'absent.json does not exist'),
])
def test_what_cannot_be_scored_is_said(
    evaluate, tmp_path, capsys, settings, sentence):
  write_pair(tmp_path / 'pairs', dtype=np.uint8)
  assert evaluate(
      tmp_path / 'pairs', **{'protocol': 'full', **settings}) == 1
  assert sentence in capsys.readouterr().err
  assert not (tmp_path / 'scores').exists()


@pytest.mark.parametrize('shapes, settings, sentence', [
    ({'blurry': (40, 50, 3)}, {'metrics': ('psnr',)}, 'these pictures have no'),
    ({'blurry': (40, 50, 3), 'sharp': (40, 48, 3)}, {}, 'must have one size'),
    ({'blurry': (15, 50, 3), 'sharp': (15, 50, 3)},
     {'protocol': 'drbnet_paper'}, 'a: 15 x 50 px is too small'),
    ({'blurry': (6, 50, 3), 'sharp': (6, 50, 3)}, {'method': 'input'},
     'a: SSIM looks through'),
    ({'left': (40, 50, 3), 'right': (40, 50, 3), 'sharp': (40, 50, 3)}, {},
     'of this protocol, full, have no center'),
])
def test_pictures_that_do_not_suit_are_said(
    evaluate, tmp_path, capsys, shapes, settings, sentence):
  write_pair(tmp_path / 'pairs', **shapes)
  assert evaluate(
      tmp_path / 'pairs', **{'protocol': 'full', **settings}) == 1
  assert sentence in capsys.readouterr().err
  assert not (tmp_path / 'scores').exists()


def test_a_comparison_follows_the_scores(evaluate, tmp_path, capsys):
  """And never costs them: other pictures are said after the table."""
  write_pair(tmp_path / 'pairs')
  assert evaluate(tmp_path / 'pairs', 'first', protocol='full') == 0
  other = str(tmp_path / 'first' / 'scores.json')
  assert evaluate(tmp_path / 'pairs', 'second', protocol='full',
                  method='input', compare=other) == 0
  assert ': input, minus drbnet ' in capsys.readouterr().out
  write_pair(tmp_path / 'pairs', 'b')
  assert evaluate(tmp_path / 'pairs', 'third', protocol='full',
                  method='input', compare=other) == 1
  printed = capsys.readouterr()
  assert printed.out.startswith('Protocol full')
  assert 'different pictures: 1 are in one' in printed.err
  assert evaluate(tmp_path / 'pairs', 'fourth', protocol='drbnet_paper',
                  compare=other) == 1
  assert "name 'drbnet_paper' and 'full'" in capsys.readouterr().err
  assert not (tmp_path / 'fourth').exists()


def test_half_a_pair_is_said(evaluate, tmp_path, capsys):
  write_pair(tmp_path / 'pairs')
  write_pair(tmp_path / 'pairs', 'b', blurry=(40, 50, 3))
  assert evaluate(tmp_path / 'pairs', protocol='full') == 1
  assert '1 of 2 scenes have no sharp view, b first' in capsys.readouterr().err


def test_datasets_are_scored_by_name(tmp_path, capsys):
  """And a part of a dataset says that it is one."""
  dataset_trees.realdof(tmp_path / 'downloaded')
  prepare('realdof', tmp_path / 'data', tmp_path / 'downloaded', partial=True)
  config = starter.get_config()
  config.eval.update(protocol='full', metrics=('psnr',), method='input')
  arguments = jobs.Arguments(
      dataset='realdof', data_dir=tmp_path / 'data', output=tmp_path / 'scores')
  assert jobs.run('eval', config, arguments) == 0
  assert capsys.readouterr().out.startswith(
      'Protocol full (fit: pad), on realdof, test (a part of it): input\n')
  assert len(result.read(tmp_path / 'scores').rows) == 3
  config.eval.split = 'val'
  arguments = dataclasses.replace(arguments, overwrite=True)
  assert jobs.run('eval', config, arguments) == 1
  assert "no split 'val'" in capsys.readouterr().err


def test_pictures_come_from_a_folder_or_a_dataset(tmp_path):
  with pytest.raises(ValueError, match='either as a folder'):
    Source()
  with pytest.raises(ValueError, match='needs data_dir'):
    Source(dataset='realdof')
  with pytest.raises(ValueError, match='reads sharp photographs'):
    Source(dataset='realdof', data_dir=tmp_path).need_folder(
        'rendered_defocus', 'sharp photographs')
