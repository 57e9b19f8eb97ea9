"""What every network returns."""

from flax import struct
import jax
import numpy as np

Array = jax.Array | np.ndarray


@struct.dataclass
class Restored:
  """A restored picture, and what the network can show of how it came about.

  Attributes:
    estimate: float32 [b, h, w, 3], in [0, 1] but for over- and undershoot:
      losses compare this, since a clipped value has no gradient.
    pyramid: estimates from the coarsest to the finest, which is `estimate`,
      float32 [b, h / s, w / s, 3], not clipped. Empty where there is but one.
    kernels: the kernels predicted at each of these scales, float32
      [b, h / s, w / s, k * k]. Empty for a network that predicts none.
    reblurred: the restored picture blurred anew, float32 [b, h, w, 3], not
      clipped. None where it was not asked for.
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
    """The pyramid; of a network without one, the estimate alone."""
    return self.pyramid or (self.estimate,)
