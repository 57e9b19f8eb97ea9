"""Checks a training's settings before anything is written."""

import ml_collections

from jaxdeblur.errors import UserError

_POSITIVE = ('steps', 'batch_size', 'accumulation_steps', 'checkpoint_every',
             'log_every', 'picture_every')


def check_settings(config: ml_collections.ConfigDict) -> None:
  """Raises a UserError, one sentence, if the settings are impossible.

  Args:
    config: a config; `train` and `data.crop` are checked.
  """
  train, crop = config.train, tuple(config.data.crop)
  for name in _POSITIVE:
    if train[name] < 1:
      raise UserError(
          f'config.train.{name} is {train[name]}: give a number from 1 on.')
  profile = tuple(train.profile_steps)
  if profile and (
      len(profile) != 2 or not 1 <= profile[0] <= profile[1] <= train.steps):
    raise UserError(
        f'config.train.profile_steps is {profile}: give the first and the last '
        f'of the {train.steps} steps to profile, such as (100, 110), or none.')
  # The network itself says which sizes it takes.
  if len(crop) != 2 or min(crop) < 1:
    raise UserError(
        f'config.data.crop is {crop}: give a height and a width, px.')
