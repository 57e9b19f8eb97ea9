"""LPIPS against a plain statement of it, and from files to a score."""

import numpy as np
import pytest

from configs import starter
from jaxdeblur import jobs
from jaxdeblur.convert import torch_lpips
from jaxdeblur.metrics import lpips

CONVOLUTIONS = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3),
                8: (256, 384, 3), 10: (256, 256, 3)}


def draw_weights() -> tuple[dict, dict]:
  """Random weights of AlexNet and of the heads, as PyTorch names them."""
  random = np.random.default_rng(0)
  alexnet, heads = {}, {}
  for head, (layer, (filters, channels, size)) in enumerate(
      CONVOLUTIONS.items()):
    fan = channels * size * size
    alexnet[f'features.{layer}.weight'] = (
        (2 / fan) ** 0.5
        * random.standard_normal((filters, channels, size, size))
    ).astype(np.float32)
    alexnet[f'features.{layer}.bias'] = (
        0.05 * random.standard_normal(filters)).astype(np.float32)
    heads[f'lin{head}.model.1.weight'] = random.random(
        (1, filters, 1, 1)).astype(np.float32)
  alexnet['classifier.1.weight'] = np.zeros((2, 2), np.float32)
  return alexnet, heads


def state_distance(restored, sharp, alexnet, heads) -> float:
  """LPIPS written out in NumPy, float64, channels first."""
  def convolve(x, layer, stride, padding):
    kernel = np.float64(alexnet[f'features.{layer}.weight'])
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(
        x, kernel.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
    bias = alexnet[f'features.{layer}.bias'][:, None, None]
    return np.maximum(np.einsum('chwij,ocij->ohw', windows, kernel) + bias, 0)

  def shrink(x):
    return np.lib.stride_tricks.sliding_window_view(
        x, (3, 3), axis=(1, 2))[:, ::2, ::2].max(axis=(3, 4))

  def list_features(picture):
    x = np.float64(picture).transpose(2, 0, 1) * 2 - 1
    shift = np.array([-0.030, -0.088, -0.188])[:, None, None]
    scale = np.array([0.458, 0.448, 0.450])[:, None, None]
    first = convolve((x - shift) / scale, 0, 4, 2)
    second = convolve(shrink(first), 3, 1, 2)
    third = convolve(shrink(second), 6, 1, 1)
    fourth = convolve(third, 8, 1, 1)
    return first, second, third, fourth, convolve(fourth, 10, 1, 1)

  total = 0
  for i, (one, other) in enumerate(
      zip(list_features(restored), list_features(sharp))):
    one, other = (x / (np.sqrt((x * x).sum(axis=0)) + 1e-10)
                  for x in (one, other))
    weights = heads[f'lin{i}.model.1.weight'].reshape(-1, 1, 1)
    total += (weights * (one - other) ** 2).sum(axis=0).mean()
  return total


@pytest.fixture(scope='module')
def metric():
  alexnet, heads = draw_weights()
  return lpips.LpipsMetric(torch_lpips.convert({**alexnet, **heads}))


def draw_pair(height=67, width=90):
  return np.random.default_rng(1).random((2, height, width, 3), np.float32)


def test_it_is_what_the_paper_states(metric):
  restored, sharp = draw_pair()
  expected = state_distance(restored, sharp, *draw_weights())
  assert metric(restored, sharp) == pytest.approx(expected, rel=1e-5)


def test_identical_pictures_are_no_distance_apart_and_none_is_privileged(
    metric):
  restored, sharp = draw_pair()
  assert metric(sharp, sharp) == pytest.approx(0, abs=1e-12)
  assert metric(restored, sharp) == pytest.approx(
      metric(sharp, restored), rel=1e-6)
  halfway = (restored + sharp) / 2
  assert metric(halfway, sharp) < metric(restored, sharp)


def test_weights_come_from_two_files_or_one(tmp_path, capsys):
  """AlexNet and the heads, or the whole metric with its layers' other names."""
  alexnet, heads = draw_weights()
  np.savez(tmp_path / 'alexnet.npz', **alexnet)
  np.savez(tmp_path / 'heads.npz', **heads)
  slices = {0: 1, 3: 2, 6: 3, 8: 4, 10: 5}
  whole = {
      f'net.slice{slices[int(name.split(".")[1])]}.{name[9:]}': array
      for name, array in alexnet.items() if name.startswith('features')}
  np.savez(
      tmp_path / 'whole.npz', **whole, **heads,
      **{name.replace('lin', 'lins.'): array for name, array in heads.items()},
      **{'scaling_layer.shift': np.zeros((1, 3, 1, 1))})
  config = starter.get_config()

  def convert(source):
    return jobs.run('convert', config, jobs.Arguments(
        input=tmp_path / f'{source}.npz', output=tmp_path / source))

  assert convert('alexnet') == 1
  assert 'heads of LPIPS' in capsys.readouterr().err
  assert convert('heads') == 1
  assert 'backbone, AlexNet' in capsys.readouterr().err
  assert not (tmp_path / 'alexnet').exists()
  assert convert('whole') == 0
  config.convert.heads = str(tmp_path / 'heads.npz')
  assert convert('alexnet') == 0
  pair = draw_pair(40, 50)
  assert lpips.load(tmp_path / 'whole')(*pair) == (
      lpips.load(tmp_path / 'alexnet')(*pair))
  assert convert('alexnet') == 1
  assert 'exists already' in capsys.readouterr().err


def test_what_cannot_be_read_or_compared_is_said(metric, tmp_path):
  with pytest.raises(FileNotFoundError, match='holds no lpips_alex'):
    lpips.load(tmp_path)
  (tmp_path / lpips.FILE).write_bytes(b'no weights')
  with pytest.raises(ValueError, match='is damaged'):
    lpips.load(tmp_path)
  small = np.zeros((30, 60, 3), np.float32)
  with pytest.raises(ValueError, match='but they are 30x60'):
    metric(small, small)


def test_the_smallest_picture_has_a_score(metric):
  small = np.zeros((31, 31, 3), np.float32)
  assert metric(small, small) == pytest.approx(0, abs=1e-12)
