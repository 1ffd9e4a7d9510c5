"""Gives the pixels of a class raster the new class of their building."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from affine import Affine
from rasterio import features
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from siamese.adaptation.buildings import Geometries
from siamese.classes import UNCLASSIFIED
from siamese.mapping.grid import Grid
from siamese.mapping.rasters import create

_SIDE: Final = 1024
_MARGIN: Final = 8
"""Pixels by which outlines may differ from the pixels that they were drawn around, generously."""


def recolour(source: Path, target: Path, grid: Grid, outlines: Geometries, classes: npt.NDArray[np.uint8]) -> int:
    """Writes a class raster anew: the same pixels are building, each with its building's class.

    Outlines are simplified, so a pixel beside one belongs to the building that is nearest.

    Args:
        source: The class raster as it was.
        target: The new one.
        grid: Pixels of the map.
        outlines: ``(n,)`` outlines in pixels.
        classes: ``(n,)`` uint8, 1..4, or 255 for unknown.

    Returns:
        How many pixels are 255 now.
    """
    tree = shapely.STRtree(outlines)
    unknown = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with (
            rasterio.open(source, driver="GTiff") as before,
            create(target, grid, "uint8", nodata=UNCLASSIFIED) as after,
        ):
            for row, col, height, width in _windows(grid):
                piece = _piece(before, row, col, height, width, tree, outlines, classes)
                after.write(piece, 1, window=Window(col, row, width, height))
                unknown += int((piece == UNCLASSIFIED).sum())
    return unknown


def _windows(grid: Grid) -> Iterator[tuple[int, int, int, int]]:
    for row in range(0, grid.height, _SIDE):
        for col in range(0, grid.width, _SIDE):
            yield row, col, min(_SIDE, grid.height - row), min(_SIDE, grid.width - col)


def _piece(
    before: rasterio.io.DatasetReader,
    row: int,
    col: int,
    height: int,
    width: int,
    tree: shapely.STRtree,
    outlines: Geometries,
    classes: npt.NDArray[np.uint8],
) -> npt.NDArray[np.uint8]:
    top, left = max(0, row - _MARGIN), max(0, col - _MARGIN)
    bottom, right = min(before.height, row + height + _MARGIN), min(before.width, col + width + _MARGIN)
    was: npt.NDArray[np.uint8] = before.read(1, window=Window(left, top, right - left, bottom - top))
    near = np.sort(tree.query(shapely.box(left, top, right, bottom)))
    inner = np.s_[row - top : row - top + height, col - left : col - left + width]
    if not len(near):
        return was[inner]
    numbers: npt.NDArray[np.int32] = np.zeros(was.shape, np.int32)
    shapes = ((outlines[place], number) for number, place in enumerate(near, start=1))
    features.rasterize(shapes, out=numbers, transform=Affine.translation(left, top))
    building = was > 0
    owner = np.where(building, numbers, 0)
    for _ in range(_MARGIN):
        bare = building & (owner == 0)
        if not bare.any():
            break
        grown = cv2.dilate(owner.astype(np.float32), np.ones((3, 3), np.uint8)).astype(np.int32)
        owner[bare] = grown[bare]
    # Unseen ground is 255 as unknown buildings are, but lies in no outline.
    seen = (was != UNCLASSIFIED) | (numbers > 0)
    new = np.concatenate([[0], classes[near]]).astype(np.uint8)[owner]
    return np.where(building & seen & (owner > 0), new, was)[inner].astype(np.uint8)
