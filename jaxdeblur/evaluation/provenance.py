"""How a result was made: method, weights, versions, command, machine, date."""

from collections.abc import Mapping, Sequence
import datetime
import importlib.metadata
import os
import pathlib
import platform
import shlex
import sys
from typing import Any

import jax

_PACKAGES = ('jaxdeblur', 'jax', 'jaxlib', 'flax', 'numpy')


def collect(
    method: Mapping[str, Any],
    checkpoint: str | None,
    pictures: str,
    failures: Sequence[str] = (),
) -> dict[str, Any]:
  """Gathers all that a stranger needs to know besides the protocol.

  The command is as it was typed, not resolved to this machine's paths.

  Args:
    method: name and settings of the method that restored the pictures.
    checkpoint: digest of its weights; None if there are none.
    pictures: the name of the dataset or folder.
    failures: a sentence for each picture that could not be scored.
  """
  return {
      'method': dict(method),
      'checkpoint': checkpoint,
      'pictures': pictures,
      'failures': list(failures),
      **describe_run(),
  }


def describe_run() -> dict[str, Any]:
  """Versions, the command as it was typed, hardware and date."""
  versions = {'python': platform.python_version()}
  for package in _PACKAGES:
    try:
      versions[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      versions[package] = 'not installed'  # jaxdeblur, run from a checkout.
  return {
      'versions': versions,
      'command': shlex.join(sys.orig_argv),
      'hardware': _describe_hardware(),
      'date': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
  }


def _describe_hardware() -> dict[str, Any]:
  devices = jax.devices()
  return {
      'device': f'{len(devices)} x {devices[0].device_kind}',
      'cpu': _name_cpu(),
      'cores': os.cpu_count(),
  }


def _name_cpu() -> str:
  try:
    for line in pathlib.Path('/proc/cpuinfo').read_text().splitlines():
      if line.startswith('model name'):
        return line.partition(':')[2].strip()
  except OSError:
    pass  # Not on Linux.
  return platform.processor() or platform.machine()
