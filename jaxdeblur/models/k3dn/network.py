"""K3DN: deblurs a dual-pixel pair, and blurs the result again.

An encoder, PSF blocks on patches of its features, and a decoder make the sharp
picture. The same parts, run backwards on it, make the blurred picture again.
A disparity weights the kernels of each patch; it is learnt without ground truth
(Yang et al., CVPR 2023). Table numbers refer to the supplement. Where it and
the published network disagree, we follow the network.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flax import linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from jaxdeblur.errors import UserError
from jaxdeblur.models.k3dn import panels
from jaxdeblur.models.k3dn.disparity import (
  DualPixelDisparity,
  SingleImageDisparity,
)
from jaxdeblur.models.k3dn.layers import (
  conv,
  leaky_relu,
  residual_blocks,
  up_conv,
)
from jaxdeblur.models.k3dn.psf_block import PSFBlock
from jaxdeblur.models.k3dn.published import PUBLISHED
from jaxdeblur.models.k3dn.srp import SRPBlock
from jaxdeblur.models.layers import FLOAT32
from jaxdeblur.models.network import Network, Panel
from jaxdeblur.models.restored import Restored
from jaxdeblur.models.views import check_views, widen
from jaxdeblur.ops.windows import join_windows, split_windows

VIEWS = (('left', 'right'), ('center',))
VARIANTS = {  # Tab. 6.
    'tiny': dict(base_channels=24, num_blocks=2),
    'lightweight': dict(base_channels=32, num_blocks=2),
    'large': dict(base_channels=48, num_blocks=4),
}


class K3DN(Network):
  """Restores a dual-pixel pair, or a single photograph.

  Attributes:
    views: ('left', 'right'), or ('center',) for the single-image mode.
    base_channels: channels at half size (Tab. 6, bc).
    num_blocks: residual blocks in each level of the encoder and the decoder,
      and in each SRP block (Tab. 6, bn; our choice for the SRP blocks of the
      smaller networks).
    num_psf_blocks: number of PSF blocks; None takes twice `num_blocks`
      (Tab. 13; Tab. 11 has others).
    srp: whether SRP blocks preserve sharp regions; they are added in the second
      stage of training.
    srp_zero_start: whether SRP blocks start as the identity; ours, off in the
      published network.
    window: height and width of a patch, in pixels at 1/8 of the size (Tab. 9).
    kernel_size: side of the candidate kernels, odd (Tab. 10).
    psf_mode: how PSF blocks reblur: 'released' as published, or 'wiener' by an
      exact inverse; see `PSFBlock`.
    feature_extractor: layers of the disparity estimator: 'released' as
      published, or 'table13' as in the paper; see `FeatureExtractor`.
    cost_shifts: shifts between the views that the disparity estimator compares,
      in pixels of its features.
    dtype: number type of the convolutions in the encoder, the decoder and the
      SRP blocks; everything else is float32.
  """
  views: tuple[str, ...] = ('left', 'right')
  base_channels: int = 48
  num_blocks: int = 4
  num_psf_blocks: int | None = None
  srp: bool = False
  srp_zero_start: bool = False
  window: tuple[int, int] = (18, 14)
  kernel_size: int = 9
  psf_mode: str = 'released'
  feature_extractor: str = 'released'
  cost_shifts: Sequence[int] = (0, 1, 2, 3)
  dtype: jnp.dtype = FLOAT32

  variants = VARIANTS
  published = PUBLISHED
  can_reblur = True
  # The disparity estimator pools features over all of the picture. Everything
  # else reaches no farther than two patches; the estimator's effect nearly so.
  receptive_field = None

  @property
  def smallest_multiple(self) -> tuple[int, int]:
    """The size of a patch, in pixels of the picture."""
    return 8 * self.window[0], 8 * self.window[1]

  @property
  def padded_multiple(self) -> tuple[int, int]:
    """The size of two patches, as the published program pads."""
    return 16 * self.window[0], 16 * self.window[1]

  @property
  def halo(self) -> int:
    """Twice a patch's width; tiles then nearly equal the whole picture."""
    return 16 * self.window[1]

  @property
  def seen_side(self) -> int | None:
    """The side on which the right view's content must lie to be compared.

    -1 is to the left of its place in the left view, 1 to the right. None if the
    cost volume has both sides, or if there is no cost volume.
    """
    signs = {-np.sign(shift) for shift in self.cost_shifts if shift}
    dual = len(self.views) == 2
    return int(signs.pop()) if dual and len(signs) == 1 else None

  def setup(self):
    self.encoder = Encoder(self.base_channels, self.num_blocks, self.dtype)
    self.decoder = Decoder(self.base_channels, self.num_blocks, self.dtype)
    if self.kernel_size % 2 == 0:
      raise UserError(
          f'kernel_size is {self.kernel_size}: a kernel has a centre, choose '
          'an odd number.', argument='kernel_size')
    count = (2 * self.num_blocks if self.num_psf_blocks is None
             else self.num_psf_blocks)
    self.psf_blocks = [
        PSFBlock(self.kernel_size, self.psf_mode, name=f'psf{i}')
        for i in range(1, count + 1)]
    if self.srp:
      self.srp_blocks = [
          SRPBlock(self.num_blocks, self.srp_zero_start, self.dtype,
                   name=f'srp{scale}') for scale in (4, 2, 1)]
    if len(self.views) == 2:
      self.disparity = DualPixelDisparity(
          self.feature_extractor, self.cost_shifts, self.window)
    else:
      self.disparity = SingleImageDisparity(self.window)

  def __call__(
      self,
      views: Mapping[str, Float[Array, 'b h w 3']],
      *,
      reblur: bool = False,
      train: bool = False,
  ) -> Restored:
    """Restores the picture, and blurs it again if `reblur`.

    Args:
      views: float32 in [0, 1].
      reblur: whether to return `reblurred`.
      train: whether batch normalisation uses this batch's statistics, and
        updates its averages in the collection `batch_stats`.

    Returns:
      `estimate`, `disparity` and `reblurred`. The estimate is clipped to
      [-1/2, 3/2], as published.
    """
    scaled = self._read_views(views)
    disparity = self.disparity(*scaled, train=train)
    image = self._filter(jnp.concatenate(scaled, axis=-1), disparity)
    again = None
    if reblur:
      copies = jnp.concatenate([image] * len(scaled), axis=-1)
      again = self._filter(copies, disparity, reblur=True) + 0.5
    return Restored(image + 0.5, reblurred=again, disparity=disparity)

  def panels(
      self, restored: Restored, intermediates: Mapping[str, Any]
  ) -> dict[str, Panel]:
    """Draws patches by disparity, strongest kernels, the reblurred picture."""
    return panels.draw(restored, intermediates)

  def _read_views(self, views):
    """Checks the views; returns them in the network's own range."""
    check_views('K3DN', self.views, VIEWS, views, self.smallest_multiple)
    return tuple(widen(views[name]) - 0.5 for name in self.views)

  def _filter(self, x, disparity, reblur=False):
    """Runs the network forwards or backwards: [-1/2, 1/2] to [-1, 1]."""
    skips, features = self.encoder(x)
    rows, columns = disparity.shape[1:3]
    patches = split_windows(features.astype(x.dtype), *self.window)
    vectors = disparity.reshape(-1, disparity.shape[-1])
    for block in self.psf_blocks:
      patches = block(patches, vectors, reblur)
    features = join_windows(patches, rows, columns)
    srp_blocks = self.srp_blocks if self.srp and not reblur else None
    out = self.decoder(features, [*reversed(skips), x], srp_blocks)
    return jnp.clip(out.astype(x.dtype), -1, 1)


class Encoder(nn.Module):
  """Halves the size three times, with residual blocks after each (Tab. 13)."""
  base_channels: int
  num_blocks: int
  dtype: jnp.dtype = FLOAT32

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b h w c']
  ) -> tuple[list[Array], Float[Array, 'b i j d']]:
    levels = []
    for i, scale in enumerate((2, 4, 8)):
      x = leaky_relu(conv(
          self.base_channels * 2 ** i, stride=2, name=f'down{scale}',
          dtype=self.dtype)(x))
      x = residual_blocks(
          x, self.num_blocks, f'level{scale}_res', self.dtype)
      levels.append(x)
    return levels[:2], levels[2]


class Decoder(nn.Module):
  """Doubles the size three times and adds the encoder's features (Tab. 13)."""
  base_channels: int
  num_blocks: int
  dtype: jnp.dtype = FLOAT32

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'b i j d'],
      skips: Sequence[Array],
      srp_blocks: Sequence[nn.Module] | None = None,
  ) -> Float[Array, 'b h w 3']:
    for i, (scale, multiple) in enumerate(((4, 2), (2, 1), (1, 1))):
      x = leaky_relu(up_conv(
          self.base_channels * multiple, name=f'up{scale}',
          dtype=self.dtype)(x))
      x = jnp.concatenate([skips[i].astype(x.dtype), x], axis=-1)
      if srp_blocks is not None:
        x = srp_blocks[i](x)
      x = residual_blocks(
          x, self.num_blocks, f'level{scale}_res', self.dtype)
    return conv(3, name='out', dtype=self.dtype)(x)

