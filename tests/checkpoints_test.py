"""Weights on disk, and what is said of those that cannot be read."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur.checkpoints import (
  CheckpointError,
  load_weights,
  save_weights,
)
from jaxdeblur.training.checkpoints import TrainingCheckpoints
from jaxdeblur.training.state import TrainState


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
  for file in (damaged / 'params').glob('ocdbt.process_*/**/*'):
    if file.is_file() and file.stat().st_size > 1000:
      file.write_bytes(file.read_bytes()[:100])
  with pytest.raises(CheckpointError, match='damaged cannot be read'):
    load_weights(damaged)
  (damaged / 'model' / 'metadata').unlink()
  with pytest.raises(CheckpointError, match='is no checkpoint of jaxdeblur'):
    load_weights(damaged)


def _checkpoint_steps(folder, *steps):
  """Writes a training's checkpoints; returns the state, to read them as."""
  params = {'kernel': jax.random.normal(jax.random.key(0), (100, 1000))}
  state = TrainState(
      step=jnp.zeros((), jnp.int32), params=params, ema_params=params,
      opt_state=params)
  checkpoints = TrainingCheckpoints(folder, {'name': 'drbnet'})
  for step in steps:
    checkpoints.save(state.replace(step=jnp.int32(step)), {'next_index': step})
  checkpoints.close()
  return state


def _restore(folder, state):
  checkpoints = TrainingCheckpoints(folder, {'name': 'drbnet'})
  try:
    return checkpoints.restore(state)
  finally:
    checkpoints.close()


@pytest.mark.parametrize('pattern', [
    'training/ocdbt.process_*/**/*', 'iterator/metadata', 'model/metadata'])
def test_a_damaged_checkpoint_of_a_training_is_said(tmp_path, pattern):
  """And what goes on without it."""
  state = _checkpoint_steps(tmp_path, 1, 2)
  for file in (tmp_path / 'checkpoints' / '2').glob(pattern):
    if file.is_file():
      file.write_bytes(b'')
  with pytest.raises(CheckpointError, match=r'of step 2 cannot be read .*remove'
                     r' .*checkpoints/2 to go on from step 1\.') as error:
    _restore(tmp_path, state)
  assert '\n' not in str(error.value)
  shutil.rmtree(tmp_path / 'checkpoints' / '2')
  assert _restore(tmp_path, state)[1] == {'next_index': 1}


def test_an_optimizer_of_other_parameters_is_said(tmp_path):
  state = _checkpoint_steps(tmp_path, 1)
  other = state.replace(opt_state={'weight': jnp.ones(4)})
  with pytest.raises(CheckpointError, match=r'if the same modules are trained '
                     r'as before, remove .*checkpoints/1 to start anew'):
    _restore(tmp_path, other)


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
