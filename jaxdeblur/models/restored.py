"""What every model returns."""

from flax import struct
import jax


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
  """
  image: jax.Array
  pyramid: tuple[jax.Array, ...] = ()
  kernels: tuple[jax.Array, ...] = ()
