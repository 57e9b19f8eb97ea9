"""Draws before_after.jpg of the README, after its first command has run.

  python examples/draw_before_after.py
"""

import pathlib

import cv2
import numpy as np

_EXAMPLES = pathlib.Path(__file__).parent
_RESTORED = _EXAMPLES.parent / 'restored'
_TOP, _LEFT, _HEIGHT, _WIDTH = 250, 150, 300, 480  # Of the part shown, px.
_GAP = 6                                           # White between both, px.


def main() -> None:
  parts = []
  for folder in (_EXAMPLES, _RESTORED):
    picture = cv2.imread(str(folder / 'pcb_004.jpg'))
    parts.append(picture[_TOP:_TOP + _HEIGHT, _LEFT:_LEFT + _WIDTH])
  gap = np.full((_HEIGHT, _GAP, 3), 255, np.uint8)
  cv2.imwrite(
      str(_EXAMPLES / 'before_after.jpg'), np.hstack([parts[0], gap, parts[1]]),
      [cv2.IMWRITE_JPEG_QUALITY, 95])


if __name__ == '__main__':
  main()
