"""The main memory traffic of a program compiled for a TPU."""

from collections.abc import Mapping
import re

_BYTES = {'pred': 1, 's8': 1, 'u8': 1, 'bf16': 2, 's32': 4, 'u32': 4, 'f32': 4}
# These instructions only name arrays that exist already, or wait for them.
_FREE = re.compile(
    '(parameter|constant|bitcast|tuple|get-tuple-element|.*-done)$')
_INSTRUCTION = re.compile(
    r'\s*(?:ROOT )?(%[\w.-]+) = (\(.*?\)|\S+) ([\w-]+)\((.*?)\)(?:,|$)')
_COMPUTATION = re.compile(r'(ENTRY )?(%[\w.-]+) \(.*\{$')
_BODY = re.compile(r'body=(%[\w.-]+)')
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_ARRAY = re.compile(r'(\w+)\[([\d,]*)\](\{[^}]*\})?')


def main_memory_bytes(text: str) -> int:
  """Adds up the operands and results of a program's instructions.

  XLA's own 'bytes accessed' leaves kernels out, and counts arrays in vector
  memory (layouts with S(1)) like all others. Here we assume that a kernel reads
  its operands and writes its results once each, and that a fusion reads all of
  its operands. A loop counts as often as it runs, or once if the text does not
  say how often.

  Args:
    text: the compiled program, from `compiled.as_text()`.
  """
  computations, entry = _split(text)
  return _add_up(entry, computations)


def _split(text: str) -> tuple[Mapping[str, list[str]], str]:
  """Splits a program into computations; also names the first one to run."""
  computations, entry, lines = {}, '', []
  for line in text.splitlines():
    if found := _COMPUTATION.match(line):
      lines = computations[found[2]] = []
      entry = found[2] if found[1] else entry
    else:
      lines.append(line)
  return computations, entry


def _add_up(name: str, computations: Mapping[str, list[str]]) -> int:
  total, arrays = 0, {}
  for line in computations[name]:
    found = _INSTRUCTION.match(line)
    if not found:
      continue
    name, result, operation, operands = found.groups()
    arrays[name] = result
    if _FREE.match(operation):
      continue
    if operation == 'while':
      trips = _TRIPS.search(line)
      total += (int(trips[1]) if trips else 1) * _add_up(
          _BODY.search(line)[1], computations)
      continue
    total += _in_main_memory(result)
    # An instruction that starts a copy has its operand among its results.
    if not operation.endswith('-start'):
      total += sum(_in_main_memory(arrays.get(operand, ''))
                   for operand in re.findall(r'%[\w.-]+', operands))
  return total


def _in_main_memory(shapes: str) -> int:
  total = 0
  for kind, extents, layout in _ARRAY.findall(shapes):
    if kind in _BYTES and 'S(' not in layout:
      size = _BYTES[kind]
      for extent in filter(None, extents.split(',')):
        size *= int(extent)
      total += size
  return total
