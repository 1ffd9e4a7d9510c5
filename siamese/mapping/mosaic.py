"""The images of one date as one picture on any grid, read a window at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from siamese.mapping.grid import Grid, aligned, extent
from siamese.mapping.tiles import Tile, opened

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_FILL_PX = 9
"""Providers fill what they did not see with black and do not say so. Black of at least this many pixels a side is such
fill; shadows and dark roofs are smaller or not wholly black."""


@dataclass(frozen=True, eq=False)
class Mosaic:
    """Tiles of one date; where they overlap the first one shows."""

    tiles: tuple[Tile, ...]
    crs: str | None
    """Of every grid that it is read on."""
    boxes: npt.NDArray[np.float64]
    """``(tiles, 4)``: left, bottom, right, top of each in the crs."""

    @property
    def bands(self) -> int:
        """How many bands it is read with."""
        return len(self.tiles[0].bands)

    def read(self, grid: Grid) -> tuple[Image, Mask]:
        """Reads what lies on a grid, warping tiles that lie on another (bilinear).

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
        valid &= ~_black_fill(pixels)
        pixels[~valid] = 0
        return pixels, valid

    def touches(self, grid: Grid) -> bool:
        """Whether any tile's box reaches into a grid."""
        return bool(self._near(grid).any())

    def touching(self, grid: Grid) -> tuple[int, ...]:
        """Positions of the tiles whose boxes reach into a grid; the first one shows on top."""
        return tuple(map(int, np.flatnonzero(self._near(grid))))

    def _near(self, grid: Grid) -> Mask:
        left, bottom, right, top = grid.bounds
        boxes = self.boxes.T
        return np.asarray((boxes[0] < right) & (boxes[2] > left) & (boxes[1] < top) & (boxes[3] > bottom))


def mosaic(tiles: Sequence[Tile], crs: str | None) -> Mosaic:
    """Tiles of one date as one.

    Args:
        tiles: The first one shows where they overlap.
        crs: Of the map; None when it is in pixels.

    Raises:
        SiameseError: A tile's place cannot be computed in that crs.
    """
    return Mosaic(tuple(tiles), crs, np.array([extent([tile], crs) for tile in tiles], np.float64))


def _paint(tile: Tile, grid: Grid, pixels: Image, valid: Mask) -> None:
    with opened(tile.path, tile.name) as dataset:
        corner = aligned(grid, tile)
        found, seen, row, col = _cut(dataset, tile, grid, corner) if corner else (*_warped(dataset, tile, grid), 0, 0)
    if not seen.size:
        return
    area = np.s_[row : row + seen.shape[0], col : col + seen.shape[1]]
    fresh = seen & ~valid[area]
    colours = np.moveaxis(found, 0, -1)
    pixels[area][fresh] = (tile.stretch(colours) if tile.stretch else colours)[fresh]
    valid[area] |= fresh


def _cut(
    dataset: DatasetReader, tile: Tile, grid: Grid, corner: tuple[int, int]
) -> tuple[npt.NDArray[np.integer], Mask, int, int]:
    col, row = corner
    left, top = max(col, 0), max(row, 0)
    right, bottom = min(col + grid.width, tile.width), min(row + grid.height, tile.height)
    window = Window(left, top, max(0, right - left), max(0, bottom - top))
    if not window.width or not window.height:
        return np.zeros((len(tile.bands), 0, 0), np.uint8), np.zeros((0, 0), bool), 0, 0
    found = dataset.read(list(tile.bands), window=window)
    shape = found.shape[1:]
    seen = dataset.dataset_mask(window=window) > 0 if tile.has_mask else np.ones(shape, bool)
    return found, seen, top - row, left - col


def _warped(dataset: DatasetReader, tile: Tile, grid: Grid) -> tuple[npt.NDArray[np.integer], Mask]:
    with WarpedVRT(
        dataset,
        src_crs=tile.crs,
        src_transform=tile.transform,
        crs=grid.crs,
        transform=grid.transform,
        width=grid.width,
        height=grid.height,
        resampling=Resampling.bilinear,
        add_alpha=tile.masks_apart,
        warp_mem_limit=64,
        UNIFIED_SRC_NODATA="YES",
    ) as vrt:
        return vrt.read(list(tile.bands)), vrt.dataset_mask() > 0


def _black_fill(pixels: Image) -> Mask:
    black = (pixels.max(axis=2) == 0).astype(np.uint8)
    if not black.any():
        return np.zeros(black.shape, bool)
    square = np.ones((_FILL_PX, _FILL_PX), np.uint8)
    # Fill that the window's edge cuts may go on beyond it, so what lies outside counts as black.
    core = cv2.erode(black, square, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    fill: Mask = (cv2.dilate(core, square) > 0) & (black > 0)
    return fill
