"""Downloads of the datasets: which files are a scene, and what is refused."""

import pathlib
import shutil

import dataset_trees
from dataset_trees import write
import numpy as np
import pytest

from data_pipelines.datasets import catalogue, trees
from data_pipelines.datasets.pair_builder import Count, DownloadError


def find(name, folder, **options):
  return catalogue.get_builder_class(name).find(folder, **options)


def list_scenes(contents, split):
  """Scene -> view -> path below the tree's root."""
  return {scene.name: {view: file.relative_to(contents.root).as_posix()
                       for view, file in scene.files.items()}
          for scene in contents.scenes[split]}


@pytest.mark.parametrize('name', catalogue.NAMES)
def test_every_tree_is_found_from_above_and_from_inside(name, tmp_path):
  splits = dataset_trees.TREES[name](tmp_path / 'download')
  for folder in (tmp_path, tmp_path / 'download'):
    contents = find(name, folder, partial=True)
    assert {split: len(scenes) for split, scenes in contents.scenes.items()
            } == splits
    assert contents.views == catalogue.get_builder_class(name).VIEWS
  again = find(name, contents.root, partial=True)
  assert again.scenes == contents.scenes


def test_dpdd_pairs_photographs_of_different_numbers(tmp_path):
  dataset_trees.dpdd_canon(tmp_path)
  contents = find('dpdd_canon', tmp_path, partial=True)
  assert list_scenes(contents, 'test')['1P0A0914'] == {
      'center': 'test_c/source/1P0A0914.png',
      'left': 'test_l/source/1P0A0914_L.png',
      'right': 'test_r/source/1P0A0914_R.png',
      'sharp': 'test_c/target/1P0A0915.png'}


def test_dpdd_order_is_that_of_the_published_lists(shared_data, tmp_path):
  """So that trees without lists are paired as the authors pair them."""
  lists = shared_data / 'dpdd_file_names'
  for split in ('train', 'val', 'test'):
    named = {
        view: {(str(name),): tmp_path / f'{name}.png'
               for name in np.load(lists / f'{split}_{kind}.npy')}
        for view, kind in (('center', 'src'), ('sharp', 'trg'))}
    tree = trees.Tree(tmp_path, {split: named})
    matched = catalogue.get_builder_class('dpdd_canon').match(tree, split)
    assert [file.stem for file in matched['sharp'].values()] == list(
        np.load(lists / f'{split}_trg.npy'))


@pytest.mark.parametrize('place', ['.', '..'])
def test_dpdd_lists_of_names_come_first(tmp_path, place):
  dataset_trees.dpdd_canon(tmp_path, {'test': 2})
  folder = tmp_path / 'dd_dp_dataset_canon' / place / 'file_names'
  folder.mkdir()
  np.save(folder / 'test_src.npy', np.array(['1P0A0890', '1P0A0894']))
  np.save(folder / 'test_trg.npy', np.array(['1P0A0895', '1P0A0891']))
  contents = find('dpdd_canon', tmp_path, partial=True)
  assert [scene.files['sharp'].stem for scene in contents.scenes['test']] == [
      '1P0A0895', '1P0A0891']


def test_dpdd_notices_that_order_pairs_strangers(tmp_path):
  dataset_trees.dpdd_canon(tmp_path, {'test': 3})
  top = tmp_path / 'dd_dp_dataset_canon'
  for end in ('c/source/1P0A0890', 'l/source/1P0A0890_L', 'r/source/1P0A0890_R',
              'c/target/1P0A0899'):
    (top / f'test_{end}.png').unlink()
  with pytest.raises(DownloadError, match='are of no one scene'):
    find('dpdd_canon', tmp_path, partial=True)
  (top / 'test_c/target/1P0A0895.png').unlink()
  with pytest.raises(
      DownloadError, match='2 pictures in source and 1 in target'):
    find('dpdd_canon', tmp_path, partial=True)


@pytest.mark.parametrize('draw, splits', [
    (dataset_trees.dpdd_same_names, dataset_trees.DPDD_SPLITS),
    (dataset_trees.dpdd_by_input, dataset_trees.DPDD_SPLITS),
    (lambda root: dataset_trees.dpdd_by_input(root, top='{split}'),
     dataset_trees.DPDD_SPLITS),
    (lambda root: dataset_trees.dpdd_by_input(root, {'test': 2}, 'DPDD'),
     {'test': 2}),
    (lambda root: dataset_trees.dpdd_same_names(root, {'test': 2}),
     {'test': 2}),
])
def test_dpdd_as_others_pack_it(tmp_path, draw, splits):
  draw(tmp_path)
  contents = find('dpdd_canon', tmp_path, partial=True)
  assert {split: len(scenes) for split, scenes in contents.scenes.items()
          } == splits
  for scenes in contents.scenes.values():
    for scene in scenes:
      assert set(scene.files) == {'center', 'left', 'right', 'sharp'}
      assert {file.stem for file in scene.files.values()} == {scene.name}


def test_dpdd_places_are_read_from_the_authors_arrays(tmp_path):
  """They count from 1, in the order of the names."""
  dataset_trees.dpdd_by_input(tmp_path, {'test': 3})
  folder = tmp_path / 'test' / 'DPDD'
  np.save(folder / 'indoor_labels.npy', np.array([3, 1]))
  np.save(folder / 'outdoor_labels.npy', np.array([2]))
  contents = find('dpdd_canon', tmp_path, partial=True)
  assert [scene.place for scene in contents.scenes['test']] == [
      'indoor', 'outdoor', 'indoor']
  np.save(folder / 'outdoor_labels.npy', np.array([4]))
  with pytest.raises(ValueError, match='each of the 3 test pictures once'):
    find('dpdd_canon', tmp_path, partial=True)


def test_dpdd_places_are_read_from_a_table(tmp_path):
  dataset_trees.dpdd_canon(tmp_path)
  table = tmp_path / 'dd_dp_dataset_canon' / 'places.csv'
  table.write_text('scene,place\n1P0A0890,outdoor\n')
  contents = find('dpdd_canon', tmp_path, partial=True)
  assert [scene.place for scene in contents.scenes['train']] == [
      'outdoor', '', '']
  table.write_text('scene,place\n1P0A0890,garden\n')
  with pytest.raises(ValueError, match='a place is indoor or outdoor'):
    find('dpdd_canon', tmp_path, partial=True)


def test_lfdof_pictures_of_a_scene_share_its_ground_truth(tmp_path):
  dataset_trees.lfdof(tmp_path)
  scenes = list_scenes(find('lfdof', tmp_path), 'train')
  # In the order of people: 2 before 10.
  assert list(scenes) == [f'IMG_{scene}_{refocus}' for scene in (1, 10)
                          for refocus in (1, 2, 10)]
  assert scenes['IMG_10_2'] == {
      'center': 'train/input/IMG_10/2.png',
      'sharp': 'train/ground_truth/IMG_10.png'}


def test_lfdof_flat_names_are_cut_at_the_aperture(tmp_path):
  dataset_trees.lfdof_flat(tmp_path)
  assert list_scenes(find('lfdof', tmp_path), 'test') == {
      f'IMG_2_ap{aperture}': {
          'center': f'test_data/input/IMG_2_ap{aperture}.png',
          'sharp': 'test_data/ground_truth/IMG_2.png'}
      for aperture in (2, 10)}


def test_cuhk_leaves_motion_blur_and_masks_out(tmp_path):
  dataset_trees.cuhk(tmp_path)
  assert list_scenes(find('cuhk', tmp_path), 'test') == {
      f'out_of_focus000{i}': {'center': f'image/out_of_focus000{i}.jpg'}
      for i in (1, 2)}


def test_ddd_syn_tells_scenes_of_one_number_apart(tmp_path):
  dataset_trees.ddd_syn(tmp_path)
  scenes = list_scenes(find('ddd_syn', tmp_path, partial=True), 'test')
  assert scenes['6001']['left'] == 'testing/dp/6001_l.png'
  assert scenes['1_6001']['left'] == 'testing1/dp/6001_l.png'
  assert len(scenes) == 3


def test_what_is_no_dataset_is_told_with_the_tree_expected(tmp_path):
  (tmp_path / 'holiday').mkdir()
  write(tmp_path / 'cat.png')
  with pytest.raises(DownloadError) as caught:
    find('dpdd_canon', tmp_path)
  message = str(caught.value)
  assert message.startswith(
      f'{tmp_path} does not hold dpdd_canon; it holds cat.png, holiday/. '
      'It is published at https://github.com/Abdullah-Abuolaim/')
  assert 'dd_dp_dataset_canon/SPLIT_c/target/OTHER.png' in message
  with pytest.raises(DownloadError, match='absent is no folder'):
    find('dpdd_canon', tmp_path / 'absent')


def test_half_a_scene_is_named_even_if_part_is_enough(tmp_path):
  dataset_trees.realdof(tmp_path)
  (tmp_path / 'RealDOF/target/1P0A0892.png').unlink()
  for partial in (False, True):
    with pytest.raises(
        ValueError, match=r'1 of 3 scenes have no sharp view, first that of '
        r'.*source/1P0A0892\.png'):
      find('realdof', tmp_path, partial=partial)


def test_numbers_other_than_published_are_refused(tmp_path):
  dataset_trees.realdof(tmp_path, scenes=49)
  with pytest.raises(
      DownloadError, match=r'49 scenes in its test split, where the supplement '
      r'.* has 50\. Complete the download, or .*partial=True'):
    find('realdof', tmp_path)
  assert find('realdof', tmp_path, partial=True).partial
  dataset_trees.realdof(tmp_path, scenes=50)
  assert not find('realdof', tmp_path).partial
  dataset_trees.realdof(tmp_path, scenes=51)
  with pytest.raises(DownloadError, match='is not realdof: 51 scenes'):
    find('realdof', tmp_path, partial=True)


def test_numbers_from_memory_only_are_noted(tmp_path):
  dataset_trees.dpdd_pixel(tmp_path)
  contents = find('dpdd_pixel', tmp_path)
  assert not contents.partial
  assert contents.notes == (
      'test has 2 scenes; 13 were expected, a number that is not verified',)


def test_missing_splits_and_views_are_named_together(tmp_path):
  dataset_trees.dpdd_same_names(tmp_path, {'test': 76})
  for file in tmp_path.glob('DPDD/test_r/source/*'):
    file.unlink()
  with pytest.raises(
      DownloadError, match='in part: no train split; no val split; no right '
      'views in its test split'):
    find('dpdd_canon', tmp_path)
  contents = find('dpdd_canon', tmp_path, partial=True)
  assert contents.views == ('center', 'left', 'sharp')


def test_missing_calibration_is_named(tmp_path, monkeypatch):
  dataset_trees.pixel4_xin(tmp_path)
  builder_class = catalogue.get_builder_class('pixel4_xin')
  monkeypatch.setattr(builder_class, 'COUNTS', {'test': Count(3, 'this test')})
  builder_class.find(tmp_path)
  shutil.rmtree(tmp_path / 'DP_data_pixel_4' / 'calibration')
  with pytest.raises(DownloadError, match='no folder calibration'):
    builder_class.find(tmp_path)


def test_two_copies_of_a_dataset_are_not_mixed(tmp_path):
  for copy in ('old', 'new'):
    dataset_trees.realdof(tmp_path / copy)
  with pytest.raises(ValueError, match='both look like the dataset'):
    find('realdof', tmp_path, partial=True)


def test_one_picture_in_two_formats_is_refused(tmp_path):
  dataset_trees.realdof(tmp_path)
  write(tmp_path / 'RealDOF/source/1P0A0890.tif')
  with pytest.raises(ValueError, match='have one name'):
    find('realdof', tmp_path, partial=True)


def test_the_documents_name_every_dataset():
  page = (pathlib.Path(__file__).parent.parent / 'docs/datasets.md').read_text()
  for name in catalogue.NAMES:
    row, = (line for line in page.splitlines() if line.startswith(f'| `{name}'))
    builder_class = catalogue.get_builder_class(name)
    assert builder_class.HOMEPAGE in row
    assert ', '.join(builder_class.VIEWS) in row
    for split, count in builder_class.COUNTS.items():
      star = '' if count is None or count.source else ' *'
      assert split + (f' {count.scenes}{star}' if count else '') in row
