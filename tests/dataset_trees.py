"""The downloads of the datasets in small: real trees, tiny pictures."""

from collections.abc import Iterable
import pathlib
import zlib

import cv2
import numpy as np

DPDD_SPLITS = {'train': 3, 'val': 2, 'test': 2}


def write(
    path: pathlib.Path, dtype=np.uint8, shape=(6, 8, 3), seed: int | None = None
) -> pathlib.Path:
  """Writes noise, of another kind for every path."""
  path.parent.mkdir(parents=True, exist_ok=True)
  if seed is None:
    seed = zlib.crc32('/'.join(path.parts[-4:]).encode())
  samples = np.random.default_rng(seed).integers(
      0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
  assert cv2.imwrite(str(path), samples)
  return path


def dpdd_canon(root, splits=DPDD_SPLITS):
  """The authors' tree: ground truth has another photograph's number."""
  number = 890
  for split, scenes in splits.items():
    for _ in range(scenes):
      source, target = f'1P0A{number:04d}', f'1P0A{number + 1:04d}'
      number += 4
      top = root / 'dd_dp_dataset_canon'
      write(top / f'{split}_c/source/{source}.png', np.uint16)
      write(top / f'{split}_l/source/{source}_L.png', np.uint16)
      write(top / f'{split}_r/source/{source}_R.png', np.uint16)
      write(top / f'{split}_c/target/{target}.png', np.uint16)
  return dict(splits)


def dpdd_same_names(root, splits=DPDD_SPLITS, dtype=np.uint16):
  """As IFAN and DRBNet have it."""
  for split, scenes in splits.items():
    for name in _names(scenes):
      for folder in ('c/source', 'l/source', 'r/source', 'c/target'):
        write(root / f'DPDD/{split}_{folder}/{name}.png', dtype)
  return dict(splits)


def dpdd_by_input(root, splits=DPDD_SPLITS, top='{split}/DPDD'):
  """As Restormer has it."""
  for split, scenes in splits.items():
    for name in _names(scenes):
      for folder in ('inputC', 'inputL', 'inputR', 'target'):
        write(root / top.format(split=split) / folder / f'{name}.png',
              np.uint16)
  return dict(splits)


def dpdd_pixel(root):
  for name in _names(2):
    for folder, end in (('test_c', ''), ('test_l', '_L'), ('test_r', '_R')):
      write(root / f'dd_dp_dataset_pixel/{folder}/source/{name}{end}.png',
            np.uint16)
  return {'test': 2}


def realdof(root, scenes=3):
  for name in _names(scenes):
    for folder in ('source', 'target'):
      write(root / 'RealDOF' / folder / f'{name}.png')
  return {'test': scenes}


def lfdof(root):
  """As AIFNet has it; one picture has an alpha channel."""
  for split, scenes in (('train', ('IMG_1', 'IMG_10')), ('test', ('IMG_2',))):
    for scene in scenes:
      write(root / split / 'ground_truth' / f'{scene}.png')
      for refocus in (1, 2, 10):
        shape = (6, 8, 4) if refocus == 10 else (6, 8, 3)
        write(root / split / 'input' / scene / f'{refocus}.png', shape=shape)
  return {'train': 6, 'test': 3}


def lfdof_flat(root):
  """As LaKDNet and DRBNet have it."""
  for split, scene in (('train_data', 'IMG_1'), ('test_data', 'IMG_2')):
    write(root / split / 'ground_truth' / f'{scene}.png')
    for aperture in ('2', '10'):
      write(root / split / 'input' / f'{scene}_ap{aperture}.png')
  return {'train': 2, 'test': 2}


def cuhk(root):
  for name, shape in (('out_of_focus0001', (6, 8, 3)),
                      ('out_of_focus0002', (8, 6, 3)),
                      ('motion0001', (6, 8, 3))):
    write(root / 'image' / f'{name}.jpg', shape=shape)
    write(root / 'gt' / f'{name}.png', shape=shape[:2])
  return {'test': 2}


def rdpd(root):
  for split, sequence in (('train', 1), ('val', 3), ('test', 3)):
    for frame in ('0000000', '0000001'):
      for folder in ('c/source', 'l/source', 'r/source', 'c/target'):
        name = f'seq_{sequence:03d}/{frame}.png'
        # val and test are the same pictures.
        write(root / f'dd_dp_dataset_synth_vid/{split}_{folder}/{name}',
              seed=zlib.crc32(f'{folder}/{name}'.encode()))
  return {'train': 2, 'val': 2, 'test': 2}


def ddd_syn(root):
  folders = {'training': (1, 2, 10), 'testing': (6001, 6002),
             'testing1': (6001,)}
  for folder, numbers in folders.items():
    for number in numbers:
      for name in (f'dp/{number:04d}_l', f'dp/{number:04d}_r',
                   f'gt/{number:04d}_m'):
        write(root / 'NYU' / folder / f'{name}.png')
  return {'train': 3, 'test': 3}


def dpd_disp(root):
  for folder in ('Quantitative', 'Qualitative'):
    for view in 'BLR':
      write(root / folder / f'0001_{view}.png')
  return {'quantitative': 1, 'qualitative': 1}


def pixel4_xin(root, scenes=3):
  top = root / 'DP_data_pixel_4'
  for number in range(1, scenes + 1):
    for side in ('left', 'right'):
      write(top / f'{number:03d}_{side}.png', np.uint16, (12, 9))
    write(top / f'gt_all_in_focus_im/{number:03d}_gt.png', np.uint16, (8, 6))
    write(top / f'gt_defocus_map/{number:03d}_gt.png', np.uint16, (8, 6))
  for side in ('left', 'right'):
    write(top / f'calibration/white_sheet_{side}.png', np.uint16, (12, 9))
  return {'test': scenes}


def _names(number: int) -> Iterable[str]:
  return (f'1P0A{890 + 2 * i:04d}' for i in range(number))


TREES = {tree.__name__: tree for tree in (
    cuhk, ddd_syn, dpd_disp, dpdd_canon, dpdd_pixel, lfdof, pixel4_xin, rdpd,
    realdof)}
