"""Windows blend: what a map says hardly depends on their size, and not at all on the order in which they are read."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from siamese.mapping.blocks import Block
from siamese.mapping.probabilities import BlendedBlocks
from siamese.mapping.windows import Window, lay_windows
from siamese.model import Decision, Probabilities
from siamese.model.decision import building_mask

SIDE = 384
SEEN_PX = 24
"""Sight of the made-up network to either side."""
TOLERANCE = 0.01
"""Share of pixels that may become building, or cease to be, when windows have another size: at an overlap of more than
twice the network's sight, with half a step of rounding in each window."""
Floats = npt.NDArray[np.float32]


def network(image: Floats) -> Probabilities:
    """A convolution that sees black beyond the edge of its window, as networks do."""
    blurred = cv2.GaussianBlur(image, (2 * SEEN_PX + 1,) * 2, 6, borderType=cv2.BORDER_CONSTANT)
    fine = cv2.GaussianBlur(image, (5, 5), 1, borderType=cv2.BORDER_CONSTANT)
    building = 1 / (1 + np.exp(-12 * (0.5 * blurred + 0.5 * fine - 0.5)))
    return Probabilities(building.astype(np.float32), np.full((4, *image.shape), 0.25, np.float32))


def mapped(image: Floats, tile: int, overlap: int, order: int | None = None) -> Floats:
    """Building probabilities of a map in windows, its pieces read in a shuffled order."""
    decision = Decision()
    layout = lay_windows(SIDE, SIDE, tile, overlap, (0, 0))

    def block(window: Window) -> Block:
        part = image[window.rows.start : window.rows.stop, window.cols.start : window.cols.stop]
        return Block.of(network(part), np.zeros(part.shape, np.uint8), decision)

    blended = BlendedBlocks(layout, decision, block)
    windows = list(layout)
    if order is not None:
        np.random.default_rng(order).shuffle(windows)  # type: ignore[arg-type]
    found = np.zeros((SIDE, SIDE), np.float32)
    for window in windows:
        piece = blended.piece(window)
        height, width = piece.found.building.shape
        found[piece.row : piece.row + height, piece.col : piece.col + width] = piece.found.building
    return found


@pytest.fixture(scope="module")
def image() -> Floats:
    """Blobs of all sizes, 0..1."""
    noise = cv2.GaussianBlur(np.random.default_rng(7).random((SIDE, SIDE)).astype(np.float32), (0, 0), 5)
    low, high = np.quantile(noise, [0.02, 0.98])
    return np.clip((noise - low) / (high - low), 0, 1).astype(np.float32)


@pytest.mark.parametrize(("tile", "overlap"), [(128, 64), (160, 64), (256, 128)])
def test_windows_of_another_size_give_the_same_map_within_a_stated_tolerance(
    image: Floats, tile: int, overlap: int
) -> None:
    whole, parts = mapped(image, SIDE, 0), mapped(image, tile, overlap)
    damage = np.full((4, SIDE, SIDE), 0.25, np.float32)
    one, other = (building_mask(Probabilities(found, damage), Decision()) for found in (whole, parts))
    assert 0.2 < one.mean() < 0.8
    assert (one != other).mean() < TOLERANCE
    assert np.abs(whole - parts).mean() < TOLERANCE
    # Without overlap the edges of windows show.
    bare = building_mask(Probabilities(mapped(image, tile, 0), damage), Decision())
    assert (one != bare).mean() > 2 * (one != other).mean()


def test_the_order_of_windows_does_not_matter(image: Floats) -> None:
    one = mapped(image, 128, 64)
    for order in range(3):
        np.testing.assert_array_equal(mapped(image, 128, 64, order), one)
