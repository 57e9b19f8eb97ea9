"""The camera: noise, processing, and what JPEG loses."""

import dataclasses
import io

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from jaxdeblur.optics import camera, jpeg
from jaxdeblur.optics.camera import Camera
from jaxdeblur.optics.light import to_display, to_linear


def draw_picture(height=64, width=80, seed=0):
  coarse = np.random.default_rng(seed).random((9, 11, 3), np.float32)
  return np.clip(cv2.resize(
      coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)


expose, develop, make_truth = (jax.jit(method) for method in (
    Camera.expose, Camera.develop, Camera.make_truth))


def make_noise(shape, seed=0):
  return jax.random.normal(jax.random.key(seed), shape)


def test_linear_light_comes_back():
  display = np.linspace(0, 1, 256, dtype=np.float32)
  np.testing.assert_allclose(to_display(to_linear(display)), display, atol=1e-6)
  # sRGB's middle grey, IEC 61966-2-1.
  middle = to_linear(np.array(0.5, np.float32))
  assert middle == pytest.approx(0.21404, abs=1e-5)
  np.testing.assert_allclose(
      to_linear(jnp.asarray(display)), to_linear(display), atol=1e-6)


@pytest.mark.parametrize('mosaic', [0.0, 0.5, 1.0])
@pytest.mark.parametrize('light', [0.0, 0.25, 1.0])
def test_noise_has_the_sensors_variance(mosaic, light):
  settings = Camera(photon_noise=1e-3, read_noise=0.01, mosaic=mosaic)
  grey = jnp.full((256, 256, 3), light)
  noise = expose(settings, grey, make_noise(grey.shape)) - grey
  assert noise.mean() == pytest.approx(0, abs=1e-3)
  assert noise.var() == pytest.approx(1e-3 * light + 1e-4, rel=0.03)


def test_a_mosaics_noise_is_shared_by_neighbours():
  grey = jnp.full((256, 256, 3), 0.5)
  correlation = []
  for mosaic in (0.0, 1.0):
    noise = expose(Camera(read_noise=0.01, mosaic=mosaic), grey,
                   make_noise(grey.shape)) - grey
    correlation.append(float(
        (noise[:, 1:] * noise[:, :-1]).mean() / noise.var()))
  # Of (1, 2, 1) / 4 with itself, moved by one: 4 / 6.
  assert correlation == pytest.approx([0, 2 / 3], abs=0.02)


def test_a_plain_camera_only_rounds():
  picture = draw_picture()
  taken = develop(Camera(), jnp.asarray(to_linear(picture)),
                  make_noise(picture.shape))
  np.testing.assert_allclose(taken, picture, atol=0.502 / 255)
  np.testing.assert_allclose(np.asarray(taken) * 255 % 1 % 0.999, 0, atol=1e-3)


def test_the_ground_truth_is_the_same_cameras_without_noise_and_file():
  settings = Camera(
      read_noise=0.01, tone=0.5, sharpening=0.8, zoom=1.2, jpeg_quality=60.0)
  light = jnp.asarray(to_linear(draw_picture()))
  quiet = dataclasses.replace(settings, jpeg_quality=0.0)
  np.testing.assert_allclose(
      make_truth(settings, light),
      develop(quiet, light, jnp.zeros_like(light)),
      atol=0.502 / 255)


def test_highlights_are_clipped():
  bright = jnp.full((64, 80, 3), 5.0)
  np.testing.assert_allclose(
      develop(Camera(sharpening=1.0), bright, make_noise(bright.shape)), 1)


def test_the_unsharp_mask_is_that_of_opencv():
  picture = draw_picture()
  smooth = cv2.GaussianBlur(
      picture, (7, 7), 1.0, borderType=cv2.BORDER_REPLICATE)
  expected = np.clip(picture + 0.8 * (picture - smooth), 0, 1)
  truth = make_truth(
      Camera(sharpening=0.8), jnp.asarray(to_linear(picture)))
  np.testing.assert_allclose(truth, expected, atol=1e-4)


def test_the_denoiser_smooths_noise_and_keeps_edges():
  edge = np.zeros((64, 64, 3), np.float32)
  edge[:, 32:] = 0.6
  noise = 0.01 * np.random.default_rng(0).standard_normal(edge.shape)
  noisy = jnp.asarray(np.float32(0.2 + edge + noise))
  smooth = camera._denoise(noisy, 0.03)
  flat = np.s_[:, :28]
  assert np.std(smooth[flat]) < 0.5 * np.std(noisy[flat])
  step = smooth[:, 32].mean() - smooth[:, 31].mean()
  assert step == pytest.approx(0.6, abs=0.01)


def test_zooming_keeps_the_middle():
  picture = jnp.asarray(draw_picture(64, 64))
  np.testing.assert_allclose(camera._zoom(picture, 1.0), picture, atol=1e-6)
  zoomed = camera._zoom(picture, 2.0)
  np.testing.assert_allclose(
      zoomed[31:33, 31:33].mean(axis=(0, 1)),
      picture[31:33, 31:33].mean(axis=(0, 1)), atol=1e-3)
  expected = cv2.resize(np.asarray(picture)[16:48, 16:48], (64, 64),
                        interpolation=cv2.INTER_LINEAR)
  np.testing.assert_allclose(zoomed[4:-4, 4:-4], expected[4:-4, 4:-4],
                             atol=1e-3)


def pass_through_file(picture, quality):
  file = io.BytesIO()
  Image.fromarray(np.uint8(np.round(picture * 255))).save(
      file, 'JPEG', quality=quality, subsampling=2)
  return np.asarray(Image.open(file), np.float32) / 255


@pytest.mark.parametrize('quality', [30, 75, 90, 98])
def test_jpeg_loses_what_libjpeg_loses(quality):
  """Up to rounding of intermediate steps, which libjpeg does in integers."""
  picture = draw_picture(64, 80, seed=3)
  picture += 0.05 * np.random.default_rng(0).standard_normal(picture.shape)
  picture = np.clip(picture, 0, 1).astype(np.float32)
  ours = jax.jit(jpeg.pass_through_jpeg)(jnp.asarray(picture), float(quality))
  theirs = pass_through_file(picture, quality)
  lost = np.abs(theirs - picture).mean()
  assert np.abs(ours - theirs).mean() < 0.08 * lost + 0.5 / 255
  assert np.abs(ours - picture).mean() == pytest.approx(lost, rel=0.03)


def test_blocks_begin_where_the_offset_says():
  """A picture cut from a file: (y, x) lie as far inside the first block."""
  picture = draw_picture(48, 64, seed=1)
  picture += 0.1 * np.random.default_rng(0).standard_normal(picture.shape)
  whole = jnp.asarray(np.clip(picture, 0, 1), jnp.float32)
  lossy = jpeg.pass_through_jpeg(jnp.round(whole * 255) / 255, 50)
  part = whole[5:5 + 32, 11:11 + 40]
  stored = Camera(jpeg_quality=50.0, jpeg_offset=(5, 11))._store(part)
  # Whole blocks inside, away from the colours' filter.
  np.testing.assert_allclose(
      stored[12:26, 6:36], lossy[17:31, 17:47], atol=1.01 / 255)


def test_a_camera_runs_in_batches():
  cameras = [Camera(), Camera(
      photon_noise=1e-3, jpeg_quality=80.0, jpeg_offset=(3, 7), zoom=1.3)]
  cameras = jax.tree.map(lambda *numbers: jnp.stack(
      [jnp.asarray(number) for number in numbers]), *cameras)
  light = jnp.stack([jnp.asarray(to_linear(draw_picture()))] * 2)
  noise = make_noise(light.shape)
  pictures = jax.jit(jax.vmap(
      lambda taking, light, noise: taking.develop(
          taking.expose(light, noise), noise)))(cameras, light, noise)
  alone = develop(Camera(), light[0], noise[0])
  np.testing.assert_allclose(pictures[0], alone, atol=1.01 / 255)
