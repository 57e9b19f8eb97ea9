"""CUHK's blurry pictures, as TensorFlow Datasets build them."""

from data_pipelines.datasets.pair_builder import Count, PairBuilder
from data_pipelines.datasets.trees import Layout, NamedFiles, Tree


class Builder(PairBuilder):
  """CUHK: out-of-focus photographs without ground truth.

  Made for blur detection; its masks are left out here, and so are its pictures
  of motion blur. One split, test. That the names of these begin with 'motion',
  and that 704 pictures are left, is from memory, not verified.
  """
  HOMEPAGE = (
      'http://www.cse.cuhk.edu.hk/~leojia/projects/dblurdetect/dataset.html')
  LICENCE = 'Not stated.'
  CITATION = """\
@inproceedings{shi2014discriminative,
  title={Discriminative Blur Detection Features},
  author={Shi, Jianping and Xu, Li and Jia, Jiaya},
  booktitle={CVPR},
  year={2014}
}"""
  TREE = """
      image/NAME.jpg  or the pictures themselves, of any format
  """
  VIEWS = ('center',)
  BITS = 8
  COUNTS = {'test': Count(704)}
  LAYOUTS = (
      Layout({'center': 'image/*'}, {'test': ('',)}),
      Layout({'center': '*'}, {'test': ('',)}))

  @classmethod
  def match(cls, tree: Tree, split: str) -> NamedFiles:
    files = tree.splits[split]['center']
    return {'center': {
        key: file for key, file in files.items()
        if not file.name.startswith('motion')}}
