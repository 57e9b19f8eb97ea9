"""The source of the pictures to score: a folder, or a built dataset."""

import dataclasses
import pathlib

from data_pipelines.pairs import FolderPairs, PairSource
from jaxdeblur.errors import UserError


@dataclasses.dataclass(frozen=True)
class Source:
  """Either a folder or a dataset.

  Attributes:
    folder: a folder of pictures; the protocol says what it holds.
    dataset: the name of a dataset that has been built.
    split: the split of the dataset.
    data_dir: the folder of the built datasets.
  """
  folder: pathlib.Path | None = None
  dataset: str | None = None
  split: str = 'test'
  data_dir: pathlib.Path | None = None

  def __post_init__(self):
    if (self.folder is None) == (self.dataset is None):
      raise UserError(
          'Give the pictures to score either as a folder, or as a dataset with '
          'data_dir.', argument='input')
    if self.dataset is not None and self.data_dir is None:
      raise UserError(
          f'The dataset {self.dataset} needs data_dir, the folder of the built '
          'datasets.', argument='data_dir')

  def need_folder(self, protocol: str, what: str) -> pathlib.Path:
    """Returns the folder; raises a UserError if a dataset was given."""
    if self.folder is None:
      raise UserError(
          f'The protocol {protocol} reads {what}: give their folder, not a '
          'dataset.', argument='input')
    return self.folder

  def open_pairs(self) -> PairSource:
    """Opens recorded pairs; see `FolderPairs` and `open_dataset`."""
    if self.folder is not None:
      return FolderPairs(self.folder)
    from data_pipelines.datasets.catalogue import open_dataset
    return open_dataset(self.dataset, self.split, self.data_dir)

  def describe(self) -> str:
    """Names the pictures without a path of this machine."""
    if self.folder is not None:
      return self.folder.name
    return f'{self.dataset}, {self.split}'


def is_partial(pairs: PairSource) -> bool:
  """Whether a dataset lacks scenes of the published one; folders never do."""
  return getattr(pairs, 'partial', False)
