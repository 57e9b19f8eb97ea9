"""The report's page: what it shows, holds, refuses and does not let in."""

from html.parser import HTMLParser
import importlib.util
import math

import numpy as np
import pytest

from configs import starter
from jaxdeblur import jobs
from jaxdeblur.evaluation import exhibits, plots, published
from jaxdeblur.evaluation.exhibits import Exhibits, find_window
from jaxdeblur.evaluation.page import ReportPage
from jaxdeblur.evaluation.protocols.case import Comparison
from jaxdeblur.evaluation.report import Score
from jaxdeblur.evaluation.result import Result

PROTOCOL = {'name': 'rendered_defocus', 'radii': (0.0, 2.0), 'fit': 'pad'}
PROVENANCE = {
    'method': {'name': 'drbnet', 'width': 12}, 'checkpoint': '0123456789abcdef',
    'pictures': 'photos', 'versions': {'jax': '0.10'},
    'command': 'python run.py --mode eval', 'date': '2026-01-01T00'}


def score(picture='a.png', condition='c', before=20.0, after=22.0) -> Score:
  return Score(picture, condition, {
      'input_psnr': before, 'psnr': after, 'input_mae': 0.2, 'mae': 0.1})


def make(rows=None, protocol=PROTOCOL, **changed) -> Result:
  return Result(protocol, {**PROVENANCE, **changed}, rows or [score()])


class Elements(HTMLParser):
  """The start tags of a page, with their attributes, and its text."""

  def __init__(self, text: str):
    super().__init__()
    self.elements, self.text = [], ''
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    self.elements.append((tag, dict(attributes)))

  def handle_data(self, data):
    self.text += data


def test_what_is_shown_is_where_the_input_is_worst():
  sharp = np.full((700, 900, 3), 0.5, np.float32)
  before = sharp.copy()
  before[380:690, 100:570] += 0.1
  rows, columns = find_window(before, sharp)
  assert (rows.stop - rows.start, columns.stop - columns.start) == (320, 480)
  assert rows.start <= 380 and rows.stop >= 690
  assert columns.start <= 100 and columns.stop >= 570
  for truth in (before, None):
    assert find_window(before, truth) == (slice(190, 510), slice(210, 690))
  assert find_window(before[:20, :30], sharp[:20, :30])[0] == slice(0, 20)


def test_the_first_pictures_and_those_that_gain_least_are_shown():
  chosen = Exhibits(3)
  sharp = np.full((8, 8, 3), 0.5, np.float32)
  for name, error in zip('abcdef', (0.1, 0.1, 0.05, 0.3, 0.2, 0.1)):
    chosen.add(name, 'c', sharp + 0.1, sharp + np.float32(error), sharp)
  shown, = chosen.by_condition().values()
  assert [(exhibit.picture, exhibit.chosen) for exhibit in shown] == [
      ('a', 'first'), ('b', 'first'), ('d', 'gained least')]


def test_without_a_ground_truth_the_first_pictures_are_shown():
  chosen = Exhibits(3)
  for name in 'abcd':
    chosen.add(name, 'c', *np.zeros((2, 8, 8, 3), np.float32), None)
  shown, = chosen.by_condition().values()
  assert [exhibit.picture for exhibit in shown] == ['a', 'b', 'c']
  assert chosen.describe_choice() == 'Of each condition, the first 3.'


def test_of_perfect_inputs_the_one_that_is_harmed_most_is_shown():
  """Their gains are all -inf."""
  chosen = Exhibits(3)
  sharp = np.full((8, 8, 3), 0.5, np.float32)
  for name, error in zip('abcde', (0.1, 0.1, 0.05, 0.2, 0.1)):
    chosen.add(name, 'c', sharp, sharp + np.float32(error), sharp)
  assert chosen.by_condition()['c'][-1].picture == 'd'


def test_the_size_of_a_picture_on_the_page_is_bounded():
  """Noise is the worst: nothing compresses less. 100 kB of WebP, so a page of
  24 pictures under 4 conditions holds 16 times that and 96 table rows."""
  chosen = Exhibits(1)
  noise = np.random.default_rng(0).random((3, 400, 500, 3), np.float32)
  chosen.add('noise', 'c', *noise)
  exhibit, = chosen.by_condition()['c']
  encoded = [*exhibit.panes.values(), *exhibit.errors.values(), exhibit.whole]
  assert len(encoded) == 6
  assert sum(map(len, encoded)) * 3 / 4 < 100_000


def test_grey_pictures_are_shown_as_well_and_linear_light_is_not(tmp_path):
  page = ReportPage(tmp_path)
  grey = np.random.default_rng(0).random((2, 20, 30, 1), np.float32)
  page.add_pictures('a.png', {
      'c': Comparison(*grey, sharp=None),
      'linear': Comparison(*grey, sharp=None, displayed=False)})
  text = page.write(make()).read_text()
  assert text.count('data:image/webp') == 2 and 'Error map of' not in text


def test_error_maps_are_of_the_scale_that_is_printed():
  stops = exhibits.colour_stops(3)
  levels = np.array([[0, exhibits.ERROR_RANGE / 2, exhibits.ERROR_RANGE, 1]])
  colours = ['#' + bytes(c[::-1]).hex() for c in exhibits._colour(levels)[0]]
  assert colours == [*stops, stops[-1]]


def test_names_cannot_become_elements(tmp_path):
  """Nor can a command or a condition; and nothing is asked of anybody."""
  name = '<img src="http://x/" onerror=alert(1)>$x_1$.png'
  condition = '"><script>alert(2)</script> {{ 7 * 7 }} $a_'
  page = ReportPage(tmp_path)
  noise = np.random.default_rng(0).random((3, 20, 30, 3), np.float32)
  page.add_pictures(name, {condition: Comparison(*noise)})
  text = page.write(make(
      [score(name, condition)], {**PROTOCOL, '<b>': '<i>'},
      command='run.py </code><script>alert(3)</script>')).read_text()
  parsed = Elements(text)
  assert sum(tag == 'script' for tag, _ in parsed.elements) == 1
  assert not {'b', 'i'} & {tag for tag, _ in parsed.elements}
  for _, attributes in parsed.elements:
    assert not [key for key in attributes if key.startswith('on')]
    for key in ('src', 'href', 'xlink:href'):
      assert attributes.get(key, '#').startswith(('#', 'data:'))
  assert name in parsed.text and condition in parsed.text
  assert '@import' not in text and 'url(http' not in text


def test_tables_hold_every_score(tmp_path):
  rows = [score('a.png', 'c', 20, 22), score('b.png', 'c', 20, 19),
          score('a.png', 'd', math.inf, 40)]
  text = ReportPage(tmp_path).write(make(rows)).read_text()
  words = ' '.join(Elements(text).text.split())
  words = words.replace('\N{MINUS SIGN}', '-')
  for expected in ('20.00 → 20.50 +0.50', '∞ → 40.00 -∞', 'python run.py',
                   '0123456789abcdef', 'b.png c 20.00 19.00 -1.00', '0, 2'):
    assert expected in words
  assert words.index('a.png c') < words.index('b.png c')  # The better first.


def test_places_have_means_of_their_own(tmp_path):
  rows = [Score('a.png', 'c', score(after=22).scores, 'indoor'),
          Score('b.png', 'c', score(after=25).scores, 'outdoor')]
  text = ReportPage(tmp_path).write(make(rows)).read_text()
  words = ' '.join(Elements(text).text.split())
  for expected in ('c 2 20.00 → 23.50 +3.50', 'c, indoor 1 20.00 → 22.00 +2.00',
                   'c, outdoor 1 20.00 → 25.00 +5.00', 'a.png c, indoor'):
    assert expected in words


def test_the_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
  def fail(rows, metric):
    raise ArithmeticError

  page = ReportPage(tmp_path / 'page')
  with monkeypatch.context() as patch:
    patch.setattr(plots, 'draw_scatter', fail)
    with pytest.raises(ArithmeticError):
      page.write(make())
  assert not (tmp_path / 'page').exists()
  before = page.write(make()).read_bytes()
  monkeypatch.setattr(plots, 'draw_scatter', fail)
  with pytest.raises(ArithmeticError):
    page.write(make([score(after=30.0)]))
  assert (tmp_path / 'page' / 'index.html').read_bytes() == before
  assert len(list((tmp_path / 'page').iterdir())) == 1


def test_a_metric_that_is_not_known_here_keeps_its_name(tmp_path):
  """A result may come from another program."""
  unknown = Score('a.png', 'c', {'input_sharpness': 1.0, 'sharpness': 2.0})
  text = ReportPage(tmp_path).write(make([unknown])).read_text()
  words = ' '.join(Elements(text).text.split())
  assert 'sharpness' in words and '1.0000 → 2.0000 +1.0000' in words


def test_what_lacks_is_said_before_anything_is_restored(
    tmp_path, monkeypatch, capsys):
  (tmp_path / 'file').touch()

  def evaluate(folder):
    return jobs.run('eval', starter.get_config(), jobs.Arguments(
        input=tmp_path, output=tmp_path / 'scores', report=folder))

  assert evaluate(tmp_path / 'file') == 1
  assert 'file is no folder' in capsys.readouterr().err
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  assert evaluate(tmp_path / 'page') == 1
  assert 'pip install jinja2 matplotlib' in capsys.readouterr().err
  assert [file.name for file in tmp_path.iterdir()] == ['file']


def test_published_rows_stand_only_beside_scores_of_the_same_pictures(tmp_path):
  """All others are folded away, behind what says that they do not compare."""
  def sections(protocol, pictures):
    page = ReportPage(tmp_path).write(make(
        protocol={**PROTOCOL, 'name': protocol}, pictures=pictures))
    text = page.read_text()
    text = text[text.index('id="published"'):text.index('id="protocol"')]
    return text.split('<details>')

  beside, folded = sections('drbnet_paper', 'realdof, test')
  assert '25.745' in beside and 'class="ours"' in beside
  assert '1 of 50 pictures' in beside
  assert '26.11' in folded and '25.745' not in folded
  assert 'class="ours"' not in folded
  for other in (('full', 'my photographs'), ('full', 'realdof, train'),
                ('full', 'realdof'), ('rendered_defocus', 'realdof, test')):
    beside, folded = sections(*other)
    assert '<table' not in beside and '25.745' in folded
    assert 'none of these is a score on the pictures' in folded.lower()
  beside, _ = sections('pixel4_xin', 'scenes')
  assert '31.59' in beside and 'mixes scales' in beside


def test_published_rows_name_their_source_and_agree_with_themselves():
  """RMSE_rel is 10^(-PSNR / 20) in both of K3DN's tables; its row of Xin et
  al. is the one that is printed otherwise."""
  tables = published.read_tables()
  rows = [row for table in tables.values() for row in table.rows]
  assert len(rows) == 26 and all(row.source and row.scores for row in rows)
  both = [row for row in rows if 'rmse_rel' in row.scores]
  assert len(both) == 9
  for row in both:
    expected = 10 ** (-float(row.scores['psnr']) / 20)
    agrees = float(row.scores['rmse_rel']) == pytest.approx(expected, abs=1e-4)
    assert agrees == (row.method != 'Xin et al.')


def test_plots_follow_the_pages_colours_and_keep_their_ids_apart():
  rows = [score('a', 'c'), score('b', '_c', math.inf), score('a', '$c_1', 30),
          score('b', '$c_1', 31)]
  drawn = [
      draw(rows, 'psnr') for draw in (plots.draw_gains, plots.draw_scatter)]
  ids = [{attributes['id'] for _, attributes in Elements(svg).elements
          if 'id' in attributes} for svg in drawn]
  assert all(ids) and not ids[0] & ids[1]
  for svg in drawn:
    assert 'var(--series-0)' in svg and '#a1b2c' not in svg
    assert '$c_1' in Elements(svg).text
  assert plots.draw_gains(rows[:2], 'psnr') is None
