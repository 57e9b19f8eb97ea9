"""Comparing two results: what the numbers mean, and what is refused."""

import dataclasses

import numpy as np
import pytest

from configs import starter
from jaxdeblur import jobs
from jaxdeblur.evaluation.compare import compare, format_differences
from jaxdeblur.evaluation.report import Score
from jaxdeblur.evaluation.result import Result

PROTOCOL = {'name': 'full', 'fit': 'pad'}


def make(outputs, metric='psnr', condition='recorded', protocol=PROTOCOL):
  """A result whose pictures have these scores, and inputs of 20 and more."""
  rows = [
      Score(f'{i}.png', condition,
            {f'input_{metric}': 20.0 + i, metric: float(score)})
      for i, score in enumerate(outputs)]
  return Result(protocol, {
      'method': {'name': 'input'}, 'checkpoint': None, 'pictures': 'some',
      'versions': {}, 'command': ''}, rows)


def test_the_difference_is_taken_picture_by_picture():
  (difference,) = compare(make([25, 30, 28, 31]), make([24, 31, 28, 29]))
  assert difference.mean == pytest.approx(0.5)
  assert (difference.wins, difference.ties, difference.pictures) == (2, 1, 4)
  assert difference.low < difference.mean < difference.high
  (opposite,) = compare(make([24, 31, 28, 29]), make([25, 30, 28, 31]))
  assert opposite.low == pytest.approx(-difference.high)
  assert (opposite.mean, opposite.wins) == (-difference.mean, 1)


def test_smaller_errors_win():
  (difference,) = compare(
      make([0.1, 0.2], 'mae'), make([0.2, 0.3], 'mae'))
  assert difference.wins == 2 and difference.mean == pytest.approx(-0.1)


def test_pairing_shows_what_means_apart_would_hide():
  """Pictures differ by 10 dB, the methods by 0.1: the interval is narrow."""
  random = np.random.default_rng(0)
  scores = 25 + 10 * random.standard_normal(40)
  better = scores + 0.1 + 0.05 * random.standard_normal(40)
  (difference,) = compare(make(better), make(scores))
  assert 0 < difference.low < 0.1 < difference.high < 0.2


def test_the_interval_holds_the_truth_as_often_as_it_says():
  """About 95 of 100 intervals over 30 pictures hold the true difference."""
  random = np.random.default_rng(1)
  held = 0
  for _ in range(100):
    scores = 25 + random.standard_normal(30)
    (difference,) = compare(
        make(scores + 0.3 + 0.5 * random.standard_normal(30)), make(scores))
    held += difference.low <= 0.3 <= difference.high
  assert held >= 88


def test_rmse_rel_is_compared_by_its_own_mean():
  """The geometric one, so that it never contradicts PSNR."""
  ours, theirs = np.array([0.1, 0.001]), np.array([0.09, 0.002])
  (difference,) = compare(make(ours, 'rmse_rel'), make(theirs, 'rmse_rel'))
  assert difference.mean == pytest.approx(
      np.sqrt(ours.prod()) - np.sqrt(theirs.prod()))
  assert difference.mean < 0 < (ours - theirs).mean()


def test_one_picture_and_infinite_scores_have_no_interval():
  for ours, theirs in (([25], [24]), ([np.inf, 30], [np.inf, 29])):
    (difference,) = compare(make(ours), make(theirs))
    assert np.isnan(difference.low) and np.isnan(difference.high)
    assert difference.wins == 1
    assert '| none |' in ' '.join(format_differences(
        make(ours), make(theirs), [difference]).split())


def test_what_cannot_be_compared_is_refused():
  first = make([25, 30])
  with pytest.raises(ValueError, match=r"differ .*fit 'pad' and 'resize'"):
    compare(first, make([25, 30], protocol={**PROTOCOL, 'fit': 'resize'}))
  with pytest.raises(ValueError, match=r'one of them only, 2\.png'):
    compare(first, make([25, 30, 31]))
  with pytest.raises(ValueError, match='different pictures: 4 are'):
    compare(first, make([25, 30], condition='sharp'))
  with pytest.raises(ValueError, match='no metric in common'):
    compare(first, make([25, 30], 'niqe'))
  others = dataclasses.replace(first, rows=[
      dataclasses.replace(row, scores={**row.scores, 'input_psnr': 19.0})
      for row in first.rows])
  with pytest.raises(ValueError, match=r'inputs called 0\.png .* not the same'):
    compare(first, others)


def test_the_table_names_protocol_and_methods():
  first, second = make([25, 30]), make([24, 29])
  printed = format_differences(first, second, compare(first, second))
  assert printed.startswith('Protocol full, on some: input, minus input\n')
  assert '| +1.00 to +1.00 |' in printed


def test_two_files_are_compared_from_the_command_line(tmp_path, capsys):
  for name, scores in (('first', [25, 30]), ('second', [24, 29])):
    make(scores).write(tmp_path / name)
  config = starter.get_config()
  arguments = jobs.Arguments(input=tmp_path / 'first')
  assert jobs.run('compare', config, arguments) == 2
  assert '--config.eval.compare' in capsys.readouterr().err
  config.eval.compare = str(tmp_path / 'second' / 'scores.json')
  assert jobs.run('compare', config, arguments) == 0
  assert '+1.00' in capsys.readouterr().out
