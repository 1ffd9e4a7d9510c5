"""Black fill: found as a whole, whatever window it is read in; shadows stay."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese.geo import decode_image
from siamese.geo.validity import FILL_MARGIN_PX, black_fill

NONE = (0, 0, 0, 0)


def test_strips_and_wedges_are_fill_and_shadows_are_not() -> None:
    image = np.full((100, 120, 3), 60, np.uint8)
    image[:, :2] = 0  # a strip of two pixels along the edge
    image[40:90, 60:110] = 0  # a hole
    image[10:18, 20:100] = 0  # a shadow, eight pixels wide
    image[50:60, 20:30] = (0, 0, 1)  # dark, not black
    fill = np.zeros((100, 120), bool)
    fill[:, :2] = fill[40:90, 60:110] = True
    np.testing.assert_array_equal(black_fill(image, NONE), fill)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
@pytest.mark.parametrize("bands", [1, 3, 4, 9])
def test_any_type_and_number_of_bands(kind: str, bands: int) -> None:
    image = np.ones((40, 40, bands), kind)
    image[5:20, 5:20] = 0
    image[25:38, 5:20, 1:] = 0  # not in the first band
    fill = black_fill(image, NONE)
    assert fill[5:20, 5:20].all()
    assert fill.sum() == 225


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_window_has_what_the_whole_image_has_there(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    height, width = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70))
    coarse = rng.integers(0, 3, (height // 6 + 1, width // 6 + 1, 2))
    image = np.repeat(np.repeat(coarse, 6, 0), 6, 1)[:height, :width].astype(np.uint8)
    image[rng.random((height, width)) < data.draw(st.sampled_from([0, 0.01]))] = 1
    row, col = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    tall, wide = data.draw(st.integers(1, height - row)), data.draw(st.integers(1, width - col))
    beside = row, height - row - tall, col, width - col - wide
    above, below, left, right = margins = tuple(min(FILL_MARGIN_PX, there) for there in beside)
    part = image[row - above : row + tall + below, col - left : col + wide + right]
    expected = black_fill(image, NONE)[row : row + tall, col : col + wide]
    np.testing.assert_array_equal(black_fill(part, margins), expected)


def test_no_pixel_of_real_images_is_lost_to_the_rule(real_data: Path) -> None:
    found = 0
    for path in sorted((real_data / "xbd" / "images").glob("*.png"))[:30]:
        image = decode_image(path.read_bytes(), path.name, max_side_px=1024)
        if image.valid is None:
            continue
        found += 1
        count, _, places, _ = cv2.connectedComponentsWithStats((~image.valid).astype(np.uint8), connectivity=8)
        for x, y, width, height, _ in places[1:count]:
            assert x == 0 or y == 0 or x + width == 1024 or y + height == 1024, "real fill reaches the edge"
    assert found >= 3
