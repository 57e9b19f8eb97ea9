"""Training pairs with random defocus, rendered on the device from tiles."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, UInt8
import numpy as np

from jaxdeblur.optics import light_field
from jaxdeblur.optics.bank import Bank
from jaxdeblur.optics.light import expand_highlights
from jaxdeblur.optics.light_field import LightField
from jaxdeblur.optics.pair_plan import Draws, PairPlan, tile_to_light
from jaxdeblur.optics.rendering import render_depth, render_each
from jaxdeblur.optics.settings import DEPTH_PLANES, DefocusSettings

Views = dict[str, Array]


def render_pair(
    tiles: UInt8[Array, 'layers h w channels']
    | UInt8[np.ndarray, 'layers h w channels'],
    key: Key[Array, ''],
    settings: DefocusSettings,
    bank: Bank | None = None,
) -> Views:
  """Renders one training pair.

  Args:
    tiles: sharp pictures of the size `settings.window`. For scenes of layers,
      one for each layer that there may be, the farthest first. For scenes with
      depth, one picture whose fourth channel is how near a pixel is. For light
      fields, their views row by row.
    key: decides everything that is drawn.
    settings: what is drawn.
    bank: measured kernels, for `settings.bank_share`.

  Returns:
    'center', 'sharp', and 'left', 'right' if asked, display values float32
    [height, width, 3] in [0, 1]; and 'radius' [height, width, 1], the signed
    radius of the blur of what is seen in 'sharp', px, which is NaN for light
    fields: they do not say.
  """
  draws = Draws.from_key(key, settings)
  rendered = _render_scene(jnp.asarray(tiles), draws, settings, bank)
  return _photograph(*rendered, draws.noise, settings)


def render_pairs(
    tiles: UInt8[Array, 'b layers h w channels'],
    keys: Key[Array, ' b'],
    settings: DefocusSettings,
    bank: Bank | None = None,
    in_turn: bool = False,
) -> Views:
  """Renders a batch; see `render_pair`.

  Args:
    in_turn: whether scenes are rendered one after the other. This is faster on
      CPUs: each scene then costs what its own number of planes costs.
  """
  def render(arguments):
    return _render_scene(*arguments, settings, bank)

  draws = jax.vmap(lambda key: Draws.from_key(key, settings))(keys)
  rendered = (jax.lax.map if in_turn else _map_at_once)(render, (tiles, draws))
  return jax.vmap(lambda *arguments: _photograph(*arguments, settings))(
      *rendered, draws.noise)


def _map_at_once(function, arguments):
  return jax.vmap(function)(arguments)


def _render_scene(tiles, draws: Draws, s: DefocusSettings, bank):
  """Renders the light of the views, the sharp light and the map of radii."""
  plan = PairPlan.make(draws, s, bank)
  render = {'layers': _render_layers, 'depth': _render_depth,
            'light_field': _render_light_field}[s.scene]
  return *(_cut(image, s) for image in render(tiles, plan, s, bank)), plan


def _render_layers(tiles, plan: PairPlan, s: DefocusSettings, bank):
  return render_each(
      lambda p: plan.scene.make_plane(
          tiles, p, lambda radius: plan.draw_kernels(radius, s, bank)),
      plan.scene.count)


def _render_depth(tiles, plan: PairPlan, s: DefocusSettings, bank):
  """Renders a photograph with its nearness, which is linear in disparity.

  So is the thin lens's circle of confusion.
  """
  light = expand_highlights(tile_to_light(tiles[0, ..., :3]), plan.scene.gain)
  distance = 1 - tiles[0, ..., 3].astype(jnp.float32) / 255
  # On one side of the plane in focus alone, that is the nearest or farthest.
  focus = {'both': plan.focus, 'left_first': 0.0, 'right_first': 1.0}[
      s.disparity if s.dual_pixel else 'both']
  scale = jnp.abs(plan.scene.radii[0]) / jnp.maximum(focus, 1 - focus)
  last = DEPTH_PLANES - 1
  kernels = jax.lax.map(
      lambda p: plan.draw_kernels(scale * (p / last - focus), s, bank),
      jnp.arange(DEPTH_PLANES, dtype=jnp.float32))
  views = render_depth(light, distance * last, kernels)
  return views, light, (scale * (distance - focus))[..., None]


def _render_light_field(tiles, plan: PairPlan, s: DefocusSettings, bank):
  """Refocuses a light field; measured kernels have no place here."""
  del bank
  side = math.isqrt(tiles.shape[0])
  light = expand_highlights(tile_to_light(tiles), plan.scene.gain)
  field = LightField(light.reshape(side, side, *light.shape[1:]))
  rendered = light_field.render(
      field, plan.disparity, plan.aperture * side / 2, plan.lens.softness)
  names = ('left', 'right') if s.dual_pixel else ('center',)
  views = jnp.stack([rendered[name] for name in names])
  unknown = jnp.full((*rendered['sharp'].shape[:2], 1), jnp.nan)
  return views, rendered['sharp'], unknown


def _photograph(
    light, sharp, radius, plan: PairPlan, noise, s: DefocusSettings
) -> Views:
  """Makes the pictures in the files of a camera, and mirrors half of them."""
  camera = plan.camera
  if s.dual_pixel:
    left, right = (camera.expose(view * gain, grain) for view, gain, grain in
                   zip(light, plan.gains, noise[1:]))
    # The photograph is the sum of both views, with the noise of both.
    exposed = {'center': (left + right) / 2, 'left': left, 'right': right}
  else:
    exposed = {'center': camera.expose(light[0], noise[0])}
  # A camera has noise either in light or in display values, so that both may
  # be the same draws.
  pair = {view: camera.develop(image, grain)
          for (view, image), grain in zip(exposed.items(), noise)}
  pair |= {'sharp': camera.make_truth(sharp), 'radius': radius}
  return _mirror(pair, plan.is_mirrored)


def _mirror(pair: Views, is_mirrored) -> Views:
  """Mirrors a pair in x, if asked; left and right then change places.

  The signs of the radii stay, since the exchange undoes what mirroring does to
  the side of the focus.
  """
  exchanged = {'left': 'right', 'right': 'left'}
  return {name: jnp.where(
      is_mirrored, pair[exchanged.get(name, name)][:, ::-1], image)
          for name, image in pair.items()}


def _cut(image, s: DefocusSettings):
  height, width = s.crop
  return image[..., s.margin:s.margin + height, s.margin:s.margin + width, :]
