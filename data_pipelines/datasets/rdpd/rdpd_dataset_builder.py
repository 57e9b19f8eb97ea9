"""RDPD's synthetic pictures, as TensorFlow Datasets build them."""

from data_pipelines.datasets.pair_builder import PairBuilder
from data_pipelines.datasets.trees import Layout


class Builder(PairBuilder):
  """RDPD: dual-pixel video rendered from SYNTHIA-SF, 1920 x 1080 px, 8 bits.

  The authors publish the program that renders it, and not the pictures. There
  are 30 sequences: five cameras by six sequences of SYNTHIA-SF. Those of its
  SEQ3 are both val and test (the same pictures), the others are train. Their
  numbers of pictures are not published, so they are not checked here.
  """
  HOMEPAGE = ('https://github.com/Abdullah-Abuolaim/'
              'recurrent-defocus-deblurring-synth-dual-pixel')
  LICENCE = 'Not stated; it is rendered from SYNTHIA-SF, which has its own.'
  CITATION = """\
@inproceedings{abuolaim2021learning,
  title={Learning to Reduce Defocus Blur by Realistically Modeling Dual-Pixel
         Data},
  author={Abuolaim, Abdullah and Delbracio, Mauricio and Kelly, Damien and
          Brown, Michael S and Milanfar, Peyman},
  booktitle={ICCV},
  year={2021}
}"""
  TREE = """
      dd_dp_dataset_synth_vid/SPLIT_c/source/seq_NNN/NAME.png  both views' sum
      dd_dp_dataset_synth_vid/SPLIT_l/source/seq_NNN/NAME.png  left
      dd_dp_dataset_synth_vid/SPLIT_r/source/seq_NNN/NAME.png  right
      dd_dp_dataset_synth_vid/SPLIT_c/target/seq_NNN/NAME.png  sharp
      SPLIT: train, val, test
  """
  VIEWS = ('center', 'left', 'right', 'sharp')
  BITS = 8
  COUNTS = {'train': None, 'val': None, 'test': None}
  LAYOUTS = (
      Layout({'center': '{split}_c/source/seq_*/*',
              'left': '{split}_l/source/seq_*/*',
              'right': '{split}_r/source/seq_*/*',
              'sharp': '{split}_c/target/seq_*/*'},
             {split: (split,) for split in ('train', 'val', 'test')}),)
