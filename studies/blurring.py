"""Times blurring by FFT and by direct convolution, on this machine.

  python -m studies.blurring

prints a row for each size of picture and kernel: the median time of
`optics.rendering.convolve` for three channels by each method.
"""

import functools
import time

import jax
import numpy as np

from jaxdeblur.optics.rendering import convolve

_PICTURES = ((128, 128), (512, 768))
_KERNELS = (3, 5, 7, 9, 13, 25, 65)
_REPEATS = 9


def main() -> None:
  print(f'{jax.devices()[0].device_kind}, jax {jax.__version__}')
  print('| picture | kernel | FFT [ms] | direct [ms] |')
  print('| --- | ---: | ---: | ---: |')
  random = np.random.default_rng(0)
  for height, width in _PICTURES:
    image = random.random((height, width, 3), np.float32)
    for size in _KERNELS:
      kernels = random.random((1, 3, size, size), np.float32)
      times = (1e3 * _time(method, image, kernels)
               for method in ('fft', 'direct'))
      print(f'| {height} x {width} | {size} | '
            + ' | '.join(f'{value:.2f}' for value in times) + ' |', flush=True)


def _time(method, image, kernels) -> float:
  blur = jax.jit(functools.partial(convolve, method=method))
  jax.block_until_ready(blur(image, kernels))
  seconds = []
  for _ in range(_REPEATS):
    started = time.perf_counter()
    jax.block_until_ready(blur(image, kernels))
    seconds.append(time.perf_counter() - started)
  return float(np.median(seconds))


if __name__ == '__main__':
  main()
