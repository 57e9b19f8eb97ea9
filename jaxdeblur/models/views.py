"""Checks of the views that networks are given."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from jaxdeblur.errors import UserError


def check_views(
    network: str,
    names: Sequence[str],
    allowed: Sequence[Sequence[str]],
    views: Mapping[str, jax.Array],
    multiple: tuple[int, int],
) -> None:
  """Checks that a network can read its views.

  Args:
    network: its name in errors.
    names: the views that it was made for.
    allowed: the sets of views that it can be made for.
    views: the views given, [b, h, w, 3].
    multiple: its heights and widths are multiples of these, px.

  Raises:
    UserError: it cannot read these views.
  """
  if tuple(names) not in allowed:
    raise UserError(
        f'{network} reads the views {" or ".join(map(str, allowed))}; got '
        f'{tuple(names)}.')
  missing = [name for name in names if name not in views]
  if missing:
    raise UserError(
        f'{network} needs the views {tuple(names)}; {missing} missing among '
        f'{sorted(views)}.')
  shapes = {name: views[name].shape for name in names}
  shape = shapes[names[0]]
  if len(shape) != 4 or shape[3] != 3 or set(shapes.values()) != {shape}:
    raise UserError(
        f'{network} takes views [batch, height, width, 3] of one shape; got '
        f'{shapes}.')
  types = {name: views[name].dtype.name for name in names}
  if not all(jnp.issubdtype(views[name].dtype, jnp.floating) for name in names):
    raise UserError(
        f'{network} takes views of floating-point numbers in [0, 1]; got '
        f'{types}. Divide integers by their largest value first.')
  size = shape[1:3]
  if size[0] % multiple[0] or size[1] % multiple[1]:
    raise UserError(
        f'{network} takes heights that are multiples of {multiple[0]} and '
        f'widths that are multiples of {multiple[1]}; got {size[0]} x '
        f'{size[1]}. Pad the picture first.')


def widen(view: jax.Array) -> jax.Array:
  """Converts a view to at least float32: half precision rounds visibly."""
  return view.astype(jnp.promote_types(view.dtype, jnp.float32))
