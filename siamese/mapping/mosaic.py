"""Presents the images of one date as a single image on any grid, read a window at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from affine import Affine

from siamese.geo import Raster
from siamese.geo.globe import outline, reproject_points
from siamese.mapping.grid import Grid, aligned, extent

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Mosaic:
    """The tiles of one date as one image; where tiles overlap, the first one is on top."""

    tiles: tuple[Raster, ...]
    crs: str | None
    """CRS of every grid that it is read on."""
    boxes: npt.NDArray[np.float64]
    """``(tiles, 4)``: left, bottom, right, top of each tile in the crs."""

    @property
    def bands(self) -> int:
        """The number of bands that are read."""
        return len(self.tiles[0].bands)

    def read(self, grid: Grid) -> tuple[Image, Mask]:
        """Reads the pixels of a grid, resampling (bilinear) tiles that are on a different one.

        Returns:
            ``(H, W, bands)`` uint8, black where there is no data, and ``(H, W)`` bool, True where there is.

        Raises:
            SiameseError: A tile is damaged.
        """
        pixels = np.zeros((grid.height, grid.width, self.bands), np.uint8)
        valid = np.zeros((grid.height, grid.width), bool)
        for number in np.flatnonzero(self._near(grid)):
            if valid.all():
                break
            _paint(self.tiles[number], grid, pixels, valid)
        return pixels, valid

    def torn(self, grid: Grid) -> Mask:
        """Returns ``(H, W)``, True where damaged blocks lie that were met when this grid was read."""
        out = np.zeros((grid.height, grid.width), np.uint8)
        for number in np.flatnonzero(self._near(grid)):
            tile = self.tiles[number]
            for col, row, width, height in sorted(tile.torn):
                edge = outline(tile.transform @ Affine.translation(col, row), width, height)
                if tile.crs is not None and grid.crs is not None:
                    edge = grid.to_pixels(reproject_points(edge, tile.crs, grid.crs))
                cv2.fillPoly(out, [np.round(edge).astype(np.int32)], 1)
        return out > 0

    def touches(self, grid: Grid) -> bool:
        """Returns whether any tile's bounding box overlaps a grid."""
        return bool(self._near(grid).any())

    def touching(self, grid: Grid) -> tuple[int, ...]:
        """Returns the positions of the tiles whose bounding boxes overlap a grid, the topmost first."""
        return tuple(map(int, np.flatnonzero(self._near(grid))))

    def _near(self, grid: Grid) -> Mask:
        left, bottom, right, top = grid.bounds
        boxes = self.boxes.T
        return np.asarray((boxes[0] < right) & (boxes[2] > left) & (boxes[1] < top) & (boxes[3] > bottom))


def mosaic(tiles: Sequence[Raster], crs: str | None) -> Mosaic:
    """Combines the tiles of one date into a mosaic.

    Args:
        tiles: The tiles; where they overlap, the first one is on top.
        crs: The map's crs; None when the map is in pixels.

    Raises:
        SiameseError: A tile's location cannot be computed in that crs.
    """
    return Mosaic(tuple(tiles), crs, np.array([extent([tile], crs) for tile in tiles], np.float64))


def _paint(tile: Raster, grid: Grid, pixels: Image, valid: Mask) -> None:
    found, seen, row, col = _read(tile, grid)
    if not seen.size:
        return
    area = np.s_[row : row + seen.shape[0], col : col + seen.shape[1]]
    fresh = seen & ~valid[area]
    if fresh.all():
        pixels[area] = found
    else:  # five times faster than assigning the chosen pixels
        np.copyto(pixels[area], found, where=fresh[:, :, None])
    valid[area] |= fresh


def _read(tile: Raster, grid: Grid) -> tuple[Image, Mask, int, int]:
    """Reads the part of a grid that a tile covers, and returns it with the grid row and column where it begins."""
    if grid.crs is None and (grid.transform.a, grid.transform.e) != (1, 1):
        # A coarser grid over the pixels of one image, as used for a picture.
        tile = replace(tile, crs=None, transform=Affine.identity())
    elif corner := aligned(grid, tile):
        return _cut(tile, grid, corner)
    return (*tile.read_on(grid.crs, grid.transform, grid.width, grid.height), 0, 0)


def _cut(tile: Raster, grid: Grid, corner: tuple[int, int]) -> tuple[Image, Mask, int, int]:
    col, row = corner
    left, top = max(col, 0), max(row, 0)
    width = min(col + grid.width, tile.width) - left
    height = min(row + grid.height, tile.height) - top
    if width <= 0 or height <= 0:
        return np.zeros((0, 0, len(tile.bands)), np.uint8), np.zeros((0, 0), bool), 0, 0
    return (*tile.read(left, top, width, height), top - row, left - col)
