"""A trained network that restores NumPy pictures."""

import warnings

import cv2
from etils import epath
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

from jaxdeblur.checkpoints import CheckpointError, Weights, load_weights
from jaxdeblur.compilation import jit
from jaxdeblur.models.feature_networks import FeatureNetwork
from jaxdeblur.models.restored import Restored
from jaxdeblur.ops.resize import resize_bicubic
from jaxdeblur.partitioning import replicated, split_rows
from jaxdeblur.restoration.tiling import restore_in_tiles
from jaxdeblur.restoration.view_order import describe_order

FITS = ('pad', 'resize')

_SMALLEST_SIDE = 2  # A border of one pixel has nothing to be mirrored.


def load(
    path: epath.PathLike, pick: str = 'latest', mesh: Mesh | None = None
) -> 'Restorer':
  """Loads 'starter', or a checkpoint's folder, ready to restore.

  Args:
    path: 'starter', the weights that come with the package; a folder of
      weights (trained or converted); or a training's workdir.
    pick: which checkpoint of a training: 'latest', or 'best' in validation.
    mesh: devices that share the rows of each picture; one device by default.

  Raises:
    CheckpointError: there is no checkpoint, it cannot be read, or it is a
      feature network's.
  """
  weights = load_weights(path, pick)
  if isinstance(weights.model, FeatureNetwork):
    raise CheckpointError(
        f'{weights.path} holds {weights.settings["name"]}, which compares '
        'pictures and restores none: it is for config.train.feature_weights.')
  return Restorer(weights, mesh)


class ViewOrderWarning(UserWarning):
  """Dual-pixel views may have been given in exchange."""


class Restorer:
  """Restores pictures of any size with one network.

  Attributes:
    weights: the network and its parameters.
  """

  def __init__(self, weights: Weights, mesh: Mesh | None = None):
    """Takes a network, and the devices that share each picture; see `load`."""
    self.weights = weights
    model = weights.model
    self._variables = jax.device_put(
        weights.variables, None if mesh is None else replicated(mesh))

    # Only the picture is asked for, so XLA never keeps the kernels.
    def estimate(variables, views):
      shared = views if mesh is None else split_rows(views, mesh)
      return _estimate(model.apply(variables, shared))

    self._apply = jit(estimate)
    options = {'reblur': True} if model.reblurs else {}
    self._inspect = jit(lambda variables, views: model.apply(
        variables, views, mutable='intermediates', **options))

  def restore(
      self,
      picture: np.ndarray | None = None,
      *,
      left: np.ndarray | None = None,
      right: np.ndarray | None = None,
      tile: int | None = None,
      halo: int | None = None,
      fit: str = 'pad',
      as_float: bool = False,
  ) -> np.ndarray:
    """Restores a picture.

    Args:
      picture: the photograph, [h, w, 3] sRGB; uint8, uint16, or float in
        [0, 1].
      left: the left dual-pixel view, for a network that reads it.
      right: the right dual-pixel view.
      tile: restores in tiles of tile x tile px, each with the network's
        receptive field around it, which bounds the memory and gives the same
        result but for roundings; None restores the picture whole. One
        compilation serves all pictures larger than a tile with its
        surroundings. K3DN sees all of a picture at once: its tiles nearly equal
        the whole (docs/k3dn.md).
      halo: pixels of surroundings that a tile is restored with, instead of the
        network's own choice; fewer leave seams.
      fit: how a picture gets a size that the network takes. 'pad' extends it by
        reflection and cuts the result back: no pixel is resampled. 'resize'
        enlarges it and shrinks the result back, bicubically, as K3DN's authors
        evaluate (Yang et al. 2023, supplement C): integers stay integers while
        they are enlarged, and the result is clipped after it is shrunk.
      as_float: returns the result as it leaves the network, unquantised, also
        for pictures of integers.

    Returns:
      The restored picture, of the picture's size and type, or float32.

    Warns:
      ViewOrderWarning: the views' shift is one that the network cannot compare.

    Raises:
      ValueError: the views are not those that the network reads, differ in
        size or type, or hold no picture.
    """
    if tile is not None and tile < 1:
      raise ValueError(
          f'Tiles of {tile} px cannot be restored: config.restore.tile is a '
          'number of pixels, or 0 to restore pictures whole.')
    views = self._check_views(
        {'center': picture, 'left': left, 'right': right})
    self._warn_of_order(views)
    first = next(iter(views.values()))
    height, width = first.shape[:2]
    top = _top_value(first.dtype)
    views = {name: self._fit(view, fit) for name, view in views.items()}
    model = self.weights.model
    if tile is None:
      restored = self._restore_window(views)
    else:
      if halo is None:
        halo = model.receptive_field or model.approximate_halo
      restored = restore_in_tiles(
          self._restore_window, views, tile=tile, halo=halo,
          multiple=model.size_multiple)
    if fit == 'resize':
      restored = _resize(restored, height, width)
    restored = np.clip(restored[:height, :width], 0, 1)
    if as_float:
      return restored
    if top == 1:
      return restored.astype(first.dtype)
    return np.round(restored * top).astype(first.dtype)

  def inspect(
      self,
      picture: np.ndarray | None = None,
      *,
      left: np.ndarray | None = None,
      right: np.ndarray | None = None,
      fit: str = 'pad',
  ) -> tuple[Restored, dict]:
    """Restores a picture whole and returns all that the network makes of it.

    Args:
      picture: as `restore`.
      left: as `restore`.
      right: as `restore`.
      fit: as `restore`.

    Returns:
      What the model returns, reblurred where it can, for the picture at the
      size that the network takes, as a batch of one; and the collection
      `intermediates` of that call. All arrays are NumPy's.
    """
    views = self._check_views(
        {'center': picture, 'left': left, 'right': right})
    batch = {name: self._fit(view, fit)[None] for name, view in views.items()}
    restored, changed = self._inspect(self._variables, batch)
    return jax.tree.map(
        np.asarray, (restored, changed.get('intermediates', {})))

  def _warn_of_order(self, views: dict[str, np.ndarray]) -> None:
    if 'left' in views:
      sentence = describe_order(
          views['left'], views['right'], self.weights.model.seen_side)
      if sentence:
        warnings.warn(sentence, ViewOrderWarning, stacklevel=3)

  def _restore_window(self, views: dict[str, np.ndarray]) -> np.ndarray:
    batch = {name: view[None] for name, view in views.items()}
    return np.asarray(self._apply(self._variables, batch))[0]

  def _fit(self, view: np.ndarray, fit: str) -> np.ndarray:
    """Gives a view a size that the network takes, as floats in [0, 1]."""
    if fit not in FITS:
      raise ValueError(
          f'config.restore.fit is {fit!r}: choose one of {", ".join(FITS)}.')
    rows, columns = (
        -length % multiple for length, multiple in
        zip(view.shape[:2], self.weights.model.size_multiple))
    if fit == 'resize':
      view = _resize(view, view.shape[0] + rows, view.shape[1] + columns)
    else:
      view = np.pad(view, ((0, rows), (0, columns), (0, 0)), mode='reflect')
    scaled = view.astype(np.float32) / _top_value(view.dtype)
    return np.clip(scaled, 0, 1)  # Resized floats overshoot.

  def _check_views(self, given) -> dict[str, np.ndarray]:
    given = {name: np.asarray(view) for name, view in given.items()
             if view is not None}
    required = self.weights.model.required_views
    if set(given) != set(required):
      raise ValueError(
          f'This network reads the views {", ".join(required)}; got '
          f'{", ".join(given) or "none"}.')
    for name, view in given.items():
      _check_picture(name, view)
    (first, picture), *others = given.items()
    for name, view in others:
      if view.shape != picture.shape or view.dtype != picture.dtype:
        raise ValueError(
            f'The views differ: {first} is {picture.shape} {picture.dtype}, '
            f'{name} is {view.shape} {view.dtype}. Re-export them alike.')
    return given


def _estimate(restored: Restored) -> jax.Array:
  """The picture before it is clipped: it may yet be shrunk."""
  return restored.pyramid[-1] if restored.pyramid else restored.image


def _resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
  """Resizes bicubically; integers are rounded and clipped, floats are not."""
  if picture.shape[:2] == (height, width):
    return picture
  if picture.dtype.kind in 'iu':
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
  return np.asarray(
      resize_bicubic(
          jnp.asarray(picture, jnp.float32)[None], height, width)[0])


def _check_picture(name: str, view: np.ndarray) -> None:
  if view.ndim != 3 or view.shape[2] != 3:
    raise ValueError(
        f'The {name} view has shape {view.shape}; expected [height, width, 3] '
        'in RGB. Repeat a grey picture three times, take alpha off first.')
  if min(view.shape[:2]) < _SMALLEST_SIDE:
    raise ValueError(
        f'The {name} view is {view.shape[0]} x {view.shape[1]} px; there is '
        f'nothing to restore below {_SMALLEST_SIDE} x {_SMALLEST_SIDE} px.')
  if view.dtype.kind == 'f' and not (view.min() >= 0 and view.max() <= 1):
    raise ValueError(
        f'The {name} view holds values from {view.min()} to {view.max()}; '
        'floats must lie in [0, 1].')
  _top_value(view.dtype)


def _top_value(dtype: np.dtype) -> int:
  """What stands for 1 in a picture of this type."""
  if dtype in (np.uint8, np.uint16):
    return np.iinfo(dtype).max
  if dtype.kind == 'f':
    return 1
  raise ValueError(
      f'A picture of type {dtype} cannot be restored: convert it to uint8, '
      'uint16 or float in [0, 1].')
