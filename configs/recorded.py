"""What the recipes on recorded pairs share; docs/training.md compares them.

Values that a paper does not state are ours, and are marked so. For DRBNet they
follow IFAN (Lee et al. 2021), whose program the authors of DRBNet started from,
with AdamW in place of its RAdam.
"""

import ml_collections

from configs import k3dn as k3dn_rendered
from jaxdeblur.config import base
from jaxdeblur.config.model import describe_model
from jaxdeblur.errors import UserError
from jaxdeblur.suggestion import choose_one

_DRBNET_VIEWS = {'single': ('center',), 'dual': ('center', 'left', 'right')}
_BASELINE = 'baseline'


def drbnet(dataset: str, variant: str) -> ml_collections.ConfigDict:
  """DRBNet at the paper's width, on a dataset.

  Args:
    dataset: a name of `data_pipelines.datasets`.
    variant: 'single' reads one photograph, 'dual' dual-pixel views as well;
      after a comma 'baseline', the network without dynamic residual blocks.
      'baseline' alone is 'single,baseline'.

  Raises:
    UserError: the variant is unknown.
  """
  views, baseline = _read_variant(variant)
  config = base.get_config()
  config.model = describe_model(
      'drbnet_baseline' if baseline else 'drbnet', views=views, width=32)
  config.data.update(
      name=dataset,
      crop=(256, 256),       # As IFAN.
      bit_depth=8)           # As the published program reads pictures.
  config.train.update(
      batch_size=8,          # As IFAN.
      steps=600_000,         # As IFAN.
      # Ours; the baseline adds to the photograph as it is.
      start='random' if baseline else 'identity',
      schedule='halving',
      learning_rate=1e-4,    # As IFAN.
      halve_at=(500_000, 550_000),  # As IFAN.
      b2=0.999,              # As IFAN.
      weight_decay=1e-2,     # As IFAN.
      clip_norm=0.5,         # As IFAN.
      ema_decay=0.999,       # Ours.
      checkpoint_every=1_000,
      picture_every=5_000)
  return config


def _read_variant(variant: str) -> tuple[tuple[str, ...], bool]:
  """'dual,baseline' -> the views, and whether it is the baseline."""
  words = variant.split(',')
  baseline = words[-1] == _BASELINE
  name = words[0] if words[0] != _BASELINE else 'single'
  known = len(words) == 1 or (len(words) == 2 and baseline)
  if name not in _DRBNET_VIEWS or not known:
    raise UserError(
        f'Unknown variant {variant!r} of a DRBNet: '
        f'{choose_one(variant, (*_DRBNET_VIEWS, _BASELINE))}')
  return _DRBNET_VIEWS[name], baseline


def k3dn(dataset: str, variant: str) -> ml_collections.ConfigDict:
  """K3DN, trained as the paper's supplement says for DPDD, on a dataset.

  Args:
    dataset: a name of `data_pipelines.datasets`.
    variant: as of configs/k3dn.py.

  Raises:
    UserError: the variant is unknown.
  """
  config = k3dn_rendered.get_config(variant)
  config.data.name = dataset
  return config


def k3dn_in_one_stage(
    dataset: str, variant: str, steps: int
) -> ml_collections.ConfigDict:
  """K3DN without SRP blocks, for `steps` iterations.

  Ours: the paper states two stages for DPDD alone.

  Raises:
    UserError: the variant is unknown, or asks for a second stage.
  """
  config = k3dn(dataset, variant)
  if config.model.srp:
    raise UserError(
        f'{variant!r} asks for a second stage, which has no recipe for '
        f'{dataset}: leave stage2 away.')
  config.train.steps = steps
  return config
