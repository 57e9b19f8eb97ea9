"""SIGTERM: the machine is being taken away, so training must save and stop."""

import signal
from types import FrameType

import jax
from jax.experimental import multihost_utils


class Preemption:
  """A context in which SIGTERM asks the training to stop after a step.

  All processes of a training stop after the same step. If there are several,
  JAX handles the signal itself and tells the other processes.
  """

  def __init__(self):
    self._asked = False
    self._alone = jax.process_count() == 1
    self._handler = None

  def __enter__(self) -> 'Preemption':
    if self._alone:
      self._handler = signal.signal(signal.SIGTERM, self._ask)
    return self

  def __exit__(self, *exception: object) -> None:
    if self._alone:
      signal.signal(signal.SIGTERM, self._handler)

  def reached(self, step: int) -> bool:
    """Whether to save and stop after `step`; must be called at every step."""
    if self._alone:
      return self._asked
    return multihost_utils.reached_preemption_sync_point(step)

  def _ask(self, number: int, frame: FrameType | None) -> None:
    del number, frame
    self._asked = True
