"""LFDOF, as TensorFlow Datasets build it."""

from data_pipelines.datasets.pair_builder import Count, PairBuilder
from data_pipelines.datasets.trees import Layout, NamedFiles, Tree

_FOLDERS = {'train': ('train', 'train_data', 'training'),
            'test': ('test', 'test_data', 'testing')}


class Builder(PairBuilder):
  """LFDOF: light fields of 1008 x 688 px, refocused at many depths, 8 bits.

  A scene's pictures have different focus and aperture, and share one ground
  truth, which is stored with each of them. The splits are train and test. Their
  numbers, 11261 and 725 pictures, and folder names other than train and test
  are from memory and not verified. Some files have an alpha channel, which is
  left out when they are read.
  """
  HOMEPAGE = 'https://sweb.cityu.edu.hk/miullam/AIFNET/'
  LICENCE = 'Not stated.'
  CITATION = """\
@article{ruan2021aifnet,
  title={AIFNet: All-in-Focus Image Restoration Network Using a Light
         Field-Based Dataset},
  author={Ruan, Lingyan and Chen, Bin and Li, Jizhou and Lam, Miu-Ling},
  journal={IEEE Transactions on Computational Imaging},
  volume={7},
  pages={675--688},
  year={2021}
}"""
  TREE = """
      SPLIT/input/SCENE/NAME.png    blurry, or SPLIT/input/SCENE_apN.png
      SPLIT/ground_truth/SCENE.png  sharp
      SPLIT: train, test
  """
  VIEWS = ('center', 'sharp')
  BITS = 8
  COUNTS = {'train': Count(11261), 'test': Count(725)}
  LAYOUTS = tuple(
      Layout({'center': f'{{split}}/input/{name}',
              'sharp': '{split}/ground_truth/*'}, _FOLDERS)
      for name in ('*/*', '*'))

  @classmethod
  def match(cls, tree: Tree, split: str) -> NamedFiles:
    """Gives every picture its scene's ground truth."""
    named = tree.splits[split]
    sharp = named.get('sharp', {})
    scenes = {key: (key[0].split('_ap')[0],) for key in named.get('center', {})}
    return named | {'sharp': {
        key: sharp[scene] for key, scene in scenes.items() if scene in sharp}}
