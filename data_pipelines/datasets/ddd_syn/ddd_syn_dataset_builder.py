"""DDD-syn, as TensorFlow Datasets build it."""

from data_pipelines.datasets.pair_builder import Count, PairBuilder
from data_pipelines.datasets.trees import Layout

_SIMULATOR = "the authors' simulator"


class Builder(PairBuilder):
  """DDD-syn: dual-pixel views rendered from NYU Depth v2, 640 x 480 px, 8 bits.

  The authors publish the program that renders it. It has 5000 scenes to train
  (1000 pictures with five cameras) and 500 to test (350 in testing, 150 in
  testing1, whose scenes are named 1_NNNN here). There is no picture of both
  pixel halves. The disparities are left out.
  """
  HOMEPAGE = (
      'https://github.com/panpanfei/Dual-Pixel-Exploration-Simultaneous-Depth-'
      'Estimation-and-Image-Restoration')
  LICENCE = 'For academic use only.'
  CITATION = """\
@inproceedings{pan2021dual,
  title={Dual Pixel Exploration: Simultaneous Depth Estimation and Image
         Restoration},
  author={Pan, Liyuan and Chowdhury, Shah and Hartley, Richard and Liu, Miaomiao
          and Zhang, Hongguang and Li, Hongdong},
  booktitle={CVPR},
  pages={4340--4349},
  year={2021}
}"""
  TREE = """
      NYU/FOLDER/dp/NNNN_l.png  left
      NYU/FOLDER/dp/NNNN_r.png  right
      NYU/FOLDER/gt/NNNN_m.png  sharp
      FOLDER: training, testing, testing1
  """
  VIEWS = ('left', 'right', 'sharp')
  BITS = 8
  COUNTS = {'train': Count(5000, _SIMULATOR), 'test': Count(500, _SIMULATOR)}
  LAYOUTS = (
      Layout({'left': '{split}/dp/*_l', 'right': '{split}/dp/*_r',
              'sharp': '{split}/gt/*_m'},
             {'train': ('training',), 'test': ('testing*',)}),)
