"""Scores: scikit-image's to the sixth digit, the paper's protocol, and laws."""

import inspect
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from jaxdeblur import metrics

METRICS = {
    'psnr': metrics.psnr,
    'ssim': metrics.ssim,
    'mae': metrics.mae,
    'rmse_rel': metrics.rmse_rel,
}
# float32 resolves PSNR to 2e-6 dB at 30 dB, hence relative; an SSIM is below 1.
RELATIVE = {'psnr': 1e-6, 'ssim': 0.0, 'mae': 1e-6, 'rmse_rel': 1e-6}
ABSOLUTE = {'psnr': 1e-6, 'ssim': 1e-6, 'mae': 1e-7, 'rmse_rel': 1e-7}

SIZES = [(7, 7), (8, 23), (64, 96)]


def reference(restored: np.ndarray, sharp: np.ndarray) -> dict[str, float]:
  """The scores in float64: SSIM by scikit-image, the others written out."""
  restored, sharp = np.float64(restored), np.float64(sharp)
  squared_error = np.mean((restored - sharp) ** 2)
  return {
      'psnr': 10 * np.log10(1 / squared_error),
      'ssim': structural_similarity(
          restored, sharp, data_range=1.0, channel_axis=-1),
      'mae': np.mean(np.abs(restored - sharp)),
      'rmse_rel': np.sqrt(squared_error),
  }


def pair(kind: str, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
  """A restored and a sharp picture, float32 [height, width, 3] in [0, 1]."""
  random = np.random.default_rng(0)
  shape = (height, width, 3)
  noise, other_noise = random.normal(size=(2, *shape))
  uniform, other_uniform = random.uniform(size=(2, *shape))
  y, x = np.mgrid[:height, :width][..., None]
  # Smooth shading with an edge, its channels apart in phase.
  natural = (0.5 + 0.3 * np.sin(x / 9 + np.arange(3)) * np.cos(y / 7)
             + 0.2 * (x > width / 2))
  restored, sharp = {
      'unrelated': (uniform, other_uniform),
      'natural': (natural + 0.02 * noise, natural),
      'flat': (np.full(shape, 0.97), np.full(shape, 0.971)),
      'flat and dark': (np.zeros(shape), np.full(shape, 1e-3)),
      'flat and bright': (0.95 + 1e-3 * noise, 0.95 + 1e-3 * other_noise),
      'nearly flat': (0.95 + 1e-5 * noise, 0.95 + 1e-5 * other_noise),
      'black and white': (uniform > 0.5, other_uniform > 0.5),
      'negative': (uniform > 0.5, uniform <= 0.5),
  }[kind]
  return (np.clip(restored, 0, 1).astype(np.float32),
          np.clip(sharp, 0, 1).astype(np.float32))


KINDS = ['unrelated', 'natural', 'flat', 'flat and dark', 'flat and bright',
         'nearly flat', 'black and white', 'negative']


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('height, width', SIZES)
def test_scores_equal_the_float64_reference(kind, height, width):
  """In float32 and without x64, also where squares less squared means fail.

  On the bright and nearly flat pictures scikit-image itself errs by 1e-6 to
  7e-5 when it is given float32.
  """
  restored, sharp = pair(kind, height, width)
  expected = reference(restored, sharp)
  for name, metric in METRICS.items():
    score = jax.jit(metric)(restored, sharp)
    assert score.dtype == jnp.float32
    assert score.shape == ()
    np.testing.assert_allclose(
        score, expected[name], RELATIVE[name], ABSOLUTE[name], err_msg=name)


def test_rounding_does_not_grow_with_the_picture():
  """A million values in one mean, each rounded: still the sixth digit."""
  restored, sharp = pair('natural', 512, 640)
  expected = reference(restored, sharp)
  for name, metric in METRICS.items():
    np.testing.assert_allclose(
        metric(restored, sharp), expected[name], RELATIVE[name],
        ABSOLUTE[name], err_msg=name)


@pytest.mark.parametrize('channels', [1, 4])
def test_ssim_keeps_channels_apart(channels):
  """A window never reaches into the next channel, however many there are."""
  random = np.random.default_rng(1)
  # Channels as unlike in brightness as can be: any mixing would show.
  level = np.linspace(0, 0.9, channels, dtype=np.float32)
  restored, sharp = (
      level + random.uniform(0, 0.1, (2, 15, 18, channels)).astype(np.float32))
  expected = reference(restored, sharp)['ssim']
  np.testing.assert_allclose(
      metrics.ssim(restored, sharp), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize('name', METRICS)
def test_a_batch_scores_its_pictures_one_by_one(name):
  """Any leading axes; nothing leaks from one picture into another's score."""
  pictures = [pair(kind, 16, 20) for kind in KINDS[:6]]
  restored, sharp = map(np.stack, zip(*pictures, strict=True))
  singly = np.array([METRICS[name](*each) for each in pictures])
  batched = METRICS[name](
      restored.reshape(2, 3, 16, 20, 3), sharp.reshape(2, 3, 16, 20, 3))
  np.testing.assert_allclose(
      batched, singly.reshape(2, 3), rtol=1e-6, atol=1e-7)


def test_the_published_protocol(drbnet_oracle):
  """DRBNet's scores of a picture, as its authors' code computes them.

  The top-left crop to multiples of 16, the network's float output unquantised
  and mapped from [-1, 1] to [0, 1], against the 8-bit ground truth.
  """
  expected = json.loads((drbnet_oracle / 'protocol_metrics.json').read_text())
  arrays = np.load(drbnet_oracle / 'single_u8_75x110_protocol.npz')
  output = (arrays['output'][0].transpose(1, 2, 0) + 1) / 2
  height, width, _ = output.shape
  blurred, sharp = (
      np.float32(arrays[name][:height, :width] / 255)
      for name in ('input_u8', 'gt_u8'))
  keys = {'psnr': 'psnr_float64', 'ssim': 'ssim_skimage_default_float64',
          'mae': 'mae_float64'}
  for row, picture in (('output', output), ('input', blurred)):
    for name, key in keys.items():
      np.testing.assert_allclose(
          METRICS[name](picture, sharp), expected[row][key], RELATIVE[name],
          ABSOLUTE[name], err_msg=f'{row} {name}')


def test_rmse_rel_is_psnr_in_other_words():
  """10^(-PSNR / 20): the relation by which K3DN's tables 7 and 8 agree."""
  restored, sharp = pair('natural', 16, 20)
  np.testing.assert_allclose(
      metrics.rmse_rel(restored, sharp),
      10 ** (-metrics.psnr(restored, sharp) / 20), rtol=1e-6)
  # Table 8 prints PSNR 25.85 and RMSE_rel 5.10 (times 100) in one row.
  error = np.full((8, 8, 3), 10 ** (-25.85 / 20), np.float32)
  np.testing.assert_allclose(
      metrics.rmse_rel(error, np.zeros_like(error)), 0.0510, atol=5e-5)


def test_identical_pictures_score_the_best_there_is():
  """Exactly: no rounding keeps a perfect restoration from a perfect score."""
  for kind in KINDS:
    _, sharp = pair(kind, 16, 20)
    assert metrics.psnr(sharp, sharp) == np.inf
    assert metrics.ssim(sharp, sharp) == 1.0
    assert metrics.mae(sharp, sharp) == 0.0
    assert metrics.rmse_rel(sharp, sharp) == 0.0


@pytest.mark.parametrize('name', METRICS)
def test_neither_picture_is_privileged(name):
  """All four are symmetric, so a swapped argument cannot spoil a table."""
  restored, sharp = pair('natural', 16, 20)
  np.testing.assert_allclose(
      METRICS[name](restored, sharp), METRICS[name](sharp, restored), rtol=1e-6)


def test_more_noise_scores_worse():
  """PSNR and SSIM fall and errors rise, and PSNR by 6.02 dB for twice it."""
  noisy, sharp = pair('natural', 16, 20)
  levels = np.array([0.25, 0.5, 1, 2], np.float32)
  noise = noisy - sharp
  scores = {
      name: np.array([metric(sharp + level * noise, sharp) for level in levels])
      for name, metric in METRICS.items()}
  np.testing.assert_allclose(
      np.diff(scores['psnr']), -20 * np.log10(2), rtol=1e-4)
  assert np.all(np.diff(scores['ssim']) < 0)
  assert np.all(np.diff(scores['mae']) > 0)
  assert np.all(np.diff(scores['rmse_rel']) > 0)


@pytest.mark.parametrize('name', ['psnr', 'ssim', 'rmse_rel'])
def test_the_unit_of_brightness_does_not_matter(name):
  """Pictures in [0, 255] with data_range 255 score as those in [0, 1]."""
  restored, sharp = pair('natural', 16, 20)
  np.testing.assert_allclose(
      METRICS[name](255 * restored, 255 * sharp, data_range=255.0),
      METRICS[name](restored, sharp), rtol=1e-5)


def test_scores_have_gradients_inside_a_training_step():
  """Finite ones, SSIM's also where the pictures agree and where all is black.

  A step up SSIM's gradient raises SSIM: the direction is right, not only
  finite.
  """
  restored, sharp = pair('natural', 16, 20)
  gradients = {
      name: jax.jit(jax.grad(metric)) for name, metric in METRICS.items()}
  for name, gradient in gradients.items():
    slope = gradient(restored, sharp)
    assert np.all(np.isfinite(slope)), name
    assert np.any(slope != 0), name
  ascent = np.asarray(gradients['ssim'](restored, sharp))
  better = restored + 1e-3 * ascent / np.linalg.norm(ascent)
  assert metrics.ssim(better, sharp) > metrics.ssim(restored, sharp)
  for picture in (sharp, np.zeros_like(sharp)):
    np.testing.assert_array_equal(gradients['ssim'](picture, picture), 0)


def test_half_precision_pictures_are_scored_in_float32():
  """bfloat16 squares and sums would keep two digits of the score."""
  restored, sharp = map(jnp.bfloat16, pair('natural', 16, 20))
  for name, metric in METRICS.items():
    score = metric(restored, sharp)
    assert score.dtype == jnp.float32
    np.testing.assert_allclose(
        score, reference(restored, sharp)[name], rtol=1e-5, err_msg=name)


def as_users_call(metric):
  """Without the shape checks of this test session, which users do not have."""
  return inspect.unwrap(metric)


@pytest.mark.parametrize('name', METRICS)
def test_what_cannot_be_compared_is_refused(name):
  """Never broadcast, never scored in the wrong unit."""
  metric = as_users_call(METRICS[name])
  picture = np.zeros((9, 10, 3), np.float32)
  with pytest.raises(ValueError, match=r'differ in size: restored is \[9, 10'):
    metric(picture, picture[:, :1])
  with pytest.raises(ValueError, match='differ in size'):
    metric(picture, picture[None])
  with pytest.raises(ValueError, match='a channel axis'):
    metric(picture[..., 0], picture[..., 0])
  with pytest.raises(ValueError, match='sharp is uint8'):
    metric(picture, np.uint8(picture))


def test_ssim_refuses_pictures_smaller_than_its_window():
  """They hold no whole window; the mean over none would be NaN."""
  for height, width in ((6, 10), (10, 6)):
    picture = np.zeros((height, width, 3), np.float32)
    with pytest.raises(ValueError, match=f'pictures are {height}x{width}'):
      metrics.ssim(picture, picture)
