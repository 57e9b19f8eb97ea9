"""Reads and writes picture files, for the whole project.

PNG, JPEG, TIFF and WebP are read as stored: 8 or 16 bits for each channel, in
the file's own colour space, and upright as EXIF says. Restoration reads a
`Picture` and writes it back in its own format with alpha, bit depth, ICC
profile and metadata, so that a photographer loses nothing. Only metadata that
describes the old pixels is dropped; see `metadata`. Training and evaluation
read only the pixels, which are the same.

These things change, because a restored picture cannot be stored as before:
  * The pixels are upright, and the written file says so.
  * JPEG is written with quality 95 and without chroma subsampling (4:4:4);
    lossy WebP with quality 95.
  * Palettes become 8-bit RGB; 1-, 2- and 4-bit grey becomes 8-bit grey.
  * CMYK (JPEG and TIFF) becomes RGB in sRGB, by the file's own profile or, if
    it has none, a generic one. A restored photograph is edited and shown on
    screens, and a new separation would have to guess at the press.
  * Lossy TIFF compression becomes deflate; tiles and planes become strips.
"""

from jaxdeblur.pictures.codec import use_threads
from jaxdeblur.pictures.errors import ImageFileError
from jaxdeblur.pictures.files import find_pictures, is_picture, write_whole
from jaxdeblur.pictures.formats import SUFFIXES
from jaxdeblur.pictures.picture import (
  Picture,
  decode_pixels,
  read,
  read_pixels,
  read_size,
  write,
)

__all__ = (
    'SUFFIXES', 'ImageFileError', 'Picture', 'decode_pixels', 'find_pictures',
    'is_picture', 'read', 'read_pixels', 'read_size', 'use_threads', 'write',
    'write_whole')
