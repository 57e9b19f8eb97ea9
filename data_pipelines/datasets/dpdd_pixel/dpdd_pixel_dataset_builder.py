"""DPDD's Pixel 4 pictures, as TensorFlow Datasets build them."""

from data_pipelines.datasets.pair_builder import Count, PairBuilder
from data_pipelines.datasets.trees import Layout


class Builder(PairBuilder):
  """DPDD, Pixel 4: dual-pixel pictures without ground truth, 16 bits.

  It is for evaluation only, with one split, test. The phone's aperture is
  fixed, so no sharp picture could be taken. Its dual pixels give one green
  channel. The number of scenes, 13, is from memory and not verified.
  """
  HOMEPAGE = (
      'https://github.com/Abdullah-Abuolaim/defocus-deblurring-dual-pixel')
  LICENCE = 'Not stated of the pictures; the code beside them is MIT.'
  CITATION = """\
@inproceedings{abuolaim2020defocus,
  title={Defocus Deblurring Using Dual-Pixel Data},
  author={Abuolaim, Abdullah and Brown, Michael S},
  booktitle={ECCV},
  pages={111--126},
  year={2020}
}"""
  TREE = """
      dd_dp_dataset_pixel/test_c/source/NAME.png    both views' sum
      dd_dp_dataset_pixel/test_l/source/NAME_L.png  left
      dd_dp_dataset_pixel/test_r/source/NAME_R.png  right
      or one NAME in all three folders
  """
  VIEWS = ('center', 'left', 'right')
  BITS = 16
  CAMERA = 'Google Pixel 4'
  COUNTS = {'test': Count(13)}
  LAYOUTS = tuple(
      Layout({'center': 'test_c/source/*',
              'left': f'test_l/source/*{left}',
              'right': f'test_r/source/*{right}'},
             {'test': ('',)})
      for left, right in (('_L', '_R'), ('', '')))
