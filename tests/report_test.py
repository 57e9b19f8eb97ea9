"""Result tables: valid, complete, and honest about input and gain."""

import csv
import datetime
import json
import math
import sys

import jax
import numpy as np
import pytest

from jaxdeblur.evaluation import report
from jaxdeblur.evaluation.report import Score


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


PROTOCOL = {'name': 'rendered_defocus', 'radii': (0.0, 3.5), 'input_bits': 8}
PROVENANCE = {'checkpoint': 'abc', 'command': 'python run.py --mode eval'}


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


def test_json_holds_all_that_a_stranger_needs(tmp_path):
  """Protocol, provenance, means, pictures, by the names of the CSV."""
  path = tmp_path / 'new' / 'scores.json'
  report.write_json(path, rows(), PROTOCOL, PROVENANCE)
  document = json.loads(path.read_text(), parse_constant=refuse_constants)
  assert list(document) == ['protocol', 'provenance', 'means', 'pictures']
  assert document['protocol'] == {**PROTOCOL, 'radii': [0.0, 3.5]}
  assert document['provenance'] == PROVENANCE
  assert document['pictures'][1] == {
      'picture': 'b.png', 'condition': 'disc radius 3.5 px', 'scores': {
          'input_psnr': 31.0, 'psnr': 33.0, 'input_ssim': 0.5, 'ssim': 1.0}}
  assert document['means'][0]['scores']['gain_psnr'] == 2.5
  assert [mean['pictures'] for mean in document['means']] == [2, 1]


def test_json_stays_json_without_numbers(tmp_path):
  """inf and NaN are words that float() reads; NumPy's numbers are numbers."""
  path = tmp_path / 'scores.json'
  scores = {'input_psnr': math.inf, 'psnr': math.inf}
  report.write_json(
      path, [Score('a', 'b', scores)],
      {'floor': -math.inf, 'nested': [(math.nan,)], 'crop': None, 'clip': True},
      {'seconds': np.float32(0.5), 'steps': np.int64(3)})
  document = json.loads(path.read_text(), parse_constant=refuse_constants)
  means = document['means'][0]['scores']
  assert means['psnr'] == 'inf'
  assert float(means['psnr']) == math.inf
  assert means['gain_psnr'] == 'nan'  # inf - inf
  assert document['protocol'] == {
      'floor': '-inf', 'nested': [['nan']], 'crop': None, 'clip': True}
  assert document['provenance'] == {'seconds': 0.5, 'steps': 3}


def test_csv_has_the_input_beside_the_output(tmp_path):
  """Whatever the order of a row's own keys; every digit survives."""
  path = tmp_path / 'scores.csv'
  shuffled = Score('c, "d".png', 'sharp', {
      'ssim': 0.1 + 0.2, 'psnr': 33.0, 'input_ssim': 0.5, 'input_psnr': 31.0})
  report.write_csv(path, [*rows(), shuffled])
  with path.open(newline='') as file:
    table = list(csv.DictReader(file))
  assert list(table[0]) == [
      'picture', 'condition', 'input_psnr', 'psnr', 'input_ssim', 'ssim']
  assert len(table) == 4
  assert float(table[2]['input_psnr']) == math.inf
  assert table[3]['picture'] == 'c, "d".png'
  assert float(table[3]['ssim']) == 0.1 + 0.2
  assert float(table[3]['psnr']) == 33.0


def test_the_table_is_markdown_of_fixed_width():
  """Columns stand under each other in a terminal and in a rendered page."""
  assert report.format_table(rows()) == (
      '| condition          | pictures |              PSNR [dB] |'
      '                       SSIM |\n'
      '| ------------------ | -------: | ---------------------: |'
      ' -------------------------: |\n'
      '| disc radius 3.5 px |        2 | 28.00 -> 30.50 (+2.50) |'
      ' 0.6250 -> 0.9375 (+0.3125) |\n'
      '| sharp              |        1 |    inf -> 45.00 (-inf) |'
      ' 1.0000 -> 1.0000 (+0.0000) |\n')


def test_the_table_takes_any_metric_and_any_name():
  """Metrics it does not know keep their name, a | cannot break a row."""
  table = report.format_table(
      [Score('a', 'left|right', {'input_lpips': 0.5, 'lpips': 0.25})])
  heading, _, row = table.splitlines()
  assert 'lpips' in heading
  assert r'left\|right' in row
  assert '0.5000 -> 0.2500 (-0.2500)' in row
  assert len(heading) == len(row)


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
  """Never half a result, and no debris: the folder is as it was."""
  path = tmp_path / 'scores.json'
  report.write_json(path, rows(), PROTOCOL, PROVENANCE)
  before = path.read_bytes()
  with pytest.raises(TypeError):
    report.write_json(path, rows(), {'name': object()}, PROVENANCE)
  with (pytest.raises(InterruptedError),
        report._written_whole(path) as file):
    file.write('half a resu')
    file.flush()
    raise InterruptedError
  assert path.read_bytes() == before
  assert list(tmp_path.iterdir()) == [path]


def test_provenance_names_what_ran(monkeypatch):
  """The command as typed: quoted so that it can be typed again."""
  monkeypatch.setattr(
      sys, 'orig_argv', ['python', 'run.py', '--input', 'my photos'])
  made_by = report.provenance('sha256:0123')
  assert made_by['checkpoint'] == 'sha256:0123'
  assert made_by['command'] == "python run.py --input 'my photos'"
  assert made_by['versions']['jax'] == jax.__version__
  assert made_by['versions']['numpy'] == np.__version__
  assert {'python', 'jaxdeblur', 'jaxlib', 'flax'} <= set(made_by['versions'])
  date = datetime.datetime.fromisoformat(made_by['date'])
  age = datetime.datetime.now(datetime.UTC) - date
  assert date.utcoffset() == datetime.timedelta(0)
  assert datetime.timedelta(0) <= age < datetime.timedelta(minutes=5)
  assert report.provenance(None)['checkpoint'] is None


def test_tables_that_would_mislead_are_refused(tmp_path):
  """Whoever asks for them: no path leads around the check."""
  lonely = Score('c.png', 'sharp', {'psnr': 30.0})
  fewer = Score('c.png', 'sharp', {'input_psnr': 30.0, 'psnr': 30.0})
  cases = [
      ([], 'no picture was evaluated'),
      ([lonely], r"expected \['input_psnr', 'psnr'\]"),
      ([*rows(), fewer], r"'c.png' \(sharp\) is scored in"),
      ([*rows(), rows()[0]], 'comes twice under'),
  ]
  for scores, message in cases:
    for write in (
        report.summarise,
        report.format_table,
        lambda scores: report.write_csv(tmp_path / 'a', scores),
        lambda scores: report.write_json(tmp_path / 'a', scores, {}, {})):
      with pytest.raises(ValueError, match=message):
        write(scores)
  assert not list(tmp_path.iterdir())
