"""Says which building each pixel of a class raster belongs to, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.io import DatasetReader
from rasterio.windows import Window

from siamese.classes import UNCLASSIFIED
from siamese.geo import rasterize

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Outlines = npt.NDArray[Any]

_SIDE: Final = 1024
_MARGIN: Final = 8
"""Pixels by which outlines may differ from the pixels that they were drawn around, generously."""


@dataclass(frozen=True, eq=False)
class Owned:
    """A window of a class raster.

    Attributes:
        window: Its place in the raster.
        classes: ``(h, w)`` uint8, class of each pixel.
        owner: ``(h, w)`` int64, position of the building that a pixel belongs to; -1 for none.
    """

    window: Window
    classes: Bytes
    owner: Numbers


def owned_windows(
    raster: DatasetReader, boxes: npt.NDArray[np.floating[Any]], take: Callable[[Numbers], Outlines]
) -> Iterator[Owned]:
    """Yields the windows of a class raster with the building of each pixel.

    Outlines are simplified or straightened, so a building pixel beside one belongs to the building that is nearest, up
    to 8 px away. Unseen ground is 255 as unknown buildings are, but it lies in no outline and so has no owner.

    Args:
        raster: Class raster; 0 is background.
        boxes: ``(n, 4)`` first column, first row, last column, last row of each outline, in pixels.
        take: Returns the outlines at some positions, in pixels.
    """
    for row in range(0, raster.height, _SIDE):
        for col in range(0, raster.width, _SIDE):
            height, width = min(_SIDE, raster.height - row), min(_SIDE, raster.width - col)
            yield _owned(raster, Window(col, row, width, height), boxes, take)


def _owned(
    raster: DatasetReader,
    window: Window,
    boxes: npt.NDArray[np.floating[Any]],
    take: Callable[[Numbers], Outlines],
) -> Owned:
    row, col = window.row_off, window.col_off
    top, left = max(0, row - _MARGIN), max(0, col - _MARGIN)
    bottom = min(raster.height, row + window.height + _MARGIN)
    right = min(raster.width, col + window.width + _MARGIN)
    classes: Bytes = raster.read(1, window=Window(left, top, right - left, bottom - top))
    inner = np.s_[row - top : row - top + window.height, col - left : col - left + window.width]
    near = np.flatnonzero(
        (boxes[:, 0] <= right) & (boxes[:, 2] >= left) & (boxes[:, 1] <= bottom) & (boxes[:, 3] >= top)
    )
    if not len(near):
        return Owned(window, classes[inner], np.full((window.height, window.width), -1, np.int64))
    numbers: npt.NDArray[np.int32] = np.zeros(classes.shape, np.int32)
    shapes = ((outline, number) for number, outline in enumerate(take(near), start=1) if not outline.is_empty)
    rasterize(shapes, out=numbers, transform=Affine.translation(left, top))
    building = classes > 0
    owner = np.where(building, numbers, 0)
    for _ in range(_MARGIN):
        bare = building & (owner == 0)
        if not bare.any():
            break
        grown = cv2.dilate(owner.astype(np.float32), np.ones((3, 3), np.uint8)).astype(np.int32)
        owner[bare] = grown[bare]
    # Unseen ground is 255 as unknown buildings are, but lies in no outline.
    owner[(classes == UNCLASSIFIED) & (numbers == 0)] = 0
    return Owned(window, classes[inner], np.append(np.int64(-1), near)[owner][inner])
