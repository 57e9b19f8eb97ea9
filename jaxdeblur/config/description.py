"""Descriptions of a config's fields, from comments and docstrings."""

import ast
from collections.abc import Iterator, Mapping
import functools
import inspect
import re
import textwrap
from typing import Any

import ml_collections

from jaxdeblur import losses
from jaxdeblur.config import base
from jaxdeblur.config.model import list_settings
from jaxdeblur.models import registry

_WIDTH = 80
_INDENT = '      '


def describe_fields() -> dict[str, str]:
  """Maps each field and section, such as 'train.steps', to its comment."""
  return _read_base() | _describe_losses()


@functools.cache
def _read_base() -> dict[str, str]:
  """Reads the comments in the base's source."""
  source = textwrap.dedent(inspect.getsource(base.get_config))
  lines = source.splitlines()
  described = {}
  for statement in ast.parse(source).body[0].body:
    if not isinstance(statement, ast.Assign) or not isinstance(
        statement.targets[0], ast.Attribute):
      continue
    name = ast.unparse(statement.targets[0]).removeprefix('config.')
    if isinstance(statement.value, ast.Call) and ast.unparse(
        statement.value.func) == 'dict':
      above = lines[statement.lineno - 2].strip()
      described[name] = above[1:].strip() if above.startswith('#') else ''
      for keyword in statement.value.keywords:
        described[f'{name}.{keyword.arg}'] = _read_comment(
            lines, keyword.value.end_lineno)
    else:
      described.setdefault(name, _read_comment(lines, statement.lineno))
  return described


def describe_model_fields(name: str) -> dict[str, str]:
  """Field such as 'model.width' -> its description, of the network `name`."""
  return {
      'model.name': f'The network: {", ".join(registry.names())}.',
      **{f'model.{field}': text
         for field, text in list_settings(name).items() if field != 'name'}}


def read_entries(docstring: str, heading: str) -> dict[str, str]:
  """Reads the entries below 'Args:' or 'Attributes:' of a docstring."""
  found = re.search(
      rf'^( *){heading}[^\n]*:\n(.*?)(?=^\1\S|\Z)', inspect.cleandoc(docstring),
      re.MULTILINE | re.DOTALL)
  if not found:
    return {}
  entries = re.findall(
      r'^  (\w+): (.*?)(?=^  \w+: |\Z)', found[2], re.MULTILINE | re.DOTALL)
  return {name: ' '.join(text.split()) for name, text in entries}


def list_help(config: ml_collections.ConfigDict) -> Iterator[str]:
  """Yields the help on every field, with the config's values, as lines."""
  described = dict(describe_fields())
  if 'name' in config.model:
    described |= describe_model_fields(config.model.name)
  yield 'Fields of the config, with their values:'
  yield from _list_section('', config, described)


def _list_section(
    section: str, values: ml_collections.ConfigDict,
    described: Mapping[str, str]
) -> Iterator[str]:
  """Lists fields in the base's order; a config does not keep that order."""
  order = {field: place for place, field in enumerate(described)}
  prefix = f'{section}.' if section else ''
  for name in sorted(
      values, key=lambda name: order.get(prefix + name, len(order))):
    field, value = prefix + name, values[name]
    if not isinstance(value, ml_collections.ConfigDict):
      yield from _format(field, value, described)
      continue
    if not section:
      yield ''
      heading = described.get(field, '')
      yield f'  config.{field}' + (f': {heading}' if heading else '')
    yield from _list_section(field, value, described)


def _format(
    field: str, value: Any, described: Mapping[str, str]
) -> Iterator[str]:
  yield f'    --config.{field}={_shown(value)}'
  text = described.get(field, '')
  yield from textwrap.wrap(
      text[:1].upper() + text[1:], _WIDTH, initial_indent=_INDENT + '  ',
      subsequent_indent=_INDENT + '  ')


def _shown(value: Any) -> str:
  if isinstance(value, str):
    return value or "''"
  if isinstance(value, tuple):
    return f'"{value!r}"'
  return f'{value:.6g}' if isinstance(value, float) else str(value)


def _read_comment(lines: list[str], line: int) -> str:
  """Reads the comment after a line, counted from 1, and below it."""
  _, _, comment = lines[line - 1].partition('  # ')
  parts = [comment.strip()]
  for following in lines[line:]:
    # A comment with a smaller indent is a heading of the fields below it.
    indent = len(following) - len(following.lstrip())
    if not following.lstrip().startswith('# ') or indent < 12:
      break
    parts.append(following.strip().removeprefix('# '))
  return ' '.join(filter(None, parts))


def _describe_losses() -> dict[str, str]:
  described = {}
  for name, loss in losses.LOSSES.items():
    doc = inspect.cleandoc(loss.function.__doc__ or '')
    options = read_entries(doc, 'Args')
    described[f'train.losses.{name}.weight'] = (
        f'Weight of this loss; 0 leaves it out. {doc.splitlines()[0]}')
    described |= {f'train.losses.{name}.{option}': options.get(option, '')
                  for option in loss.options}
  return described
