"""What a command prints beside its results."""

import logging as standard_logging
import os
import sys

from absl import logging

# Parts of files' paths: libraries that tell every detail of a failure, from
# threads of their own, which ends in a sentence of ours.
_DETAILED = ('orbax', 'clu/asynclib')


def choose_log_lines(training: bool) -> None:
  """Shows warnings, and how training goes; of a failure, one sentence.

  To be called before TensorFlow is imported, which reads its own level once.
  """
  logging.set_verbosity(logging.INFO if training else logging.WARNING)
  logging.get_absl_logger().addFilter(
      lambda record: not any(part in record.pathname for part in _DETAILED))
  # These tell of every damaged tile, or of every lost write; our error says
  # what matters, once.
  for name in ('asyncio', 'pyvips'):
    standard_logging.getLogger(name).setLevel(standard_logging.CRITICAL)
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')  # Errors.
  sys.unraisablehook = _print_unraisable


def _print_unraisable(unraisable: 'sys.UnraisableHookArgs') -> None:
  # TensorStore, which writes arrays for Orbax, reports each that it could not
  # write to a loop that the first one has ended.
  if str(unraisable.exc_value) != 'Event loop is closed':
    sys.__unraisablehook__(unraisable)
