"""The command `jaxdeblur`: the jobs of run.py, without writing a config.

  jaxdeblur restore photo.jpg -o restored
  jaxdeblur train starter --workdir RUN --config.data.photos=PHOTOS

Any field of the config can be set after the other arguments of a command, such
as --config.restore.tile=1024.
"""

from collections.abc import Callable
import functools
import pathlib
import sys
from typing import Any

import click

from jaxdeblur import __version__, jobs
from jaxdeblur.config import command_line, recipes
from jaxdeblur.errors import UserError
from jaxdeblur.log_lines import choose_log_lines

_PATH = click.Path(path_type=pathlib.Path)
_FIELDS = 'jaxdeblur.fields'
_PLAIN = 'starter'  # The recipe of commands that do not name one.


class _Commands(click.Group):
  """Lists commands in the order of their definition; hints at unknown ones.
  """

  def list_commands(self, context: click.Context) -> list[str]:
    del context
    return list(self.commands)

  def resolve_command(self, context, args):
    from jaxdeblur.suggestion import choose_one
    if args and args[0] not in self.commands:
      context.fail(f'No command {args[0]!r}: '
                   f'{choose_one(args[0], self.commands)}')
    return super().resolve_command(context, args)


@click.group(cls=_Commands, context_settings={
    'help_option_names': ['-h', '--help']})
@click.version_option(__version__)
@click.option('--debug', is_flag=True, help='Keep the traceback of errors.')
@click.pass_context
def main(context: click.Context, debug: bool) -> None:
  """Sharpens photographs that are out of focus; trains and scores networks."""
  context.obj = {'debug': debug}


class _JobCommand(click.Command):
  """A command that also takes fields of the config after its arguments."""

  def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
    context.meta[_FIELDS] = [
        argument for argument in args if argument.startswith('--config.')]
    return super().parse_args(
        context, [argument for argument in args
                  if not argument.startswith('--config.')])

  def format_options(self, context, formatter) -> None:
    super().format_options(context, formatter)
    with formatter.section('Fields of the config'):
      formatter.write_dl([(
          '--config.FIELD=VALUE',
          'Any field, as jaxdeblur recipes RECIPE lists them.')])


def _command(name: str, *, fields: bool = True) -> Callable:
  """Makes a decorator for a command, which takes fields if `fields`."""
  def decorate(function):
    return main.command(name, cls=_JobCommand if fields else click.Command)(
        click.pass_context(function))
  return decorate


def _run(
    context: click.Context,
    job: str,
    changes: dict[str, Any],
    recipe: str = _PLAIN,
    **arguments: Any,
) -> None:
  """Runs a job with a recipe, which options and fields change."""
  choose_log_lines(training=job == 'train')
  flags = [f'--config.{field}={value}' for field, value in changes.items()
           if value is not None]
  fields = context.meta.get(_FIELDS, [])
  try:
    config, overridden = command_line.load(recipe, [*flags, *fields])
    if arguments.get('workdir') is not None:
      arguments['workdir'] = _locate(arguments['workdir'], job)
    code = jobs.run(
        job, config, jobs.Arguments(**arguments), overridden,
        context.obj['debug'])
  except UserError as error:
    print(f'{error} See jaxdeblur {context.command.name} --help.',
          file=sys.stderr)
    sys.exit(2)
  jobs.leave(job, code)


def _locate(workdir: str, job: str) -> Any:
  return jobs.locate_workdir(workdir, job)


_output = functools.partial(
    click.option, '--output', '-o', type=_PATH, required=True)
_overwrite = click.option(
    '--overwrite', is_flag=True, help='Replace results that exist already.')
_weights = click.option(
    '--weights', '-w', default='starter', show_default=True,
    help='Weights: the name of some that come with jaxdeblur, a folder, or '
    'the workdir of a training.')


@_command('restore')
@click.argument(
    'pictures', nargs=-1, type=_PATH, metavar='PICTURE_OR_FOLDER...')
@_output(help='Folder for the results.')
@_weights
@click.option('--left', type=_PATH, help='The left dual-pixel view.')
@click.option('--right', type=_PATH, help='The right dual-pixel view.')
@click.option('--tile', type=int, help='Side of the tiles that larger pictures '
              'are restored in, px, to save memory; 0: no tiles.  '
              '[default: 2048]')
@click.option('--panels', is_flag=True, help='Draw before and after, and how '
              'the network restored each picture.')
@_overwrite
def restore(
    context, pictures, output, weights, left, right, tile, panels, overwrite):
  """Restores photographs, or a dual-pixel pair, into a folder.

  PNG, JPEG, TIFF and WebP keep their format, bit depth, size and metadata.
  """
  if not pictures and left is None:
    raise click.UsageError(
        'Name a picture or a folder of them, or --left and --right.')
  _run(context, 'restore',
       {'restore.tile': tile, 'restore.panels': panels or None},
       workdir=weights, output=output, left=left, right=right,
       input=pictures[0] if pictures else None, more_inputs=pictures[1:],
       overwrite=overwrite)


@_command('eval')
@click.argument('pictures', required=False, type=_PATH, metavar='[FOLDER]')
@_output(help='Folder for scores.json and scores.csv.')
@_weights
@click.option('--protocol', help='How scores are taken: rendered_defocus, '
              'rendered_camera, full, pixel4_xin, drbnet_paper, k3dn_paper or '
              'k3dn_paper_single.  [default: rendered_defocus]')
@click.option('--method', help='What is scored: network, input, wiener or '
              'richardson_lucy.  [default: network]')
@click.option('--dataset', help='The name of a dataset, instead of a folder.')
@click.option('--data-dir', type=_PATH, help='The folder of built datasets.')
@click.option('--report', type=_PATH, help='Folder for a page with scores and '
              'pictures.')
@_overwrite
def evaluate(
    context, pictures, output, weights, protocol, method, dataset, data_dir,
    report, overwrite):
  """Scores weights on a folder of pictures or on a dataset."""
  if pictures is None and dataset is None:
    raise click.UsageError(
        'Name a folder of pictures, or --dataset and --data-dir.')
  scores_network = method in (None, 'network')
  _run(context, 'eval',
       {'eval.protocol': protocol, 'eval.method': method},
       workdir=weights if scores_network else None, input=pictures,
       output=output, dataset=dataset, data_dir=data_dir, report=report,
       overwrite=overwrite)


@_command('train')
@click.argument('recipe', metavar='RECIPE[:VARIANT]')
@click.option('--workdir', required=True, help='Folder for checkpoints and '
              'logs; the same command continues from the last one.')
def train(context, recipe, workdir):
  """Trains as a recipe says: a name, or the path of a config file.

  `jaxdeblur recipes` lists the names, `jaxdeblur recipes RECIPE` all fields.
  """
  _run(context, 'train', {}, recipe, workdir=workdir)


@_command('recipes', fields=False)
@click.argument('recipe', required=False, metavar='[RECIPE[:VARIANT]]')
def list_recipes(context, recipe):
  """Lists the recipes, or all fields of one."""
  del context
  if recipe is None:
    for name in recipes.names():
      print(f'{name}: {recipes.describe(name)}')
    return
  try:
    command_line.print_help(['jaxdeblur', f'--config={recipe}'])
  except UserError as error:
    print(error, file=sys.stderr)
    sys.exit(2)


@_command('convert')
@click.argument('weights', type=_PATH)
@_output(help='Folder for the weights; it must not exist.')
@click.option('--dtype', help='On disk: float32 or float16.  [default: '
              'float32]')
def convert(context, weights, output, dtype):
  """Converts published PyTorch weights, or a training's last checkpoint."""
  _run(context, 'convert', {'convert.dtype': dtype}, input=weights,
       output=output)


@_command('prepare')
@click.argument('dataset')
@click.argument('download', type=_PATH)
@click.option('--data-dir', required=True, type=_PATH,
              help='The folder of built datasets.')
@_overwrite
def prepare(context, dataset, download, data_dir, overwrite):
  """Builds a published dataset from its download."""
  _run(context, 'prepare', {}, dataset=dataset, input=download,
       data_dir=data_dir, overwrite=overwrite)


@_command('pairs')
@click.argument('recipe', metavar='RECIPE[:VARIANT]')
@_output(help='Folder for pairs.png.')
@_overwrite
def pairs(context, recipe, output, overwrite):
  """Draws training pairs of a recipe, with lens and camera of each."""
  _run(context, 'prepare', {}, recipe=recipe, output=output, show=True,
       overwrite=overwrite)


@_command('patches')
@click.argument('pairs', type=_PATH)
@_output(help='Folder for the patches; it must not exist.')
@click.option('--size', type=int, help='Height and width, px.  [default: 512]')
def patches(context, pairs, output, size):
  """Cuts recorded pairs into patches, which train faster."""
  _run(context, 'patches', {'patches.size': size}, input=pairs,
       output=output)


@_command('calibrate')
@click.argument(
    'photographs', nargs=-1, type=_PATH, metavar='PHOTO_OR_FOLDER...')
@_output(help='Folder for the chart, or for psfs.npz, index.html and more.')
@click.option('--draw', is_flag=True, help='Draw the chart, to show or print, '
              'as chart.png and chart.pdf.')
@click.option('--left', type=_PATH, help='A left dual-pixel view, or a folder '
              'of them, in the order of the right ones.')
@click.option('--right', type=_PATH, help='A right one, or a folder of them.')
@click.option('--depths', help='Distance of the chart in each photograph, at '
              'one setting of the focus: 500,1000,2000.')
@click.option('--signs', help='Where the camera focused in each photograph, '
              'seen from the chart: front,focus,back.')
@_overwrite
def calibrate(
    context, photographs, output, draw, left, right, depths, signs, overwrite):
  """Measures a camera's blur from photographs of a disc chart.

  First draw the chart; show or print it, and photograph it out of focus.
  """
  if not (draw or photographs or left or right):
    raise click.UsageError(
        'Name photographs of the chart, or --left and --right, or --draw.')
  _run(context, 'calibrate',
       {'calibrate.draw': draw or None,
        'calibrate.depths': _list_values(depths, float, '--depths'),
        'calibrate.signs': _list_values(signs, str, '--signs')},
       input=photographs[0] if photographs else None,
       more_inputs=photographs[1:], output=output, left=left, right=right,
       overwrite=overwrite)


def _list_values(typed: str | None, kind: type, option: str) -> tuple | None:
  """The values of an option that holds some between commas."""
  if typed is None:
    return None
  try:
    return tuple(kind(part.strip()) for part in typed.split(','))
  except ValueError as error:
    raise click.UsageError(
        f'{option} holds numbers between commas; got {typed!r}.') from error


@_command('bench')
@click.argument('recipe', metavar='RECIPE[:VARIANT]')
@click.option('--what', help='forward, train_step, scaling, loader or '
              'compilation.  [default: forward]')
@click.option('--output', '-o', type=_PATH, help='Folder for bench.json and '
              'bench.png.')
@_overwrite
def bench(context, recipe, what, output, overwrite):
  """Measures the network of a recipe: time, memory, work."""
  _run(context, 'bench', {'bench.what': what}, recipe, output=output,
       overwrite=overwrite)


@_command('compare', fields=False)
@click.argument('scores', type=_PATH)
@click.argument('others', type=_PATH)
def compare(context, scores, others):
  """Compares two results of eval, picture by picture."""
  _run(context, 'compare', {'eval.compare': others}, input=scores)


@_command('info', fields=False)
@click.argument('weights', required=False)
def info(context, weights):
  """Describes weights; without a name, lists those of the package."""
  import jaxdeblur
  if weights is None:
    for shipped in jaxdeblur.list_weights():
      print(f'{shipped.name}: {shipped.network}, views '
            f'{", ".join(shipped.views)}, {shipped.parameters / 1e6:.2f} M '
            f'parameters, {shipped.size / 1e6:.1f} MB')
    return
  try:
    print(repr(jaxdeblur.load(_locate(weights, 'restore'))))
  except UserError as error:
    if context.obj['debug']:
      raise
    print(f'error: {error}', file=sys.stderr)
    sys.exit(1)

