"""What every model returns."""

from flax import struct
import jax
import numpy as np

Array = jax.Array | np.ndarray


@struct.dataclass
class Restored:
  """A restored picture, and what the model can show of how it came about.

  Attributes:
    image: float32 [b, h, w, 3] in [0, 1].
    pyramid: estimates from the coarsest to the finest, float32
      [b, h / s, w / s, 3]; in [0, 1] but for over- and undershoot, since only
      `image` is clipped. Empty for a model that has none.
    kernels: the kernels predicted at each of these scales, float32
      [b, h / s, w / s, k * k]. Empty for a model that predicts none.
    reblurred: the restored picture blurred anew, float32 [b, h, w, 3], in
      [0, 1] but for over- and undershoot. None where it was not asked for.
    disparity: K3DN's R, a vector for each patch, float32
      [b, rows, columns, 256].
  """
  image: Array
  pyramid: tuple[Array, ...] = ()
  kernels: tuple[Array, ...] = ()
  reblurred: Array | None = None
  disparity: Array | None = None
