"""A small network that no file of the project knows: it registers itself."""

from flax import linen as nn
import jax.numpy as jnp
import numpy as np

from jaxdeblur.models import registry
from jaxdeblur.models.drawing import as_bytes
from jaxdeblur.models.network import Network, start_at_random
from jaxdeblur.models.published_names import (
  CONV,
  NORM,
  PublishedNames,
  Table,
)
from jaxdeblur.models.restored import Restored


def _start_at_zero(model, params):
  del model
  return {**params, 'out': {
      name: jnp.zeros_like(value) for name, value in params['out'].items()}}


@registry.register('outsider')
class Outsider(Network):
  """One hidden layer with batch normalisation, added to the photograph.

  Attributes:
    width: of the hidden layer.
  """
  width: int = 4
  dtype: jnp.dtype = jnp.dtype(jnp.float32)

  smallest_multiple = (2, 4)
  receptive_field = 3
  starts = {'random': start_at_random, 'zero': _start_at_zero}  # noqa: RUF012
  published = PublishedNames(
      'Outsider', Table([('body', 'hidden', CONV), ('bn', 'norm', NORM),
                         ('tail', 'out', CONV)]), 'body.weight',
      lambda arrays: {'width': np.shape(arrays['body.weight'])[0]})

  @nn.compact
  def __call__(self, views, *, train=False):
    x = nn.Conv(self.width, (3, 3), name='hidden', dtype=self.dtype)(
        views['center'])
    x = nn.BatchNorm(use_running_average=not train, name='norm')(x)
    x = nn.Conv(3, (5, 5), name='out', dtype=self.dtype)(nn.relu(x))
    return Restored(views['center'] + x.astype(jnp.float32))

  def panels(self, restored, intermediates):
    return {'change': as_bytes(np.asarray(restored.estimate[0]) / 2)}
