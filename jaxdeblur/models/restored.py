"""What every network returns."""

from flax import struct
import jax
import numpy as np

Array = jax.Array | np.ndarray


@struct.dataclass
class Restored:
  """A restored picture, and what the network shows of its work.

  Attributes:
    estimate: float32 [b, h, w, 3], in [0, 1] apart from over- and undershoot.
      Losses compare this, since a clipped value has no gradient.
    pyramid: estimates from the coarsest to the finest, float32
      [b, h / s, w / s, 3], not clipped; the last one is `estimate`. Empty if
      there is only one estimate.
    kernels: the kernels predicted at each of these scales, float32
      [b, h / s, w / s, k * k]. Empty for a network that predicts none.
    reblurred: the restored picture blurred again, float32 [b, h, w, 3], not
      clipped. None unless it was asked for.
    disparity: a vector for each patch, float32 [b, rows, columns, c]; or None.
    defocus: the estimated circle of confusion of each pixel, float32
      [b, h, w, 1], px; or None.
  """
  estimate: Array
  pyramid: tuple[Array, ...] = ()
  kernels: tuple[Array, ...] = ()
  reblurred: Array | None = None
  disparity: Array | None = None
  defocus: Array | None = None

  @property
  def image(self) -> Array:
    """The restored picture, float32 [b, h, w, 3] in [0, 1]."""
    return self.estimate.clip(0, 1)

  @property
  def estimates(self) -> tuple[Array, ...]:
    """The pyramid, or the estimate alone if the network has no pyramid."""
    return self.pyramid or (self.estimate,)
