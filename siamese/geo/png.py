"""Reads and checks a PNG's chunks without decoding: size, bands, and that no byte is missing or changed."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from siamese.errors import SiameseError
from siamese.geo.formats import PNG_SIGNATURE

HEADER_BYTES: Final = 33
"""From the signature to the end of the header chunk."""
_FIX: Final = "copy the file again from its source"
_BANDS: Final = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}
"""Bands by PNG's colour type, without alpha; a palette counts as three, which it is converted to."""


@dataclass(frozen=True)
class PngHeader:
    """The first chunk of a PNG."""

    width: int
    height: int
    bits: int
    """Bits per value."""
    bands: int
    """Number of bands, without alpha."""


def png_header(data: bytes, name: str) -> PngHeader:
    """Reads the header from a PNG's first :data:`HEADER_BYTES` bytes.

    Raises:
        SiameseError: The data does not begin with a valid header.
    """
    at = len(PNG_SIGNATURE)
    if len(data) < HEADER_BYTES or data[at : at + 8] != b"\0\0\0\rIHDR":
        raise SiameseError("PNG has no header", where=name, fix=_FIX)
    width, height, bits, colour = struct.unpack_from(">IIBB", data, at + 8)
    if colour not in _BANDS:
        raise SiameseError(f"PNG is damaged: there is no colour type {colour}", where=name, fix=_FIX)
    return PngHeader(width, height, bits, _BANDS[colour])


def check_png(data: bytes, name: str) -> PngHeader:
    """Walks the chunks of a PNG from its header to its end mark, comparing each with its checksum.

    Raises:
        SiameseError: The file is cut short, a chunk is damaged, or there is no header or end mark.
    """
    at, header = len(PNG_SIGNATURE), png_header(data, name)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            raise SiameseError(f"PNG is truncated: {end - len(data)} bytes are missing", where=name, fix=_FIX)
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != checksum:
            raise SiameseError(f"PNG is damaged: the checksum at byte {at} does not hold", where=name, fix=_FIX)
        if kind == b"IEND":
            return header
        at = end
    raise SiameseError("PNG is truncated: its end mark is missing", where=name, fix=_FIX)
