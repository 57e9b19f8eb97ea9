"""Evaluation on rendered defocus: what is rendered, scored and written."""

import csv
import json

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from configs import starter
from jaxdeblur import jobs
from jaxdeblur.checkpoints import save_weights
from jaxdeblur.evaluation.protocols.rendered import RenderedDefocus
from jaxdeblur.restoration.restorer import Restorer

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def evaluated(make_weights, tmp_path_factory):
  """The folder of an evaluation of two photographs at two radii."""
  folder = tmp_path_factory.mktemp('evaluated')
  weights = make_weights()
  save_weights(folder / 'weights', weights.settings, weights.variables)
  photos = folder / 'photos'
  photos.mkdir()
  for i in range(2):
    coarse = np.random.default_rng(i).random((12, 16, 3), np.float32)
    cv2.imwrite(str(photos / f'{i}.png'), 255 * cv2.resize(coarse, (40, 32)))
  config = starter.get_config()
  config.eval.radii = (0.0, 2.0)
  code = jobs.run('eval', config, jobs.Arguments(
      workdir=folder / 'weights', input=photos, output=folder / 'scores',
      report=folder / 'page'))
  assert code == 0
  return folder, weights


def test_every_picture_is_scored_beside_its_input(evaluated):
  folder, _ = evaluated
  with (folder / 'scores' / 'scores.csv').open(newline='') as lines:
    rows = list(csv.DictReader(lines))
  assert [(row['picture'], row['condition']) for row in rows] == [
      (f'{i}.png', f'disc radius {radius} px')
      for i in range(2) for radius in (0, 2)]
  sharp = cv2.imread(str(folder / 'photos' / '0.png'))[..., ::-1] / 255
  blurry = RenderedDefocus((0.0, 2.0), 1 / 255).degrade(
      sharp.astype(np.float32), '0.png', 2.0)
  assert float(rows[1]['input_psnr']) == pytest.approx(
      peak_signal_noise_ratio(sharp, blurry, data_range=1), abs=1e-3)
  assert rows[0]['input_psnr'] == 'inf'  # At radius 0 nothing is done to it.
  for row in rows:
    assert float(row['psnr']) < float(row['input_psnr'])  # An untrained one.


def test_protocol_and_provenance_are_part_of_the_result(evaluated):
  folder, weights = evaluated
  result = json.loads((folder / 'scores' / 'scores.json').read_text())
  assert result['protocol']['name'] == 'rendered_defocus'
  assert result['protocol']['radii'] == [0.0, 2.0]
  assert result['protocol']['noise'] == pytest.approx(1 / 255)
  assert weights.digest() in json.dumps(result['provenance'])
  assert len(result['pictures']) == 4 and len(result['means']) == 2


def test_the_page_shows_the_same_scores_and_every_picture(evaluated):
  folder, _ = evaluated
  result = json.loads((folder / 'scores' / 'scores.json').read_text())
  page = (folder / 'page' / 'index.html').read_text()
  for mean in result['means']:
    assert f'{mean["scores"]["ssim"]:.4f}' in page
  assert result['provenance']['checkpoint'] in page
  for i in range(2):  # At each of the two radii.
    assert page.count(f'alt="{i}.png, ground truth"') == 2


def test_noise_depends_on_seed_picture_and_radius_alone():
  sharp = np.full((16, 16, 3), 0.5, np.float32)
  protocol = RenderedDefocus((2.0, 3.5), 1 / 255)
  first = protocol.degrade(sharp, 'a.png', 2.0)
  np.testing.assert_array_equal(first, protocol.degrade(sharp, 'a.png', 2.0))
  for other in (
      protocol.degrade(sharp, 'b.png', 2.0),
      protocol.degrade(sharp, 'a.png', 3.5),
      RenderedDefocus((2.0,), 1 / 255, seed=1).degrade(sharp, 'a.png', 2.0)):
    assert not np.array_equal(first, other)
  assert (first - sharp).std() == pytest.approx(1 / 255, rel=0.15)


def test_a_folder_without_photographs_is_said(evaluated, tmp_path, capsys):
  folder, _ = evaluated
  code = jobs.run('eval', starter.get_config(), jobs.Arguments(
      workdir=folder / 'weights', input=tmp_path, output=tmp_path / 'scores'))
  assert code == 1 and 'holds no photographs' in capsys.readouterr().err
  assert not (tmp_path / 'scores').exists()


def test_the_best_checkpoint_of_a_training_is_scored_where_asked_for(
    evaluated, make_weights, tmp_path, monkeypatch):
  digests = {}
  for step, psnr in ((2, 30.0), (4, 25.0)):
    weights = make_weights(seed=step)
    folder = tmp_path / 'checkpoints' / str(step)
    save_weights(folder, weights.settings, weights.variables)
    (folder / 'metrics').mkdir()
    (folder / 'metrics' / 'metrics').write_text(json.dumps({'psnr': psnr}))
    digests[step] = weights.digest()
  # What it makes of the pictures does not matter here.
  monkeypatch.setattr(
      Restorer, 'restore', lambda self, views, **options: views['center'])
  for pick, step in (('latest', 4), ('best', 2)):
    config = starter.get_config()
    config.eval.radii, config.restore.pick = (2.0,), pick
    assert jobs.run('eval', config, jobs.Arguments(
        workdir=tmp_path, input=evaluated[0] / 'photos',
        output=tmp_path / pick)) == 0
    result = json.loads((tmp_path / pick / 'scores.json').read_text())
    assert result['provenance']['checkpoint'] == digests[step]
