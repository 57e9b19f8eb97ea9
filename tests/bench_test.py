"""Benchmarks from the command's job to table, JSON and plot."""

import json

import jax
import pytest

from configs import drbnet, k3dn, starter
from jaxdeblur import jobs
from jaxdeblur.benchmark import jobs as benchmarks, measurement, roofline
from jaxdeblur.benchmark.counting import count
from jaxdeblur.benchmark.programs import make_forward
from jaxdeblur.benchmark.roofline import Roofline
from jaxdeblur.benchmark.scaling import _window
from jaxdeblur.benchmark.tpu_program import main_memory_bytes
from jaxdeblur.models import registry

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _fast_peaks(monkeypatch):
  monkeypatch.setattr(roofline, '_SECONDS', 0.0)
  monkeypatch.setattr(roofline, '_MATRIX_SIZE', 64)
  monkeypatch.setattr(roofline, '_VECTOR_SIZE', 1024)


def _config(
    what='forward', make=starter.get_config, width=2, method='auto', **bench):
  config = make()
  config.compute.dynamic_conv_method = method
  if width:
    config.model.width = width
  config.bench.update(what=what, size=(16, 24), warm_up=1, repeats=3, **bench)
  config.data.crop = (16, 24)
  config.train.batch_size = 2
  return config


def _run(config, output=None, overwrite=False):
  return jobs.run('bench', config, jobs.Arguments(
      output=output, overwrite=overwrite))


def _baseline():
  return drbnet.get_config('baseline')


def test_a_forward_pass_is_measured(tmp_path, capsys):
  config = _config(layers=True, batch_size=2)
  assert _run(config, tmp_path / 'out') == 0
  printed = capsys.readouterr().out
  assert 'forward of drbnet views=center width=2: 2 x 16 x 24 px' in printed
  assert '| parameters [M] | 0.05 |' in printed
  assert '| encoder_decoder/decoder1/up | transposed convolution |' in printed
  assert (tmp_path / 'out' / 'bench.png').read_bytes()[:4] == b'\x89PNG'

  record = json.loads((tmp_path / 'out' / 'bench.json').read_text())
  assert {'versions', 'command', 'hardware', 'date'} < set(record)
  assert record['config']['bench']['size'] == [16, 24]
  result = record['result']
  assert len(result['seconds']) == 3 and len(result['warm_up_seconds']) == 1
  low, high = result['quartile_seconds']
  median = result['median_seconds']
  assert min(result['seconds']) <= low <= median <= high
  assert result['pictures_per_second'] == 2 / median
  assert result['megapixels_per_second'] == pytest.approx(
      2 * 16 * 24 / 1e6 / median)
  macs = result['macs']
  assert macs['dynamic_convolution'] == 2 * 49 * 3 * (384 + 96 + 24 + 6)
  assert result['flops_per_second'] == 2 * sum(macs.values()) / median
  assert sum(operation['macs'] for operation in result['operations']) == sum(
      macs.values())
  assert result['roofline']['share'] == (
      result['roofline']['seconds'] / median)
  memory = result['memory_bytes']
  assert memory['temporaries'] > 0 and memory['accessed'] > 0


def test_a_training_step_is_measured():
  """Its gradients cost twice the forward pass: none is of the picture."""
  config = _config('train_step', _baseline)
  config.bench.batch_size = 2
  step = measurement.measure(config)
  assert step.program.batch_size == 2
  forward = make_forward(config, jax.devices())
  counted = count(forward.function.trace(*forward.arguments).jaxpr)
  first = counted.operations[0]
  assert first.path == 'encoder_decoder/encoder/level1_conv1'
  assert step.count.convolution_macs == (
      3 * counted.convolution_macs - first.macs)
  # Parameters, their average, and AdamW's two.
  assert step.memory.arguments > 4 * 4 * forward.parameters
  assert len(step.seconds) == 3 and min(step.seconds) > 0


def test_k3dn_is_measured():
  config = _config(make=k3dn.get_config, width=None)
  config.bench.size = (288, 224)
  with config.unlocked():
    config.model = dict(name='k3dn', views=('left', 'right'), base_channels=2,
                        num_blocks=1, num_psf_blocks=1)
  measured = measurement.measure(config)
  assert measured.count.convolution_macs > 0
  assert not measured.count.unknown_loops


def test_the_method_of_the_dynamic_convolution_can_be_chosen():
  program = make_forward(
      _config(method='unfold'), jax.devices())
  assert 'dynamic_conv_method=unfold' in program.network
  jaxpr = program.function.trace(*program.arguments).jaxpr
  assert 'name=_unfold' in str(jaxpr)


def test_sizes_are_compared(tmp_path, capsys):
  config = _config('scaling', _baseline, sizes=(32, 16))
  assert _run(config, tmp_path) == 0
  assert '| 16 x 16 | no | 3 | ' in capsys.readouterr().out
  assert (tmp_path / 'bench.png').read_bytes()[:4] == b'\x89PNG'
  sizes = json.loads(
      (tmp_path / 'bench.json').read_text())['result']['sizes']
  assert [size['side'] for size in sizes] == [16, 32]
  assert all(len(size['seconds']) == 3 for size in sizes)


def test_tiled_sizes_share_a_window():
  """One program serves them, and is compiled once."""
  model = registry.create('drbnet', width=2)
  halo = -(-model.receptive_field // 8) * 8
  assert _window(model, 100, 2048) == (104, 104)
  assert _window(model, 4096, 2048) == _window(model, 8192, 2048) == (
      2048 + 2 * halo,) * 2


@pytest.mark.parametrize('bench, sentence', [
    (dict(target='tpu-v5'),
     "config.bench.target is 'tpu-v5': for config.bench.what=forward choose "
     'one of tpu-v5e, tpu-v5p, tpu-v6e, cuda, or leave it empty for this '
     'machine. Did you mean tpu-v5'),
    (dict(target='v5e-4'), "target is 'v5e-4': for config.bench.what=forward"),
    (dict(what='compilation'), "config.bench.target is '': for"),
    (dict(what='compilation', target='tpu-v5e'), 'choose one of v4-8, v5e-1'),
    (dict(what='scaling', target='cuda'), 'runs on this machine only'),
    (dict(what='train'), 'Did you mean train_step?'),
    (dict(repeats=0), 'time at least one run'),
    (dict(what='scaling', sizes=()), 'name one size'),
])
def test_what_cannot_be_is_one_sentence(bench, sentence, capsys):
  config = _config()
  config.bench.update(bench)
  assert _run(config) == 1
  error = capsys.readouterr().err
  assert sentence in error and error.count('\n') == 1


def test_results_are_not_overwritten(tmp_path, capsys):
  config = _config(make=_baseline)
  (tmp_path / 'bench.json').write_text('older')
  assert _run(config, tmp_path) == 1
  assert 'add --overwrite' in capsys.readouterr().err
  assert (tmp_path / 'bench.json').read_text() == 'older'
  config.bench.what = 'loader'
  assert _run(config, tmp_path, overwrite=True) == 1
  assert 'only prints' in capsys.readouterr().err


def test_without_matplotlib_there_are_figures_still(
    tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(
      benchmarks.importlib.util, 'find_spec', lambda name: None)
  config = _config('scaling', _baseline, sizes=(16,))
  assert _run(config, tmp_path) == 0
  assert 'drawn with matplotlib, not installed' in capsys.readouterr().out
  assert [path.name for path in tmp_path.iterdir()] == ['bench.json']


@pytest.mark.parametrize('what, method, calls', [
    ('forward', 'taps', {}), ('train_step', 'taps', {}),
    ('forward', 'pallas', {'__gpu$xla.gpu.triton': 4})])
def test_drbnet_lowers_for_cuda(what, method, calls, tmp_path, capsys):
  """It needs nothing there but what XLA has itself, or a kernel a scale."""
  config = _config(what, target='cuda', method=method)
  assert _run(config, tmp_path) == 0
  assert 'lowers for cuda' in capsys.readouterr().out
  result = json.loads((tmp_path / 'bench.json').read_text())['result']
  assert result['custom_calls'] == calls and result['target'] == 'cuda'


def test_a_roofline_is_the_slower_of_two():
  roof = Roofline(peak_flops=100.0, bandwidth=10.0, source='made up')
  assert roof.seconds(200, 10) == 2 and roof.bound(200, 10) == 'arithmetic'
  assert roof.seconds(100, 50) == 5 and roof.bound(100, 50) == 'memory'


def test_peaks_of_known_devices_depend_on_the_type():
  assert roofline.look_up('cpu', 'float32') is None
  h100 = [roofline.look_up('NVIDIA H100 80GB HBM3', dtype)
          for dtype in ('bfloat16', 'float32')]
  assert h100[0].peak_flops > h100[1].peak_flops > 1e14
  assert roofline.look_up('TPU v5 lite', 'bfloat16').bandwidth == 819e9


_LOOPING_PROGRAM = '''\
HloModule made_up

%body (p: (f32[8,16])) -> (f32[8,16]) {
  %p = (f32[8,16]{1,0}) parameter(0)
  %x = f32[8,16]{1,0} get-tuple-element(%p), index=0
  %y = f32[8,16]{1,0:S(1)} negate(%x)
  %z = f32[8,16]{1,0} negate(%y)
  ROOT %t = (f32[8,16]{1,0}) tuple(%z)
}

%condition (p: (f32[8,16])) -> pred[] {
  ROOT %c = pred[] constant(true)
}

ENTRY %main (a: f32[8,16]) -> (f32[8,16]) {
  %a = f32[8,16]{1,0} parameter(0)
  %b = bf16[8,16]{1,0} convert(%a)
  %s = (f32[8,16]{1,0}) tuple(%a)
  ROOT %w = (f32[8,16]{1,0}) while(%s), condition=%condition, body=%body, \
backend_config={"known_trip_count":{"n":"5"}}
}
'''


def test_loops_move_their_bytes_as_often_as_they_run():
  """The body reads and writes 512 bytes; between, vector memory is free."""
  assert main_memory_bytes(_LOOPING_PROGRAM) == 512 + 256 + 5 * 2 * 512
  once = _LOOPING_PROGRAM.replace('known_trip_count', 'other')
  assert main_memory_bytes(once) == 512 + 256 + 2 * 512
