"""The contract between a network and the rest of the program.

A network is a Flax Linen module, a subclass of `Network`. Its fields are its
settings. `views` is one of them where the network can read several sets of
views. The base class has a default for all else but `__call__`.

Training, restoring, evaluation, the benchmarks and conversion use a network
through this contract and through `registry` alone: none knows a network by
name. To add one, write a subclass and register it:

  @registry.register('my_network')
  class MyNetwork(Network):
    width: int = 16

    @nn.compact
    def __call__(self, views, *, train=False):
      ...
      return Restored(estimate)

Put the module into a folder of its own beside the others, or register it from
your own package: in a config file of yours, or as an entry point of the group
'jaxdeblur.networks', which is loaded when a name is not known.
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

# Fields that say how a network computes, not what. No checkpoint stores them.
COMPUTE_FIELDS = ('dtype', 'remat', 'dynamic_conv_method')


def start_at_random(model: 'Network', params: Params) -> Params:
  """Leaves the parameters as the modules initialise them."""
  del model
  return params


class Network(nn.Module):
  """Base class of all networks that restore.

  `__call__(views, *, train=False) -> Restored` takes a dict of views: float32
  [batch, height, width, 3] in [0, 1], display-referred sRGB, height and width
  multiples of `smallest_multiple`. With `train`, batch normalisation uses the
  batch's statistics and updates the collection `batch_stats`. Where
  `can_reblur`, it takes `reblur=True` as well, and returns `reblurred`.

  Fields named as in `COMPUTE_FIELDS` say how it computes: `dtype` (of the
  convolutions), `remat` (gradients compute features anew, for less memory) and
  `dynamic_conv_method`. They are optional, set from `config.compute`, and not
  stored in checkpoints.

  Attributes (of the class, or properties):
    smallest_multiple: height and width that it can compute are multiples of
      these, px.
    padded_multiple: pictures are padded to multiples of these when they are
      restored, px; `smallest_multiple` by default.
    receptive_field: how many pixels away, at most, a pixel of the views can
      change the result; None where that is all of the picture, or not known.
      Tiles are exact with a halo as wide as this.
    halo: the surroundings that a tile is restored with, px; `receptive_field`
      by default. None: the network cannot be restored in tiles.
    seen_side: of a dual-pixel network that compares shifts to one side only:
      -1 where the right view's content must lie to the left of the left
      view's, 1 where to the right; None for both sides, or no comparison.
    can_reblur: whether it can blur its result again.
    starts: name -> function(network, params) -> params, the ways in which
      fresh parameters can start.
    variants: name -> settings that it stands for, as the paper's sizes.
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
    """The views that it reads: of 'center', 'left' and 'right'."""
    return tuple(getattr(self, 'views', ('center',)))

  @property
  def padded_multiple(self) -> tuple[int, int]:
    return self.smallest_multiple

  @property
  def halo(self) -> int | None:
    return self.receptive_field

  def adapt_params(self, params: Params, weights: Params) -> Params:
    """Fits the parameters of trained weights to this network, where it can.

    For weights of a related network, such as one that reads fewer views.

    Args:
      params: this network's fresh parameters.
      weights: those of the trained weights.

    Returns:
      The weights, changed where this network knows how; whatever still differs
      in shape is refused by the caller.
    """
    del params
    return weights

  def panels(
      self, restored: Restored, intermediates: Mapping[str, Any]
  ) -> dict[str, Panel]:
    """Draws what the network makes of a picture beside the result.

    Args:
      restored: what it returned for one picture, as NumPy arrays, reblurred
        where it can.
      intermediates: the collection `intermediates` of that call.

    Returns:
      Pictures by name, each with its title and legend.
    """
    del restored, intermediates
    return {}
