"""Images of any number of bands."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from siamese.errors import SiameseError
from siamese.geo import by_fours, check_bands, shown


def noise(bands: int) -> np.ndarray:
    return np.random.default_rng(bands).integers(0, 256, (24, 32, bands), np.uint8)


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5, 9])
def test_opencv_does_with_any_number_of_bands_what_it_does_with_each(bands: int) -> None:
    image, matrix = noise(bands), np.array([[0.9, 0.1, 3], [-0.1, 0.9, 2.0]])

    def warped(part: np.ndarray) -> cv2.typing.MatLike:
        return cv2.warpAffine(part, matrix, (32, 24), borderMode=cv2.BORDER_REFLECT_101)

    def shrunk(part: np.ndarray) -> cv2.typing.MatLike:
        return cv2.resize(part, (20, 12), interpolation=cv2.INTER_AREA)

    for change in (warped, shrunk):
        whole = by_fours(image, change)
        each = np.stack([change(np.ascontiguousarray(image[..., band])) for band in range(bands)], axis=2)
        assert whole.dtype == np.uint8
        # Two bands are warped by 32nds of a pixel, one, three and four by any fraction.
        np.testing.assert_allclose(whole.astype(int), each.astype(int), atol=8)


def test_a_person_is_shown_three_bands_or_one_as_grey() -> None:
    for bands in (3, 4, 7):
        np.testing.assert_array_equal(shown(noise(bands)), noise(bands)[..., :3])
    for bands in (1, 2):
        grey = shown(noise(bands))
        assert grey.shape == (24, 32, 3)
        assert all((grey[..., band] == noise(bands)[..., 0]).all() for band in range(3))


def test_other_bands_than_the_network_takes_are_refused_in_one_line() -> None:
    check_bands("quake_1", (3, 1), (3, 1))
    told = "quake_1: has bands 3 before and 1 after; this network takes 1 and 3"
    with pytest.raises(SiameseError, match=told) as raised:
        check_bands("quake_1", (3, 1), (1, 3))
    assert "\n" not in str(raised.value)
