"""The plots of a report page, as SVG with the page's colours."""

from collections.abc import Sequence
import io
import math
import re
from typing import Any

from jaxdeblur.evaluation import report
from jaxdeblur.metrics.metric import find

# Plots are drawn in these colours, which are then replaced by the page's CSS
# variables. So the plots follow the page's light and dark colours.
_INK, _GRID = '#0a0b0c', '#0d0e0f'
_SERIES = tuple(f'#a1b2c{index}' for index in range(8))
_VARIABLES = {
    _INK: 'var(--ink-soft)', _GRID: 'var(--rule)',
    **{colour: f'var(--series-{index})'
       for index, colour in enumerate(_SERIES)}}

_MARKERS = 'osD^vPX*'


def draw_gains(rows: Sequence[report.Score], metric: str) -> str | None:
  """Draws the gain of every picture, the best first, as inline SVG.

  Pictures whose gain is not finite are left out. Returns None if no condition
  has two other pictures.
  """
  pairs = _finite_pairs(rows, metric)
  if not pairs:
    return None
  figure, axes = _make_axes(
      'pictures, by gain', f'gain in {find(metric).heading}')
  axes.axhline(0, color=_INK, linewidth=1)
  for index, (condition, scores) in enumerate(pairs.items()):
    gains = sorted((after - before for before, after in scores),
                   reverse=find(metric).larger_is_better)
    axes.plot(range(1, len(gains) + 1), gains, linewidth=0.8,
              **_style(index, condition))
  axes.xaxis.get_major_locator().set_params(integer=True)
  axes.legend(**_LEGEND)
  return _to_svg(figure, 'gains')


def draw_scatter(rows: Sequence[report.Score], metric: str) -> str | None:
  """Draws each picture's output score over its input score, as inline SVG.

  Pictures whose scores are not finite are left out. Returns None if no
  condition has two other pictures.
  """
  pairs = _finite_pairs(rows, metric)
  if not pairs:
    return None
  figure, axes = _make_axes(
      f'input, {find(metric).heading}',
      f'restored, {find(metric).heading}')
  for index, (condition, scores) in enumerate(pairs.items()):
    axes.plot(*zip(*scores, strict=True), linestyle='none',
              **_style(index, condition))
  limits = (*axes.get_xlim(), *axes.get_ylim())
  ends = min(limits), max(limits)
  axes.plot(ends, ends, color=_INK, linewidth=1, label='no gain', zorder=1)
  axes.set(xlim=limits[:2], ylim=limits[2:])
  axes.legend(**_LEGEND)
  return _to_svg(figure, 'scatter')


_LEGEND = {'frameon': False, 'labelcolor': _INK, 'fontsize': 9}


def _finite_pairs(rows, metric) -> dict[str, list[tuple[float, float]]]:
  """Pairs scores of input and output by condition; {} if each has one only."""
  pairs = {}
  for row in rows:
    pair = float(row.scores[f'input_{metric}']), float(row.scores[metric])
    if all(map(math.isfinite, pair)):
      pairs.setdefault(row.condition, []).append(pair)
  return pairs if max(map(len, pairs.values()), default=0) > 1 else {}


def _make_axes(x_label: str, y_label: str):
  from matplotlib.figure import Figure  # Not pyplot: no global state.
  figure = Figure(figsize=(5.2, 3.6), layout='constrained')
  figure.patch.set_alpha(0)
  axes = figure.add_subplot()
  axes.patch.set_alpha(0)
  axes.grid(color=_GRID, linewidth=0.8)
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['left', 'bottom']].set_color(_GRID)
  axes.tick_params(color=_GRID, labelcolor=_INK, labelsize=9)
  axes.set_xlabel(x_label, color=_INK, fontsize=9)
  axes.set_ylabel(y_label, color=_INK, fontsize=9)
  return figure, axes


def _style(index: int, condition: str) -> dict[str, Any]:
  # matplotlib hides labels that begin with an underscore, and reads $ as TeX.
  return {'color': _SERIES[index % len(_SERIES)],
          'marker': _MARKERS[index % len(_MARKERS)], 'markersize': 4,
          'label': condition.lstrip('_').replace('$', r'\$')}


def _to_svg(figure, name: str) -> str:
  """Makes an <svg> element whose ids no other figure has."""
  import matplotlib
  file = io.StringIO()
  # Text stays text, in the page's font; equal plots give equal SVG.
  with matplotlib.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': name}):
    figure.savefig(file, format='svg', metadata=dict.fromkeys(
        ('Creator', 'Date', 'Format', 'Type')))
  svg = file.getvalue()
  svg = svg[svg.index('<svg'):]
  for colour, variable in _VARIABLES.items():
    svg = svg.replace(colour, variable)
  return re.sub(r'( id="|href="#|url\(#)', rf'\g<1>{name}-', svg)
