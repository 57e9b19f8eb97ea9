"""RealDOF, as TensorFlow Datasets build it."""

from data_pipelines.datasets.pair_builder import Count, PairBuilder
from data_pipelines.datasets.trees import Layout


class Builder(PairBuilder):
  """RealDOF: photographs out of focus, and their scenes sharp.

  It is for evaluation only, with one split, test, of 50 scenes.
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
