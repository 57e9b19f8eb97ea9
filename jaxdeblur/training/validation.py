"""Scores a network during training on pairs that it is not trained on."""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import math
from typing import Any

from flax import linen as nn
import jax
from jax.sharding import Mesh
import ml_collections
import numpy as np

from data_pipelines.loader import is_rendered, open_training_data
from jaxdeblur import partitioning
from jaxdeblur.compilation import jit
from jaxdeblur.errors import UserError
from jaxdeblur.metrics import psnr
from jaxdeblur.training.pairs import make_views_of
from jaxdeblur.training.state import TrainState
from jaxdeblur.training.step import views_to_train

# Makes the pairs differ from those of training and of the logged pictures.
_SEED_OFFSET = 2_000_003

# Pairs are scored as they were recorded.
_UNCHANGED = dict(
    input_noise_share=0.0, grey_share=0.0, scale_share=0.0, mirror_share=0.0,
    flip_share=0.0, workers=0)


def make_validation(
    config: ml_collections.ConfigDict, model: nn.Module, mesh: Mesh
) -> Callable[[TrainState], float] | None:
  """Makes a function from a state to the mean PSNR, in dB, of its average.

  The pairs are the same every time: crops as in config.data, but of the pairs
  that config.validation names: `photos` for rendered pairs, `folder` for pairs
  in folders, `split` for a dataset. Rendered pairs may use the photographs of
  training, with other crops and blur.

  Args:
    config: `data`, `train.batch_size`, `seed`, and `validation`, whose
      `batches` is the number of batches.
    model: the network.
    mesh: the devices.

  Returns:
    The function; None if there are no batches.

  Raises:
    UserError: recorded pairs would be those of training, a field does not
      belong to this kind of pairs, or the number of batches is negative.
  """
  if config.validation.batches < 0:
    raise UserError(
        f'config.validation.batches is {config.validation.batches}: give their '
        'number, or 0 for no validation.')
  if not config.validation.batches:
    return None
  data = _choose_pairs(config.data.to_dict(), config.validation.to_dict())
  data |= _UNCHANGED
  make_views = jit(make_views_of(data, config.seed + _SEED_OFFSET, mesh))
  pairs = [make_views(partitioning.put_batch(batch, mesh), np.uint32(number))
           for number, batch in enumerate(_draw_batches(config, model, data))]
  score = jit(lambda variables, views: psnr(
      model.apply(variables, views).image, views['sharp']).mean())

  def validate(state: TrainState) -> float:
    scores = [score(state.published, views) for views in pairs]
    mean = float(np.mean(jax.device_get(scores)))
    return mean if math.isfinite(mean) else -math.inf

  return validate


def _choose_pairs(
    data: Mapping[str, Any], validation: Mapping[str, Any]
) -> dict[str, Any]:
  """Replaces the pairs of config.data by those of config.validation."""
  field = ('photos' if is_rendered(data)
           else 'folder' if data['name'] in ('folder', 'patches') else 'split')
  useless = [name for name in ('photos', 'folder', 'split')
             if validation[name] and name != field]
  if useless:
    raise UserError(
        f'config.validation.{useless[0]} is {validation[useless[0]]!r}, but '
        f'pairs of config.data.name={data["name"]} are chosen by '
        f'config.validation.{field}: set that field.')
  chosen = validation[field] or data[field]
  if chosen == data[field] and not is_rendered(data):
    raise UserError(
        f'Validation would be on the pairs of training, {field} {chosen!r}: '
        f'name others in config.validation.{field}, or set '
        'config.validation.batches to 0.')
  return {**data, field: chosen}


def _draw_batches(config, model, data) -> Iterator[dict[str, np.ndarray]]:
  processes = jax.process_count()
  batches = open_training_data(
      data, views=views_to_train(model), seed=config.seed + _SEED_OFFSET,
      batch_size=config.train.batch_size // processes,
      shard=jax.process_index(), shards=processes)
  with contextlib.closing(batches):
    for _ in range(config.validation.batches):
      yield next(batches)
