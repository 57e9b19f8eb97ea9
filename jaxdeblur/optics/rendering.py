"""Defocus rendered from planes at different depths, in linear light.

A scene is a list of planes, front to back. Planes of one layer lie beside each
other: they are the slices of a surface whose depth slopes, and their light adds
up. A layer covers the layers behind it, as far as its blurred mask does:

  B = sum over layers l of S_l prod over layers k in front of l (1 - A_k),
  S_l = sum over planes p of l of h_p * (light_p weight_p),
  A_l = sum over planes p of l of h_p * weight_p,

where * is a convolution (Xin et al. 2021). The layers behind are complete: they
go on where others hide them.
"""

from collections.abc import Callable
import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from jaxdeblur.errors import UserError

Method = Literal['fft', 'direct']


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Plane:
  """A part of a scene at one depth, or planes stacked along a first axis.

  Attributes:
    light: linear light; it may be above 1.
    weight: where the plane is, in [0, 1].
    kernels: PSF of each view and colour.
    starts_layer: whether the plane begins a layer behind those before it.
    hides: whether there may be layers behind it.
    radius: signed radius of its blur, px; only for the map of radii.
  """
  light: Float[Array, '*p h w 3']
  weight: Float[Array, '*p h w 1']
  kernels: Float[Array, '*p v 3 k k']
  starts_layer: Array | bool
  hides: Array | bool = True
  radius: Array | float = 0.0


def render(planes: Plane) -> Float[Array, 'v h w 3']:
  """Renders stacked planes, front to back; see the module.

  Within half a kernel of the border the result has no meaning: cut it off, or
  pad the planes first.
  """
  rendered, *_ = render_each(
      lambda p: jax.tree.map(
          lambda stacked: stacked[p] if jnp.ndim(stacked) else stacked, planes),
      planes.light.shape[0])
  return rendered


def render_each(
    make_plane: Callable[[Array | int], Plane], count: Array | int
) -> tuple[
    Float[Array, 'v h w 3'], Float[Array, 'h w 3'], Float[Array, 'h w 1']]:
  """Renders planes that are made one after the other, when they are needed.

  Args:
    make_plane: makes the plane of a number, from 0 at the front.
    count: the number of planes. If it is traced, there are no gradients.

  Returns:
    The views and the scene without blur, in linear light, and the radius of the
    blur of what is seen in the latter.
  """
  def make_arrays():
    plane = make_plane(0)
    return plane.light, plane.kernels

  light, kernels = jax.eval_shape(make_arrays)
  views, size = kernels.shape[0], light.shape[:2]
  blurred = _Composition.begin((views, *size, 3))
  sharp = _Composition.begin((*size, 4))  # The last channel is the radius.

  def add(index, compositions):
    blurred, sharp = compositions
    plane = make_plane(index)
    light, cover = _blur_plane(plane)
    unblurred = jnp.concatenate(
        [plane.light, jnp.full((*size, 1), plane.radius)], axis=-1)
    return (blurred.add(light, cover, plane.starts_layer),
            sharp.add(unblurred * plane.weight,
                      jnp.broadcast_to(plane.weight, unblurred.shape),
                      plane.starts_layer))

  blurred, sharp = jax.lax.fori_loop(0, count, add, (blurred, sharp))
  return blurred.image, sharp.image[..., :3], sharp.image[..., 3:]


def render_depth(
    light: Float[Array, 'h w 3'],
    position: Float[Array, 'h w'],
    kernels: Float[Array, 'p v 3 k k'],
) -> Float[Array, 'v h w 3']:
  """Renders one picture with a depth of its own for every pixel.

  Behind what is near, nothing is known. So the light of each depth is divided
  by how much of it, and of all behind it, the blur finds (Ikoma et al. 2021),
  before the depths cover each other, front to back.

  Args:
    light: linear light.
    position: place of each pixel's depth among the kernels, 0 for the first
      (front); between two whole numbers a pixel belongs to both.
    kernels: the PSFs of each depth, front to back, of each view and colour.

  Raises:
    UserError: a position is not a number (if it is not traced).
  """
  _check_positions(position)
  count = kernels.shape[0]
  numbers = jnp.arange(count, dtype=position.dtype)[:, None, None]
  clipped = jnp.clip(position, 0, count - 1)[None]
  weights = jnp.maximum(1 - jnp.abs(clipped - numbers), 0)[..., None]
  behind = jnp.cumsum(weights[::-1], axis=0)[::-1]

  def add(p, carry):
    image, seen = carry
    blurred = convolve(light * weights[p], kernels[p])
    found = convolve(
        jnp.broadcast_to(behind[p], light.shape), kernels[p]) + 1e-3
    cover = convolve(
        jnp.broadcast_to(weights[p], light.shape), kernels[p]) / found
    return (image + seen * blurred / found,
            seen * (1 - jnp.clip(cover, 0, 1)))

  shape = (kernels.shape[1], *light.shape)
  image, seen = jax.lax.fori_loop(
      0, count, add, (jnp.zeros(shape), jnp.ones(shape)))
  # Where something near lets through what lies behind it, that is unknown: the
  # light that is known fills its place.
  return image / jnp.maximum(1 - seen, 1e-3)


def convolve(
    image: Float[Array, 'h w c'],
    kernels: Float[Array, 'v c k k'],
    method: Method = 'fft',
) -> Float[Array, 'v h w c']:
  """Convolves each channel of a picture with the kernels of all views.

  Outside the picture there is nothing, so that half a kernel at the border gets
  too little light.

  Args:
    image: the picture.
    kernels: a kernel for each view and channel.
    method: 'fft' or 'direct'. On a CPU, FFTs are faster from 3 x 3 px on
      (studies/blurring.py); for other devices this is not measured.
  """
  if method == 'direct':
    return _convolve_directly(image, kernels)
  half = kernels.shape[-1] // 2
  shape = tuple(_fast_length(length + half) for length in image.shape[:2])
  passed = _transform_kernels(kernels, shape)
  spectrum = _transform(image, shape)
  return _transform_back(spectrum[None] * passed, shape, image.shape[:2])


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Composition:
  """A picture that planes are added to, front to back.

  Attributes:
    image: the light so far.
    seen: how much the finished layers leave visible.
    cover: how much the present layer covers.
  """
  image: Array
  seen: Array
  cover: Array

  @classmethod
  def begin(cls, shape) -> '_Composition':
    return cls(jnp.zeros(shape), jnp.ones(shape), jnp.zeros(shape))

  def add(self, light, cover, starts_layer) -> '_Composition':
    passed = jnp.where(starts_layer, 1 - jnp.clip(self.cover, 0, 1), 1)
    seen = self.seen * passed
    before = jnp.where(starts_layer, 0, self.cover)
    return _Composition(self.image + seen * light, seen, before + cover)


def _blur_plane(plane: Plane) -> tuple[Array, Array]:
  """Blurs a plane's light and its mask, each [v, h, w, 3]."""
  size = plane.light.shape[:2]
  # What wraps around reaches the border only, which is of no use anyway.
  shape = tuple(map(_fast_length, size))
  passed = _transform_kernels(plane.kernels, shape)
  light = _transform(plane.light * plane.weight, shape)
  blurred = _transform_back(light[None] * passed, shape, size)

  def blur_mask():
    mask = _transform(plane.weight, shape)
    return _transform_back(mask[None] * passed, shape, size)

  return blurred, jax.lax.cond(
      plane.hides, blur_mask, lambda: jnp.zeros_like(blurred))


def _fast_length(length: int) -> int:
  """The next even length with small factors, which FFTs are fast for."""
  while True:
    rest = length
    for factor in (2, 3, 5):
      while rest % factor == 0:
        rest //= factor
    if rest == 1 and length % 2 == 0:
      return length
    length += 1


def _transform(image: Float[Array, 'h w c'], shape) -> Array:
  """[h, w, c] -> spectrum [c, n, m]."""
  return jnp.fft.rfft2(jnp.moveaxis(image, -1, 0), s=shape)


def _transform_kernels(kernels: Float[Array, 'v c k k'], shape) -> Array:
  """Spectra of kernels whose middle pixel lies at the origin."""
  half = kernels.shape[-1] // 2
  padded = jnp.pad(kernels, ((0, 0), (0, 0), *(
      (0, length - kernels.shape[-1]) for length in shape)))
  return jnp.fft.rfft2(jnp.roll(padded, (-half, -half), axis=(-2, -1)))


def _transform_back(spectrum, shape, size) -> Float[Array, 'v h w c']:
  images = jnp.fft.irfft2(spectrum, s=shape)[..., :size[0], :size[1]]
  return jnp.moveaxis(images, 1, -1)


def _convolve_directly(image, kernels) -> Float[Array, 'v h w c']:
  views, channels, size = kernels.shape[:3]
  # Channel after channel, each with the kernels of all views; XLA correlates.
  mirrored = kernels[:, :, ::-1, ::-1].transpose(2, 3, 1, 0).reshape(
      size, size, 1, channels * views)
  out = jax.lax.conv_general_dilated(
      image[None], mirrored, (1, 1), 'SAME', feature_group_count=channels,
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
  out = out.reshape(*image.shape[:2], channels, views)
  return jnp.moveaxis(out, -1, 0)


def _check_positions(position) -> None:
  if isinstance(position, jax.core.Tracer):
    return
  if not np.isfinite(np.asarray(position)).all():
    raise UserError(
        'Some pixels have no depth (NaN or infinite): fill them before '
        'rendering.', argument='depth')
