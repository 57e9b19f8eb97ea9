"""Kills a training twice, changes its devices half-way, and draws its curve.

  pip install -e '.[report]'
  python -m studies.interrupted_training --photos PHOTOS \\
    --validation_photos OTHERS --workdir FOLDER --output CURVE.svg

A narrow DRBNet learns from rendered defocus twice. One training runs through on
one CPU device. The other is killed (SIGKILL) in its first half, goes on, is
asked to stop half-way (SIGTERM), goes on with four devices (two that share the
batch by two that share the parameters, too), is killed again, and goes on to
the end. The devices are JAX's virtual ones, on one CPU.

Every part is `run.py` in a process of its own, whose log tells the step. The
figure shows both curves, as TensorBoard has them, and their difference; the
differences are printed as well. If a part ends in another way than planned, the
study ends. Called again with the same FOLDER, it draws what is there.
"""

import argparse
from collections.abc import Sequence
import dataclasses
import itertools
import os
import pathlib
import re
import signal
import subprocess
import sys

import numpy as np

_MODEL = (
    '--config=configs/starter.py', '--config.model.width=8',
    '--config.train.batch_size=4', '--config.train.warmup_steps=100',
    '--config.train.log_every=5', '--config.train.checkpoint_every=50',
    '--config.train.picture_every=1000', '--config.validation.batches=8')
_FOUR_DEVICES = ('--config.mesh.data=2', '--config.mesh.fsdp=2')
_SMOOTHED = 20  # Reported losses that a drawn one is the mean of.


@dataclasses.dataclass(frozen=True)
class Part:
  """A part of a training: on how many devices, until which step and how."""
  devices: int
  until: int | None = None
  ended_by: signal.Signals | None = None


def main() -> None:
  arguments = _parse_arguments()
  killed, killed_again = arguments.kill_at
  half = arguments.steps // 2
  plans = {
      'whole': [Part(1)],
      'interrupted': [
          Part(1, killed, signal.SIGKILL), Part(1, half, signal.SIGTERM),
          Part(4, killed_again, signal.SIGKILL), Part(4)]}
  for name, parts in plans.items():
    workdir = arguments.workdir / name
    if not workdir.exists():
      for number, part in enumerate(parts):
        _train(arguments, workdir, part, arguments.workdir / f'{name}{number}')
  whole, interrupted = (
      _read_scalars(arguments.workdir / name) for name in plans)
  _print_summary(whole, interrupted)
  _draw(whole, interrupted, arguments.output)


def _parse_arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
  parser.add_argument('--photos', required=True, type=pathlib.Path)
  parser.add_argument('--validation_photos', required=True, type=pathlib.Path)
  parser.add_argument('--workdir', required=True, type=pathlib.Path)
  parser.add_argument('--output', required=True, type=pathlib.Path,
                      help='the curve: .svg or .png')
  parser.add_argument('--steps', type=int, default=800)
  parser.add_argument('--kill_at', type=int, nargs=2, default=(213, 617))
  return parser.parse_args()


def _train(
    arguments: argparse.Namespace, workdir: pathlib.Path, part: Part,
    log: pathlib.Path,
) -> None:
  """Runs one part; what it prints goes to `log`, too."""
  command = [
      sys.executable, 'run.py', *_MODEL, f'--workdir={workdir}',
      f'--config.data.photos={arguments.photos}',
      f'--config.validation.photos={arguments.validation_photos}',
      f'--config.train.steps={arguments.steps}',
      f'--config.compilation_cache={arguments.workdir / "compilations"}']
  command += _FOUR_DEVICES if part.devices == 4 else ()
  log.parent.mkdir(parents=True, exist_ok=True)
  environment = os.environ | {
      'JAX_PLATFORMS': 'cpu', 'JAX_NUM_CPU_DEVICES': str(part.devices)}
  with (
      subprocess.Popen(command, env=environment, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True) as process,
      log.open('w') as file):
    asked = False
    for line in process.stdout:
      file.write(line)
      progress = re.search(r'\((\d+)/\d+\)', line)
      if progress and part.until and not asked:
        asked = int(progress[1]) >= part.until
        if asked:
          process.send_signal(part.ended_by)
  expected = -signal.SIGKILL if part.ended_by == signal.SIGKILL else 0
  if process.returncode != expected:
    raise SystemExit(
        f'error: a part ended with {process.returncode}, not with {expected}: '
        f'see {log}')
  print(f'{log.name}: {part.devices} devices, ended with {process.returncode}',
        flush=True)


Scalars = list[dict[str, dict[int, float]]]  # Part -> name -> step -> value.


def _read_scalars(workdir: pathlib.Path) -> Scalars:
  """Reads the scalars of every part, in order."""
  from tensorboard.backend.event_processing.event_file_loader import (
    EventFileLoader,
  )
  from tensorboard.util import tensor_util
  parts = []
  for file in sorted(workdir.glob('events.out.tfevents.*')):
    scalars = {'train/loss': {}, 'validation/psnr': {}}
    for event in EventFileLoader(str(file)).Load():
      for value in event.summary.value:
        if value.tag in scalars:
          scalars[value.tag][event.step] = float(
              tensor_util.make_ndarray(value.tensor))
    parts.append(scalars)
  return parts


def _join(parts: Scalars, name: str) -> tuple[np.ndarray, np.ndarray]:
  """Steps and values; of recomputed steps, the last."""
  joined = {}
  for part in parts:
    joined |= part[name]
  steps = sorted(joined)
  return np.array(steps), np.array([joined[step] for step in steps])


def _first_steps(parts: Scalars) -> list[int]:
  return [min(part['train/loss']) for part in parts]


def _print_summary(whole: Scalars, interrupted: Scalars) -> None:
  starts = _first_steps(interrupted)
  print(f'The interrupted parts report from the steps {starts} on.')
  for before, after in itertools.pairwise(interrupted):
    ends, again = before['train/loss'], after['train/loss']
    twice = [abs(again[step] / ends[step] - 1) for step in again
             if step in ends]
    print(f'Last seen step {max(ends)}, gone on before {min(again)}: '
          f'{len(twice)} reported losses recomputed after the kills'
          + (f', differing by {max(twice):.1e} at most.' if twice else '.'))
  steps, difference = _difference(whole, interrupted)
  changed = steps >= starts[2]
  print(f'Difference from the whole training, relative: {len(steps)} losses, '
        f'at most {difference[~changed].max():.1e} before the devices change, '
        f'{difference[changed].max():.1e} after, '
        f'median {np.median(difference[changed]):.1e}.')
  scores, others = (
      _join(parts, 'validation/psnr')[1] for parts in (whole, interrupted))
  print(f'PSNR in validation: {scores[0]:.3f} dB at first, '
        f'{scores[-1]:.4f} dB at the end, interrupted {others[-1]:.4f} dB; '
        f'furthest apart {abs(scores - others).max():.1e} dB.')


def _difference(
    whole: Scalars, interrupted: Scalars
) -> tuple[np.ndarray, np.ndarray]:
  """Steps, and the relative difference of their losses."""
  steps, losses = _join(whole, 'train/loss')
  same_steps, others = _join(interrupted, 'train/loss')
  shared, first, second = np.intersect1d(
      steps, same_steps, return_indices=True)
  return shared, np.abs(others[second] / losses[first] - 1)


def _draw(
    whole: Scalars, interrupted: Scalars, output: pathlib.Path
) -> None:
  import matplotlib
  matplotlib.use('agg')
  from matplotlib import pyplot as plt
  # Text stays text; the same curve is the same file.
  plt.rcParams.update({'svg.fonttype': 'none', 'svg.hashsalt': 'curve',
                       'font.size': 9, 'axes.grid': True, 'grid.alpha': 0.3,
                       'axes.spines.top': False, 'axes.spines.right': False})
  figure, (loss, psnr, difference) = plt.subplots(
      3, sharex=True, figsize=(7.5, 7), height_ratios=(2, 2, 1.3),
      layout='constrained')
  styles = {
      'uninterrupted, 1 device': (whole, dict(color='#b9c6d8', linewidth=5)),
      'interrupted': (interrupted, dict(color='#c2410c', linewidth=1.3))}
  for label, (parts, style) in styles.items():
    steps, values = _join(parts, 'train/loss')
    loss.plot(steps[_SMOOTHED - 1:], _smooth(values), label=label, **style)
    psnr.plot(*_join(parts, 'validation/psnr'), label=label, **style)
  steps, values = _difference(whole, interrupted)
  differing = values > 0
  difference.semilogy(steps[differing], values[differing], '.',
                      color='#c2410c', markersize=3)
  loss.set(ylabel=f'loss (mean of {_SMOOTHED} reported)')
  psnr.set(ylabel='PSNR in validation [dB]')
  difference.set(ylabel='relative difference\nof the losses', xlabel='step')
  _mark_interruptions((loss, psnr, difference), interrupted)
  changed = _first_steps(interrupted)[2]
  if not any(values[steps < changed]):
    difference.text(changed / 4, 0.5, 'no difference', ha='center', va='center',
                    color='#444444',
                    transform=difference.get_xaxis_transform())
  psnr.legend(loc='lower right', frameon=False)
  figure.savefig(output, dpi=100, metadata=(
      {'Date': None} if output.suffix == '.svg' else None))


def _mark_interruptions(panels: Sequence, interrupted: Scalars) -> None:
  what = ('killed', 'stopped,\nthen 4 devices', 'killed')
  for part, label in zip(interrupted, what):
    step = max(part['train/loss'])
    for axes in panels:
      axes.axvline(step, color='#444444', linewidth=0.8, linestyle=':')
    panels[0].text(step, 1.0, f' {label}', va='top', color='#444444',
                   transform=panels[0].get_xaxis_transform())


def _smooth(values: np.ndarray) -> np.ndarray:
  return np.convolve(values, np.full(_SMOOTHED, 1 / _SMOOTHED), 'valid')


if __name__ == '__main__':
  main()
