"""Headers: right facts from a few kilobytes, one clear error for what is no image that can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_files import png, tiff

from siamese.errors import SiameseError
from siamese.geo import RangedFile, read_header

NOISE = np.random.default_rng(0).integers(0, 256, (600, 700, 3), np.uint8)


def test_the_header_of_a_large_file_is_read_by_ranges() -> None:
    for data, driver in ((tiff(NOISE, TIFFTAG_DATETIME="2018:10:13 16:48:15"), "GTiff"), (png(NOISE), "PNG")):
        asked: list[int] = []

        def fetch(start: int, length: int, data: bytes = data, asked: list[int] = asked) -> bytes:
            asked.append(length)
            return data[start : start + length]

        header = read_header(RangedFile(fetch, len(data)), "far.tif")
        assert (header.driver, header.width, header.height, header.bands) == (driver, 700, 600, 3)
        assert header == read_header(data, "near.tif")
        assert sum(asked) <= 3 * 2**16 < len(data)
        assert header.taken == ("2018:10:13 16:48:15" if driver == "GTiff" else None)


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (b"PK\3\4rest of it", "is a ZIP archive, neither PNG nor GeoTIFF — unpack it"),
        (b"\xff\xd8\xff\xe0 a JPEG", "is a JPEG, neither PNG nor GeoTIFF — convert it"),
        (b"<VRTDataset rasterXSize='1'/>", "is neither PNG nor GeoTIFF"),
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n", "PNG has no header"),
        (b"II*\0" + b"\xff" * 100, "cannot be read"),
    ],
)
def test_anything_else_is_named(first: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "scenes.tif"
    path.write_bytes(first)
    for source in (path, first):
        with pytest.raises(SiameseError, match=f"^scenes.tif: {why}") as raised:
            read_header(source, "scenes.tif")
        assert "\n" not in str(raised.value)


def test_bands_and_types_are_checked_by_the_header() -> None:
    assert read_header(tiff(NOISE[..., :1], photometric="palette", palette=True), "x").bands == 3
    assert read_header(tiff(NOISE.astype(np.float32)), "x", bands=3).dtype == "float32"
    with pytest.raises(SiameseError, match="x: has 1 band, not 3 — give red, green and blue"):
        read_header(tiff(NOISE[..., :1]), "x", bands=3)
    with pytest.raises(SiameseError, match="x: has 1 band, not 3"):
        read_header(png(NOISE[..., :1]), "x", bands=3)
    with pytest.raises(SiameseError, match="holds complex64"):
        read_header(tiff(NOISE.astype(np.complex64)), "x")
