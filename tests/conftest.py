"""Test session: shapes checked at run time, silent broadcasting refused."""

import pathlib

import jax
from jaxtyping import install_import_hook
import pytest

# Every annotated shape of the package is checked in every call of the tests.
install_import_hook('jaxdeblur', 'beartype.beartype')

jax.config.update('jax_numpy_rank_promotion', 'raise')

_SHARED = pathlib.Path(__file__).resolve().parents[2] / 'shared'


def _shared_folder(name: str) -> pathlib.Path:
  folder = _SHARED / name
  if not folder.is_dir():
    pytest.skip(f'{name} is not beside this checkout (looked in {folder})')
  return folder


@pytest.fixture
def drbnet_oracle() -> pathlib.Path:
  """The folder of the published DRBNet's inputs and outputs."""
  return _shared_folder('oracles/drbnet')


@pytest.fixture
def shared_data() -> pathlib.Path:
  """The folder of photographs for development."""
  return _shared_folder('data')
