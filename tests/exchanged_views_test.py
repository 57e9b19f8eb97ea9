"""Evaluation of dual-pixel networks: on which side the data lie."""

import json
import shutil

import cv2
import numpy as np
import pytest

from configs import starter
from jaxdeblur import jobs
from jaxdeblur.checkpoints import save_weights
from jaxdeblur.evaluation import result
from jaxdeblur.job_fields import check_read
from jaxdeblur.restoration.restorer import Restorer


@pytest.fixture
def pairs(tmp_path):
  """Two pairs whose right view shows all farther to the right."""
  for i in range(2):
    coarse = np.random.default_rng(i).random((24, 36, 3), np.float32)
    scene = 255 * np.clip(cv2.resize(
        coarse, (144, 96), interpolation=cv2.INTER_CUBIC), 0, 1)
    for view, start in (('left', 8), ('right', 2), ('sharp', 5)):
      (tmp_path / 'pairs' / view).mkdir(parents=True, exist_ok=True)
      cv2.imwrite(str(tmp_path / 'pairs' / view / f'{i}.png'),
                  scene[:, start:start + 128])
  return tmp_path / 'pairs'


@pytest.fixture
def score(make_weights, pairs, tmp_path, monkeypatch):
  """Evaluates a network that returns its left view; returns the result."""
  monkeypatch.setattr(
      Restorer, 'restore', lambda self, views, **options: np.float32(
          views['left'] / 255))

  def run(output='scores', shifts=(0, 1, 2, 3), **settings):
    weights = make_weights(
        'k3dn', ('left', 'right'), base_channels=2, num_blocks=1,
        cost_shifts=shifts)
    folder = tmp_path / f'weights_{len(shifts)}'
    if not folder.exists():
      save_weights(folder, weights.settings, weights.variables)
    config = starter.get_config()
    config.eval.update({'protocol': 'full', 'metrics': ('psnr',)} | settings)
    code = jobs.run('eval', config, jobs.Arguments(
        workdir=folder, input=pairs, output=tmp_path / output))
    return result.read(tmp_path / output) if code == 0 else None

  return run


def test_the_side_of_the_data_stands_beside_that_of_the_network(
    score, capsys, tmp_path):
  scored = score()
  assert scored.provenance['view_order'] == {
      'data': {'left': 0, 'unclear': 0, 'right': 2}, 'network': 'left'}
  said = ('Things in the right view lie farther to the right in 2 pictures, to '
          'the left in 0, on both sides or neither in 0; the network compares '
          'shifts to the left only.')
  assert said in capsys.readouterr().out
  stored = json.loads((tmp_path / 'scores' / 'scores.json').read_text())
  assert stored['provenance']['view_order']['network'] == 'left'
  assert 'views' not in scored.protocol


def test_views_are_exchanged_before_restoring(score, capsys):
  """The network returns its left view, which is then the right one."""
  as_given = score()
  exchanged = score('exchanged', exchange_views=True)
  assert exchanged.protocol['views'] == 'left and right exchanged'
  assert exchanged.provenance['view_order']['data']['left'] == 2
  assert 'Views: left and right exchanged.' in capsys.readouterr().out
  for one, other in zip(as_given.rows, exchanged.rows):
    # The input is the mean of both views, whatever they are called.
    assert one.scores['input_psnr'] == other.scores['input_psnr']
    assert one.scores['psnr'] != other.scores['psnr']


def test_a_network_may_compare_both_sides(score, capsys):
  scored = score(shifts=(-1, 0, 1))
  assert scored.provenance['view_order']['network'] is None
  assert 'not limited to a side' in capsys.readouterr().out


def test_single_pictures_cannot_be_exchanged(score, capsys, pairs):
  assert score(method='input', exchange_views=True) is None
  assert 'does not read left and right' in capsys.readouterr().err
  (pairs / 'left').rename(pairs / 'blurry')
  shutil.rmtree(pairs / 'right')
  assert score(method='input', exchange_views=True) is None
  assert 'no dual-pixel pairs (they have center)' in capsys.readouterr().err


@pytest.mark.parametrize('changes', [
    {'protocol': 'rendered_defocus'}, {'protocol': 'rendered_camera'},
    {'protocol': 'full', 'method': 'input'}])
def test_an_exchange_without_effect_is_refused(changes):
  config = starter.get_config()
  config.eval.update(changes)
  with pytest.raises(ValueError, match='method=network and a protocol'):
    check_read('eval', config, jobs.Arguments(), ['eval.exchange_views'])


def test_an_exchange_of_pairs_is_taken():
  config = starter.get_config()
  for protocol in ('full', 'pixel4_xin', 'k3dn_paper', 'drbnet_paper'):
    config.eval.protocol = protocol
    check_read('eval', config, jobs.Arguments(), ['eval.exchange_views'])
