"""Weights on disk, and what is said of those that cannot be read."""

import json
import shutil

import jax
import numpy as np
import pytest

from jaxdeblur.checkpoints import CheckpointError, load_weights, save_weights


@pytest.fixture(scope='module')
def saved(make_weights, tmp_path_factory):
  """Weights and the folder they were saved in."""
  weights = make_weights()
  folder = tmp_path_factory.mktemp('weights') / 'narrow'
  save_weights(folder, weights.settings, weights.variables)
  return weights, folder


def test_weights_come_back_with_their_network(saved):
  weights, folder = saved
  loaded = load_weights(folder)
  assert loaded.model == weights.model
  jax.tree.map(np.testing.assert_array_equal, loaded.params, weights.params)
  assert loaded.digest() == weights.digest()


@pytest.mark.parametrize('dtype, tolerance', [
    ('float16', 1e-3), ('bfloat16', 1e-2)])
def test_half_precision_is_for_the_disk_alone(
    make_weights, tmp_path, dtype, tolerance):
  weights = make_weights()
  save_weights(tmp_path / 'half', weights.settings, weights.variables, dtype)
  loaded = load_weights(tmp_path / 'half')
  for value, exact in zip(
      jax.tree.leaves(loaded.params), jax.tree.leaves(weights.params)):
    assert value.dtype == np.float32
    np.testing.assert_allclose(value, exact, rtol=tolerance, atol=1e-4)


def test_an_existing_folder_is_not_overwritten(saved):
  weights, folder = saved
  with pytest.raises(CheckpointError, match='exists already'):
    save_weights(folder, weights.settings, weights.variables)
  assert load_weights(folder).digest() == weights.digest()


def test_a_missing_or_empty_folder_is_said(tmp_path):
  with pytest.raises(CheckpointError, match='absent does not exist'):
    load_weights(tmp_path / 'absent')
  with pytest.raises(CheckpointError, match='holds no checkpoint'):
    load_weights(tmp_path)


def test_a_damaged_folder_is_said(saved, tmp_path):
  _, folder = saved
  damaged = tmp_path / 'damaged'
  shutil.copytree(folder, damaged)
  for file in (damaged / 'params').rglob('*'):
    if file.is_file() and file.stat().st_size > 1000:
      file.write_bytes(file.read_bytes()[:100])
  with pytest.raises(CheckpointError, match='damaged cannot be read'):
    load_weights(damaged)
  (damaged / 'model' / 'metadata').unlink()
  with pytest.raises(CheckpointError, match='is no checkpoint of jaxdeblur'):
    load_weights(damaged)


@pytest.mark.parametrize('settings, sentence', [
    ({'name': 'drbnet', 'width': 3}, 'parameters of DRBNet'),
    ({'name': 'drbnet_baseline', 'width': 2}, 'parameters of DRBNetBaseline'),
    ({'name': 'restormer'}, "Unknown network 'restormer'"),
    ({'name': 'drbnet', 'depth': 2}, 'has no setting depth'),
])
def test_another_networks_weights_are_said(saved, tmp_path, settings, sentence):
  _, folder = saved
  other = tmp_path / 'other'
  shutil.copytree(folder, other)
  (other / 'model' / 'metadata').write_text(json.dumps(settings))
  with pytest.raises(ValueError, match=sentence):
    load_weights(other)
