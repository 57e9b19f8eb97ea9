"""Multiply-adds of a program, operation by operation.

This counts convolutions, products of matrices, and the products of dynamic
convolutions. It finds them inside jitted functions, custom gradients, kernels
and loops (as often as they run). Operations that do not reach the result are
not counted, since XLA does not compute them. A transposed convolution with a
kernel of 4 x 4 counts as 16 products for each coarse pixel, its mathematical
work. XLA's form also multiplies zeros between pixels, and the form for CPUs a
margin; neither is counted. Fourier transforms, triangular solves and operations
on single values are not counted.
"""

from collections.abc import Iterator
import dataclasses
import math
import re
from typing import Any

import jax.extend

CONVOLUTION = 'convolution'
TRANSPOSED = 'transposed convolution'
PRODUCT = 'matrix product'
DYNAMIC = 'dynamic convolution'
KINDS = (CONVOLUTION, TRANSPOSED, PRODUCT, DYNAMIC)

_DYNAMIC_SCOPE = 'dynamic_conv'  # Opened by `ops.dynamic_conv`.


@dataclasses.dataclass(frozen=True)
class Operation:
  """An operation that multiplies and adds.

  Attributes:
    path: the modules that it is in, such as 'encoder/level1_conv1'.
    kind: one of `KINDS`.
    backward: whether it belongs to a gradient.
    operands: the shapes of its operands.
    result: the shape of its result.
    macs: multiply-adds, in total over all its runs.
  """
  path: str
  kind: str
  backward: bool
  operands: tuple[tuple[int, ...], ...]
  result: tuple[int, ...]
  macs: int


@dataclasses.dataclass(frozen=True)
class Count:
  """The operations of a program.

  Attributes:
    operations: the operations in the program's order.
    unknown_loops: paths of loops whose number of runs is not known in advance;
      they count as if they ran once.
  """
  operations: tuple[Operation, ...]
  unknown_loops: tuple[str, ...] = ()

  def macs(self, *kinds: str) -> int:
    """Multiply-adds of these `KINDS`; of all if none is given."""
    return sum(operation.macs for operation in self.operations
               if not kinds or operation.kind in kinds)

  @property
  def convolution_macs(self) -> int:
    """Multiply-adds of all convolutions, the number that papers print."""
    return self.macs(CONVOLUTION, TRANSPOSED)

  def to_json(self) -> list[dict[str, Any]]:
    """The operations, for JSON."""
    return [dataclasses.asdict(operation) for operation in self.operations]

  def describe(self) -> Iterator[str]:
    """Yields the lines of a Markdown table, one row per operation."""
    yield '| operation | kind | shapes | MACs [M] | share |'
    yield '| --- | --- | --- | ---: | ---: |'
    total = max(self.macs(), 1)
    for operation in self.operations:
      shapes = ', '.join(map(_describe_shape, operation.operands))
      kind = operation.kind + ', gradient' * operation.backward
      yield (f'| {operation.path} | {kind} | {shapes} -> '
             f'{_describe_shape(operation.result)} | '
             f'{operation.macs / 1e6:.1f} | '
             f'{100 * operation.macs / total:.1f} % |')


def count(jaxpr: jax.extend.core.ClosedJaxpr) -> Count:
  """Counts the multiply-adds of a traced function.

  Args:
    jaxpr: from `jax.make_jaxpr(function)(...)` or
      `jax.jit(function).trace(...)`.
  """
  unknown_loops = []
  operations = _join_dynamic(
      _walk(jaxpr.jaxpr, _Scope(), unknown_loops))
  return Count(tuple(operations), tuple(unknown_loops))


@dataclasses.dataclass(frozen=True)
class _Scope:
  """The place of an equation.

  Attributes:
    stack: the names of scopes and transformations around it.
    times: how often it runs.
  """
  stack: str = ''
  times: int = 1

  def inside(self, equation, times=1) -> '_Scope':
    return _Scope(f'{self.stack}/{equation.source_info.name_stack}',
                  self.times * times)

  @property
  def is_backward(self) -> bool:
    return 'transpose(' in self.stack

  @property
  def is_dynamic(self) -> bool:
    return _DYNAMIC_SCOPE in self.path.split('/')

  @property
  def path(self) -> str:
    """The modules' names, without network, methods and transformations."""
    # Einsums' scopes have commas; methods' have points.
    names = [name for name in re.sub(r'\w+\(|\)', '', self.stack).split('/')
             if name.isidentifier()]
    return '/'.join(names[1:] or names)


def _walk(jaxpr, scope: _Scope, unknown_loops: list) -> Iterator[Operation]:
  """Yields the operations of a jaxpr and of the jaxprs inside it."""
  for equation in _live_equations(jaxpr):
    here = scope.inside(equation)
    name = equation.primitive.name
    if name in _COUNTERS or (
        name == 'mul' and here.is_dynamic and equation.outvars[0].aval.shape):
      yield _operation(equation, here)
      continue
    if name == 'while':
      unknown_loops.append(here.path)
    for inner, times in _inner_jaxprs(equation):
      yield from _walk(inner, scope.inside(equation, times), unknown_loops)


def _live_equations(jaxpr) -> list:
  """Lists the equations that the result depends on.

  Differentiating a function leaves its own result unused.
  """
  used = {var for var in jaxpr.outvars if not hasattr(var, 'val')}
  live = []
  for equation in reversed(jaxpr.eqns):
    if equation.effects or used.intersection(equation.outvars):
      used.update(var for var in equation.invars if not hasattr(var, 'val'))
      live.append(equation)
  return live[::-1]


def _inner_jaxprs(equation) -> Iterator[tuple[Any, int]]:
  """Yields the jaxprs in an equation, and how often each runs."""
  name, params = equation.primitive.name, equation.params
  if name == 'cond':
    yield _choose_branch(params), 1
  elif name == 'scan':
    yield params['jaxpr'].jaxpr, params['length']
  elif name == 'while':
    yield params['body_jaxpr'].jaxpr, 1
  elif name == 'pallas_call':
    yield params['jaxpr'], math.prod(params['grid_mapping'].grid)
  else:
    for param in params.values():
      for inner in param if isinstance(param, tuple | list) else (param,):
        if isinstance(inner, jax.extend.core.ClosedJaxpr):
          yield inner.jaxpr, 1
        elif isinstance(inner, jax.extend.core.Jaxpr):
          yield inner, 1


def _choose_branch(params):
  """Chooses one branch to count, since only one runs.

  For branches by platform it is the last one, the default, so that the count
  does not depend on the device. For others it is the costliest one.
  """
  branches = [branch.jaxpr for branch in params['branches']]
  if params.get('branches_platforms') is not None:
    return branches[-1]
  return max(branches, key=lambda branch: sum(
      operation.macs for operation in _walk(branch, _Scope(), [])))


def _operation(equation, scope: _Scope) -> Operation:
  kind, macs = _COUNTERS.get(equation.primitive.name, (DYNAMIC, _result_size))
  if scope.is_dynamic:
    kind = DYNAMIC
  elif math.prod(equation.params.get('lhs_dilation') or ()) > 1:
    kind = TRANSPOSED
  return Operation(
      scope.path, kind, scope.is_backward,
      tuple(var.aval.shape for var in equation.invars),
      equation.outvars[0].aval.shape, scope.times * macs(equation))


def _result_size(equation) -> int:
  return math.prod(equation.outvars[0].aval.shape)


def _convolution_macs(equation) -> int:
  _, kernel = (var.aval.shape for var in equation.invars)
  _, in_features, *spatial = equation.params['dimension_numbers'].rhs_spec
  products = math.prod(
      kernel[axis] for axis in (in_features, *spatial))
  # Zeros between pixels do not count.
  zeros = math.prod(equation.params['lhs_dilation'])
  return _result_size(equation) * products // zeros


def _product_macs(equation) -> int:
  (contracted, _), _ = equation.params['dimension_numbers']
  left = equation.invars[0].aval.shape
  return _result_size(equation) * math.prod(left[axis] for axis in contracted)


_COUNTERS = {
    'conv_general_dilated': (CONVOLUTION, _convolution_macs),
    'dot_general': (PRODUCT, _product_macs),
}


def _join_dynamic(operations: Iterator[Operation]) -> list[Operation]:
  """Joins the products of each dynamic convolution into one operation."""
  joined = {}
  for operation in operations:
    key = ((operation.path, operation.backward)
           if operation.kind is DYNAMIC else len(joined))
    if key in joined:
      operation = dataclasses.replace(
          joined[key], macs=joined[key].macs + operation.macs)
    joined[key] = operation
  return list(joined.values())


def _describe_shape(shape: tuple[int, ...]) -> str:
  return ' x '.join(map(str, shape)) or '1'
