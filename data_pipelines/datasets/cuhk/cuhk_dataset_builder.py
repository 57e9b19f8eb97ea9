"""CUHK's blurry pictures, as TensorFlow Datasets build them."""

from data_pipelines.datasets.pair_builder import Count, PairBuilder
from data_pipelines.datasets.trees import Layout, NamedFiles, Tree


class Builder(PairBuilder):
  """CUHK: out-of-focus photographs without ground truth.

  It was made for blur detection. Its masks and its pictures of motion blur are
  left out here. It has one split, test. Two facts are from memory and not
  verified: the names of the pictures with motion blur begin with 'motion', and
  704 pictures are left.
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
