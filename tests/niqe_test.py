"""NIQE against a plain statement of it, and what it must do on photographs."""

import inspect

import cv2
import numpy as np
import pytest
from scipy.special import gamma

from jaxdeblur.metrics.niqe import PARAMETERS, niqe

WINDOW_REACH = 3


def state_niqe(picture, parameters) -> float:
  """NIQE written out, pixel by pixel and block by block."""
  grey = np.round(255 * (np.float64(picture) @ [0.299, 0.587, 0.114]))
  rows, columns = grey.shape[0] // 96, grey.shape[1] // 96
  grey = grey[:96 * rows, :96 * columns]
  features = []
  for side in (96, 48):
    window = parameters['gaussian_window']
    padded = np.pad(grey, WINDOW_REACH, mode='edge')
    mean, square = np.zeros_like(grey), np.zeros_like(grey)
    for i in range(7):
      for j in range(7):
        part = padded[i:i + grey.shape[0], j:j + grey.shape[1]]
        mean += window[i, j] * part
        square += window[i, j] * part ** 2
    normalised = (grey - mean) / (np.sqrt(np.abs(square - mean ** 2)) + 1)
    features.append([
        state_block(normalised[i * side:(i + 1) * side,
                               j * side:(j + 1) * side])
        for i in range(rows) for j in range(columns)])
    grey = state_half(state_half(grey).T).T
  features = np.concatenate(features, axis=1)
  difference = parameters['mu_pris_param'][0] - features.mean(axis=0)
  covariance = (parameters['cov_pris_param'] + np.cov(features.T)) / 2
  return np.sqrt(difference @ np.linalg.pinv(covariance) @ difference)


def state_block(block) -> list[float]:
  shape, left, right = state_fit(block)
  features = [shape, (left + right) / 2]
  for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
    shape, left, right = state_fit(block * np.roll(block, shift, axis=(0, 1)))
    mean = (right - left) * gamma(2 / shape) / gamma(1 / shape)
    features += [shape, mean, left, right]
  return features


def state_fit(values) -> tuple[float, float, float]:
  left = np.sqrt(np.mean(values[values < 0] ** 2))
  right = np.sqrt(np.mean(values[values > 0] ** 2))
  lean = left / right
  ratio = np.mean(np.abs(values)) ** 2 / np.mean(values ** 2) * (
      (lean ** 3 + 1) * (lean + 1) / (lean ** 2 + 1) ** 2)
  shapes = np.arange(0.2, 10.001, 0.001)
  expected = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
  shape = shapes[np.argmin((expected - ratio) ** 2)]
  scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
  return shape, left * scale, right * scale


def state_half(picture):
  """Every output row from MATLAB's rule: cubic, stretched by two, mirrored."""
  def cubic(x):
    x = abs(x)
    if x <= 1:
      return 1.5 * x ** 3 - 2.5 * x ** 2 + 1
    return -0.5 * x ** 3 + 2.5 * x ** 2 - 4 * x + 2 if x < 2 else 0

  rows = len(picture)
  halved = []
  for i in range(rows // 2):
    centre = 2 * i + 0.5
    total = 0
    for source in range(2 * i - 3, 2 * i + 5):
      mirrored = -1 - source if source < 0 else source
      mirrored = 2 * rows - 1 - mirrored if mirrored >= rows else mirrored
      total = total + cubic((source - centre) / 2) / 2 * picture[mirrored]
    halved.append(total)
  return np.stack(halved)


def draw_scene(height=200, width=300):
  """Edges and texture at all scales, 1/f on the average: [h, w, 3]."""
  random = np.random.default_rng(0)
  y, x = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
  spectrum = np.fft.fft2(random.standard_normal((height, width)))
  noise = np.fft.ifft2(spectrum / np.maximum(np.hypot(y, x), 0.01)).real
  scene = 0.5 + 0.15 * noise / noise.std()
  return np.clip(np.stack([scene, 0.9 * scene, scene ** 2], 2), 0, 1).astype(
      np.float32)


def test_it_is_what_the_paper_states():
  scene = draw_scene()
  with np.load(PARAMETERS) as parameters:
    expected = state_niqe(scene, dict(parameters))
  assert niqe(scene) == pytest.approx(expected, rel=1e-9)


def test_grey_is_grey_whatever_its_channels():
  grey = draw_scene()[..., :1]
  assert niqe(grey) == pytest.approx(niqe(np.repeat(grey, 3, axis=2)), abs=0.05)


def test_it_rises_with_blur_and_with_noise(shared_data):
  """On photographs: the further from sharp, the less natural."""
  for name in ('kodak_002', 'kodak_006', 'kodak_019'):
    bgr = cv2.imread(str(shared_data / 'eval_photos' / f'{name}.png'))
    sharp = bgr[..., ::-1].astype(np.float32) / 255
    noise = np.random.default_rng(0).standard_normal(
        sharp.shape, dtype=np.float32)
    blurred = [sharp, *(cv2.GaussianBlur(sharp, (0, 0), sigma)
                        for sigma in (1, 2, 3))]
    noisy = [np.clip(sharp + sigma * noise, 0, 1)
             for sigma in (0, 0.03, 0.06, 0.09)]
    for worse_and_worse in (blurred, noisy):
      scores = [niqe(picture) for picture in worse_and_worse]
      assert np.all(np.diff(scores) > 0.5), (name, scores)


def test_what_holds_no_blocks_or_no_texture_is_refused():
  score = inspect.unwrap(niqe)
  with pytest.raises(ValueError, match='the picture is 191x100'):
    score(np.zeros((191, 100, 3)))
  with pytest.raises(ValueError, match='next to none'):
    score(np.full((200, 200, 3), 0.5))
