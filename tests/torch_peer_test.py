"""The PyTorch network that ours is timed against is the published one."""

import json

import drbnet_oracle as oracle
import jax
import numpy as np
import pytest

from jaxdeblur.convert import torch_drbnet as conversion
from jaxdeblur.models import registry

torch = pytest.importorskip('torch')

from studies import torch_drbnet  # noqa: E402

# As for our own network: rounding to float32 alone moves the output by 4e-6.
TOLERANCE = 1e-5
KERNEL_TOLERANCE = 5e-6

SINGLE = ('center',)
DUAL = ('center', 'left', 'right')


def _network(views, dtype=torch.float32):
  network = torch_drbnet.DRBNet(dual=views == DUAL)
  weights = oracle.weights(conversion.shapes(views=views))
  network.load_state_dict(
      {name: torch.tensor(array) for name, array in weights.items()})
  return network.to(dtype)


def _tensors(arrays, dtype=torch.float32):
  """The case's inputs, NCHW."""
  return [torch.tensor(arrays[key], dtype=dtype).permute(0, 3, 1, 2)
          for key in ('input_C', 'input_R', 'input_L') if key in arrays]


def _assert_close(tensor, expected, tolerance=TOLERANCE):
  np.testing.assert_allclose(
      tensor.detach().permute(0, 2, 3, 1), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ('kind', 'views'), [('single', SINGLE), ('dual', DUAL)])
def test_names_and_shapes_are_the_published_ones(drbnet_oracle, kind, views):
  published = json.loads(
      (drbnet_oracle / f'state_dict_{kind}.json').read_text())
  ours = torch_drbnet.DRBNet(dual=views == DUAL).state_dict()
  assert {name: list(array.shape) for name, array in ours.items()} == published


def test_small_case_kept_with_the_tests():
  """The one comparison that needs no folder beside the checkout."""
  arrays = oracle.load_small()
  with torch.no_grad():
    restored, _, _ = _network(SINGLE)(*_tensors(arrays))
  _assert_close(restored, arrays['output'])


@pytest.mark.parametrize(('case', 'views'), [
    ('single_64x96', SINGLE), ('single_72x104_mult8', SINGLE),
    ('dual_64x96', DUAL)])
def test_pictures(drbnet_oracle, case, views):
  """Estimates and kernels of every scale, where the case has them."""
  arrays = oracle.load(drbnet_oracle, case)
  with torch.no_grad():
    restored, estimates, kernels = _network(views)(*_tensors(arrays))
  _assert_close(restored, arrays['output'])
  for scale, estimate, kernel in zip(
      torch_drbnet.SCALES, estimates, kernels, strict=True):
    if f'est_d{scale}' in arrays:
      _assert_close(estimate, arrays[f'est_d{scale}'])
    if f'kernel_d{scale}' in arrays:
      _assert_close(kernel, arrays[f'kernel_d{scale}'], KERNEL_TOLERANCE)


@pytest.mark.parametrize(
    ('case', 'views'), [('grad_single_32x48', SINGLE),
                        ('grad_dual_32x48', DUAL)])
def test_gradients_in_float64(drbnet_oracle, case, views):
  """The step that is timed computes the published network's gradients."""
  arrays = oracle.load(drbnet_oracle, case)
  expected = json.loads((drbnet_oracle / f'{case}.json').read_text())
  network = _network(views, torch.float64)
  restored, _, _ = network(*_tensors(arrays, torch.float64))
  target = torch.tensor(arrays['target'], dtype=torch.float64)
  loss = (restored - target.permute(0, 3, 1, 2)).square().mean()
  loss.backward()
  np.testing.assert_allclose(loss.item(), expected['loss_mse'], rtol=1e-12)
  parameters = dict(network.named_parameters())
  assert parameters.keys() == expected['grads'].keys()
  for name, check in expected['grads'].items():
    np.testing.assert_allclose(
        np.linalg.norm(parameters[name].grad), check['l2'], rtol=1e-10,
        err_msg=name)


@pytest.mark.parametrize('views', [SINGLE, DUAL])
def test_any_width_is_ours(views):
  """The same parameters restore the same picture in both frameworks."""
  network = torch_drbnet.DRBNet(dual=views == DUAL, width=4)
  variables = conversion.convert(
      {name: array.numpy() for name, array in network.state_dict().items()})
  pictures = np.random.default_rng(0).random((3, 2, 16, 24, 3), np.float32)
  inputs = dict(zip(DUAL, pictures))
  ours = jax.jit(registry.create('drbnet', views=views, width=4).apply)(
      variables, {view: inputs[view] for view in views})
  tensors = {view: torch.tensor(2 * inputs[view] - 1).permute(0, 3, 1, 2)
             for view in views}
  with torch.no_grad():
    restored, _, _ = network(**tensors)
  _assert_close((restored + 1) / 2, ours.image, 2e-6)
