"""Configs: every field arrives, and none is set in vain."""

import dataclasses

import ml_collections
import pytest

from configs import drbnet, k3dn, starter
from data_pipelines.recorded import CropSettings
from jaxdeblur import jobs
from jaxdeblur.config import base, command_line, recipes
from jaxdeblur.config.check import check_config, has_field, list_leaves
from jaxdeblur.config.description import describe_fields, list_help
from jaxdeblur.config.model import describe_model
from jaxdeblur.errors import UserError
from jaxdeblur.job_fields import check_read
from jaxdeblur.models import registry
from jaxdeblur.optics.settings import DefocusSettings

BASE = base.get_config()
NETWORKS = {'drbnet': 'drbnet', 'drbnet_baseline': 'drbnet:baseline',
            'k3dn': 'k3dn:tiny'}
FIELDS = [('starter', field) for field in list_leaves(BASE)
          if not field.startswith('model.')]
FIELDS += [(recipe, f'model.{field}') for name, recipe in NETWORKS.items()
           for field in describe_model(name)]


def _get(config, field):
  for part in field.split('.'):
    config = config[part]
  return config


def _change(value):
  """Another value of the same type."""
  if isinstance(value, bool):
    return not value
  if isinstance(value, int):
    return value + 1
  if isinstance(value, float):
    return value / 2 + 1
  if isinstance(value, tuple):
    return (*value, value[-1]) if value else (1, 2)
  return 'something' if value is not None else 3


@pytest.mark.parametrize('recipe, field', FIELDS)
def test_every_field_can_be_set_on_the_command_line(recipe, field):
  before, _ = command_line.load(recipe)
  value = _change(_get(before, field))
  typed = repr(value) if isinstance(value, tuple) else str(value)
  config, overridden = command_line.load(
      recipe, [f'--config.{field}={typed}'])
  assert overridden == [field]
  assert _get(config, field) == value
  unchanged = [other for other in list_leaves(before) if other != field]
  assert all(_get(config, other) == _get(before, other)
             for other in unchanged)


@pytest.mark.parametrize('field, value', [
    ('data.jpeg_share', '0.1'), ('compute.dynamic_conv_method', 'pallas'),
    ('model.width', '5')])
def test_fields_that_readers_asked_for_can_be_set(field, value):
  config, _ = command_line.load('starter', [f'--config.{field}={value}'])
  assert str(_get(config, field)) == value


@pytest.mark.parametrize('name', recipes.names())
def test_recipes_have_all_fields_and_only_these(name):
  config, _ = command_line.load(name)
  check_config(config)
  missing = [field for field in list_leaves(BASE)
             if not field.startswith('model.') and not has_field(config, field)]
  assert not missing
  model = config.model.to_dict()
  complete = registry.complete_settings(model)
  assert set(model) == set(complete)


def test_every_field_is_described():
  described = describe_fields()
  for field in list_leaves(BASE):
    if not field.startswith('model.'):
      assert described.get(field), field


def test_the_settings_of_every_network_are_described():
  for recipe in NETWORKS.values():
    config, _ = command_line.load(recipe)
    lines = list(list_help(config))
    for field in config.model:
      if field != 'name':
        at = next(i for i, line in enumerate(lines)
                  if f'--config.model.{field}=' in line)
        assert not lines[at + 1].strip().startswith('--')


def test_the_base_and_the_settings_of_pairs_agree():
  """Two defaults of one thing would be a trap."""
  for settings in (DefocusSettings(), CropSettings()):
    for field in dataclasses.fields(settings):
      assert field.name in BASE.data
  rendered = dataclasses.asdict(DefocusSettings())
  assert {name: BASE.data[name] for name in rendered} == rendered


@pytest.mark.parametrize('name, sentence', [
    ('--config.train.stpes=3', 'no config.train.stpes (did you mean config.tra'
     'in.steps?)'),
    ('--config.tiles=3', 'no config.tiles (did you mean config.'),
    ('--config.dtype=bfloat16', '(did you mean config.compute.dtype?)'),
    ('--config.trian.steps=3', '(did you mean config.train.steps?)'),
    ('--config.train.steps=many', "'many'"),
])
def test_typing_errors_get_a_sentence_with_a_suggestion(name, sentence):
  with pytest.raises(command_line.CommandLineError) as caught:
    command_line.load('starter', [name])
  assert sentence in str(caught.value)
  assert '\n' not in str(caught.value)


def test_a_prefix_counts_before_a_similar_spelling():
  with pytest.raises(UserError, match='Did you mean k3dn_dpdd'):
    recipes.find('k3dn_dpd')
  from data_pipelines.datasets.catalogue import get_builder_class
  with pytest.raises(UserError, match='Did you mean dpdd_canon'):
    get_builder_class('dpdd')


def test_unknown_fields_of_a_config_are_named_together():
  config = starter.get_config()
  config.unlock()
  config.train.learnin_rate = 1e-3
  config.evil = {}
  with pytest.raises(UserError) as caught:
    check_config(config)
  assert 'config.evil (did you mean config.eval' in str(caught.value)
  assert ('config.train.learnin_rate (did you mean config.train.learning_rate'
          in str(caught.value))


@pytest.mark.parametrize('job, field, value, sentence', [
    ('restore', 'train.steps', 5, 'would ignore config.train.steps'),
    ('restore', 'model.width', 5, 'would ignore config.model.width'),
    ('restore', 'distributed.processes', 2, 'would ignore config.distributed'),
    ('train', 'eval.radii', (1.0,), 'would ignore config.eval.radii'),
    ('train', 'data.folder', 'x', 'it needs config.data.name=folder'),
    ('train', 'data.grey_share', 0.1, 'it needs recorded pairs'),
    ('train', 'data.disparity', 'both', 'it needs config.data.dual_pixel=True'),
    ('train', 'train.period', 10, 'cosine_restarts'),
    ('train', 'train.losses.feature.network', 'vgg19',
     'config.train.losses.feature.weight is 0'),
    ('train', 'validation.photos', 'x', 'config.validation.batches above 0'),
    ('eval', 'eval.split', 'val', 'it needs --dataset'),
    ('eval', 'eval.lpips', 'x', 'lpips in config.eval.metrics'),
    ('eval', 'eval.disc_radius', '3', 'a deconvolution in config.eval.method'),
    ('bench', 'bench.sizes', (1,), 'what=forward does not read it'),
    ('convert', 'compute.dtype', 'bfloat16', 'would ignore'),
])
def test_a_field_that_the_job_would_ignore_is_refused(
    job, field, value, sentence):
  config = starter.get_config()
  config.update_from_flattened_dict({field: value})
  with pytest.raises(UserError, match='would ignore') as caught:
    check_read(job, config, jobs.Arguments(), [field])
  assert sentence in str(caught.value)


@pytest.mark.parametrize('job, field, changes', [
    ('train', 'train.steps', {}),
    ('train', 'data.folder', {'data.name': 'folder'}),
    ('train', 'data.max_radius', {}),
    ('train', 'train.losses.feature.network',
     {'train.losses.feature.weight': 1.0}),
    ('restore', 'compute.dtype', {}),
    ('eval', 'compute.dtype', {}),
    ('eval', 'mesh.height', {}),
    ('bench', 'bench.sizes', {'bench.what': 'scaling'}),
    ('bench', 'compute.remat', {'bench.what': 'train_step'}),
])
def test_a_field_that_the_job_reads_is_taken(job, field, changes):
  config = starter.get_config()
  config.update_from_flattened_dict(changes)
  check_read(job, config, jobs.Arguments(), [field])


@pytest.mark.parametrize('config', [
    starter.get_config(), drbnet.get_config(), drbnet.get_config('baseline'),
    *(k3dn.get_config(f'{size}{options}')
      for size in registry.get('k3dn').variants
      for options in ('', ',single', ',stage2', ',single,stage2'))])
def test_every_config_names_a_network_and_known_fields(config):
  assert isinstance(config, ml_collections.ConfigDict)
  check_config(config)
  registry.create(**config.model.to_dict())
