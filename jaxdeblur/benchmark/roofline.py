"""The limits of a device: peaks of arithmetic and of memory traffic."""

import dataclasses
import functools
import time

import jax
import jax.numpy as jnp

_SECONDS = 1.0        # Least time for measuring each peak.
_MATRIX_SIZE = 2048
_VECTOR_SIZE = 2 ** 25


@dataclasses.dataclass(frozen=True)
class Roofline:
  """The peaks of one device.

  Attributes:
    peak_flops: floating-point operations per second; a multiply-add is two.
    bandwidth: bytes per second of main memory, reading and writing.
    source: the source of both.
  """
  peak_flops: float
  bandwidth: float
  source: str

  def seconds(self, flops: float, accessed_bytes: float) -> float:
    """The least time for these operations and bytes."""
    return max(flops / self.peak_flops, accessed_bytes / self.bandwidth)

  def bound(self, flops: float, accessed_bytes: float) -> str:
    """Which of the two takes longer: 'arithmetic' or 'memory'."""
    return ('arithmetic' if flops / self.peak_flops
            >= accessed_bytes / self.bandwidth else 'memory')


_GOOGLE = 'docs.cloud.google.com/tpu/docs/{}, peak compute (bf16) and HBM'
_KLOCKWOOD = ('glennklockwood.com/garden/processors/{}, after the vendor\'s '
              'data sheet, SXM, without sparsity')

# Device's name in JAX -> TFLOP/s in bfloat16 and in float32, GB/s, source.
# TPUs multiply float32 in bfloat16 unless told otherwise, GPUs in TF32.
_PEAKS = {
    'TPU v4': (275, 275, 1200, _GOOGLE.format('v4')),
    'TPU v5 lite': (197, 197, 819, _GOOGLE.format('v5e')),
    'TPU v5': (459, 459, 2765, _GOOGLE.format('v5p')),
    'TPU v6 lite': (918, 918, 1638, _GOOGLE.format('v6e')),
    'NVIDIA A100-SXM4-80GB': (312, 156, 2039, _KLOCKWOOD.format('A100')),
    'NVIDIA H100 80GB HBM3': (989, 495, 3350, _KLOCKWOOD.format('h100')),
    'NVIDIA H200': (
        989, 495, 4800,
        'itkb.uw.cz/2026/06/nvidia-h200-vs-b300-precisions-cores.html, SXM, '
        'without sparsity; TF32 as H100'),
}


def look_up(device_kind: str, dtype: str) -> Roofline | None:
  """Looks up the peaks of a device; None if it is not in the table.

  Args:
    device_kind: the name in `jax.Device.device_kind`.
    dtype: number type of the products, 'bfloat16' or 'float32'.
  """
  if device_kind not in _PEAKS:
    return None
  bfloat16, float32, bandwidth, source = _PEAKS[device_kind]
  teraflops = bfloat16 if dtype == 'bfloat16' else float32
  return Roofline(teraflops * 1e12, bandwidth * 1e9, source)


def find(device: jax.Device, dtype: str) -> Roofline:
  """Finds a device's peaks in the table, or measures them in a few seconds."""
  return look_up(device.device_kind, dtype) or measure(device, dtype)


def measure(device: jax.Device, dtype: str) -> Roofline:
  """Measures peaks by the fastest matrix product and the fastest vector sum.

  These are the peaks of JAX on this device; another library may be faster.
  """
  put = functools.partial(jax.device_put, device=device)
  matrix = put(jnp.ones((_MATRIX_SIZE, _MATRIX_SIZE), dtype))
  product = _fastest(jax.jit(jnp.matmul), matrix, matrix)
  vector = put(jnp.ones(_VECTOR_SIZE, jnp.float32))
  # A triad: two arrays are read, one is written.
  triad = _fastest(
      jax.jit(lambda x, y: x + 3 * y), vector, put(jnp.copy(vector)))
  return Roofline(
      2 * _MATRIX_SIZE ** 3 / product, 3 * vector.nbytes / triad,
      f'measured: {dtype} matrices of {_MATRIX_SIZE} x {_MATRIX_SIZE}, '
      f'x + 3 y of {vector.nbytes >> 20} MiB each')


def _fastest(function, *arguments) -> float:
  """The seconds of the fastest run."""
  function(*arguments).block_until_ready()
  seconds, ending = [], time.perf_counter() + _SECONDS
  while not seconds or time.perf_counter() < ending:
    started = time.perf_counter()
    function(*arguments).block_until_ready()
    seconds.append(time.perf_counter() - started)
  return min(seconds)
