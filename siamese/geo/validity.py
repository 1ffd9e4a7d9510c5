"""Decides which pixels are valid: declared valid by the file, finite in all bands, and not black fill."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.generic]
Mask = npt.NDArray[np.bool_]

FILL_PX: Final = 9
"""Side of the smallest black square that counts as fill."""
FILL_MARGIN_PX: Final = FILL_PX - 1
"""How far from a pixel the rule looks; with this margin a window gives the same result as the whole image."""
_AT_ONCE: Final = 4
_SQUARE: Final = np.ones((FILL_PX, FILL_PX), np.uint8)


def valid_pixels(values: Values, stated: Mask | None, margins: tuple[int, int, int, int]) -> Mask:
    """Decides where a window of an image holds data.

    Args:
        values: ``(H, W, bands)``, finite; see :func:`finite`.
        stated: ``(H, W)``, where the file has data by its alpha band, mask or nodata value; None for everywhere.
        margins: As in :func:`black_fill`.

    Returns:
        ``(h, w)`` of the window, without the margins.
    """
    above, below, left, right = margins
    seen = ~black_fill(values, margins)
    return seen if stated is None else seen & stated[above : values.shape[0] - below, left : values.shape[1] - right]


def finite(values: Values, valid: Mask | None) -> tuple[Values, Mask | None]:
    """Sets values that are not finite to 0 and marks their pixels as not valid."""
    if not np.issubdtype(values.dtype, np.floating):
        return values, valid
    sound = np.isfinite(values)
    if sound.all():
        return values, valid
    whole: Mask = np.asarray(sound.all(axis=2))
    return np.where(sound, values, values.dtype.type(0)), whole if valid is None else valid & whole


def black_fill(values: Values, margins: tuple[int, int, int, int]) -> Mask:
    """Finds black fill in a window of an image.

    Fill is the morphological opening, by a square of :data:`FILL_PX`, of the pixels that are 0 in all bands; the area
    beyond the edge of the image counts as black.

    Args:
        values: ``(H, W, bands)``, as stored in the file.
        margins: Rows above and below, columns left and right of the window that ``values`` include in addition to it.
            Where there are fewer than :data:`FILL_MARGIN_PX`, the image itself must end there.

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


def _black(values: Values) -> npt.NDArray[np.uint8]:
    """Returns 255 where all bands are 0, else 0."""
    if values.dtype in (np.uint8, np.int8, np.uint16, np.int16, np.int32, np.float32, np.float64):
        black = np.full(values.shape[:2], 255, np.uint8)
        for start in range(0, values.shape[2], _AT_ONCE):
            part: npt.NDArray[Any] = np.ascontiguousarray(values[..., start : start + _AT_ONCE])
            zero = (0,) * part.shape[2]
            black &= np.asarray(cv2.inRange(part, zero, zero), np.uint8)
        return black
    return np.where(values.any(axis=2), np.uint8(0), np.uint8(255))
