"""The contract between a network and the rest of the program.

A network is a Flax Linen module, a subclass of `Network`. Its fields are its
settings. If it can read several sets of views, `views` is one of them. The base
class has defaults for everything except `__call__`.

Training, restoring, evaluation, the benchmarks and conversion use a network
only through this contract and `registry`; none of them knows a network by name.
To add a network, write a subclass and register it:

  @registry.register('my_network')
  class MyNetwork(Network):
    width: int = 16

    @nn.compact
    def __call__(self, views, *, train=False):
      ...
      return Restored(estimate)

Put the module into a folder of its own beside the others. Or register it from
your own package: in a config file, or as an entry point of the group
'jaxdeblur.networks', which is loaded when a name is unknown.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from flax import linen as nn
from jaxtyping import UInt8
import numpy as np

from jaxdeblur.models.published_names import PublishedNames
from jaxdeblur.models.restored import Restored

Params = Any  # Nested dicts of arrays.
Panel = UInt8[np.ndarray, '_h _w 3']

# Fields for how a network computes, not what. Checkpoints do not store them.
COMPUTE_FIELDS = ('dtype', 'remat', 'dynamic_conv_method')


def start_at_random(model: 'Network', params: Params) -> Params:
  """Leaves the parameters as the modules initialise them."""
  del model
  return params


class Network(nn.Module):
  """Base class of all restoring networks.

  `__call__(views, *, train=False) -> Restored` takes a dict of views: float32
  [batch, height, width, 3] in [0, 1], display-referred sRGB, height and width
  multiples of `smallest_multiple`. With `train`, batch normalisation uses the
  batch's statistics and updates the collection `batch_stats`. If `can_reblur`,
  it also takes `reblur=True`, and then returns `reblurred`.

  The fields in `COMPUTE_FIELDS` say how it computes: `dtype` (number type of
  the convolutions), `remat` (features are computed again for the gradients, to
  save memory) and `dynamic_conv_method`. They are optional, come from
  `config.compute`, and are not stored in checkpoints.

  Attributes (of the class, or properties):
    smallest_multiple: height and width of its input must be multiples of
      these, px.
    padded_multiple: pictures to restore are padded to multiples of these, px;
      `smallest_multiple` by default.
    receptive_field: the largest distance from which a pixel of the views can
      change the result, px; None if any pixel can, or if it is unknown. Tiles
      are exact with a halo as wide as this.
    halo: width of the surroundings that a tile is restored with, px;
      `receptive_field` by default. None: it cannot restore in tiles.
    seen_side: the side to which a dual-pixel network compares shifts, if only
      one: -1 if the right view's content must lie to the left of the left
      view's, 1 if to the right; None for both sides, or no comparison.
    can_reblur: whether it can blur its result again.
    starts: ways in which fresh parameters can start, name ->
      function(network, params) -> params.
    variants: name -> the settings it stands for, such as the paper's sizes.
    published: the names of the published weights; None if there are none.
  """
  smallest_multiple = (1, 1)
  receptive_field = None
  seen_side = None
  can_reblur = False
  starts: ClassVar[Mapping[str, Callable[['Network', Params], Params]]] = {
      'random': start_at_random}
  variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
  published: ClassVar[PublishedNames | None] = None

  @property
  def required_views(self) -> tuple[str, ...]:
    """The views that it reads, among 'center', 'left' and 'right'."""
    return tuple(getattr(self, 'views', ('center',)))

  @property
  def padded_multiple(self) -> tuple[int, int]:
    return self.smallest_multiple

  @property
  def halo(self) -> int | None:
    return self.receptive_field

  def adapt_params(self, params: Params, weights: Params) -> Params:
    """Fits trained parameters to this network where it can.

    This is for weights of a related network, such as one that reads fewer
    views.

    Args:
      params: this network's fresh parameters.
      weights: the trained parameters.

    Returns:
      The weights, changed where this network knows how. The caller refuses any
      that still differ in shape.
    """
    del params
    return weights

  def panels(
      self, restored: Restored, intermediates: Mapping[str, Any]
  ) -> dict[str, Panel]:
    """Draws how the network restored a picture.

    Args:
      restored: its output for one picture, as NumPy arrays; reblurred if
        `can_reblur`.
      intermediates: the collection `intermediates` of that call.

    Returns:
      Panels by name, each with its title and legend.
    """
    del restored, intermediates
    return {}
