"""Times the methods of the dynamic convolution alone, on this device.

  python -m studies.dynamic_convolutions
  python -m studies.dynamic_convolutions --batch 8 --size 256 256 \\
    --dtype bfloat16

It filters random numbers with 7 x 7 kernels and 3 channels. Image and kernels
come and go with channels last, as inside a network. Five times, 30 calls are
queued one after the other; printed is the time of one call in the median of
the five, in us: forward, and forward with the gradients to image and kernels.
The largest difference from `unfold`, of results and both gradients, stands
beside it.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from jaxdeblur.compilation import jit
from jaxdeblur.ops.dynamic_conv import dynamic_conv

_CALLS = 30
_REPEATS = 5


def main() -> None:
  arguments = _parse_arguments()
  inputs = _make_inputs(arguments)
  height, width = arguments.size
  print(f'{arguments.batch} x {height} x {width} px, {arguments.dtype}, '
        f'{jax.devices()[0].device_kind}, jax {jax.__version__}:')
  print('| method | forward [us] | with gradients [us] | differs by |\n'
        '| --- | ---: | ---: | ---: |')
  expected = None
  for method in ('unfold', *arguments.methods):
    _, forward = _time(_filter(method), inputs[:2])
    results, both = _time(_differentiate(method), inputs)
    expected = expected or results
    error = max(float(jnp.abs(jnp.subtract(*pair).astype(jnp.float32)).max())
                for pair in zip(results, expected))
    print(f'| {method} | {1e6 * forward:.0f} | {1e6 * both:.0f} | '
          f'{error:.1e} |')


def _parse_arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
      description=__doc__,
      formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--batch', type=int, default=1)
  parser.add_argument('--size', type=int, nargs=2, default=(768, 1280),
                      metavar=('HEIGHT', 'WIDTH'), help='px')
  parser.add_argument('--dtype', choices=('float32', 'bfloat16'),
                      default='float32')
  parser.add_argument('--methods', nargs='+', default=('taps', 'pallas'),
                      help='beside unfold; pallas is slow on a CPU')
  return parser.parse_args()


def _make_inputs(arguments) -> tuple[jax.Array, ...]:
  """Image, kernels, and the gradient to the result."""
  random = np.random.default_rng(0)
  shape = (arguments.batch, *arguments.size)
  return tuple(
      jnp.asarray(random.uniform(-1, 1, (*shape, planes)), arguments.dtype)
      for planes in (3, 49, 3))


def _filter(method):
  return jit(lambda image, kernels: dynamic_conv(image, kernels, method))


def _differentiate(method):
  def apply(image, kernels, cotangent):
    out, differentiate = jax.vjp(
        lambda *inputs: dynamic_conv(*inputs, method), image, kernels)
    return (out, *differentiate(cotangent))
  return jit(apply)


def _time(function, inputs):
  """The function's results, and the seconds of a call."""
  for _ in range(2):
    results = jax.block_until_ready(function(*inputs))
  seconds = []
  for _ in range(_REPEATS):
    started = time.perf_counter()
    for _ in range(_CALLS):
      results = function(*inputs)
    jax.block_until_ready(results)
    seconds.append((time.perf_counter() - started) / _CALLS)
  return results, statistics.median(seconds)


if __name__ == '__main__':
  main()
