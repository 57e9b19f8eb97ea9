"""Decodes and encodes the pixels of picture files with libvips.

libvips is a single wheel that supports 16 bits, alpha, CMYK with profiles and
every layout of TIFF, and that can refuse damaged files. It does not handle the
metadata here: see `metadata`.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import logging

import numpy as np
import pyvips

from jaxdeblur.pictures.errors import ImageFileError
from jaxdeblur.pictures.formats import FORMATS, Format

_LOGGER = logging.getLogger('pyvips')
_GREY, _COLOUR = ('b-w', 'grey16'), ('srgb', 'rgb16', 'rgb')


@dataclasses.dataclass(frozen=True, eq=False)
class Decoded:
  """The decoded pixels of a file.

  Attributes:
    samples: uint8 or uint16 [h, w, c], as stored, not turned upright; c is
      1 or 3, and one more with alpha.
    grey: whether c is 1 or 2.
    profile: the ICC profile of converted samples; None for samples as stored.
  """
  samples: np.ndarray
  grey: bool
  profile: bytes | None = None


def decode(file_format: Format, data: bytes) -> Decoded:
  """Decodes a file.

  Raises:
    ImageFileError: the file is damaged or of an unsupported kind.
  """
  module = file_format.module
  if hasattr(module, 'decode_plain'):
    samples = module.decode_plain(data)
    if samples is not None:
      return Decoded(samples, samples.shape[2] == 1)
  if hasattr(module, 'prepare'):
    data = module.prepare(data)
  is_damage = getattr(module, 'is_damage', lambda message: False)
  load = getattr(pyvips.Image, f'{file_format.name}load_buffer')
  levels = module.list_levels(data)
  for level in levels:
    pyvips.vips_lib.vips_error_clear()  # Removes messages of earlier errors.
    try:
      with _silent():
        return _decoded(
            load(data, fail_on=level, access='sequential', **module.LOAD))
    except pyvips.Error as error:
      if level == levels[-1] or is_damage(str(error)):
        raise ImageFileError(
            f'cannot be decoded ({_reason(error)}): if other programs open '
            'it, export it anew from there; if not, it is damaged or cut '
            'short.') from error
  raise AssertionError('unreachable')


@contextlib.contextmanager
def _silent() -> Iterator[None]:
  """Keeps libvips' warnings out of the logs: it reports every damaged tile."""
  _LOGGER.addFilter(_drop)
  try:
    yield
  finally:
    _LOGGER.removeFilter(_drop)


def _drop(record: logging.LogRecord) -> bool:
  del record
  return False


def _decoded(image: pyvips.Image) -> Decoded:
  if image.interpretation == 'cmyk' and image.bands == 4:
    image = image.icc_transform(
        'srgb', embedded=True, input_profile='cmyk', intent='relative',
        black_point_compensation=True,
        depth=16 if image.format == 'ushort' else 8)
    return Decoded(image.numpy(), False, image.get('icc-profile-data'))
  grey = image.interpretation in _GREY
  known = grey or image.interpretation in _COLOUR
  if not known or image.bands - (1 if grey else 3) not in (0, 1):
    raise ImageFileError(
        f'has {image.bands} channels ({image.interpretation}): export it as '
        'greyscale or RGB with at most one alpha channel.')
  if image.format not in ('uchar', 'ushort'):
    raise ImageFileError(
        f'has samples of the type {image.format!r}: export it with 8 or 16 '
        'bits a channel, which is what is read here.')
  return Decoded(np.atleast_3d(image.numpy()), grey)


def use_threads(count: int) -> None:
  """Limits the threads that decode and encode one picture; 0: all cores."""
  pyvips.vips_lib.vips_concurrency_set(count)


def encode(
    file_format: str, samples: np.ndarray, grey: bool, compression: str
) -> bytes:
  """Encodes samples without any metadata.

  Args:
    file_format: one of FORMATS' names.
    samples: uint8 or uint16 [h, w, c]; c is 1 (`grey`) or 3, and one more
      with alpha.
    grey: whether c is 1 or 2.
    compression: as in `metadata.Metadata`.

  Raises:
    ImageFileError: the format cannot hold it: JPEG and WebP cannot hold 16
      bits, TIFF not more than 4 GB.
  """
  height, width, bands = samples.shape
  deep = samples.dtype == np.uint16
  if deep and file_format not in ('png', 'tiff'):
    raise ImageFileError(
        f'cannot be written: a {file_format.upper()} holds 8 bits a channel, '
        'the picture has 16; write a PNG or TIFF.')
  image = pyvips.Image.new_from_memory(
      np.ascontiguousarray(samples).data, width, height, bands,
      'ushort' if deep else 'uchar')
  names = ('b-w', 'grey16') if grey else ('srgb', 'rgb16')
  image = image.copy(interpretation=names[deep])
  options = FORMATS[file_format].module.list_save_options(
      8 * samples.dtype.itemsize, compression)
  save = getattr(image, f'{file_format}save_buffer')
  try:
    return save(keep='none', **options)
  except pyvips.Error as error:
    raise ImageFileError(f'cannot be encoded ({_reason(error)}).') from error


def _reason(error: pyvips.Error) -> str:
  """The line of libvips' report that says what went wrong."""
  return [line for line in str(error).split('\n') if line.strip()][-1].strip()
