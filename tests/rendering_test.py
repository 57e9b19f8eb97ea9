"""Rendered defocus against plain NumPy, and against rays through a lens."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdeblur.errors import UserError
from jaxdeblur.optics import psf, rendering
from jaxdeblur.optics.rendering import Plane

render, render_depth = (
    jax.jit(function)
    for function in (rendering.render, rendering.render_depth))


def convolve(image, kernel):
  """Convolution pixel by pixel with OpenCV; dark outside."""
  return cv2.filter2D(
      np.ascontiguousarray(image), -1, np.asarray(kernel)[::-1, ::-1],
      borderType=cv2.BORDER_CONSTANT).reshape(image.shape)


def state(planes):
  """The module's formula in NumPy, for planes in a list, front to back."""
  layers = []
  for light, weight, kernels, starts in planes:
    if starts or not layers:
      layers.append([0, 0])
    layers[-1][0] = layers[-1][0] + np.stack(
        [convolve(light[..., c] * weight[..., 0], kernels[c])
         for c in range(3)], axis=-1)
    layers[-1][1] = layers[-1][1] + np.stack(
        [convolve(weight[..., 0], kernels[c]) for c in range(3)], axis=-1)
  image, seen = 0, 1
  for light, cover in layers:
    image = image + seen * light
    seen = seen * (1 - np.clip(cover, 0, 1))
  return image


def draw_scene():
  """Three layers; the farthest one is of two slices."""
  random = np.random.default_rng(0)
  ramp = np.linspace(0, 1, 40, dtype=np.float32)[None, :, None].repeat(36, 0)
  disc = np.hypot(*np.mgrid[-18:18, -20:20]) < 9
  stripe = np.abs(np.mgrid[-18:18, -20:20][1]) < 2
  weights = [stripe[..., None], disc[..., None], ramp, 1 - ramp]
  radii, starts = (5.0, 0.0, 2.0, 4.0), (False, True, True, False)
  return [
      (2 * random.random((36, 40, 3), np.float32),
       weight.astype(np.float32),
       np.stack([psf.disc(r * scale, size=13) for scale in (0.9, 1, 1.1)]),
       begins)
      for weight, r, begins in zip(weights, radii, starts)]


def stack(planes, **more):
  light, weight, kernels, starts = (
      jnp.asarray(np.stack(part)) for part in zip(*planes))
  return Plane(light, weight, kernels[:, None], starts, **more)


def test_planes_are_composed_as_the_formula_says():
  planes = draw_scene()
  rendered = render(stack(planes))
  inside = np.s_[6:-6, 6:-6]
  np.testing.assert_allclose(
      rendered[0][inside], state(planes)[inside], atol=2e-5)


def test_what_nothing_lies_behind_needs_no_cover():
  planes = draw_scene()
  hides = jnp.array([True, True, False, False])
  np.testing.assert_allclose(
      render(stack(planes, hides=hides)),
      render(stack(planes)), atol=1e-6)


def test_the_sharp_scene_and_its_radii_come_with_the_views():
  planes = draw_scene()
  radii = jnp.array([5.0, 0.0, 2.0, 4.0])
  stacked = stack(planes, radius=radii)
  _, sharp, radius = jax.jit(lambda count: rendering.render_each(
      lambda p: jax.tree.map(lambda part: part[p] if jnp.ndim(part) else part,
                             stacked), count))(4)
  light, weight = np.asarray(stacked.light), np.asarray(stacked.weight)
  far = light[2] * weight[2] + light[3] * weight[3]
  middle = weight[1] * light[1] + (1 - weight[1]) * far
  np.testing.assert_allclose(
      sharp, weight[0] * light[0] + (1 - weight[0]) * middle, atol=1e-6)
  at = np.s_[0, 30, 0]  # Only the farthest layer is seen there.
  assert radius[at] == pytest.approx(
      2 * weight[2][at] + 4 * weight[3][at], abs=1e-5)
  assert radius[18, 20, 0] == 5  # The stripe.


def test_the_views_agree_with_rays_through_the_aperture():
  """A pixel of the picture is the mean over points of the aperture: each sees
  a far plane that is moved by the far radius, unless the near plane, moved by
  the near one, hides it. Light that passes two borders needs a product of means
  instead of a mean of products, so there the formula is off by a little."""
  random = np.random.default_rng(1)
  far, near = (
      cv2.GaussianBlur(random.random((64, 64, 3), np.float32), (0, 0), 2)
      for _ in range(2))
  mask = np.zeros((64, 64, 1), np.float32)
  mask[:, :30] = 1
  radii = {'near': -6.0, 'far': 4.0}
  total, count = 0, 0
  for u in np.linspace(-0.95, 0.95, 20):
    for v in np.linspace(-0.95, 0.95, 20):
      if u ** 2 + v ** 2 > 1:
        continue

      def move(image, radius, u=u, v=v):
        matrix = np.float32([[1, 0, radius * u], [0, 1, radius * v]])
        return cv2.warpAffine(image, matrix, (64, 64)).reshape(image.shape)

      covers = move(mask, radii['near'])
      total = total + covers * move(near, radii['near']) + (
          1 - covers) * move(far, radii['far'])
      count += 1
  kernels = {name: psf.disc(abs(r), size=17) for name, r in radii.items()}
  rendered = rendering.render(Plane(
      jnp.stack([near, far]), jnp.stack([mask, np.ones_like(mask)]),
      jnp.stack([jnp.stack([kernels[name]] * 3)[None]
                 for name in ('near', 'far')]),
      jnp.array([False, True])))[0]
  inside = np.s_[10:-10, 10:-10]
  difference = np.abs(rendered - total / count)[inside]
  assert difference.max() < 0.035
  away = np.abs(np.arange(64) - 29.5)[10:-10] > 8  # From the border of depth.
  assert difference[:, away].max() < 0.012


def test_methods_of_convolution_agree():
  random = np.random.default_rng(0)
  image = jnp.asarray(random.random((21, 34, 3), np.float32))
  kernels = jnp.asarray(random.random((2, 3, 7, 7), np.float32))
  fast, direct = (rendering.convolve(image, kernels, method)
                  for method in ('fft', 'direct'))
  np.testing.assert_allclose(fast, direct, atol=2e-5)
  for view in range(2):
    for channel in range(3):
      np.testing.assert_allclose(
          fast[view, ..., channel],
          convolve(np.asarray(image)[..., channel], kernels[view, channel]),
          atol=2e-5)


def test_rendering_has_slopes_in_the_lens():
  planes = stack(draw_scene())

  def brightness(radius):
    kernel = psf.disc(radius, size=13)
    kernels = jnp.broadcast_to(kernel, planes.kernels.shape)
    rendered = rendering.render(Plane(
        planes.light, planes.weight, kernels, planes.starts_layer))
    return rendered[0, 18, 10, 0]

  brightness = jax.jit(brightness)
  slope = jax.jit(jax.grad(brightness))(3.0)
  assert slope == pytest.approx(
      float(brightness(3.05) - brightness(2.95)) / 0.1, rel=0.05)


def make_depths(count):
  kernels = [jnp.stack([psf.disc(r, size=13)] * 3)[None]
             for r in np.linspace(5, 0.5, count)]
  return jnp.stack(kernels)


def test_one_depth_everywhere_is_plain_blur():
  light = jnp.asarray(np.random.default_rng(0).random((32, 40, 3), np.float32))
  kernels = make_depths(4)
  rendered = render_depth(light, jnp.full((32, 40), 1.0), kernels)
  inside = np.s_[8:-8, 8:-8]
  np.testing.assert_allclose(
      rendered[0][inside],
      rendering.convolve(light, kernels[1])[0][inside], atol=2e-3)


def test_depth_that_slopes_neither_darkens_nor_brightens():
  """Uniform light stays uniform whatever its depth, between planes too."""
  ones = jnp.ones((32, 48, 3))
  slope = jnp.broadcast_to(jnp.linspace(0, 3, 48)[None], (32, 48))
  steps = jnp.where(slope > 1.5, 3.0, 0.0)
  for position in (slope, steps):
    rendered = render_depth(ones, position, make_depths(4))
    np.testing.assert_allclose(rendered[0][8:-8, 8:-8], 1, atol=0.01)


def test_near_covers_far():
  """A near blurred square does not take light of the far plane inside it."""
  light = jnp.zeros((48, 48, 3)).at[16:32, 16:32].set(1.0)
  position = jnp.full((48, 48), 3.0).at[16:32, 16:32].set(0.0)
  rendered = render_depth(light, position, make_depths(4))[0]
  assert rendered[24, 24, 0] == pytest.approx(1, abs=0.01)
  assert 0.3 < rendered[24, 15, 0] < 0.6  # Half of it lies at the border.


def test_pixels_without_depth_are_refused():
  light, position = jnp.ones((8, 8, 3)), np.ones((8, 8), np.float32)
  position[2, 3] = np.nan
  with pytest.raises(UserError, match='Some pixels have no depth'):
    rendering.render_depth(light, jnp.asarray(position), make_depths(2))
