"""A sheet of training pairs, to look at what a config trains on."""

from collections.abc import Iterator, Mapping
import contextlib
import pathlib
from typing import Any

import jax
from jax.sharding import Mesh
import ml_collections
import numpy as np

from data_pipelines.loader import (
  is_rendered,
  open_training_data,
  read_settings,
  views_of,
)
from jaxdeblur import partitioning
from jaxdeblur.compilation import jit
from jaxdeblur.optics.pair_plan import PairPlan, plan_pair
from jaxdeblur.optics.settings import DefocusSettings
from jaxdeblur.training.pairs import (
  make_pair_keys,
  make_views_of,
  open_bank,
)

_ORDER = ('center', 'left', 'right', 'sharp', 'radius')
_INCHES = 1.5  # Side of a picture.


def draw_contact_sheet(
    config: ml_collections.ConfigDict, file: pathlib.Path, count: int = 12
) -> None:
  """Draws the first training pairs of a config into a PNG.

  Each row is a pair: its views, the ground truth, and for rendered pairs the
  map of radii, the kernel of the farthest layer, and what was drawn.

  Args:
    config: `data` and `seed`.
    file: where the picture is written.
    count: number of pairs.

  Raises:
    UserError: the pairs cannot be made.
    ImportError: Matplotlib is not installed.
  """
  from matplotlib.figure import Figure
  mesh = partitioning.make_mesh(devices=jax.devices()[:1])
  data = config.data.to_dict()
  views, rows = _make_pairs(data, config.seed, count, mesh)
  names = [name for name in _ORDER if name in views and not (
      name == 'radius' and np.isnan(views[name]).any())]
  columns = len(names) + (2 if rows else 0)
  figure = Figure(
      figsize=(_INCHES * (columns + 1.2 * bool(rows)), _INCHES * count),
      layout='constrained')
  axes = figure.subplots(
      count, columns, squeeze=False,
      width_ratios=[1] * (columns - 1) + [2.2 if rows else 1])
  for axis in axes.flat:
    axis.set_axis_off()
  for axis, name in zip(axes[0], [*names, *(('kernel',) if rows else ())]):
    axis.set_title(name, fontsize=8)
  for number, row in enumerate(axes):
    for axis, name in zip(row, names):
      _show(axis, name, views[name][number], data)
    if rows:
      kernels, text = rows[number]
      row[-2].imshow(np.concatenate(list(kernels), axis=1), cmap='gray')
      row[-1].text(0, 1, text, va='top', fontsize=6, family='monospace')
  figure.savefig(file, dpi=130)


def _make_pairs(
    data: Mapping[str, Any], seed: int, count: int, mesh: Mesh
) -> tuple[dict[str, np.ndarray], list[tuple[np.ndarray, str]]]:
  """Makes views, and for rendered pairs the kernels and a text of each."""
  batches = open_training_data(
      data, batch_size=count, seed=seed, views=views_of(data))
  with contextlib.closing(batches):
    batch = partitioning.put_batch(batches.make(0), mesh)
  views = jit(make_views_of(data, seed, mesh))(batch, np.uint32(0))
  if not is_rendered(data):
    return jax.device_get(views), []
  settings = read_settings(DefocusSettings, data)
  bank = open_bank(settings)

  @jax.jit
  def describe(key):
    plan = plan_pair(key, settings, bank)
    radius = plan.scene.radii[0]
    return plan, plan.draw_kernels(radius, settings, bank)[:, 1]

  def show(plan, kernels):
    if settings.scene == 'light_field':  # Its views decide the kernels.
      kernels = np.zeros_like(kernels)
    return kernels, '\n'.join(_describe(plan, settings.scene))

  rows = []
  for key in make_pair_keys(seed, 0, count):
    rows.append(show(*jax.device_get(describe(key))))
  return jax.device_get(views), rows


def _show(axis, name: str, view: np.ndarray, data: Mapping[str, Any]) -> None:
  if name == 'radius':
    limit = data['max_radius']
    axis.imshow(view[..., 0], cmap='coolwarm', vmin=-limit, vmax=limit)
    return
  axis.imshow(np.clip(view, 0, 1))


def _describe(plan: PairPlan, kind: str) -> Iterator[str]:
  """Yields lines on the lens and camera of a pair."""
  lens, camera, scene = plan.lens, plan.camera, plan.scene
  if kind == 'light_field':
    yield (f'focus at disparity {plan.disparity:+.2f}, aperture '
           f'{plan.aperture:.2f}')
  elif kind == 'depth':
    yield f'radii to {abs(scene.radii[0]):.1f} px, focus at {plan.focus:.2f}'
  else:
    radii = ', '.join(
        f'{radius:.1f}' for radius in scene.radii[:scene.in_front + 1])
    yield f'radii {radii} px' + (
        f', slope {scene.slope:.1f}' if scene.slope else '')
  if kind == 'light_field':
    pass
  elif plan.is_measured:
    yield 'measured kernels'
  elif lens.is_gaussian:
    yield 'Gaussian'
  else:
    shape = ('round' if lens.roundness == 1
             else f'{lens.blades:.0f} blades, {lens.roundness:.1f} round')
    yield f'{shape}, edge {lens.edge:.1f} px + {lens.edge_share:.2f} r'
    yield f'rim {lens.rim:+.2f}' + (
        f', shift {lens.vignetting:.2f}, tilt {lens.tilt:+.2f}, '
        f'stretch {lens.stretch:.2f}' if lens.vignetting else '')
  if scene.gain > 1:
    yield f'highlights x {scene.gain:.1f}'
  if camera.photon_noise:
    yield (f'photon {camera.photon_noise:.0e}, read {camera.read_noise:.0e}'
           + (', mosaic' if camera.mosaic else ''))
  else:
    yield f'noise {255 * camera.display_noise:.1f} / 255'
  worked = [f'{name} {value:.2f}' for name, value in (
      ('tone', camera.tone), ('denoise', camera.denoising),
      ('sharpen', camera.sharpening), ('zoom', camera.zoom - 1)) if value]
  if camera.jpeg_quality:
    worked.append(f'JPEG {camera.jpeg_quality:.0f}')
  if worked:
    yield ', '.join(worked)
