"""Photos: turned upright, and refused before a hostile header costs memory."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from siamese.errors import SiameseError
from siamese.geo import decode_jpeg, is_jpeg


def photo(height: int = 16, width: int = 24, bands: int = 3) -> bytes:
    """A photo whose left half is bright."""
    pixels = np.zeros((height, width, bands), np.uint8)
    pixels[:, : width // 2] = 200
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def turned(data: bytes, orientation: int) -> bytes:
    """The same photo with an orientation in its EXIF."""
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body + data[2:]


def claiming(data: bytes, height: int, width: int) -> bytes:
    """The same photo with another size in its header."""
    at = data.find(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def test_a_photo_stands_upright_and_grey_stays_one_band() -> None:
    assert is_jpeg(photo())
    lying = decode_jpeg(photo(), "a.jpg", max_side_px=100)
    assert lying.shape == (16, 24, 3)
    upright = decode_jpeg(turned(photo(), 6), "a.jpg", max_side_px=100)
    np.testing.assert_array_equal(upright, np.rot90(lying, -1))
    assert decode_jpeg(turned(photo(bands=1), 6), "a.jpg", max_side_px=100).shape == (24, 16, 1)


@pytest.mark.parametrize("change", [lambda data: data, lambda data: turned(data, 6)])
def test_a_header_that_claims_too_much_is_refused_before_pixels_are_decoded(change: object) -> None:
    assert callable(change)
    data = change(claiming(photo(), 65_000, 65_000))
    with pytest.raises(SiameseError, match="is 65000 x 65000 px, more than 20000 px a side"):
        decode_jpeg(data, "a.jpg", max_side_px=20_000)
    with pytest.raises(SiameseError, match="JPEG cannot be decoded: pixels <= "):
        decode_jpeg(data, "a.jpg", max_side_px=100_000)


@pytest.mark.parametrize("cut", [3, 20, 160])
def test_a_damaged_photo_is_one_error(cut: int) -> None:
    with pytest.raises(SiameseError, match="JPEG cannot be decoded"):
        decode_jpeg(photo()[:cut], "a.jpg", max_side_px=100)
