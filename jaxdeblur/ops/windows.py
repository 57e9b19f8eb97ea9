"""Splitting maps into windows that do not overlap, and joining them again."""

from jaxtyping import Array, Float


def split_windows(
    x: Float[Array, 'b h w c'], height: int, width: int
) -> Float[Array, 'n i j c']:
  """Splits [b, h, w, c] to [b * rows * columns, height, width, c], row by row.

  Raises:
    ValueError: the map's sides are no multiples of the windows' sides.
  """
  b, h, w, c = x.shape
  if h % height or w % width:
    raise ValueError(
        f'A map of {h} x {w} cannot be split into windows of {height} x '
        f'{width}: pad it to multiples first.')
  x = x.reshape(b, h // height, height, w // width, width, c)
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, height, width, c)


def join_windows(
    windows: Float[Array, 'n i j c'], rows: int, columns: int
) -> Float[Array, 'b h w c']:
  """Undoes `split_windows`, given how many rows and columns there were."""
  n, height, width, c = windows.shape
  if n % (rows * columns):
    raise ValueError(
        f'{n} windows cannot be joined to maps of {rows} x {columns} windows.')
  x = windows.reshape(-1, rows, columns, height, width, c)
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(
      -1, rows * height, columns * width, c)
