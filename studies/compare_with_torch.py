"""Times DRBNet here and in PyTorch, in turns, on a CPU or an NVIDIA GPU.

  pip install -e '.[torch]'
  python -m studies.compare_with_torch
  python -m studies.compare_with_torch --what forward --width 32 \\
    --batch 1 --size 256 256
  python -m studies.compare_with_torch --device gpu --dtype bfloat16 \\
    --what forward --width 32 --batch 1 --size 720 1280 --channels_last

The first command times a step of training without the optimizer (forward pass,
loss, gradients to all parameters). The others time a forward pass. Both
networks have the same parameters and pictures; their results must agree before
anything is timed. Then they take turns, so that other work on the machine slows
both alike. Each is timed until its result is there. Printed are

- seconds: median and quartiles, and the median ratio of neighbouring runs. On a
  busy machine PyTorch's threads, which share the work in equal parts, wait for
  the slowest of them, and the ratio flatters us;
- core seconds: the median time that cores spent on a step. It depends less on
  other work, and least with --threads 1, where no thread waits for another;
- memory: the largest resident memory of a process that runs one framework
  alone, counted after its first steps, which in JAX compile (Linux only). On a
  GPU, it is the memory of JAX's program by its compiler's plan, and the most
  that PyTorch's allocator gave out in a step.

PyTorch runs eagerly (studies/torch_drbnet.py), with channels first as the
network was published, or last with --channels_last. With --torch_compile it is
compiled by torch.compile. In bfloat16 it runs under torch.autocast. Both
frameworks may multiply float32 in TF32 on a GPU, and both try algorithms while
warming up.
"""

import argparse
from collections.abc import Callable
import contextlib
import dataclasses
import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys
import time

import numpy as np

# The losses, or means of results, may differ by so much of themselves.
_TOLERANCES = {('cpu', 'float32'): 1e-4, ('gpu', 'float32'): 1e-3,
               ('gpu', 'bfloat16'): 1e-2}

_FRAMEWORKS = ('jax', 'torch')
_WARM_UP = 3
_PYRAMID_WEIGHTS = (0.1, 0.1, 0.2, 1.0)  # From 1/8 to full size.
_EPSILON = 1e-3  # Of the Charbonnier loss.


@dataclasses.dataclass(frozen=True)
class Step:
  """What is timed, of one framework.

  Attributes:
    run: a step; returns its loss, or its result's mean.
    memory: the bytes that it takes of a GPU's memory.
  """
  run: Callable[[], float]
  memory: Callable[[], int]


def main() -> None:
  arguments = _parse_arguments()
  # Before either framework starts its threads.
  os.environ['NPROC'] = str(arguments.threads)
  os.environ['OMP_NUM_THREADS'] = str(arguments.threads)
  if arguments.device == 'cpu':
    os.environ['JAX_PLATFORMS'] = 'cpu'
  os.environ['XLA_PYTHON_CLIENT_PREALLOCATE'] = 'false'
  make_steps = {'jax': _make_jax_step, 'torch': _make_torch_step}
  if arguments.alone:
    step = make_steps[arguments.alone](arguments)
    print(_resident_memory(step) if arguments.device == 'cpu'
          else _memory_of_gpu(step))
    return
  steps = {name: make_steps[name](arguments) for name in _FRAMEWORKS}
  _check_agreement(
      steps, _TOLERANCES[arguments.device, arguments.dtype])
  load = os.getloadavg()[0]
  seconds = _time_in_turns(steps, arguments.repeats)
  _print_table(arguments, seconds, load)


def _parse_arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
      description=__doc__,
      formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--what', choices=('train', 'forward'), default='train')
  parser.add_argument('--width', type=int, default=16)
  parser.add_argument('--batch', type=int, default=8)
  parser.add_argument('--size', type=int, nargs=2, default=(96, 96),
                      metavar=('HEIGHT', 'WIDTH'), help='multiples of 8, px')
  parser.add_argument('--device', choices=('cpu', 'gpu'), default='cpu')
  parser.add_argument('--dtype', choices=('float32', 'bfloat16'),
                      default='float32', help='of convolutions')
  parser.add_argument('--method', default='auto',
                      help='of our dynamic convolution')
  parser.add_argument('--repeats', type=int, default=15)
  parser.add_argument('--threads', type=int, default=2)
  parser.add_argument('--channels_last', action='store_true',
                      help="PyTorch's layout")
  parser.add_argument('--torch_compile', action='store_true')
  parser.add_argument('--ynnpack', action='store_true',
                      help='leave convolutions to YNNPACK, as jax.jit does')
  parser.add_argument('--alone', choices=_FRAMEWORKS,
                      help='only print the memory of one, in bytes')
  arguments = parser.parse_args()
  if (arguments.device, arguments.dtype) not in _TOLERANCES:
    parser.error('bfloat16 is compared on a GPU only: add --device gpu')
  return arguments


def _make_jax_step(arguments) -> Step:
  import jax

  from jaxdeblur import losses
  from jaxdeblur.compilation import jit
  from jaxdeblur.convert import torch_drbnet
  from jaxdeblur.models import registry

  model = registry.create(
      'drbnet', width=arguments.width, dtype=arguments.dtype,
      dynamic_conv_method=arguments.method)

  def compute_loss(variables, blurred, sharp):
    restored = model.apply(variables, {'center': blurred})
    return losses.pyramid_charbonnier(
        restored.pyramid, sharp, _PYRAMID_WEIGHTS)

  def restore(variables, blurred, _):
    return model.apply(variables, {'center': blurred}).image

  inputs = jax.device_put(
      (torch_drbnet.convert(_weights(arguments)), *_pictures(arguments)))
  program = (jax.jit if arguments.ynnpack else jit)(
      restore if arguments.what == 'forward'
      else jax.value_and_grad(compute_loss)).lower(*inputs).compile()

  def run():
    result = jax.block_until_ready(program(*inputs))
    return float(
        result.mean() if arguments.what == 'forward' else result[0])

  def memory():
    plan = program.memory_analysis()
    return (plan.argument_size_in_bytes + plan.output_size_in_bytes
            + plan.temp_size_in_bytes)

  return Step(run, memory)


def _make_torch_step(arguments) -> Step:
  import torch

  from studies.torch_drbnet import DRBNet

  torch.set_num_threads(arguments.threads)
  torch.backends.cudnn.benchmark = True
  torch.backends.cudnn.allow_tf32 = True
  torch.backends.cuda.matmul.allow_tf32 = True
  device = 'cuda' if arguments.device == 'gpu' else 'cpu'
  layout = (torch.channels_last if arguments.channels_last
            else torch.contiguous_format)
  network = DRBNet(width=arguments.width)
  network.load_state_dict({
      name: torch.tensor(array) for name, array in _weights(arguments).items()})
  network.to(device, memory_format=layout)
  apply = torch.compile(network) if arguments.torch_compile else network
  blurred, sharp = (
      torch.tensor(picture).permute(0, 3, 1, 2).contiguous(
          memory_format=layout).to(device)
      for picture in _pictures(arguments))
  cast = (torch.autocast(device, torch.bfloat16)
          if arguments.dtype == 'bfloat16' else contextlib.nullcontext())

  def compute_loss():
    with cast:
      _, estimates, _ = apply(2 * blurred - 1)
    total = 0
    for estimate, weight in zip(estimates, _PYRAMID_WEIGHTS):
      shrunk = torch.nn.functional.avg_pool2d(
          sharp, sharp.shape[2] // estimate.shape[2])
      error = (estimate + 1) / 2 - shrunk
      total = total + weight * (error.square() + _EPSILON ** 2).sqrt().mean()
    return total

  def run():
    if arguments.what == 'forward':
      with torch.no_grad(), cast:
        restored, _, _ = apply(2 * blurred - 1)
        return float((restored.float().mean() + 1) / 2)
    network.zero_grad()
    loss = compute_loss()
    loss.backward()
    return loss.item()  # Waits for the gradients too: they were asked before.

  def memory():
    torch.cuda.reset_peak_memory_stats()
    run()
    return torch.cuda.max_memory_allocated()

  return Step(run, memory)


def _weights(arguments) -> dict[str, np.ndarray]:
  """Draws parameters, under PyTorch's names, that keep features' sizes."""
  from jaxdeblur.convert import torch_drbnet

  random = np.random.default_rng(0)
  shapes = torch_drbnet.shapes(
      views=('center',), width=arguments.width)
  return {
      name: random.standard_normal(shape, np.float32) * np.float32(
          0.01 if len(shape) == 1 else np.prod(shape[1:]) ** -0.5)
      for name, shape in shapes.items()}


def _pictures(arguments) -> tuple[np.ndarray, np.ndarray]:
  random = np.random.default_rng(1)
  shape = (arguments.batch, *arguments.size, 3)
  return random.random(shape, np.float32), random.random(shape, np.float32)


def _check_agreement(steps: dict[str, Step], tolerance: float) -> None:
  """Warms up, too."""
  values = {name: _warm_up(step) for name, step in steps.items()}
  if not np.isclose(values['jax'], values['torch'], rtol=tolerance):
    raise SystemExit(
        f'The two networks do not compute the same: {values["jax"]} in JAX, '
        f'{values["torch"]} in PyTorch.')


def _warm_up(step: Step) -> float:
  return [step.run() for _ in range(_WARM_UP)][-1]


def _time_in_turns(
    steps: dict[str, Step], repeats: int
) -> dict[str, np.ndarray]:
  """Returns [2, repeats] for each: seconds, and core seconds."""
  seconds = {name: [] for name in steps}
  for repeat in range(repeats):
    # Each is first as often as it is second.
    for name in _FRAMEWORKS[::-1 if repeat % 2 else 1]:
      started = time.perf_counter(), time.process_time()
      steps[name].run()
      ended = time.perf_counter(), time.process_time()
      seconds[name].append(np.subtract(ended, started))
  return {name: np.stack(values, axis=1) for name, values in seconds.items()}


def _resident_memory(step: Step) -> int:
  """Returns the largest resident memory of this process after warming up."""
  _warm_up(step)
  # Linux: forgets the peak so far, and with it compilation's.
  pathlib.Path('/proc/self/clear_refs').write_text('5')
  _warm_up(step)
  status = pathlib.Path('/proc/self/status').read_text()
  return 1024 * int(re.search(r'VmHWM:\s+(\d+) kB', status)[1])


def _memory_of_gpu(step: Step) -> int:
  _warm_up(step)
  return step.memory()


def _print_table(arguments, seconds, load) -> None:
  height, width = arguments.size
  print(f'DRBNet of width {arguments.width}, {arguments.what}, '
        f'{arguments.batch} x {height} x {width} px, {arguments.dtype}, '
        f'{_describe_device(arguments)}, {arguments.repeats} runs in turns; '
        f'load before {load:.1f}, after {os.getloadavg()[0]:.1f}:')
  print('| framework | median [s] | quartiles [s] | core time [s] | '
        'memory [MiB] |\n| --- | ---: | ---: | ---: | ---: |')
  for name, (elapsed, spent) in seconds.items():
    low, median, high = np.percentile(elapsed, (25, 50, 75))
    print(f'| {name} {importlib.metadata.version(name)} | {median:.4g} | '
          f'{low:.4g} to {high:.4g} | {np.median(spent):.3f} | '
          f'{_memory_alone(name)} |')
  ratio, spent_ratio = np.median(seconds['torch'] / seconds['jax'], axis=1)
  print(f'PyTorch takes {ratio:.2f} times the time of JAX, and '
        f'{spent_ratio:.2f} times its core time.')


def describe_versions() -> str:
  return ', '.join(f'{name} {importlib.metadata.version(name)}'
                   for name in _FRAMEWORKS)


def _describe_device(arguments) -> str:
  if arguments.device == 'cpu':
    return f'{arguments.threads} threads, {os.cpu_count()} cores'
  import torch
  return torch.cuda.get_device_name()


def _memory_alone(name: str) -> str:
  if not sys.platform.startswith('linux'):
    return ''
  run = subprocess.run(
      [sys.executable, '-m', 'studies.compare_with_torch', *sys.argv[1:],
       '--alone', name], check=True, capture_output=True, text=True)
  return f'{int(run.stdout) / 2 ** 20:.0f}'


if __name__ == '__main__':
  main()
