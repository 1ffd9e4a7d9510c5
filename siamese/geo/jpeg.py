"""Decodes JPEGs, which come as photos and never as imagery for maps."""

from __future__ import annotations

import struct
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from siamese.errors import SiameseError
from siamese.geo.decode import check_size

_START: Final = b"\xff\xd8\xff"
_FIX: Final = "copy the file again from its source"
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length."""
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the segment that holds the size."""
_PIXELS: Final = frozenset({0xD9, 0xDA})
"""Markers after which no size comes."""


def is_jpeg(data: bytes) -> bool:
    """Tells whether a file begins as a JPEG does."""
    return data.startswith(_START)


def decode_jpeg(data: bytes, name: str, *, max_side_px: int) -> npt.NDArray[np.uint8]:
    """Decodes a JPEG, turned upright as its EXIF orientation says.

    Args:
        data: The whole file.
        name: Name of the file in errors.
        max_side_px: A wider or higher image is refused before any pixel is decoded.

    Returns:
        ``(H, W, 1)`` grey or ``(H, W, 3)`` in RGB order.

    Raises:
        SiameseError: The image is too large or damaged.
    """
    if (size := _size(data)) is not None:
        check_size(*size, max_side_px, name)
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR)
    except cv2.error as error:
        raise SiameseError(f"JPEG cannot be decoded: {error.err}", where=name, fix=_FIX) from error
    if found is None:
        raise SiameseError("JPEG cannot be decoded", where=name, fix=_FIX)
    if found.ndim == 2:
        return np.asarray(found[..., np.newaxis], np.uint8)
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)


def _size(data: bytes) -> tuple[int, int] | None:
    """Returns width and height by the frame header; None where there is none before the pixels."""
    at = data.find(b"\xff", 2)
    while at >= 0 and at + 9 <= len(data):
        marker = data[at + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if marker in _PIXELS:
            return None
        if marker == 0xFF:
            skipped = 1
        elif marker in _ALONE or not marker:
            skipped = 2
        else:
            skipped = 2 + int(struct.unpack_from(">H", data, at + 2)[0])
        at = data.find(b"\xff", at + skipped)
    return None
