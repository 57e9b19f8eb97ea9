"""Results: valid, complete, and never without protocol and input."""

import csv
import dataclasses
import datetime
import json
import math
import sys

import jax
import numpy as np
import pytest

from jaxdeblur.evaluation import provenance, report, result
from jaxdeblur.evaluation.report import Score
from jaxdeblur.evaluation.result import Result


def rows() -> list[Score]:
  """Two pictures under one condition, one of them under a second."""
  return [
      Score('a.png', 'disc radius 3.5 px', {
          'input_psnr': 25.0, 'psnr': 28.0, 'input_ssim': 0.75, 'ssim': 0.875}),
      Score('b.png', 'disc radius 3.5 px', {
          'input_psnr': 31.0, 'psnr': 33.0, 'input_ssim': 0.5, 'ssim': 1.0}),
      Score('a.png', 'sharp', {
          'input_psnr': math.inf, 'psnr': 45.0,
          'input_ssim': 1.0, 'ssim': 1.0}),
  ]


PROTOCOL = {'name': 'rendered_defocus', 'fit': 'pad', 'radii': (0.0, 3.5)}
PROVENANCE = {
    'method': {'name': 'drbnet', 'width': 12}, 'checkpoint': 'abc',
    'pictures': 'kodak', 'versions': {'jax': '1'},
    'command': 'python run.py --mode eval'}


def make(scores=None, protocol=PROTOCOL, **changed) -> Result:
  return Result(protocol, {**PROVENANCE, **changed},
                rows() if scores is None else scores)


def refuse_constants(constant: str):
  """For json.loads, which otherwise reads NaN and Infinity as if valid."""
  raise AssertionError(f'{constant} is not JSON')


def test_means_are_taken_within_a_condition():
  """A condition's mean is of its own pictures; the gain is output - input."""
  blurred, sharp = report.summarise(rows())
  assert (blurred.condition, blurred.pictures) == ('disc radius 3.5 px', 2)
  assert blurred.scores == {
      'input_psnr': 28.0, 'psnr': 30.5, 'gain_psnr': 2.5,
      'input_ssim': 0.625, 'ssim': 0.9375, 'gain_ssim': 0.3125}
  assert (sharp.condition, sharp.pictures) == ('sharp', 1)
  assert sharp.scores['input_psnr'] == math.inf
  assert sharp.scores['gain_psnr'] == -math.inf


def test_medians_do_not_follow_a_single_picture():
  scores = [Score(str(i), '', {'input_psnr': 20.0, 'psnr': psnr})
            for i, psnr in enumerate((21.0, 22.0, 80.0))]
  (summary,) = report.summarise(scores)
  assert summary.scores['psnr'] == 41.0
  assert summary.medians == {
      'input_psnr': 20.0, 'psnr': 22.0, 'gain_psnr': 2.0}


def test_indoor_and_outdoor_follow_what_is_combined():
  """Where the place is known; pictures of no known place count together only.
  """
  places = ('outdoor', 'indoor', 'indoor', '')
  scores = [Score(str(i), 'recorded', {'input_psnr': 20.0, 'psnr': 20.0 + i},
                  place) for i, place in enumerate(places)]
  summaries = report.summarise(scores)
  assert [(summary.place, summary.pictures, summary.scores['psnr'])
          for summary in summaries] == [
              ('', 4, 21.5), ('indoor', 2, 21.5), ('outdoor', 1, 20.0)]
  printed = str(make(scores))
  for label in ('| recorded ', '| recorded, indoor ', '| recorded, outdoor '):
    assert label in printed


def test_rmse_rel_keeps_to_the_mean_psnr():
  """10^(-mean PSNR / 20), as K3DN's tables; the plain mean would be larger."""
  psnr = np.array([22.0, 35.0])
  rmse_rel = 10 ** (-psnr / 20)
  summary, = report.summarise([
      Score(name, '', {'input_rmse_rel': 0.1, 'rmse_rel': float(error)})
      for name, error in zip('ab', rmse_rel, strict=True)])
  expected = 10 ** (-psnr.mean() / 20)
  assert expected < 0.9 * rmse_rel.mean()
  assert summary.scores['rmse_rel'] == pytest.approx(expected, rel=1e-12)
  assert summary.scores['input_rmse_rel'] == pytest.approx(0.1, rel=1e-12)
  # A perfect picture has PSNR inf, and so has the mean: RMSE_rel is then 0.
  summary, = report.summarise(
      [Score(str(error), '', {'input_rmse_rel': 0.1, 'rmse_rel': error})
       for error in (0.0, 0.1)])
  assert summary.scores['rmse_rel'] == 0


def test_what_is_written_is_read_back(tmp_path):
  """Protocol, provenance, every score, the infinite ones too."""
  scores = [*rows(), Score('c', 'sharp', {
      'input_psnr': 1.5, 'psnr': 0.1 + 0.2, 'input_ssim': 0.0,
      'ssim': float(np.float32(0.3))}, 'indoor')]
  written = make(scores)
  written.write(tmp_path / 'new')
  for path in (tmp_path / 'new', tmp_path / 'new' / 'scores.json'):
    assert result.read(path) == written


def test_json_holds_all_that_a_stranger_needs(tmp_path):
  """By the names of the CSV; inf and NaN are words, NumPy's numbers numbers."""
  make(seconds=np.float32(0.5), steps=np.int64(3), nested=[(math.nan,)]).write(
      tmp_path)
  text = (tmp_path / 'scores.json').read_text()
  document = json.loads(text, parse_constant=refuse_constants)
  assert list(document) == ['protocol', 'provenance', 'means', 'pictures']
  assert document['protocol'] == {**PROTOCOL, 'radii': [0.0, 3.5]}
  assert document['provenance'] == {
      **PROVENANCE, 'seconds': 0.5, 'steps': 3, 'nested': [['nan']]}
  assert document['pictures'][1] == {
      'picture': 'b.png', 'condition': 'disc radius 3.5 px', 'place': '',
      'scores': {
          'input_psnr': 31.0, 'psnr': 33.0, 'input_ssim': 0.5, 'ssim': 1.0}}
  assert document['means'][0]['scores']['gain_psnr'] == 2.5
  assert float(document['means'][1]['scores']['input_psnr']) == math.inf
  assert [mean['pictures'] for mean in document['means']] == [2, 1]


def test_csv_has_the_input_beside_the_output(tmp_path):
  """Whatever the order of a row's own keys; every digit survives."""
  shuffled = Score('c, "d".png', 'sharp', {
      'ssim': 0.1 + 0.2, 'psnr': 33.0, 'input_ssim': 0.5, 'input_psnr': 31.0})
  make([*rows(), shuffled]).write(tmp_path)
  with (tmp_path / 'scores.csv').open(newline='') as file:
    table = list(csv.DictReader(file))
  assert list(table[0]) == [
      'protocol', 'method', 'picture', 'condition', 'place', 'input_psnr',
      'psnr', 'input_ssim', 'ssim']
  assert {(row['protocol'], row['method']) for row in table} == {
      ('rendered_defocus', 'drbnet abc')}
  assert float(table[2]['input_psnr']) == math.inf
  assert table[3]['picture'] == 'c, "d".png'
  assert float(table[3]['ssim']) == 0.1 + 0.2


def test_the_table_is_markdown_of_fixed_width():
  """Columns stand under each other in a terminal and in a rendered page."""
  printed = str(make())
  assert printed.startswith(
      'Protocol rendered_defocus (fit: pad), on kodak: drbnet abc\n')
  assert (
      '| condition          | pictures |              PSNR [dB] |'
      '                       SSIM |\n'
      '| ------------------ | -------: | ---------------------: |'
      ' -------------------------: |\n'
      '| disc radius 3.5 px |        2 | 28.00 -> 30.50 (+2.50) |'
      ' 0.6250 -> 0.9375 (+0.3125) |\n'
      '| sharp              |        1 |           inf -> 45.00 |'
      ' 1.0000 -> 1.0000 (+0.0000) |\n') in printed
  assert 'Medians' in printed
  assert 'Medians' not in str(make(rows()[:1]))


def test_the_table_takes_any_metric_and_any_name():
  """Metrics it does not know keep their name, a | cannot break a row."""
  printed = str(make(
      [Score('a', 'left|right', {'input_dists': 0.5, 'dists': 0.25})]))
  heading, _, row = printed.splitlines()[-3:]
  assert 'dists' in heading
  assert r'left\|right' in row
  assert '0.5000 -> 0.2500 (-0.2500)' in row
  assert len(heading) == len(row)


def test_baselines_are_named_with_their_settings():
  printed = str(make(
      method={'name': 'wiener', 'disc_radius': 'known', 'balance': 0.01},
      checkpoint=None))
  assert printed.startswith(
      'Protocol rendered_defocus (fit: pad), on kodak: wiener (disc_radius '
      'known, balance 0.01)\n')


def test_provenance_names_what_ran(monkeypatch):
  """The command as typed: quoted so that it can be typed again."""
  monkeypatch.setattr(
      sys, 'orig_argv', ['python', 'run.py', '--input', 'my photos'])
  made_by = provenance.collect({'name': 'input'}, None, 'my photos')
  assert made_by['checkpoint'] is None
  assert made_by['command'] == "python run.py --input 'my photos'"
  assert made_by['versions']['jax'] == jax.__version__
  assert made_by['versions']['numpy'] == np.__version__
  assert {'python', 'jaxdeblur', 'jaxlib', 'flax'} <= set(made_by['versions'])
  assert made_by['hardware']['device'] == (
      f'{jax.device_count()} x {jax.devices()[0].device_kind}')
  date = datetime.datetime.fromisoformat(made_by['date'])
  age = datetime.datetime.now(datetime.UTC) - date
  assert date.utcoffset() == datetime.timedelta(0)
  assert datetime.timedelta(0) <= age < datetime.timedelta(minutes=5)


def test_results_that_would_mislead_are_not_made():
  """Without them nothing can be printed or written: no path leads around."""
  lonely = Score('c.png', 'sharp', {'psnr': 30.0})
  fewer = Score('c.png', 'sharp', {'input_psnr': 30.0, 'psnr': 30.0})
  for scores, message in (
      ([], 'no picture was evaluated'),
      ([lonely], r"expected \['input_psnr', 'psnr'\]"),
      ([*rows(), fewer], r"'c.png' \(sharp\) is scored in"),
      ([*rows(), rows()[0]], 'comes twice under')):
    with pytest.raises(ValueError, match=message):
      make(scores)
  with pytest.raises(ValueError, match='the name of the protocol is missing'):
    make(protocol={'fit': 'pad'})
  with pytest.raises(ValueError, match='here command is missing'):
    Result(PROTOCOL, {key: value for key, value in PROVENANCE.items()
                      if key != 'command'}, rows())
  with pytest.raises(TypeError):
    make(protocol={'name': object()})


def test_files_that_are_no_results_are_said(tmp_path):
  with pytest.raises(FileNotFoundError, match=r'scores\.json does not exist'):
    result.read(tmp_path)
  for text in ('no json', '[]', '{"protocol": {}}'):
    (tmp_path / 'scores.json').write_text(text)
    with pytest.raises(ValueError, match='does not hold the scores'):
      result.read(tmp_path)


def test_a_result_cannot_be_changed():
  with pytest.raises(dataclasses.FrozenInstanceError):
    make().rows = ()
