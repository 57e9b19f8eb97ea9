"""Plots of measurements."""

import io
import pathlib

import numpy as np

from jaxdeblur.benchmark.measurement import Measurement
from jaxdeblur.benchmark.scaling import Scaling
from jaxdeblur.pictures import write_whole

_INK, _RULE, _BLUE, _ORANGE = '#222222', '#cccccc', '#1f5fa8', '#c8500a'


def draw_measurement(path: pathlib.Path, measurement: Measurement) -> None:
  """Draws each run's seconds, and the program under the device's roofline."""
  figure = _make_figure(10, 4.2)
  program = measurement.program
  figure.suptitle(
      f'{measurement.what} of {program.title}, on {measurement.devices} x '
      f'{measurement.device}', fontsize=10, color=_INK)
  runs, roof = figure.subplots(1, 2)
  _draw_runs(_style(runs), measurement)
  _draw_roofline(_style(roof), measurement)
  _save(figure, path)


def draw_scaling(path: pathlib.Path, scaling: Scaling) -> None:
  """Draws seconds over megapixels, with a line of slope 1, and their ratio."""
  figure = _make_figure(10, 4.2)
  figure.suptitle(
      f'Restoring with {scaling.network}, {scaling.dtype}, on '
      f'{scaling.device}, in tiles of {scaling.tile} px', fontsize=10,
      color=_INK)
  total, ratio = map(_style, figure.subplots(1, 2))
  megapixels = np.array([size.megapixels for size in scaling.sizes])
  seconds = np.array([size.median for size in scaling.sizes])
  rate = np.median(seconds / megapixels)
  total.loglog(megapixels, rate * megapixels, color=_INK, linewidth=0.8,
               label=f'slope 1: {rate:.3g} s a megapixel')
  tiled = np.array([size.tiled for size in scaling.sizes])
  for chosen, face, label in (
      (~tiled, _BLUE, 'restored whole'), (tiled, 'white', 'in tiles')):
    for axes, values in ((total, seconds), (ratio, seconds / megapixels)):
      axes.plot(megapixels[chosen], values[chosen], 'o', color=_BLUE,
                markerfacecolor=face, label=label)
  total.set_ylabel('seconds')
  _write_plainly(total.yaxis)
  total.legend(frameon=False, fontsize=9)
  ratio.semilogx(megapixels, seconds / megapixels, color=_BLUE, linewidth=0.8,
                 zorder=1)
  ratio.set_ylim(0, 1.25 * max(seconds / megapixels))
  ratio.set_ylabel('seconds a megapixel')
  for axes in (total, ratio):
    axes.minorticks_off()
    axes.set_xticks(megapixels, [f'{size.side}²' for size in scaling.sizes])
    axes.set_xlabel('picture [px]')
  _save(figure, path)


def _draw_runs(axes, measurement: Measurement) -> None:
  warm, timed = measurement.warm_up_seconds, measurement.seconds
  first = len(warm) + 1
  axes.plot(range(1, first), warm, 'o', markerfacecolor='none', color=_INK,
            label='to warm up')
  axes.plot(range(first, first + len(timed)), timed, 'o', color=_BLUE,
            label='timed')
  low, median, high = measurement.quartiles
  axes.axhspan(low, high, color=_BLUE, alpha=0.15, linewidth=0,
               label='quartiles')
  axes.axhline(median, color=_BLUE, linewidth=0.8,
               label=f'median, {median:.4g} s')
  axes.set_ylim(0, 1.1 * max((*warm, *timed)))
  axes.xaxis.get_major_locator().set_params(integer=True)
  axes.set(xlabel='run', ylabel='seconds')
  axes.legend(frameon=False, fontsize=9)


def _draw_roofline(axes, measurement: Measurement) -> None:
  """Draws the roofline of one device, and the speed that was reached."""
  roof, devices = measurement.roofline, measurement.devices
  work = measurement.flops / devices
  intensity = work / max(measurement.memory.accessed, 1)
  reached = work / measurement.median
  ridge = roof.peak_flops / roof.bandwidth
  ends = np.array([min(intensity, ridge) / 8, max(intensity, ridge) * 8])
  steps = np.geomspace(*ends, 200)
  axes.loglog(
      steps, np.minimum(roof.peak_flops, roof.bandwidth * steps) / 1e9,
      color=_INK, linewidth=1, label='roofline')
  axes.loglog(intensity, reached / 1e9, 'o', color=_ORANGE, label='reached, '
              f'{100 * measurement.roofline_seconds / measurement.median:.0f} '
              '% of it')
  _write_plainly(axes.xaxis)
  _write_plainly(axes.yaxis)
  axes.set(xlabel='FLOP a byte', ylabel='GFLOP a second of a device')
  axes.legend(frameon=False, fontsize=9)


def _write_plainly(axis) -> None:
  """Labels a logarithmic axis with 20 rather than 2 x 10^1."""
  from matplotlib.ticker import LogFormatter
  axis.set_major_formatter('{x:g}')
  axis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))


def _make_figure(width, height):
  from matplotlib.figure import Figure  # Not pyplot: no global state.
  return Figure(figsize=(width, height), layout='constrained')


def _style(axes):
  axes.grid(color=_RULE, linewidth=0.6)
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)
  return axes


def _save(figure, path: pathlib.Path) -> None:
  file = io.BytesIO()
  figure.savefig(file, format='png', dpi=150)
  write_whole(path, file.getvalue())
