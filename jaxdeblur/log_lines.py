"""Log lines that a command prints besides its results."""

import logging as standard_logging
import os
import sys

from absl import logging

# Parts of paths of libraries whose threads log every detail of a failure. Our
# error says it in one sentence.
_DETAILED = ('orbax', 'clu/asynclib')


def choose_log_lines(training: bool) -> None:
  """Shows warnings and the progress of training, but no details of failures.

  Call this before TensorFlow is imported, which reads its own level only once.
  """
  logging.set_verbosity(logging.INFO if training else logging.WARNING)
  logging.get_absl_logger().addFilter(
      lambda record: not any(part in record.pathname for part in _DETAILED))
  standard_logging.getLogger('asyncio').setLevel(standard_logging.CRITICAL)
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')  # Errors.
  sys.unraisablehook = _print_unraisable


def _print_unraisable(unraisable: 'sys.UnraisableHookArgs') -> None:
  # TensorStore writes arrays for Orbax. It reports each failed write to an
  # event loop, which the first failure has closed.
  if str(unraisable.exc_value) != 'Event loop is closed':
    sys.__unraisablehook__(unraisable)
