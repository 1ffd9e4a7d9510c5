"""Reads the tags of a TIFF's first image from a few kilobytes, for files that may be remote."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from siamese.errors import SiameseError

Fetch = Callable[[int, int], bytes]
"""Returns ``length`` bytes of the file from ``start``."""

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _DATE, _EXTRA, _FORMAT = 256, 257, 258, 262, 277, 306, 338, 339
_WANTED: Final = {_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _DATE, _EXTRA, _FORMAT}
_CODES: Final = {1: "B", 2: "s", 3: "H", 4: "I", 16: "Q"}
""":mod:`struct` codes of the field types that these tags may have."""
_KINDS: Final = {1: "uint", 2: "int", 3: "float", 5: "complex_int", 6: "complex"}
_PALETTE: Final = 3
_ALPHA: Final = (1, 2)
_MOST_TAGS: Final = 4096
_MOST_VALUES: Final = 64 * 2**10


@dataclass(frozen=True)
class TiffHeader:
    """The properties of an image that its TIFF tags declare."""

    width: int
    height: int
    bands: int
    """Number of bands, without alpha; three for a palette."""
    dtype: str
    taken: str | None


def tiff_header(fetch: Fetch, name: str) -> TiffHeader:
    """Reads the tags of a TIFF or BigTIFF.

    Raises:
        SiameseError: The tags are truncated or do not describe an image.
    """
    try:
        tags = _tags(fetch)
        width, height = tags[_WIDTH][0], tags[_HEIGHT][0]
    except (struct.error, KeyError, IndexError, ValueError) as error:
        fix = "give a whole PNG or GeoTIFF; copy it again from its source"
        raise SiameseError("cannot be read: its TIFF header is damaged", where=name, fix=fix) from error
    samples = tags.get(_SAMPLES, [1])[0]
    alpha = sum(value in _ALPHA for value in tags.get(_EXTRA, []))
    bands = samples - alpha
    if bands == 1 and tags.get(_PHOTOMETRIC, [1])[0] == _PALETTE:
        bands = 3
    kind, bits = _KINDS.get(tags.get(_FORMAT, [1])[0], "uint"), tags.get(_BITS, [1])[0]
    whole = max(8, 1 << max(0, bits - 1).bit_length())
    taken = bytes(tags[_DATE]).split(b"\0")[0].decode("ascii", "replace") if _DATE in tags else None
    return TiffHeader(width, height, bands, f"{kind}{whole}", taken)


def _tags(fetch: Fetch) -> dict[int, list[int]]:
    start = fetch(0, 16)
    order = "<" if start[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", start, 2)[0] == 43
    count_code, offset_code, entry_bytes, inline = ("Q", "Q", 20, 8) if big else ("H", "I", 12, 4)
    (place,) = struct.unpack_from(order + offset_code, start, 8 if big else 4)
    counted = struct.calcsize(order + count_code)
    (count,) = struct.unpack(order + count_code, fetch(place, counted))
    if not 0 < count <= _MOST_TAGS:
        raise ValueError(f"{count} tags")
    entries = fetch(place + counted, count * entry_bytes)
    tags: dict[int, list[int]] = {}
    for number in range(count):
        at = number * entry_bytes
        tag, kind, values = struct.unpack_from(f"{order}HH{offset_code}", entries, at)
        code = _CODES.get(kind)
        if tag not in _WANTED or code is None or values > _MOST_VALUES:
            continue
        size, field = struct.calcsize(f"{order}{values}{code}"), at + entry_bytes - inline
        data = entries[field : field + size]
        if size > inline:
            data = fetch(struct.unpack_from(order + offset_code, entries, field)[0], size)
        found = struct.unpack(f"{order}{values}{code}", data)
        tags[tag] = list(found[0]) if code == "s" else list(found)
    return tags
