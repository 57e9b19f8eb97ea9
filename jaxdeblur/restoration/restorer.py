"""A trained network that restores pictures."""

from collections.abc import Mapping
import dataclasses
import math
from typing import Any
import warnings

from etils import epath
import jax
from jax.sharding import Mesh
import ml_collections
import numpy as np

from jaxdeblur.checkpoints import CheckpointError, Weights, load_weights
from jaxdeblur.compilation import jit
from jaxdeblur.errors import UserError
from jaxdeblur.models import compute as how
from jaxdeblur.models.feature_networks import FeatureNetwork
from jaxdeblur.partitioning import make_mesh, replicated, split_rows
from jaxdeblur.restoration import given
from jaxdeblur.restoration.fitting import fit_views, resize
from jaxdeblur.restoration.options import RestoreOptions
from jaxdeblur.restoration.panels import Inspection
from jaxdeblur.restoration.tiling import Span, restore_in_tiles
from jaxdeblur.restoration.view_order import describe_order


def load(
    path: epath.PathLike,
    pick: str = 'latest',
    mesh: Mesh | None = None,
    compute: how.Compute = how.DEFAULT,
) -> 'Restorer':
  """Loads weights by name or folder, ready to restore.

  Args:
    path: 'starter', the weights that come with the package; a folder of
      weights (trained or converted); or a training's workdir.
    pick: the checkpoint of a training to load: 'latest', or 'best' in
      validation.
    mesh: devices that share the rows of each picture; one device by default.
    compute: how the network computes.

  Raises:
    CheckpointError: there is no checkpoint, it cannot be read, or it holds a
      feature network.
  """
  weights = load_weights(path, pick, compute)
  if isinstance(weights.model, FeatureNetwork):
    raise CheckpointError(
        f'{weights.path} holds {weights.settings["name"]}, which compares '
        'pictures and restores none: it is for the feature loss in training.')
  return Restorer(weights, mesh)


def load_as_configured(
    config: ml_collections.ConfigDict, path: epath.PathLike
) -> 'Restorer':
  """Loads weights as `load` does, with the options of a config.

  Args:
    config: `compute`, `mesh`, and `restore.pick`.
    path: see `load`.
  """
  mesh = (make_mesh(config.mesh.to_dict()) if config.mesh.height > 1
          else None)
  return load(path, config.restore.pick, mesh, how.Compute(**config.compute))


class ViewOrderWarning(UserWarning):
  """The left and right views may have been exchanged."""


class Restorer:
  """Restores pictures of any size with one network.

  Attributes:
    weights: the network and its parameters.
  """

  def __init__(self, weights: Weights, mesh: Mesh | None = None):
    """Takes the weights, and the devices that share each picture."""
    self.weights = weights
    model = weights.model
    self._variables = jax.device_put(
        weights.variables, None if mesh is None else replicated(mesh))

    def share(views):
      return views if mesh is None else split_rows(views, mesh)

    # Returns only the estimate, so that XLA never keeps the kernels. It is not
    # clipped yet, since it may still be shrunk.
    self._apply = jit(
        lambda variables, views: model.apply(variables, share(views)).estimate)
    options = {'reblur': True} if model.can_reblur else {}
    self._inspect = jit(lambda variables, views: model.apply(
        variables, share(views), mutable='intermediates', **options))

  def __repr__(self) -> str:
    model, settings = self.weights.model, dict(self.weights.settings)
    name = settings.pop('name')
    settings.pop('views', None)
    described = [name, *(f'{key}={value}' for key, value in settings.items())]
    count = sum(math.prod(np.shape(array))
                for array in jax.tree.leaves(self.weights.params))
    field = model.receptive_field
    return (
        f'<Restorer: {" ".join(described)}; {count / 1e6:.2f} M parameters; '
        f'views {", ".join(model.required_views)}; receptive field '
        f'{"all of the picture" if field is None else f"{field} px"}; '
        f'weights {self.weights.digest()}>')

  def restore(
      self,
      picture: Any = None,
      *,
      left: Any = None,
      right: Any = None,
      views: Mapping[str, Any] | None = None,
      options: RestoreOptions | None = None,
      as_float: bool = False,
      **changes: Any,
  ) -> Any:
    """Restores a picture.

    Args:
      picture: the photograph: a NumPy array, sRGB, uint8, uint16 or float in
        [0, 1], [h, w, 3]; grey [h, w] or [h, w, 1]; with alpha [h, w, 4], which
        comes back unchanged; a batch [n, h, w, 3]; a PIL picture; or the path
        of a picture file, whose pixels are restored upright and without alpha.
      left: the left dual-pixel view in the same form, for a network that reads
        it.
      right: the right dual-pixel view.
      views: instead, all views by name: 'center', 'left' and 'right'.
      options: see `RestoreOptions`; the defaults if None.
      as_float: whether to return unquantised floats, also for pictures of
        integers.
      **changes: single options, as in `restore(picture, tile=1024)`.

    Returns:
      The restored picture, in the input's shape and type: a PIL picture for a
      PIL picture, else an array; float32 if `as_float`.

    Warns:
      ViewOrderWarning: the views are shifted to the side that the network does
        not compare.

    Raises:
      UserError: the views are not those that the network reads, differ in
        size or type, or hold no picture; or an option is impossible.
    """
    options = dataclasses.replace(options or RestoreOptions(), **changes)
    views, give_back = given.read(
        views or {'center': picture, 'left': left, 'right': right},
        self.weights.model.required_views)
    restored = [
        self._run({name: view[i] for name, view in views.items()}, options)[0]
        for i in range(len(next(iter(views.values()))))]
    return give_back(np.stack(restored), as_float)

  def inspect(
      self,
      views: Mapping[str, Any],
      options: RestoreOptions | None = None,
  ) -> tuple[Any, Inspection]:
    """Restores a picture, and also returns the network's full output for it.

    Args:
      views: the views of one picture, by name; each as `restore` takes it.
      options: as in `restore`. If the picture is restored in tiles, the tile in
        the middle is inspected.

    Returns:
      The result of `restore`, and the inspection, both from the same run.
    """
    read, give_back = given.read(views, self.weights.model.required_views)
    restored, inspection = self._run(
        {name: view[0] for name, view in read.items()},
        options or RestoreOptions(), inspects=True)
    return give_back(restored[None], False), inspection

  def _run(
      self,
      views: Mapping[str, np.ndarray],
      options: RestoreOptions,
      inspects: bool = False,
  ) -> tuple[np.ndarray, Inspection | None]:
    """Restores one picture: float32 [h, w, 3] in [0, 1]."""
    model = self.weights.model
    self._warn_of_order(views)
    height, width = next(iter(views.values())).shape[:2]
    views = fit_views(views, model.padded_multiple, options.fit)
    inspection = None

    def restore(window, rows: Span, columns: Span):
      nonlocal inspection
      batch = {name: view[None] for name, view in window.items()}
      middle = all(
          span.tile.start <= length // 2 < span.tile.stop
          for span, length in ((rows, height), (columns, width)))
      if not (inspects and middle):
        return np.asarray(self._apply(self._variables, batch))[0]
      restored, changed = jax.tree.map(
          np.asarray, self._inspect(self._variables, batch))
      inspection = Inspection(
          restored, changed.get('intermediates', {}), rows.window,
          columns.window)
      return restored.estimate[0]

    halo = model.halo if options.halo is None else options.halo
    if options.tile is not None and halo is None:
      raise UserError(
          f'{type(model).__name__} sees all of a picture and has no halo: '
          'restore pictures whole, or give a halo.', argument='tile')
    restored = restore_in_tiles(
        restore, views, tile=options.tile, halo=halo or 0,
        multiple=model.padded_multiple)
    if options.fit == 'resize':
      restored = resize(restored, height, width)
    return np.clip(restored[:height, :width], 0, 1), inspection

  def _warn_of_order(self, views: Mapping[str, np.ndarray]) -> None:
    if {'left', 'right'} <= set(views):
      sentence = describe_order(
          views['left'], views['right'], self.weights.model.seen_side)
      if sentence:
        warnings.warn(sentence, ViewOrderWarning, stacklevel=4)


