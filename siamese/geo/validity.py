"""Where an image holds no data although its file does not say so: black fill."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

FILL_PX: Final = 9
"""Side of the least square of black that is fill."""
FILL_MARGIN_PX: Final = FILL_PX - 1
"""How far from a pixel the rule looks; with this margin a window gives what the whole image gives."""
_AT_ONCE: Final = 4
_SQUARE: Final = np.ones((FILL_PX, FILL_PX), np.uint8)


def black_fill(values: npt.NDArray[np.generic], margins: tuple[int, int, int, int]) -> Mask:
    """Finds black fill in a window of an image.

    Fill is the morphological opening, by a square of :data:`FILL_PX`, of the pixels that are 0 in all bands; beyond the
    edge of the image counts as black.

    Args:
        values: ``(H, W, bands)``, as the file holds them.
        margins: Rows above and below, columns left and right of the window that ``values`` hold beside it. Where they
            are fewer than :data:`FILL_MARGIN_PX`, the image itself must end there.

    Returns:
        ``(H, W)`` of the window, without the margins.
    """
    above, below, left, right = margins
    height, width = values.shape[0] - above - below, values.shape[1] - left - right
    black = _black(values)
    if not cv2.countNonZero(black):
        return np.zeros((height, width), bool)
    # OpenCV's own border would not be black for both erosion and dilation.
    top, bottom, before, after = (FILL_MARGIN_PX - there for there in margins)
    around = cv2.copyMakeBorder(black, top, bottom, before, after, cv2.BORDER_CONSTANT, value=255)
    opened = cv2.dilate(cv2.erode(around, _SQUARE), _SQUARE)
    inner = np.s_[FILL_MARGIN_PX : FILL_MARGIN_PX + height, FILL_MARGIN_PX : FILL_MARGIN_PX + width]
    return np.ascontiguousarray(opened[inner]) > 0


def _black(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """255 where all bands are 0."""
    if values.dtype in (np.uint8, np.int8, np.uint16, np.int16, np.int32, np.float32, np.float64):
        black = np.full(values.shape[:2], 255, np.uint8)
        for start in range(0, values.shape[2], _AT_ONCE):
            part = np.ascontiguousarray(values[..., start : start + _AT_ONCE])
            zero = (0,) * part.shape[2]
            black &= np.asarray(cv2.inRange(part, zero, zero), np.uint8)
        return black
    return np.where(values.any(axis=2), np.uint8(0), np.uint8(255))
