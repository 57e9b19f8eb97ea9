"""RealDOF, as TensorFlow Datasets build it."""

from data_pipelines.datasets.pair_builder import Count, PairBuilder
from data_pipelines.datasets.trees import Layout


class Builder(PairBuilder):
  """RealDOF: real defocus, both pictures of a scene taken at once.

  For evaluation only: one split, test, of 50 scenes. Two cameras behind a beam
  splitter took a sharp and a blurry picture of each.
  """
  HOMEPAGE = 'https://github.com/codeslake/IFAN'
  LICENCE = 'Not stated.'
  CITATION = """\
@inproceedings{lee2021iterative,
  title={Iterative Filter Adaptive Network for Single Image Defocus Deblurring},
  author={Lee, Junyong and Son, Hyeongseok and Rim, Jaesung and Cho, Sunghyun
          and Lee, Seungyong},
  booktitle={CVPR},
  year={2021}
}"""
  TREE = """
      RealDOF/source/NAME.png  blurry
      RealDOF/target/NAME.png  sharp
  """
  VIEWS = ('center', 'sharp')
  COUNTS = {'test': Count(50, 'the supplement of Ruan et al. (2022)')}
  LAYOUTS = (
      Layout({'center': 'source/*', 'sharp': 'target/*'}, {'test': ('',)}),)
