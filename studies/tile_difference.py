"""How far a restoration in tiles is from that of the whole picture.

K3DN sees all of a picture at once, so its tiles cannot be exact:

  python -m studies.tile_difference --weights WORKDIR --input PIXEL4_SCENES

prints, for several tiles and halos in pixels, the mean and the largest absolute
difference over the scenes, in steps of 1/255 (docs/k3dn.md). A halo is the
surroundings that a tile is restored with, and which are cut off again.
"""

import argparse
import pathlib

import numpy as np

from jaxdeblur.evaluation.protocols.pixel4 import Pixel4Xin
from jaxdeblur.evaluation.source import Source
from jaxdeblur.restoration import restorer

_TILES = ((224, 0), (224, 224), (224, 448), (576, 0), (576, 224))


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--weights', required=True)
  parser.add_argument('--input', type=pathlib.Path, required=True)
  arguments = parser.parse_args()
  model = restorer.load(arguments.weights)
  differences = {setting: [] for setting in _TILES}
  for make_case in Pixel4Xin().list_cases(Source(arguments.input)).open():
    case = make_case()
    required = model.weights.model.required_views
    views = {name: case.views[name] for name in required}
    whole = model.restore(**views)
    for tile, halo in _TILES:
      tiled = model.restore(**views, tile=tile, halo=halo)
      differences[tile, halo].append(255 * np.abs(tiled - whole))
  print('| tile [px] | halo [px] | mean [1/255] | largest [1/255] |\n'
        '| ---: | ---: | ---: | ---: |')
  for (tile, halo), values in differences.items():
    print(f'| {tile} | {halo} | {np.mean(values):.2g} | '
          f'{np.max(values):.2g} |')


if __name__ == '__main__':
  main()
