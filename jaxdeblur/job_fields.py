"""Which fields of a config each job reads, to refuse ones without effect."""

from collections.abc import Callable, Collection, Iterator
import dataclasses
from typing import Any

import ml_collections

from jaxdeblur.errors import UserError
from jaxdeblur.losses import LOSSES
from jaxdeblur.optics.settings import DefocusSettings

# Job -> the sections and fields that it reads.
_READ = {
    'train': ('seed', 'compilation_cache', 'model', 'compute', 'data', 'train',
              'validation', 'mesh', 'distributed'),
    'restore': ('compilation_cache', 'compute', 'mesh', 'restore'),
    'eval': ('compilation_cache', 'compute', 'mesh', 'restore.weights',
             'restore.pick', 'restore.tile', 'restore.fit', 'eval'),
    'compare': ('eval.compare',),
    'convert': ('convert',),
    'prepare': ('prepare', 'data', 'seed'),
    'patches': ('patches', 'data.split'),
    'calibrate': ('calibrate',),
    'bench': ('compilation_cache', 'model', 'compute', 'mesh', 'data.crop',
              'train', 'restore.tile', 'bench'),
}

# Fields for rendered and for recorded pairs; all others are for both.
_RENDERED = (
    'photos', 'most_per_series', 'tile', 'depth_maps', 'depth_kind', *(
        field.name for field in dataclasses.fields(DefocusSettings)
        if field.name != 'crop'))
_RECORDED = (
    'bit_depth', 'mirror_share', 'flip_share', 'input_noise_share',
    'input_noise', 'grey_share', 'scale_share', 'smallest_scale')

# The fields of bench, data, train, mesh and restore that each benchmark reads.
_BENCH = {
    'forward': ('bench.target', 'bench.size', 'bench.batch_size',
                'bench.warm_up', 'bench.repeats', 'bench.layers'),
    'train_step': ('bench.target', 'bench.warm_up', 'bench.repeats',
                   'bench.layers', 'data.crop', 'train', 'mesh'),
    'scaling': ('bench.sizes', 'bench.repeats', 'restore.tile'),
    'loader': ('bench.workers', 'data.crop', 'train.batch_size'),
    'compilation': ('bench.target', 'data.crop', 'train', 'mesh'),
}


@dataclasses.dataclass(frozen=True)
class _Rule:
  """Fields that a job reads only under a condition.

  Attributes:
    jobs: the jobs that it is about.
    fields: the fields, by the beginnings of their names.
    read: function of config and arguments: whether the fields are read.
    needs: the condition in words.
  """
  jobs: tuple[str, ...]
  fields: tuple[str, ...]
  read: Callable[[ml_collections.ConfigDict, Any], bool]
  needs: str


def _data(*names: str) -> tuple[str, ...]:
  return tuple(f'data.{name}' for name in names)


_RULES = (
    _Rule(('prepare',), ('prepare',),
          lambda _, arguments: not arguments.show, 'no --show beside it'),
    _Rule(('prepare',), ('data', 'seed'),
          lambda _, arguments: arguments.show, '--show'),
    _Rule(('train', 'prepare'), _data(*_RENDERED),
          lambda config, _: config.data.name == 'rendered',
          'config.data.name=rendered'),
    _Rule(('train', 'prepare'), _data('disparity', 'softness', 'view_gain'),
          lambda config, _: config.data.dual_pixel,
          'config.data.dual_pixel=True'),
    _Rule(('train', 'prepare'), _data('depth_maps', 'depth_kind'),
          lambda config, _: config.data.scene == 'depth',
          'config.data.scene=depth'),
    _Rule(('train', 'prepare'), _data('disparities', 'apertures'),
          lambda config, _: config.data.scene == 'light_field',
          'config.data.scene=light_field'),
    _Rule(('train', 'prepare'), _data('layer_shares', 'thin_share',
                                      'slope_share', 'slope', 'shrink'),
          lambda config, _: config.data.scene == 'layers',
          'config.data.scene=layers'),
    _Rule(('train', 'prepare'), _data(*_RECORDED),
          lambda config, _: config.data.name != 'rendered',
          'recorded pairs (config.data.name)'),
    _Rule(('train', 'prepare'), _data('folder'),
          lambda config, _: config.data.name in ('folder', 'patches'),
          'config.data.name=folder or patches'),
    _Rule(('train', 'prepare'), _data('data_dir', 'split'),
          lambda config, _: config.data.name not in (
              'rendered', 'folder', 'patches'),
          "a dataset's name in config.data.name"),
    _Rule(('train',), ('validation.split', 'validation.folder',
                       'validation.photos', 'train.keep_best'),
          lambda config, _: config.validation.batches,
          'config.validation.batches above 0'),
    _Rule(('train',), ('train.period',),
          lambda config, _: config.train.schedule == 'cosine_restarts',
          'config.train.schedule=cosine_restarts'),
    _Rule(('train',), ('train.halve_at',),
          lambda config, _: config.train.schedule == 'halving',
          'config.train.schedule=halving'),
    _Rule(('train',), ('train.final_learning_rate',),
          lambda config, _: config.train.schedule != 'halving',
          'another config.train.schedule'),
    _Rule(('train',), ('distributed.processes', 'distributed.process'),
          lambda config, _: config.distributed.coordinator not in ('', 'auto'),
          'config.distributed.coordinator=HOST:PORT'),
    _Rule(('eval',), ('eval.radii', 'eval.noise', 'eval.seed'),
          lambda config, _: config.eval.protocol == 'rendered_defocus',
          'config.eval.protocol=rendered_defocus'),
    _Rule(('eval',), ('eval.exchange_views',),
          lambda config, _: config.eval.method == 'network' and (
              config.eval.protocol not in _rendered_protocols()),
          'config.eval.method=network and a protocol of dual-pixel pairs'),
    _Rule(('eval',), ('eval.split',),
          lambda _, arguments: arguments.dataset, '--dataset'),
    _Rule(('eval',), ('eval.pictures_shown',),
          lambda _, arguments: arguments.report, '--report'),
    _Rule(('eval',), ('eval.disc_radius',),
          lambda config, _: config.eval.method not in ('network', 'input'),
          'a deconvolution in config.eval.method'),
    _Rule(('eval',), ('eval.lpips',),
          lambda config, _: 'lpips' in ','.join(config.eval.metrics),
          'lpips in config.eval.metrics'),
    _Rule(('eval',), ('restore', 'compute', 'mesh'),
          lambda config, _: config.eval.method == 'network',
          'config.eval.method=network'),
    _Rule(('eval',), ('restore.fit',),
          lambda config, _: config.eval.protocol in _open_fits(),
          'a protocol that leaves the fit open'),
    _Rule(('restore', 'eval'), ('restore.weights',),
          lambda _, arguments: arguments.workdir is None,
          'no --workdir beside it'),
    _Rule(('calibrate',), ('calibrate.grid', 'calibrate.smoothness',
                           'calibrate.depths', 'calibrate.signs'),
          lambda config, _: not config.calibrate.draw,
          'config.calibrate.draw=False'),
    _Rule(('patches',), ('data.split',),
          lambda _, arguments: arguments.dataset, '--dataset'),
)


def _open_fits() -> tuple[str, ...]:
  from jaxdeblur.evaluation.protocols import OPEN_FIT
  return OPEN_FIT


def _rendered_protocols() -> tuple[str, ...]:
  from jaxdeblur.evaluation.protocols import RENDERED
  return RENDERED


def check_read(
    job: str,
    config: ml_collections.ConfigDict,
    arguments: Any,
    overrides: Collection[str],
) -> None:
  """Raises a UserError that names the fields that a job would ignore.

  Args:
    job: its name.
    config: the config of the experiment.
    arguments: the other flags.
    overrides: fields that were set on the command line, such as 'train.steps'.
  """
  ignored = [f'config.{field} ({reason})' for field in overrides
             for reason in _ignoring(job, config, arguments, field)]
  if ignored:
    raise UserError(
        f'The mode {job} would ignore {"; ".join(ignored)}: leave '
        f'{"it" if len(ignored) == 1 else "them"} out.')


def _ignoring(
    job: str, config: ml_collections.ConfigDict, arguments: Any, field: str
) -> Iterator[str]:
  """Yields the reason why a field is ignored; nothing if it is read."""
  if not _is_in(field, _READ[job]):
    yield 'it reads ' + ', '.join(f'config.{name}' for name in _READ[job])
    return
  for rule in _RULES:
    if job in rule.jobs and _is_in(field, rule.fields) and not rule.read(
        config, arguments):
      yield f'it needs {rule.needs}'
      return
  if job in ('train', 'bench'):
    yield from _ignoring_loss(config, field)
  if job == 'bench' and config.bench.what in _BENCH:
    read = ('compilation_cache', 'model', 'compute', 'bench.what',
            *_BENCH[config.bench.what])
    if not _is_in(field, read):
      yield f'config.bench.what={config.bench.what} does not read it'


def _ignoring_loss(
    config: ml_collections.ConfigDict, field: str
) -> Iterator[str]:
  """Yields the reason why an option is ignored: its loss has no weight."""
  parts = field.split('.')
  if parts[:2] != ['train', 'losses'] or len(parts) < 4:
    return
  name, option = parts[2], parts[3]
  if option != 'weight' and name in LOSSES and not config.train.losses[
      name].weight:
    yield f'config.train.losses.{name}.weight is 0'


def _is_in(field: str, names: Collection[str]) -> bool:
  return any(field == name or field.startswith(f'{name}.') for name in names)
