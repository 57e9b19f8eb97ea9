"""What a training's settings must be, said before anything is written."""

import ml_collections

from jaxdeblur.errors import UserError

_POSITIVE = ('steps', 'batch_size', 'accumulation_steps', 'checkpoint_every',
             'log_every', 'picture_every')


def check_settings(config: ml_collections.ConfigDict) -> None:
  """Raises a UserError, one sentence, if nothing could be trained like this.

  Args:
    config: `train` and `data.crop`.
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
  # Which sizes the network takes, it says itself.
  if len(crop) != 2 or min(crop) < 1:
    raise UserError(
        f'config.data.crop is {crop}: give a height and a width, px.')
