"""DPD-disp, as TensorFlow Datasets build it."""

from data_pipelines.datasets.pair_builder import PairBuilder
from data_pipelines.datasets.trees import Layout

_FOLDERS = {'quantitative': ('Quantitative',), 'qualitative': ('Qualitative',)}


class Builder(PairBuilder):
  """DPD-disp: dual-pixel photographs for estimating disparity.

  It is for evaluation only, without a sharp ground truth. The disparities of
  some scenes are left out. The splits are quantitative and qualitative, the
  folders of the authors' repository. It does not state their numbers of scenes,
  so they are not checked here.
  """
  HOMEPAGE = (
      'https://github.com/abhijithpunnappurath/dual-pixel-defocus-disparity')
  LICENCE = 'Not stated.'
  CITATION = """\
@inproceedings{punnappurath2020modeling,
  title={Modeling Defocus-Disparity in Dual-Pixel Sensors},
  author={Punnappurath, Abhijith and Abuolaim, Abdullah and Afifi, Mahmoud and
          Brown, Michael S},
  booktitle={ICCP},
  year={2020}
}"""
  TREE = """
      FOLDER/NNNN_B.png  both views' sum
      FOLDER/NNNN_L.png  left
      FOLDER/NNNN_R.png  right
      FOLDER: Quantitative, Qualitative
  """
  VIEWS = ('center', 'left', 'right')
  COUNTS = {'quantitative': None, 'qualitative': None}
  LAYOUTS = (
      Layout({'center': '{split}/*_B', 'left': '{split}/*_L',
              'right': '{split}/*_R'}, _FOLDERS),)
