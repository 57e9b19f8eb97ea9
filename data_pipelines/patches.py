"""Patches for training, cut once from recorded pairs.

To make a crop, whole pictures must be decoded; decoding patches costs a
fortieth of that, see docs/loading.md. The rule is DPDNet's (Abuolaim and Brown
2020), for patches of 512 px. They overlap by 60 %, and the last ones lie flush
with the right and lower borders. In every picture, the 30 % with the least
texture are left out. Files are uncompressed TIFF, since the noise of a sensor
hardly compresses in 16 bits, and a patch in PNG takes more than ten times as
long to decode.
"""

from collections.abc import Iterator, Sequence
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import shutil

import cv2
import numpy as np
import tqdm

from data_pipelines.pairs import FOLDERS, FolderPairs, Pair, PairSource
from jaxdeblur.errors import ExistingFileError, MissingFileError, UserError

RECORD = 'patches.json'
_APERTURES = (3, 7, 11, 15)  # Sizes of the Sobel filters, px.


@dataclasses.dataclass(frozen=True)
class PatchSettings:
  """How patches are cut.

  Attributes:
    size: height and width of a patch, px.
    overlap: share of a patch that the next one also covers.
    drop_share: share of every picture's patches to leave out: those with the
      least texture.
  """
  size: int = 512
  overlap: float = 0.6
  drop_share: float = 0.3

  def __post_init__(self):
    if self.size < 1:
      raise UserError(
          f'size is {self.size}: expected a number of pixels.',
          argument='size')
    for name in ('overlap', 'drop_share'):
      if not 0 <= getattr(self, name) < 1:
        raise UserError(
            f'{name} is {getattr(self, name)}: expected a share from 0 to '
            'below 1.', argument=name)

  @property
  def stride(self) -> int:
    """Distance from one patch to the next, px."""
    return max(1, int((1 - self.overlap) * self.size))


def place_patches(length: int, size: int, stride: int) -> list[int]:
  """Places patches along one side of a picture; the last one is flush."""
  starts = list(range(0, length - size + 1, stride))
  if starts[-1] + size < length:
    starts.append(length - size)
  return starts


def measure_texture(picture: np.ndarray) -> list[float]:
  """Sums the magnitude of the gradient, by Sobel filters of four sizes.

  Args:
    picture: uint8 or uint16 RGB [h, w, 3].
  """
  grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
  return [
      float(cv2.magnitude(
          cv2.Sobel(grey, cv2.CV_64F, 1, 0, ksize=aperture),
          cv2.Sobel(grey, cv2.CV_64F, 0, 1, ksize=aperture)).sum())
      for aperture in _APERTURES]


def choose_textured(
    textures: Sequence[Sequence[float]], drop_share: float
) -> list[int]:
  """Leaves out the patches with the least texture.

  The values from `measure_texture` of a picture's patches are scaled to [0, 1]
  for each filter size, then multiplied. Among equals the first are left out
  first.

  Returns:
    The indices of the patches that stay, ascending.
  """
  values = np.asarray(textures)
  spread = np.ptp(values, axis=0)
  values = (values - values.min(axis=0)) / np.where(spread > 0, spread, 1)
  order = np.argsort(values.prod(axis=1), kind='stable')
  return sorted(order[int(drop_share * len(order)):].tolist())


def cut_patches(pair: Pair, settings: PatchSettings) -> Iterator[Pair]:
  """Cuts a pair into patches, and yields those with texture as pairs.

  Raises:
    UserError: there is no ground truth to measure texture in, or a picture is
      smaller than a patch.
  """
  size = settings.size
  if 'sharp' not in pair.views:
    raise UserError(
        f'The scene {pair.scene} has no ground truth (sharp): patches are for '
        'training, and are chosen by its texture.')
  sharp = pair.views['sharp']
  if min(sharp.shape[:2]) < size:
    raise UserError(
        f'The scene {pair.scene} is {sharp.shape[0]} x {sharp.shape[1]} px, '
        f'smaller than a patch of {size} x {size} px: cut smaller '
        'ones.', argument='size')
  ys, xs = (place_patches(length, size, settings.stride)
            for length in sharp.shape[:2])
  corners = [(y, x) for y in ys for x in xs]
  textures = [measure_texture(sharp[y:y + size, x:x + size])
              for y, x in corners]
  for index in choose_textured(textures, settings.drop_share):
    y, x = corners[index]
    yield dataclasses.replace(
        pair, scene=f'{pair.scene}_y{y:04}_x{x:04}',
        views={name: view[y:y + size, x:x + size]
               for name, view in pair.views.items()})


def prepare_patches(
    source: PairSource, output: str | pathlib.Path, settings: PatchSettings
) -> int:
  """Cuts all pairs of a source into a folder of patches, whole or not at all.

  It is a plain folder of pairs, as FolderPairs reads it, with a record of how
  it was made. Until it is complete it has another name.

  Returns:
    The number of patches.

  Raises:
    ExistingFileError: the output exists already.
    UserError: see `cut_patches`; or two scenes have the same name.
  """
  output = pathlib.Path(output).absolute()
  if output.exists():
    raise ExistingFileError(
        f'{output} exists already: name another folder or remove it first.')
  unfinished = output.with_name(f'.{output.name}.unfinished')
  shutil.rmtree(unfinished, ignore_errors=True)
  unfinished.mkdir(parents=True)
  try:
    count = _write_patches(source, unfinished, settings)
    record = dataclasses.asdict(settings) | {
        'scenes': len(source), 'patches': count, 'views': list(source.views)}
    (unfinished / RECORD).write_text(json.dumps(record, indent=2) + '\n')
    unfinished.rename(output)
  finally:
    shutil.rmtree(unfinished, ignore_errors=True)
  return count


def open_patches(
    folder: str | pathlib.Path, views: Sequence[str] | None = None
) -> FolderPairs:
  """Opens a folder that `prepare_patches` wrote; see FolderPairs.

  Raises:
    MissingFileError: `folder` is no folder of prepared patches.
    UserError: some of its patches are missing.
  """
  folder = pathlib.Path(folder)
  try:
    record = json.loads((folder / RECORD).read_text())
  except OSError as error:
    raise MissingFileError(
        f'{folder} is no folder of prepared patches (it has no {RECORD}): cut '
        'them first, or read it as a plain folder of pairs.',
        argument='folder') from error
  pairs = FolderPairs(folder, views)
  if len(pairs) != record['patches']:
    raise UserError(
        f'{folder} holds {len(pairs)} patches, but {record["patches"]} were '
        'prepared: copy it anew.')
  return pairs


def _write_patches(source, folder, settings) -> int:
  for view in source.views:
    (folder / _FOLDER_OF[view]).mkdir()

  def write(index: int) -> int:
    count = 0
    for patch in cut_patches(source[index], settings):
      for view, picture in patch.views.items():
        _write_tiff(
            folder / _FOLDER_OF[view] / f'{_to_name(patch.scene)}.tif', picture)
      count += 1
    return count

  threads = os.cpu_count() or 1  # OpenCV releases Python's lock.
  with concurrent.futures.ThreadPoolExecutor(threads) as pool:
    futures = [pool.submit(write, index) for index in range(len(source))]
    try:
      return sum(future.result() for future in tqdm.tqdm(
          futures, desc='Cutting patches', unit='scene', disable=None))
    except BaseException:
      pool.shutdown(cancel_futures=True)
      raise


_FOLDER_OF = {view: folder for folder, view in FOLDERS.items()}


def _to_name(scene: str) -> str:
  return scene.replace('/', '_')


def _write_tiff(file: pathlib.Path, picture: np.ndarray) -> None:
  if file.exists():
    raise UserError(
        f'Two scenes would be written to {file.name}: their names are alike.')
  done = cv2.imwrite(
      str(file), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR),
      [cv2.IMWRITE_TIFF_COMPRESSION, 1])
  if not done:
    raise OSError(f'{file} cannot be written: is the disk full?')
