"""Reads image headers from the first kilobytes, so that bad files are refused before anything large is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from siamese.errors import SiameseError
from siamese.geo.formats import Driver, driver_of
from siamese.geo.layout import check_type, too_few
from siamese.geo.png import HEADER_BYTES, png_header
from siamese.geo.tiff import Fetch, tiff_header

_BLOCK: Final = 64 * 2**10


@dataclass(frozen=True)
class Header:
    """The properties that a file declares before its pixels."""

    driver: Driver
    width: int
    height: int
    bands: int
    """Number of bands, without alpha; three for a palette."""
    dtype: str
    taken: str | None = None
    """TIFFTAG_DATETIME as stored: when the image was taken, or the file written."""


class RangedFile:
    """A file that is read in ranges, such as an object on S3; ranges that were read are cached in memory."""

    def __init__(self, fetch: Fetch, size: int) -> None:
        """Wraps a function that returns ``length`` bytes from ``start``."""
        self._fetch, self._size = fetch, size
        self._blocks: dict[int, bytes] = {}

    def read(self, start: int, length: int) -> bytes:
        """Returns ``length`` bytes from ``start``; fewer at the end of the file."""
        end = min(self._size, start + length)
        if end <= start:
            return b""
        first, last = start // _BLOCK, (end - 1) // _BLOCK
        data = b"".join(self._block(number) for number in range(first, last + 1))
        return data[start - first * _BLOCK : end - first * _BLOCK]

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            start = number * _BLOCK
            self._blocks[number] = self._fetch(start, min(_BLOCK, self._size - start))
        return self._blocks[number]


def read_header(source: Path | bytes | RangedFile, name: str, *, bands: int | None = None) -> Header:
    """Reads the header of a PNG or GeoTIFF.

    Args:
        source: The file on disk, in memory, or read in ranges.
        name: Name of the file in errors.
        bands: Number of bands that will be read; None for any number.

    Raises:
        SiameseError: The file is in another format, holds values of an unsupported type, or has too few bands.
    """
    header = _header(_file(source), name)
    check_type(header.dtype, name)
    if bands is not None and header.bands < bands:
        raise too_few(header.bands, bands, name)
    return header


def _header(file: RangedFile, name: str) -> Header:
    first = file.read(0, HEADER_BYTES)
    if driver_of(first, name) == "PNG":
        png = png_header(first, name)
        return Header("PNG", png.width, png.height, png.bands, "uint16" if png.bits == 16 else "uint8")
    tiff = tiff_header(file.read, name)
    return Header("GTiff", tiff.width, tiff.height, tiff.bands, tiff.dtype, tiff.taken)


def _file(source: Path | bytes | RangedFile) -> RangedFile:
    if isinstance(source, RangedFile):
        return source
    if isinstance(source, bytes):
        return RangedFile(lambda start, length: source[start : start + length], len(source))

    def fetch(start: int, length: int) -> bytes:
        try:
            with source.open("rb") as file:
                file.seek(start)
                return file.read(length)
        except OSError as error:
            raise _unreadable(source, error) from error

    try:
        return RangedFile(fetch, source.stat().st_size)
    except OSError as error:
        raise _unreadable(source, error) from error


def _unreadable(path: Path, error: OSError) -> SiameseError:
    return SiameseError(f"cannot be read: {error.strerror}", where=str(path), fix="check its permissions")
