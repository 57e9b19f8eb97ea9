"""What the recipes on recorded pairs share; docs/training.md compares them.

What papers do not state is ours, and marked so: for DRBNet it follows IFAN (Lee
et al. 2021), whose program the authors of DRBNet started from, with AdamW in
place of its RAdam.
"""

import ml_collections

from configs import base, k3dn as k3dn_rendered

_DRBNET_VIEWS = {'single': ('center',), 'dual': ('center', 'left', 'right')}


def drbnet(dataset: str, variant: str) -> ml_collections.ConfigDict:
  """DRBNet at the paper's width, on a dataset.

  Args:
    dataset: a name of `data_pipelines.datasets`.
    variant: 'single' reads one photograph, 'dual' dual-pixel views as well.

  Raises:
    ValueError: the variant is unknown.
  """
  if variant not in _DRBNET_VIEWS:
    raise ValueError(
        f'Unknown variant {variant!r} of a DRBNet: choose one of '
        f'{", ".join(_DRBNET_VIEWS)}.')
  config = base.get_config()
  config.model = dict(
      name='drbnet', views=_DRBNET_VIEWS[variant], width=32)
  config.data.update(
      name=dataset,
      crop=(256, 256),       # As IFAN.
      bit_depth=8)           # As the published program reads pictures.
  config.train.update(
      batch_size=8,          # As IFAN.
      steps=600_000,         # As IFAN.
      start='identity',      # Ours.
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


def k3dn(dataset: str, variant: str) -> ml_collections.ConfigDict:
  """K3DN, trained as the paper's supplement says for DPDD, on a dataset.

  Args:
    dataset: a name of `data_pipelines.datasets`.
    variant: as of configs/k3dn.py.

  Raises:
    ValueError: the variant is unknown.
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
    ValueError: the variant is unknown, or asks for a second stage.
  """
  config = k3dn(dataset, variant)
  if config.model.srp:
    raise ValueError(
        f'{variant!r} asks for a second stage, which has no recipe for '
        f'{dataset}: leave stage2 away.')
  config.train.steps = steps
  return config
