"""Values of any type become the 8 bits that they look like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_files import png, tiff

from siamese.geo import DecodedImage, decode_image


def read(data: bytes, value_range: tuple[float, float] | None = None) -> DecodedImage:
    return decode_image(data, "x.tif", max_side_px=4096, value_range=value_range)


@pytest.fixture(scope="module")
def photo(real_data: Path) -> np.ndarray:
    """A part of a real image, (640, 640, 3)."""
    path = real_data / "xbd" / "images" / "joplin-tornado_00000001_pre_disaster.png"
    return decode_image(path.read_bytes(), path.name, max_side_px=1024).pixels[200:840, 200:840]


@pytest.mark.parametrize(
    "wide",
    [
        lambda a: a.astype(np.uint16) * 8,
        lambda a: a.astype(np.uint16) * 257,
        lambda a: a.astype(np.int32) * 1000,
        lambda a: np.rint(a * (10_000 / 255)).astype(np.uint16),
        lambda a: (a / 255).astype(np.float32),
        lambda a: a.astype(np.float64),
    ],
    ids=["x8", "x257", "int32", "rounded to 10000", "0..1", "float64"],
)
def test_8_bit_imagery_in_another_type_is_what_it_was(photo: np.ndarray, wide: object) -> None:
    image = read(tiff(wide(photo)))  # type: ignore[operator]
    np.testing.assert_array_equal(image.pixels, photo)
    assert "8-bit levels in a wider type" in image.values.note
    assert "value_range" in image.values.note


@pytest.mark.parametrize("kind", ["int16", "uint16", "int32"])
def test_integers_up_to_255_stay_and_nothing_is_assumed(photo: np.ndarray, kind: str) -> None:
    image = read(tiff(photo.astype(kind)))
    np.testing.assert_array_equal(image.pixels, photo)
    assert image.values.note == ""


@pytest.mark.parametrize("factor", [3.7, 8, 45])
def test_finer_values_keep_about_their_look(photo: np.ndarray, factor: float) -> None:
    noise = np.random.default_rng(0).normal(0, 0.5 * factor, photo.shape)
    image = read(tiff(np.clip(photo.astype(np.float64) * factor + noise, 1, 65_535).astype(np.uint16)))
    ratio = image.pixels.mean() / photo.mean()
    assert 0.85 < ratio < 1.18
    means = image.pixels.mean((0, 1)) / photo.mean((0, 1))
    assert np.ptp(means) < 0.02, "colours stay"
    assert image.values.note.startswith("uint16 values 0 to ")


def test_params_come_first_and_uint8_is_left_alone(photo: np.ndarray) -> None:
    image = read(tiff(photo.astype(np.uint16) * 8), (0, 4080))
    np.testing.assert_array_equal(image.pixels, np.rint(photo / 2))
    assert "0 to 4080 are read as 0 to 255 (value_range)" in image.values.note
    np.testing.assert_array_equal(read(tiff(photo), (0, 4080)).pixels, photo)


def test_what_the_file_declares_comes_before_its_data(photo: np.ndarray) -> None:
    noisy = photo.astype(np.uint16) * 8 + 3
    declared = tiff(noisy, TIFFTAG_MINSAMPLEVALUE=0, TIFFTAG_MAXSAMPLEVALUE=4080)
    np.testing.assert_array_equal(read(declared).pixels, np.rint(noisy / 16))
    offset = np.random.default_rng(0).integers(1000, 3000, (200, 200, 3)).astype(np.uint16)
    image = read(tiff(offset, scale=(0.0001, -0.1)))
    assert (image.values.low, image.values.high) == (1000, pytest.approx(2999, abs=2))


def test_where_some_are_negative_the_range_is_from_percentile_to_percentile() -> None:
    decibels = np.random.default_rng(0).normal(-12, 4, (300, 300, 1)).astype(np.float32)
    image = read(tiff(decibels))
    assert (image.values.low, image.values.high) == pytest.approx(np.percentile(decibels, (2, 98)), abs=0.05)
    assert {0, 255} <= set(np.unique(image.pixels))


def test_gaps_do_not_decide_the_range(photo: np.ndarray) -> None:
    values = photo.astype(np.float32) / 255
    values[:40, :40] = np.nan
    image = read(tiff(values, nodata=np.nan))
    assert image.valid is not None
    assert (~image.valid).sum() == 1600
    np.testing.assert_array_equal(image.pixels[image.valid], photo[image.valid])
    assert (image.pixels[:40, :40] == 0).all()
    one_band = photo.astype(np.float32) / 255
    one_band[5, 7, 1] = np.inf
    image = read(tiff(one_band))
    assert image.valid is not None
    assert np.argwhere(~image.valid).tolist() == [[5, 7]]
    filled = photo.astype(np.int32) * 8
    filled[-60:] = -9999
    np.testing.assert_array_equal(read(tiff(filled, nodata=-9999)).pixels[:-60], photo[:-60])


def test_one_value_only_or_no_value_at_all() -> None:
    for value in (0, 1000, -5):
        image = read(tiff(np.full((20, 20, 3), value, np.int32)))
        assert image.pixels.dtype == np.uint8
    assert read(png(np.full((20, 20, 3), 40_000, np.uint16))).pixels.shape == (20, 20, 3)
