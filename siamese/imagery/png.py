"""What a PNG says of itself, checked without decoding: its size, and that no byte is missing or changed."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from siamese.errors import SiameseError

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_FIX = "copy the file again from its source"


def png_size(data: bytes, name: str) -> tuple[int, int]:
    """Width and height in pixels as the header says.

    Raises:
        SiameseError: There is no header.
    """
    at = len(SIGNATURE)
    if len(data) < at + 25 or data[at : at + 8] != b"\0\0\0\rIHDR":
        raise SiameseError("PNG has no header", where=name, fix=_FIX)
    width, height = struct.unpack_from(">II", data, at + 8)
    return width, height


def check_png(data: bytes, name: str) -> tuple[int, int]:
    """Walks the chunks of a PNG from its header to its end mark, comparing each with its checksum.

    Returns:
        Width and height in pixels, from the header.

    Raises:
        SiameseError: The file is cut short, a chunk is damaged, or there is no header or end mark.
    """
    at, size = len(SIGNATURE), png_size(data, name)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            raise SiameseError(f"PNG is truncated: {end - len(data)} bytes are missing", where=name, fix=_FIX)
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != checksum:
            raise SiameseError(f"PNG is damaged: the checksum at byte {at} does not hold", where=name, fix=_FIX)
        if kind == b"IEND":
            return size
        at = end
    raise SiameseError("PNG is truncated: its end mark is missing", where=name, fix=_FIX)
