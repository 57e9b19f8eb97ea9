"""The builders before TensorFlow Datasets' own test, and TensorFlow's reading.

The only tests of the datasets that load TensorFlow.
"""

import pathlib
import tempfile
import unittest.mock

import dataset_trees
import tensorflow_datasets as tfds

from data_pipelines.datasets import catalogue
from data_pipelines.datasets.pair_builder import Count


class _SmallDownload:
  """Builds TFRecord, the one format from which TensorFlow reads."""

  @classmethod
  def setUpClass(cls):
    cls._folder = tempfile.TemporaryDirectory()
    cls.EXAMPLE_DIR = cls._folder.name
    cls.SPLITS = dataset_trees.TREES[cls.DATASET_CLASS.name](
        pathlib.Path(cls._folder.name))
    counts = {split: Count(n, 'this test') for split, n in cls.SPLITS.items()}
    cls._counts = unittest.mock.patch.object(
        cls.DATASET_CLASS, 'COUNTS', counts)
    cls._counts.start()
    super().setUpClass()

  @classmethod
  def tearDownClass(cls):
    super().tearDownClass()
    cls._counts.stop()
    cls._folder.cleanup()

  def _make_builder(self, config=None):
    del config
    return self.DATASET_CLASS(data_dir=self.tmp_dir, file_format='tfrecord')


def _make_test(name: str) -> type[tfds.testing.DatasetBuilderTestCase]:
  builder_class = catalogue.get_builder_class(name)
  members = {'DATASET_CLASS': builder_class}
  if name == 'rdpd':
    members['OVERLAPPING_SPLITS'] = ['val']  # The authors' choice.
  bases = (_SmallDownload, tfds.testing.DatasetBuilderTestCase)
  return type(f'Test_{name}', bases, members)


for _name in catalogue.NAMES:
  globals()[f'Test_{_name}'] = _make_test(_name)
