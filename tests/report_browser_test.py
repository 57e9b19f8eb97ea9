"""The report's page in a real browser, opened as a file."""

import math
import shutil

import cv2
import numpy as np
import pytest

from jaxdeblur.evaluation.page import ReportPage
from jaxdeblur.evaluation.protocols.case import Comparison
from jaxdeblur.evaluation.report import Score
from jaxdeblur.evaluation.result import Result

_FLAGS = ('--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
          '--disable-background-networking', '--disable-component-update',
          '--disable-sync')
_GAINS = {'a.png': 1.5, 'b.png': -0.5, 'c.png': 12.0, 'd.png': -math.inf}


@pytest.fixture(scope='module')
def browser():
  found = [path for name in ('chromium', 'chromium-browser', 'google-chrome')
           if (path := shutil.which(name))]
  if not found:
    pytest.skip('there is no Chromium here: apt-get install chromium')
  from playwright.sync_api import sync_playwright
  with sync_playwright() as playwright:
    browser = playwright.chromium.launch(
        executable_path=found[0], args=_FLAGS)
    yield browser
    browser.close()


@pytest.fixture(scope='module')
def address(tmp_path_factory) -> str:
  """A page of four pictures, one of which had a perfect input, and a row."""
  page = ReportPage(tmp_path_factory.mktemp('page'))
  rows = []
  for seed, (picture, gain) in enumerate(_GAINS.items()):
    coarse = np.random.default_rng(seed).random((9, 12, 3), np.float32)
    sharp = cv2.resize(coarse, (600, 450), interpolation=cv2.INTER_NEAREST)
    before = sharp if gain == -math.inf else cv2.blur(sharp, (31, 31))
    page.add_pictures(picture, {
        'blurred': Comparison(before, cv2.blur(sharp, (9, 9)), sharp)})
    start = math.inf if gain == -math.inf else 20.0
    rows.append(Score(picture, 'blurred', {
        'input_psnr': start, 'psnr': 40.0 if start == math.inf else 20 + gain,
        'input_mae': 0.1, 'mae': 0.1 - seed / 100}))
  rows.append(Score('e.png', 'sharp', rows[0].scores))
  result = Result(
      {'name': 'rendered_defocus'},
      {'method': {'name': 'drbnet'}, 'checkpoint': 'abc', 'pictures': 'photos',
       'versions': {}, 'command': 'run.py', 'date': ''}, rows)
  return page.write(result).as_uri()


@pytest.fixture
def open_page(browser, address):
  """Opens the page; at the end nothing was requested and nothing complained."""
  requests, complaints, contexts = [], [], []

  def open_page(width=1280, height=900, **options):
    context = browser.new_context(
        viewport={'width': width, 'height': height}, **options)
    contexts.append(context)
    page = context.new_page()
    page.on('console', lambda message: complaints.append(message.text))
    page.on('pageerror', lambda error: complaints.append(str(error)))
    page.on('request', lambda request: requests.append(request.url))
    page.goto(address)
    return page

  yield open_page
  for context in contexts:
    context.close()
  outside = {url for url in requests if not url.startswith('data:')}
  assert outside == {address}
  assert not complaints


def names(page) -> list[str]:
  return page.locator('#picture-table tbody tr:visible th').all_inner_texts()


def test_a_click_on_a_heading_sorts_the_pictures(open_page):
  """As numbers, as infinities, and the other way at the second click."""
  page = open_page()
  best_first = ['c.png', 'a.png', 'e.png', 'b.png', 'd.png']
  assert names(page) == best_first
  gain = page.locator('#picture-table .sortable th').nth(4)
  assert gain.get_attribute('aria-sort') == 'descending'
  gain.get_by_role('button').click()
  assert gain.get_attribute('aria-sort') == 'ascending'
  assert names(page) == ['d.png', 'b.png', 'a.png', 'e.png', 'c.png']
  page.get_by_role('button', name='picture').click()
  assert names(page) == [*_GAINS, 'e.png']
  assert gain.get_attribute('aria-sort') is None


def test_pictures_of_one_condition_can_be_chosen(open_page):
  page = open_page()
  choice = page.get_by_role('combobox', name='Condition')
  choice.select_option('sharp')
  assert names(page) == ['e.png']
  choice.select_option('all')
  assert len(names(page)) == 5


def test_the_slider_follows_keyboard_and_finger(open_page):
  page = open_page(390, 844, has_touch=True)
  stage = page.locator('.stage').first
  slider = stage.get_by_role('slider')
  clip = "element => getComputedStyle(element).clipPath"
  left = stage.locator('.left')
  assert left.get_attribute('data-name') == 'input'
  middle = left.evaluate(clip)
  slider.focus()
  for _ in range(10):
    page.keyboard.press('ArrowRight')
  assert left.evaluate(clip) != middle
  assert slider.get_attribute('aria-valuetext') == (
      '60 % input, the rest restored')
  box = stage.bounding_box()
  page.touchscreen.tap(
      box['x'] + 0.1 * box['width'], box['y'] + box['height'] / 2)
  assert float(slider.input_value()) < 20

  page.get_by_label('restored | truth').first.check()
  assert stage.locator('.left').get_attribute('data-name') == 'restored'
  assert stage.locator('.right').get_attribute('data-name') == 'ground truth'


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('width', [1280, 390])
def test_the_page_fits_the_screen_and_shows_something(open_page, scheme, width):
  page = open_page(width, 900, color_scheme=scheme)
  assert page.evaluate(
      'document.documentElement.scrollWidth <= window.innerWidth')
  assert page.evaluate(
      '[...document.images].every(image => image.naturalWidth > 0)')
  file = np.frombuffer(page.screenshot(full_page=True), np.uint8)
  picture = cv2.imdecode(file, cv2.IMREAD_COLOR)
  assert picture.shape[1] == width and picture.std() > 10
  assert (np.median(picture) < 60) == (scheme == 'dark')


def test_without_javascript_all_pictures_stand_side_by_side(open_page):
  page = open_page(java_script_enabled=False)
  panes = page.locator('.exhibit').first.locator('.panes .pane')
  left, middle, right = (pane.bounding_box() for pane in panes.all())
  assert left['x'] + left['width'] <= middle['x']
  assert middle['x'] + middle['width'] <= right['x']
  assert page.get_by_role('slider').count() == 0
  assert len(names(page)) == 5
