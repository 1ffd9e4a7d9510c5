"""Decoding: right pixels from right files, one clear error from any other."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese.errors import SiameseError
from siamese.geo import decode_image, read_header

SIDE = 20
PLACE = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)


def noise(*shape: int, kind: str = "uint8", top: int = 256) -> np.ndarray:
    return np.random.default_rng(1).integers(0, top, shape).astype(kind)


def png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def tiff(pixels: np.ndarray, **profile: object) -> bytes:
    height, width, bands = pixels.shape
    whole = {"crs": "EPSG:32616", "transform": PLACE} | profile
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver="GTiff", width=width, height=height, count=bands, dtype=pixels.dtype, **whole
        ) as dataset:
            dataset.write(np.moveaxis(pixels, -1, 0))
        return memory.read()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bare_png(width: int, height: int, raw: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


PNG, TIFF = png(noise(SIDE, SIDE, 3)), tiff(noise(SIDE, SIDE, 3))


def test_png_colours_are_in_rgb_order() -> None:
    rgb = noise(7, 9, 3)
    raster = decode_image(png(rgb[..., ::-1]), "x", max_side_px=100)
    assert np.array_equal(raster.pixels, rgb)
    assert (raster.valid, raster.crs, raster.transform) == (None, None, None)
    header = read_header(png(rgb), "x")
    assert (header.width, header.height, header.bands, header.dtype) == (9, 7, 3, "uint8")


def test_png_of_one_band_stays_one_band() -> None:
    assert np.array_equal(decode_image(png(noise(7, 9, 1)), "x", max_side_px=100).pixels, noise(7, 9, 1))


def test_png_alpha_becomes_the_valid_mask() -> None:
    pixels = noise(5, 5, 4)
    pixels[..., 3] = 255
    assert decode_image(png(pixels), "x", max_side_px=100).valid is None
    pixels[2, 3, 3] = 0
    raster = decode_image(png(pixels), "x", max_side_px=100)
    assert raster.pixels.shape == (5, 5, 3)
    assert raster.valid is not None
    assert np.argwhere(~raster.valid).tolist() == [[2, 3]]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(PNG) - 1))
def test_png_without_any_one_byte_is_refused(position: int) -> None:
    with pytest.raises(SiameseError):
        decode_image(PNG[:position] + PNG[position + 1 :], "x", max_side_px=100)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(PNG) - 1), st.integers(1, 255))
def test_png_with_any_one_byte_changed_is_refused(position: int, change: int) -> None:
    with pytest.raises(SiameseError):
        decode_image(PNG[:position] + bytes([PNG[position] ^ change]) + PNG[position + 1 :], "x", max_side_px=100)


def test_png_cut_at_its_end_is_said_to_be_truncated() -> None:
    with pytest.raises(SiameseError, match="truncated"):
        decode_image(PNG[:-1], "x", max_side_px=100)


def test_png_with_fewer_pixels_than_it_says_is_refused() -> None:
    with pytest.raises(SiameseError, match="damaged"):
        decode_image(bare_png(64, 64, bytes(100)), "x", max_side_px=100)


@pytest.mark.parametrize("data", [bare_png(60_000, 60_000, bytes(10)), bare_png(0, 5, b"")])
def test_size_is_checked_before_any_pixel_is_decoded(data: bytes) -> None:
    with pytest.raises(SiameseError, match="px"):
        decode_image(data, "x", max_side_px=16_384)


def test_tiff_size_is_checked_before_any_pixel_is_decoded() -> None:
    sparse = tiff(noise(SIDE, SIDE, 1))
    with pytest.raises(SiameseError, match="20 x 20 px"):
        decode_image(sparse, "x", max_side_px=19)


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "int32"])
def test_eight_bit_values_stay_what_they_are_in_any_integer_type(kind: str) -> None:
    pixels = noise(SIDE, SIDE, 3, kind=kind)
    raster = decode_image(tiff(pixels), "x", max_side_px=100)
    assert raster.pixels.dtype == np.uint8
    assert np.array_equal(raster.pixels, pixels)
    assert raster.crs == "EPSG:32616"
    assert raster.transform == PLACE


def test_pixels_without_data_do_not_decide_the_stretch() -> None:
    pixels = noise(SIDE, SIDE, 3, kind="int16")
    pixels[:5] = -9999
    raster = decode_image(tiff(pixels, nodata=-9999), "x", max_side_px=100)
    assert raster.valid is not None
    assert (~raster.valid).sum() == 5 * SIDE
    assert np.array_equal(raster.pixels[5:], pixels[5:])


def test_png_of_sixteen_bits_becomes_eight() -> None:
    raster = decode_image(png(noise(30, 30, 3, kind="uint16", top=4096)), "x", max_side_px=100)
    assert raster.pixels.dtype == np.uint8
    assert raster.pixels.max() == 255


def test_tiff_without_georeference_says_so() -> None:
    raster = decode_image(tiff(noise(SIDE, SIDE, 3), crs=None, transform=None), "x", max_side_px=100)
    assert (raster.crs, raster.transform) == (None, None)


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(SiameseError, match=r"holds complex64, neither integers nor floats"):
        decode_image(tiff(noise(SIDE, SIDE, 1).astype("complex64")), "x", max_side_px=100)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(TIFF) - 1))
def test_tiff_cut_anywhere_is_refused(length: int) -> None:
    with pytest.raises(SiameseError):
        decode_image(TIFF[:length], "x", max_side_px=100)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"II*\0",
        b"II*\0" + b"\xff" * 100,
        b"\xff\xd8\xff\xe0 a JPEG",
        b'<VRTDataset rasterXSize="1" rasterYSize="1"></VRTDataset>',
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(SiameseError, match=r"^some/name"):
        decode_image(data, "some/name", max_side_px=100)


def test_real_images_decode(real_data: Path) -> None:
    path = next((real_data / "xbd" / "images").glob("*.png"))
    raster = decode_image(path.read_bytes(), path.name, max_side_px=1024)
    assert np.array_equal(raster.pixels[..., ::-1], cv2.imread(str(path)))
    post = next((real_data / "joplin" / "post").glob("*.tif"))
    raster = decode_image(post.read_bytes(), post.name, max_side_px=1024)
    assert (raster.pixels.shape, raster.crs) == ((1024, 1024, 3), "EPSG:4326")
