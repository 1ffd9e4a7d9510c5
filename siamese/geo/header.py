"""What an image is, from its first kilobytes: refused in seconds, before anything large is read."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rasterio.io import DatasetReader

from siamese.errors import SiameseError
from siamese.geo.formats import Driver, driver_of
from siamese.geo.gdal import Source, opened
from siamese.geo.layout import find_layout, too_few
from siamese.geo.png import HEADER_BYTES, png_header

_BLOCK: Final = 64 * 2**10


@dataclass(frozen=True)
class Header:
    """What a file says before its pixels."""

    driver: Driver
    width: int
    height: int
    bands: int
    """Without alpha; of a palette, three."""
    dtype: str
    taken: str | None = None
    """TIFFTAG_DATETIME, as the file has it: when it was taken, or written."""


def read_header(source: Source, name: str, *, bands: int | None = None) -> Header:
    """Reads the header of a PNG or GeoTIFF.

    Args:
        source: The file on disk, in memory, or a :class:`RangedFile`.
        name: What errors call it.
        bands: How many bands will be read; None: any number.

    Raises:
        SiameseError: It is in another format, holds values of an unsupported type, or has too few bands.
    """
    first = _start(source)
    if driver_of(first, name) == "PNG":
        png = png_header(first, name)
        if bands is not None and png.bands < bands:
            raise too_few(png.bands, bands, name)
        return Header("PNG", png.width, png.height, png.bands, "uint16" if png.bits == 16 else "uint8")
    with opened(source, name) as dataset:
        return _tiff(dataset, name, bands)


class RangedFile(io.RawIOBase):
    """A file that is read a range at a time, such as an object on S3; what was read is kept in memory."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        """Wraps a function that returns ``length`` bytes from ``start``."""
        self._fetch, self._size, self._at = fetch, size, 0
        self._blocks: dict[int, bytes] = {}

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a byte."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        """The byte that is read next."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Reads from where it is."""
        end = self._size if size < 0 else min(self._size, self._at + size)
        if end <= self._at:
            return b""
        first, last = self._at // _BLOCK, (end - 1) // _BLOCK
        data = b"".join(self._block(number) for number in range(first, last + 1))
        found = data[self._at - first * _BLOCK : end - first * _BLOCK]
        self._at = end
        return found

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            start = number * _BLOCK
            self._blocks[number] = self._fetch(start, min(_BLOCK, self._size - start))
        return self._blocks[number]


def _start(source: Source) -> bytes:
    if isinstance(source, bytes):
        return source[:HEADER_BYTES]
    if isinstance(source, Path):
        try:
            with source.open("rb") as file:
                return file.read(HEADER_BYTES)
        except OSError as error:
            what = f"cannot be read: {error.strerror}"
            raise SiameseError(what, where=str(source), fix="check its permissions") from error
    source.seek(0)
    return source.read(HEADER_BYTES)


def _tiff(dataset: DatasetReader, name: str, bands: int | None) -> Header:
    layout = find_layout(dataset, name, bands)
    every = layout if bands is None else find_layout(dataset, name, None)
    taken = dataset.tags().get("TIFFTAG_DATETIME")
    return Header("GTiff", dataset.width, dataset.height, every.count, layout.facts.dtype, taken)
