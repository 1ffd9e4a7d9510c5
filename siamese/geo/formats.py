"""Recognises the format of a file by its first bytes."""

from __future__ import annotations

from typing import Final, Literal

from siamese.errors import SiameseError

Driver = Literal["PNG", "GTiff"]

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OTHERS: Final = {
    b"PK": "a ZIP archive",
    b"\x1f\x8b": "a gzip file",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\xff\xd8\xff": "a JPEG",
    b"\0\0\0\x0cjP": "a JPEG 2000",
    b"\xff\x4f\xff\x51": "a JPEG 2000",
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"%PDF": "a PDF",
    b"\x89HDF": "an HDF5 file",
    b"NITF": "a NITF file",
    b"CDF": "a NetCDF file",
}
"""Formats that are often given by mistake, so that the error can name them."""


def driver_of(first: bytes, name: str) -> Driver:
    """Returns GDAL's driver for a file: PNG or GTiff only, since others, such as VRT, can refer to any file or host.

    Args:
        first: At least the first 8 bytes of the file.
        name: Name of the file in errors.

    Raises:
        SiameseError: The file is empty or in another format.
    """
    if first.startswith(PNG_SIGNATURE):
        return "PNG"
    if first.startswith(_TIFF):
        return "GTiff"
    if not first:
        raise SiameseError("is empty", where=name, fix="copy the file again from its source")
    known = next((what for start, what in _OTHERS.items() if first.startswith(start)), None)
    what = f"is {known}, neither PNG nor GeoTIFF" if known else "is neither PNG nor GeoTIFF"
    fix = "unpack it and give the images in it" if known and "archive" in known else "convert it (gdal_translate)"
    raise SiameseError(what, where=name, fix=fix)
