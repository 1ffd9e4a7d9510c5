"""Means of feature maps inside outlines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from scipy.sparse import csr_array

from siamese.geo import rasterize

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int32]


def number_pixels(outlines: Sequence[Any] | npt.NDArray[Any], row: int, col: int, height: int, width: int) -> Numbers:
    """Marks which pixels of a window lie in which outline.

    Args:
        outlines: Polygons in (column, row) pixels of the whole image.
        row: Row of the window's first pixel in the image.
        col: Column of the window's first pixel in the image.
        height: Of the window, pixels.
        width: Of the window, pixels.

    Returns:
        ``(height, width)`` int32: 0 outside of all, else the position of the outline, from 1. An outline too thin to
        hold the middle of a pixel gets the pixel at its middle; of one that lies outside, the nearest pixel.
    """
    numbers: Numbers = np.zeros((height, width), np.int32)
    if not len(outlines):
        return numbers
    shapes = ((outline, number) for number, outline in enumerate(outlines, start=1))
    rasterize(shapes, out=numbers, transform=Affine.translation(col, row))
    present = np.zeros(len(outlines) + 1, bool)
    present[numbers.reshape(-1)] = True
    for number in np.flatnonzero(~present[1:]).tolist():
        x, y = shapely.get_coordinates(shapely.point_on_surface(outlines[number]))[0]
        numbers[int(np.clip(y - row, 0, height - 1)), int(np.clip(x - col, 0, width - 1))] = number + 1
    return numbers


def pool(numbers: Numbers, count: int, maps: Sequence[tuple[int, Floats]]) -> Floats:
    """Returns the mean of feature maps over the pixels of each outline; a feature covers ``stride`` pixels a side.

    Args:
        numbers: ``(h, w)``, see :func:`number_pixels`.
        count: Number of outlines.
        maps: Stride in pixels, and features ``(C, H, W)`` that cover at least ``h x w`` pixels, for each map.

    Returns:
        ``(count, sum of C)`` float32.
    """
    rows, cols = np.nonzero(numbers)
    owners = numbers[rows, cols] - 1
    pixels = np.maximum(np.bincount(owners, minlength=count), 1)[:, None].astype(np.float32)
    pooled = []
    for stride, found in maps:
        channels, _, width = found.shape
        cells = (rows // stride) * width + cols // stride
        shares = csr_array(
            (np.ones(len(cells), np.float32), (owners, cells)), shape=(count, found.shape[1] * width)
        )  # duplicates add up
        pooled.append((shares @ found.reshape(channels, -1).T) / pixels)
    return np.concatenate(pooled, axis=1).astype(np.float32)
