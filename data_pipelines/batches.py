"""Batches made ahead of time, in threads or in worker processes."""

from collections.abc import Iterator, Mapping
import multiprocessing
import os
import signal
import threading

from absl import flags
import cv2
import grain
import numpy as np

from jaxdeblur import pictures
from jaxdeblur.errors import UserError

Batch = dict[str, np.ndarray]


class Batches(Iterator[Batch]):
  """Iterates over batches, made ahead by threads or worker processes.

  Grain's own iterators keep the number of workers and each worker's position in
  their state. Here the state is only the number of batches taken. Every batch
  can be made by itself, so training can resume with another number of workers.
  """

  def __init__(self, batches: grain.MapDataset, workers: int = 0):
    """Takes batches that are accessed by index, and the number of workers."""
    if workers < 0:
      raise UserError(
          f'workers is {workers}: give 0 or a number of processes.',
          argument='workers')
    self._batches = batches
    self._workers = workers
    self._next_index = 0
    self._ahead = None

  def __next__(self) -> Batch:
    if self._ahead is None:
      self._ahead = self._start()
    batch = next(self._ahead)
    self._next_index += 1
    # A worker's arrays lie in shared memory, which they free themselves.
    # Copying them would cost more time than all else that this process does for
    # a batch.
    return {name: view.view(np.ndarray) for name, view in batch.items()}

  def make(self, index: int) -> Batch:
    """Makes the batch of this number here; the position does not change."""
    return self._batches[index]

  def get_state(self) -> dict[str, int]:
    """Returns the position in the data, for `set_state`."""
    return {'next_index': self._next_index}

  def set_state(self, state: Mapping[str, int]) -> None:
    """Goes to a position in the data."""
    self.close()
    self._next_index = state['next_index']

  def close(self) -> None:
    """Ends threads and workers; the next batch starts new ones."""
    if self._ahead is not None:
      self._ahead.close()
      self._ahead = None

  def _start(self) -> grain.DatasetIterator:
    batches = self._batches.slice(slice(self._next_index, None))
    if not self._workers:
      return iter(batches.to_iter_dataset(
          grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)))
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()  # Grain reads flags; notebooks parse none.
    return iter(
        batches.to_iter_dataset(
            grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
        .mp_prefetch(
            grain.MultiprocessingOptions(
                num_workers=self._workers, per_worker_buffer_size=2),
            worker_init_fn=prepare_worker))


def prepare_worker(index: int, count: int) -> None:
  """Sets up a worker process: it has one thread and ends with its parent."""
  del index, count
  cv2.setNumThreads(1)  # There is a worker for every core already.
  pictures.use_threads(1)
  for asks_to_end in (signal.SIGINT, signal.SIGTERM):
    signal.signal(asks_to_end, signal.SIG_IGN)  # The parent ends its workers.
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
  # If the parent is killed, its workers would wait for ever.
  multiprocessing.parent_process().join()
  os._exit(1)
