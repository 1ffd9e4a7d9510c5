"""Gives the pixels of a class raster the new class of their building."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely

from siamese.adaptation.buildings import Geometries
from siamese.classes import BACKGROUND, UNCLASSIFIED
from siamese.mapping.grid import Grid
from siamese.mapping.rasters import create
from siamese.products.owners import owned_windows
from siamese.products.rasters import open_raster


def recolour(source: Path, target: Path, grid: Grid, outlines: Geometries, classes: npt.NDArray[np.uint8]) -> int:
    """Writes a class raster anew: each pixel of a building gets the building's class.

    Pixels of what is no building become background, except those that were unknown, which stay so: that nothing stands
    there does not make unseen ground seen.

    Args:
        source: The class raster as it was.
        target: The new one.
        grid: Pixels of the map.
        outlines: ``(n,)`` outlines in pixels.
        classes: ``(n,)`` uint8, 1..4, 255 for unknown, or 0 for what is no building.

    Returns:
        How many pixels are 255 now.
    """
    unknown = 0
    with open_raster(source) as before, create(target, grid, "uint8", nodata=UNCLASSIFIED) as after:
        for piece in owned_windows(before, shapely.bounds(outlines), outlines.__getitem__):
            owned = piece.owner >= 0
            found = piece.classes.copy()
            new = classes[piece.owner[owned]]
            unseen = (new == BACKGROUND) & (found[owned] == UNCLASSIFIED)
            found[owned] = np.where(unseen, np.uint8(UNCLASSIFIED), new)
            after.write(found, 1, window=piece.window)
            unknown += int((found == UNCLASSIFIED).sum())
    return unknown
