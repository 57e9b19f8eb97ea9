"""The Pixel 4 scenes of Xin et al., as TensorFlow Datasets build them."""

from data_pipelines.datasets.pair_builder import Count, PairBuilder
from data_pipelines.datasets.trees import Layout


class Builder(PairBuilder):
  """Pixel 4 dual-pixel recordings of 17 scenes, with ground truth, 16 bits.

  It is for evaluation only, with one split, test. Pictures are as stored. The
  views are green samples of 14 bits with a black level of 1024, linear, not
  corrected for vignetting, 2016 x 1512 px. The ground truth, fused from a focus
  stack, is their middle 1344 x 1008 px, without the black level. The folder
  calibration, with white sheets and measured kernels, is copied; the defocus
  maps are not.
  """
  HOMEPAGE = (
      'https://github.com/cmu-ci-lab/dual_pixel_defocus_estimation_deblurring')
  LICENCE = 'Not stated.'
  CITATION = """\
@inproceedings{xin2021defocus,
  title={Defocus Map Estimation and Deblurring from a Single Dual-Pixel Image},
  author={Xin, Shumian and Wadhwa, Neal and Xue, Tianfan and Barron, Jonathan T.
          and Srinivasan, Pratul P. and Chen, Jiawen and Gkioulekas, Ioannis and
          Garg, Rahul},
  booktitle={ICCV},
  year={2021}
}"""
  TREE = """
      DP_data_pixel_4/NNN_left.png                        left
      DP_data_pixel_4/NNN_right.png                       right
      DP_data_pixel_4/gt_all_in_focus_im/NNN_gt.png       sharp
      DP_data_pixel_4/calibration/white_sheet_left.png    and others
  """
  VIEWS = ('left', 'right', 'sharp')
  BITS = 16
  CAMERA = 'Google Pixel 4'
  COUNTS = {'test': Count(17, "the authors' README")}
  LAYOUTS = (
      Layout({'left': '*_left', 'right': '*_right',
              'sharp': 'gt_all_in_focus_im/*_gt'}, {'test': ('',)}),)
  EXTRAS = ('calibration',)
  SHARP_IS_CROP = True
