"""How fast each of DRBNet's convolutions is, here and in PyTorch, on a CPU.

  pip install -e '.[torch]'
  python -m studies.convolutions
  python -m studies.convolutions --width 32 --batch 1 --size 256 256

For each kind of convolution in the network this prints billions of
floating-point operations a second: of its forward pass, of its gradient to
pictures and of its gradient to its kernel, beside those of a product of large
matrices. All run on one core and are timed by what the core spent, so that they
depend little on other work. Transposed convolutions are left out.
"""

import argparse
import collections
from collections.abc import Callable, Iterator
import dataclasses
import os
import time

import numpy as np

from studies.compare_with_torch import describe_versions

_SECONDS = 0.3  # That each is repeated for.
_MATRIX_SIZE = 1024
_PASSES = ('forward', 'to pictures', 'to kernel')

Runs = dict[str, Callable[[], object]]  # By name of the pass.


@dataclasses.dataclass(frozen=True)
class Convolution:
  """A convolution's shapes: pictures, kernel, result; channels last."""
  pictures: tuple[int, int, int, int]
  kernel: tuple[int, int, int, int]
  result: tuple[int, int, int, int]

  @property
  def gigaflops(self) -> float:
    return 2e-9 * np.prod(self.kernel[:3]) * np.prod(self.result)

  @property
  def stride(self) -> int:
    return self.pictures[1] // self.result[1]

  @property
  def padding(self) -> int:
    return (self.kernel[0] - 1) // 2

  def __str__(self):
    size, _, channels, features = self.kernel
    _, height, width, _ = self.pictures
    stride = f', stride {self.stride}' if self.stride > 1 else ''
    return (f'{size} x {size} | {channels} to {features} | '
            f'{height} x {width}{stride}')


def main() -> None:
  arguments = _parse_arguments()
  # Before either framework starts its threads.
  os.environ['NPROC'] = os.environ['OMP_NUM_THREADS'] = '1'
  os.environ['JAX_PLATFORMS'] = 'cpu'
  print(f'DRBNet of width {arguments.width}, {arguments.batch} pictures, '
        f'float32, one core; {describe_versions()}; '
        f'load {os.getloadavg()[0]:.1f}.')
  peaks = [1e-9 * 2 * _MATRIX_SIZE ** 3 / _time(run)
           for run in _make_products()]
  print(f'GFLOP/s of matrices of {_MATRIX_SIZE} x {_MATRIX_SIZE}: '
        f'JAX {peaks[0]:.0f}, PyTorch {peaks[1]:.0f}.')
  print('| kernel | features | picture [px] | how many | '
        + ' | '.join(f'{name}, JAX | PyTorch' for name in _PASSES) + ' |')
  print('| --- ' * 3 + '| ---: ' * 7 + '|')
  seconds, gigaflops = 0, 0
  for convolution, number in _list_convolutions(arguments).items():
    runs = _make_jax_runs(convolution), _make_torch_runs(convolution)
    times = np.array([[_time(run[name]) for name in _PASSES] for run in runs])
    rates = (convolution.gigaflops / times).T.ravel()
    print(f'| {convolution} | {number} | '
          + ' | '.join(f'{rate:.0f}' for rate in rates) + ' |', flush=True)
    seconds += number * times
    gigaflops += number * convolution.gigaflops
  print('| all | | | | '
        + ' | '.join(f'{rate:.0f}' for rate in (gigaflops / seconds).T.ravel())
        + ' |')
  print('All together, in s of the core: '
        + '; '.join(f'{name} {here:.3f} and {there:.3f}' for name, here, there
                    in zip(_PASSES, *seconds))
        + '.')


def _parse_arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
      description=__doc__,
      formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--width', type=int, default=16)
  parser.add_argument('--batch', type=int, default=8)
  parser.add_argument('--size', type=int, nargs=2, default=(96, 96),
                      metavar=('HEIGHT', 'WIDTH'), help='multiples of 8, px')
  return parser.parse_args()


def _list_convolutions(arguments) -> collections.Counter[Convolution]:
  """The network's convolutions, and how many there are of each kind."""
  import jax
  import jax.numpy as jnp

  from jaxdeblur.benchmark.counting import CONVOLUTION, count
  from jaxdeblur.models import registry

  model = registry.create('drbnet', width=arguments.width)
  views = {'center': jax.ShapeDtypeStruct(
      (arguments.batch, *arguments.size, 3), jnp.float32)}
  variables = jax.eval_shape(model.init, jax.random.key(0), views)
  jaxpr = jax.make_jaxpr(lambda *inputs: model.apply(*inputs).image)(
      variables, views)
  return collections.Counter(
      Convolution(*operation.operands, operation.result)
      for operation in count(jaxpr).operations if operation.kind == CONVOLUTION)


def _make_products() -> Iterator[Callable[[], object]]:
  import jax
  import jax.numpy as jnp
  import torch

  torch.set_num_threads(1)
  matrix = np.ones((_MATRIX_SIZE, _MATRIX_SIZE), np.float32)
  here, there = jnp.asarray(matrix), torch.tensor(matrix)
  yield lambda: jax.block_until_ready(jnp.matmul(here, here))
  yield lambda: torch.mm(there, there)


def _make_arrays(convolution: Convolution) -> Iterator[np.ndarray]:
  random = np.random.default_rng(0)
  for shape in dataclasses.astuple(convolution):
    yield random.standard_normal(shape, np.float32)


def _make_jax_runs(convolution: Convolution) -> Runs:
  import jax

  from jaxdeblur.compilation import jit
  from jaxdeblur.ops.conv import conv

  x, kernel, cotangent = map(jax.device_put, _make_arrays(convolution))
  strides = (convolution.stride,) * 2
  padding = ((convolution.padding,) * 2,) * 2

  def apply(x, kernel):
    return conv(x, kernel, strides, padding)

  def compiled(function):
    jitted = jit(function)
    return lambda: jax.block_until_ready(jitted(x, kernel, cotangent))

  return dict(zip(_PASSES, (
      compiled(lambda x, kernel, _: apply(x, kernel)),
      compiled(lambda x, kernel, cotangent: jax.vjp(
          lambda x: apply(x, kernel), x)[1](cotangent)),
      compiled(lambda x, kernel, cotangent: jax.vjp(
          lambda kernel: apply(x, kernel), kernel)[1](cotangent)))))


def _make_torch_runs(convolution: Convolution) -> Runs:
  import torch

  x, kernel, cotangent = map(torch.tensor, _make_arrays(convolution))
  x, cotangent = (
      array.permute(0, 3, 1, 2).contiguous() for array in (x, cotangent))
  kernel = kernel.permute(3, 2, 0, 1).contiguous()
  strides, padding = [convolution.stride] * 2, [convolution.padding] * 2

  def differentiate(*wanted):
    return torch.ops.aten.convolution_backward(
        cotangent, x, kernel, None, strides, padding, [1, 1], False, [0, 0], 1,
        [*wanted, False])

  return dict(zip(_PASSES, (
      lambda: torch.nn.functional.conv2d(x, kernel, None, strides, padding),
      lambda: differentiate(True, False),
      lambda: differentiate(False, True))))


def _time(run: Callable[[], object]) -> float:
  """The median of the seconds that the core spends on a run."""
  run()
  run()
  seconds, ending = [], time.process_time() + _SECONDS
  while len(seconds) < 5 or time.process_time() < ending:
    started = time.process_time()
    run()
    seconds.append(time.process_time() - started)
  return float(np.median(seconds))


if __name__ == '__main__':
  main()
