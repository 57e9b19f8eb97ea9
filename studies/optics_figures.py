"""Draws the pictures of docs/optics.md.

  python -m studies.optics_figures --photo PHOTO \\
      --stack dp_psf/blur_kernels_simulated_pixel4_nocode.mat \\
      --output docs/figures

PHOTO is any photograph; that of the document is "The spices of life" (budgie
backgrounds, CC0). The stack is the simulated Pixel 4 of the CADS repository
(MIT). Two options draw data of your own, which the document does not show:

  --measured FOLDER     the kernels that studies.measured_kernels reads, as
                        measured.png
  --light_field FOLDER  a folder of views, refocused, as light_field.png
"""

import argparse
from collections.abc import Mapping, Sequence
import dataclasses
import io
import pathlib
import tempfile
from typing import Any

import cv2
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from data_pipelines.light_fields import read_light_field
from jaxdeblur.calibration.calibrate import calibrate
from jaxdeblur.calibration.capture import CaptureSettings, photograph
from jaxdeblur.calibration.chart import draw as draw_disc_chart
from jaxdeblur.optics import light_field, psf, rendering
from jaxdeblur.optics.lens import Lens, ThinLens
from jaxdeblur.optics.light import to_display, to_linear
from jaxdeblur.optics.light_field import LightField
from jaxdeblur.pictures import read_pixels, write_whole
from studies import measured_kernels

Kernels = Sequence[Array | np.ndarray]

_RADIUS = 10.0  # Of the kernels that are drawn, px.
_SIZE = 31
_STACK_DEPTHS = (0, 4, 7, 9, 11, 13, 16, 20)
_HEIGHT, _WIDTH = 144, 216  # Of a rendered picture, px.
_MARGIN = 24  # Blur reaches into the picture from this far, px.
_COLOURS = 256  # Of a palette, which keeps the files small.

# The scene of three_views.png: full frame, 50 mm, f/1.4. Lengths are in mm.
_DEPTHS = {'front': 600.0, 'middle': 1000.0, 'back': 2500.0}
_FOCAL_LENGTH, _F_NUMBER, _SENSOR_WIDTH = 50.0, 1.4, 36.0

# The scene of refocused.png: disparity of each layer, px from view to view.
_DISPARITIES = {'front': 1, 'middle': 0, 'back': -1}
_VIEWS = 9
_APERTURE = 4.0  # Radius, in views.


@dataclasses.dataclass(frozen=True)
class Layers:
  """Three layers of a scene, front to back.

  Attributes:
    light: linear light, [3, h, w, 3].
    weight: where each layer is, [3, h, w, 1].
  """
  light: Float[np.ndarray, '3 h w 3']
  weight: Float[np.ndarray, '3 h w 1']

  def compose(self) -> Float[np.ndarray, 'h w 3']:
    """The scene without blur."""
    picture = np.zeros_like(self.light[0])
    for light, weight in zip(self.light[::-1], self.weight[::-1]):
      picture = weight * light + (1 - weight) * picture
    return picture

  def move(self, x: Sequence[int], y: Sequence[int]) -> 'Layers':
    """Moves each layer by whole pixels."""
    def roll(stack):
      return np.stack([np.roll(layer, shift, axis=(0, 1))
                       for layer, shift in zip(stack, zip(y, x))])

    return Layers(roll(self.light), roll(self.weight))

  def render(self, kernels: Float[Array, '3 v 3 k k']) -> np.ndarray:
    """Renders the views that each layer's kernels belong to."""
    return np.asarray(rendering.render(rendering.Plane(
        jnp.asarray(self.light), jnp.asarray(self.weight), kernels,
        starts_layer=jnp.array([False, True, True]))))


def cut_layers(photo: Float[np.ndarray, 'h w 3']) -> Layers:
  """Cuts two round pieces from a photograph and puts them before it."""
  size = _HEIGHT + 2 * _MARGIN, _WIDTH + 2 * _MARGIN
  height, width = photo.shape[:2]
  scale = max(size[0] / height, size[1] / width)
  back = cv2.resize(photo, None, fx=scale, fy=scale,
                    interpolation=cv2.INTER_AREA)[:size[0], :size[1]]
  lights, weights = [], []
  # Centre in the photograph, as a share of it; centre and radius in the
  # picture, px.
  for (from_x, from_y), (x, y), radius in (
      ((0.37, 0.82), (78, 92), 44), ((0.76, 0.52), (130, 62), 40)):
    side = 0.17 * height / (radius + 1)  # px of the photograph
    turn = np.float32([
        [side, 0, from_x * width - side * (x + _MARGIN)],
        [0, side, from_y * height - side * (y + _MARGIN)]])
    smooth = cv2.GaussianBlur(photo, (0, 0), max(side / 2.5, 0.3))
    lights.append(cv2.warpAffine(
        smooth, turn, size[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT))
    rows, columns = np.ogrid[:size[0], :size[1]]
    distance = np.hypot(rows - y - _MARGIN, columns - x - _MARGIN)
    weights.append(np.clip(radius - distance + 0.5, 0, 1)[..., None])
  weights.append(np.ones((*size, 1)))
  return Layers(np.float32([*lights, back]), np.float32(weights))


def draw_kernels(stack: Float[np.ndarray, '2 depths k k']) -> bytes:
  """Families of kernels, splits, and the simulated stack."""
  r, edge = _RADIUS, 0.4 * _RADIUS
  soft = psf.disc(r, edge, size=_SIZE)
  whole = {
      'disc': psf.disc(r, size=_SIZE),
      'soft edge': soft,
      'bright rim': psf.disc(r, 2.0, rim=1.0, size=_SIZE),
      'dark rim': psf.disc(r, 2.0, rim=-0.6, size=_SIZE),
      '6 blades': psf.polygon(r, 6, 0.3, size=_SIZE),
      'rounded': psf.polygon(r, 6, 0.3, roundness=0.6, size=_SIZE),
      'Gaussian': psf.gaussian(r / 2, _SIZE),
      "cat's eye": psf.cat_eye(r, 0.7, 0.6, 2.0, size=_SIZE),
      'tilt': psf.aperture(r, edge=2.0, tilt=0.7, tilt_direction=0.6,
                           size=_SIZE),
      'stretch': psf.aperture(r, edge=2.0, stretch=1.25, direction=0.6,
                              size=_SIZE),
      'Butterworth': psf.butterworth(r, size=_SIZE)}
  splits = {
      'ramp, 1.19': psf.split(soft, r, softness=1.19),
      'ramp, other side': psf.split(soft, -r, softness=1.19),
      'hard halves': psf.half_discs(r),
      'translating disc': psf.split_by_translation(psf.disc(r), r),
      'square': psf.split_square(2 * r)}
  shown = {f'{name}\n{view}': _pad(kernel) for name, pair in splits.items()
           for view, kernel in zip(('left', 'right'), pair)}
  figure = _make_figure(11 * 82 + 20, 560)
  boxes = figure.subfigures(3, 1, height_ratios=(1, 1.05, 1.65))
  _fill(boxes[0], 'Families, whole aperture, radius 10 px', [whole])
  _fill(boxes[1], 'Splits into the left and right view', [shown])
  _fill(boxes[2], 'Simulated Pixel 4 (CADS, MIT), from one side of the plane '
        'in focus to the other', [
            {f'{view} {depth}': kernels[depth] for depth in _STACK_DEPTHS}
            for view, kernels in zip(('left', 'right'), stack)])
  return _to_png(figure)


def draw_three_views(layers: Layers) -> bytes:
  """A scene in three views, at three distances in focus."""
  rows = {}
  for name, focus in _DEPTHS.items():
    thin = ThinLens(_FOCAL_LENGTH, _F_NUMBER, focus, _SENSOR_WIDTH / _WIDTH)
    radii = thin.circle_of_confusion(np.array([*_DEPTHS.values()])) / 2
    kernels = jnp.stack([
        Lens(edge_share=0.2).draw_views(radius, 25) for radius in radii])
    left, right = layers.render(kernels)
    label = ', '.join(f'{radius:+.1f}' for radius in np.asarray(radii))
    rows[f'{name} in focus, {focus / 1000:g} m\nradii {label} px'] = [
        (left + right) / 2, left, right]
  return _draw_grid(rows, ('center', 'left', 'right'))


def make_light_field(layers: Layers) -> LightField:
  """Takes views of the layers from a grid; each hides what is behind it."""
  shifts = np.array([*_DISPARITIES.values()])
  places = range(-(_VIEWS // 2), _VIEWS // 2 + 1)
  return LightField(np.stack([
      np.stack([layers.move(-shifts * u, -shifts * v).compose()
                for u in places]) for v in places]))


def draw_refocused(layers: Layers) -> tuple[bytes, str]:
  """A refocused light field beside the rendered layers, and what differs."""
  field = make_light_field(layers)
  shifts = np.array([*_DISPARITIES.values()])
  # The border of the aperture is one view wide.
  lens = Lens(edge=1e-3, edge_share=1 / _APERTURE)
  rows = {'light field,\nrefocused': [], 'layers, rendered': []}
  for disparity in _DISPARITIES.values():
    refocused = light_field.render(field, disparity, _APERTURE)['center']
    kernels = jnp.stack([
        lens.draw_whole(_APERTURE * (disparity - shift), 25)[None]
        for shift in shifts])
    for row, picture in zip(rows.values(), (
        refocused, layers.render(kernels)[0])):
      row.append(np.asarray(picture))
  differences = np.stack([
      np.abs(to_display(_cut(one)) - to_display(_cut(other)))
      for one, other in zip(*rows.values())]) * 255
  largest = differences.max(axis=(1, 2, 3))
  mean = differences.mean(axis=(1, 2, 3))
  text = 'difference in display values of 255: ' + '; '.join(
      f'{name} in focus {top:.1f} at most, {middle:.2f} in the mean'
      for name, top, middle in zip(_DISPARITIES, largest, mean))
  sharp, blurred = rows.values()
  sharp.insert(0, np.asarray(field.sharp))
  worst = np.clip(8 / 255 * differences[largest.argmax()], 0, 1)
  blurred.insert(0, np.pad(to_linear(worst), (
      (_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0))))
  named = dict(zip(rows, (sharp, blurred)))
  titles = ('all in focus; below: 8 x difference', *(
      f'{name} in focus: at most {top:.1f} / 255'
      for name, top in zip(_DISPARITIES, largest)))
  return _draw_grid(named, titles), text


def draw_chart() -> bytes:
  """The chart and a simulated photograph of it, 800 px wide each."""
  settings = CaptureSettings(450, 800)
  lens = Lens(vignetting=0.8, edge_share=0.2)
  chart = cv2.resize(draw_disc_chart(), (settings.width, settings.height),
                     interpolation=cv2.INTER_AREA)
  shot = photograph(_draw_cells(lens, 4.5), settings)
  grey = np.uint8(np.rint(255 * to_display(shot.mean(axis=-1))))
  gap = np.full((10, settings.width), 255, np.uint8)
  return _encode(np.concatenate([chart, gap, grey]))


def draw_calibration() -> bytes:
  """The kernels that a calibration measures on simulated photographs."""
  lens = Lens(vignetting=0.8, edge_share=0.2)
  settings = CaptureSettings(720, 1280)
  shots = [photograph(_draw_cells(lens, radius), settings, seed)
           for seed, radius in enumerate((7.0, 0.8, 4.0))]
  with tempfile.TemporaryDirectory() as folder:
    calibrate(shots, folder, signs=('front', 'focus', 'back'), grid=(4, 6))
    pixels = read_pixels(pathlib.Path(folder) / 'kernels.png')
  width = 800
  height = round(width * pixels.shape[0] / pixels.shape[1])
  return _encode(cv2.resize(
      pixels, (width, height), interpolation=cv2.INTER_AREA))


def draw_measured(kernels: Float[np.ndarray, '48 2 k k']) -> bytes:
  """Measured kernels, left and right, by place in the picture."""
  rows, columns = measured_kernels.ROWS, measured_kernels.COLUMNS
  figure = _make_figure(2 * columns * 60, rows * 76)
  _fill(figure.subfigures(1, 1), 'Measured', [
      {f'{view} {row}, {column}': kernels[row * columns + column, number]
       for column in range(columns)
       for number, view in enumerate(('L', 'R'))} for row in range(rows)])
  return _to_png(figure)


def draw_light_field(
    field: LightField, disparities: Sequence[float]
) -> bytes:
  """A light field, all in focus and refocused, in three views."""
  radius = min(field.counts) / 2
  rows = {'all in focus': [field.sharp] * 3}
  for disparity in disparities:
    views = light_field.render(field, disparity, radius, softness=1.19)
    rows[f'disparity {disparity:g} px'] = [
        np.asarray(views[name]) for name in ('center', 'left', 'right')]
  return _draw_grid(rows, ('center', 'left', 'right'), margin=0)


def _draw_cells(lens: Lens, radius: float) -> np.ndarray:
  """Green's kernels of a lens for 4 x 6 cells of the picture."""
  size = 2 * round(1.4 * radius) + 5
  return np.stack([np.stack([
      lens.draw_whole(radius, size, ((2 * x + 1) / 6 - 1, (2 * y + 1) / 4 - 1)
                      )[1] for x in range(6)]) for y in range(4)])


def _pad(kernel: Array) -> np.ndarray:
  return np.pad(np.asarray(kernel), (_SIZE - kernel.shape[0]) // 2)


def _make_figure(width: int, height: int):
  from matplotlib.figure import Figure  # Not pyplot: no global state.
  return Figure(figsize=(width / 100, height / 100), dpi=100,
                layout='constrained')


def _fill(box, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
  """Draws rows of kernels, each in greys from 0 to its highest value."""
  box.suptitle(title, fontsize=9, x=0.01, ha='left')
  columns = max(map(len, rows))
  axes = box.subplots(len(rows), columns, squeeze=False)
  for axis in axes.flat:
    axis.set_axis_off()
  for line, row in zip(axes, rows):
    for axis, (name, kernel) in zip(line, row.items()):
      axis.imshow(np.asarray(kernel), cmap='gray', vmin=0,
                  interpolation='nearest')
      axis.set_title(name, fontsize=7)


def _cut(picture: np.ndarray, margin: int = _MARGIN) -> np.ndarray:
  return picture[margin:picture.shape[0] - margin,
                 margin:picture.shape[1] - margin]


def _draw_grid(
    rows: Mapping[str, Sequence[np.ndarray]], titles: Sequence[str],
    margin: int = _MARGIN,
) -> bytes:
  """Draws pictures in linear light pixel by pixel, with titles and labels."""
  from matplotlib.figure import Figure
  shown = {label: [to_display(np.asarray(_cut(picture, margin)))
                   for picture in pictures] for label, pictures in rows.items()}
  height, width = next(iter(shown.values()))[0].shape[:2]
  gap, top, left = 4, 18, 18 + 12 * max(label.count('\n') for label in rows)
  whole = (left + len(titles) * (width + gap), top + len(rows) * (height + gap))
  figure = Figure(figsize=(whole[0] / 100, whole[1] / 100), dpi=100)
  for y, (label, pictures) in enumerate(shown.items()):
    lower = whole[1] - top - (y + 1) * (height + gap) + gap
    figure.text((left - 4) / whole[0], (lower + height / 2) / whole[1], label,
                rotation=90, ha='right', va='center', fontsize=6.5)
    for x, picture in enumerate(pictures):
      axis = figure.add_axes((
          (left + x * (width + gap)) / whole[0], lower / whole[1],
          width / whole[0], height / whole[1]))
      axis.imshow(picture, interpolation='nearest')
      axis.set_axis_off()
  for x, title in enumerate(titles):
    figure.text((left + x * (width + gap) + width / 2) / whole[0],
                1 - 4 / whole[1], title, ha='center', va='top', fontsize=7.5)
  return _to_png(figure, dither=True)


def _to_png(figure, dither: bool = False) -> bytes:
  file = io.BytesIO()
  figure.savefig(file, format='png', facecolor='white')
  decoded = cv2.imdecode(
      np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
  return _encode(decoded[..., ::-1], dither)


def _encode(pixels: np.ndarray, dither: bool = False) -> bytes:
  """Encodes RGB or grey pixels as a PNG with a palette."""
  from PIL import Image
  file = io.BytesIO()
  image = Image.fromarray(np.ascontiguousarray(pixels))
  reduced = image.quantize(_COLOURS)
  if dither:  # Without it, smooth blur shows steps.
    reduced = image.quantize(
        palette=reduced, dither=Image.Dither.FLOYDSTEINBERG)
  reduced.save(file, 'png', optimize=True)
  return file.getvalue()


def main() -> None:
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
  parser.add_argument('--photo', type=pathlib.Path, required=True)
  parser.add_argument('--stack', type=pathlib.Path, required=True)
  parser.add_argument('--output', type=pathlib.Path, required=True)
  parser.add_argument('--measured', type=pathlib.Path)
  parser.add_argument('--light_field', type=pathlib.Path)
  parser.add_argument('--disparities', type=float, nargs='*',
                      default=(-1.0, 0.0, 1.0))
  options = parser.parse_args()
  options.output.mkdir(parents=True, exist_ok=True)

  def write(name, data):
    write_whole(options.output / name, data)
    print(f'{name}: {len(data) / 1000:.0f} kB', flush=True)

  pixels = read_pixels(options.photo)
  layers = cut_layers(to_linear(
      pixels / np.float32(np.iinfo(pixels.dtype).max)))
  write('kernels.png', draw_kernels(measured_kernels.read_stack(options.stack)))
  write('three_views.png', draw_three_views(layers))
  refocused, differences = draw_refocused(layers)
  write('refocused.png', refocused)
  print(differences)
  write('chart.png', draw_chart())
  write('calibration.png', draw_calibration())
  if options.measured:
    write('measured.png', draw_measured(
        measured_kernels.read_kernels(options.measured)))
  if options.light_field:
    write('light_field.png', draw_light_field(
        read_light_field(options.light_field), options.disparities))


if __name__ == '__main__':
  main()
