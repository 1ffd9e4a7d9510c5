"""Imagery of a map as raster tiles of the page."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import pyproj

from siamese.geo import local_gdal, shown
from siamese.geo.globe import outline, to_degrees
from siamese.mapping.grid import Grid
from siamese.mapping.task import Images
from siamese.mapping.tiles import GDAL
from siamese.tiling.images import Pixels, Pyramid, Tile, write_images
from siamese.tiling.plane import PIXEL_ZOOM, TILE_PX, Points, from_degrees, from_pixels, to_metres, zoom_of

_MESH: Final = 17
"""Places are computed at so many points along a tile's side, and interpolated between them."""
_PAD_PX: Final = 2


def pyramid_of(grid: Grid) -> Pyramid:
    """Returns the tiles that show a map."""
    if grid.crs is None:
        left, top, right, bottom = 0.0, 0.0, float(grid.width), float(grid.height)
        (x0, y0), (x1, y1) = from_pixels(np.array([(left, top), (right, bottom)])).tolist()
        return Pyramid(x0, y0, x1, y1, PIXEL_ZOOM)
    edge = to_degrees(outline(grid.transform, grid.width, grid.height), grid.crs)
    plane = from_degrees(edge, centre_of(grid))
    (x0, y0), (x1, y1) = plane.min(axis=0).tolist(), plane.max(axis=0).tolist()
    side = math.sqrt(grid.pixel_m2() or 1.0)
    return Pyramid(x0, y0, x1, y1, zoom_of(side, float(edge[:, 1].mean())))


def centre_of(grid: Grid) -> float:
    """Returns the longitude of a map's middle; 0 without a georeference."""
    bounds = grid.degrees()
    if bounds is None:
        return 0.0
    west, _, east, _ = bounds
    return (west + (east if east >= west else east + 360)) / 2


def write_date(
    path: Path, grid: Grid, images: Images, about: dict[str, str], done: Callable[[], None] = lambda: None
) -> int:
    """Writes the tiles of one date.

    Args:
        path: The archive.
        grid: Pixels of the map.
        images: Of the date.
        about: Metadata of the archive.
        done: Called after each tile of the finest zoom.

    Returns:
        The number of tiles.
    """
    warp = _Warp(grid)

    def read(tile: Tile) -> tuple[Pixels, npt.NDArray[np.bool_]] | None:
        return warp.read(tile, images)

    with local_gdal(**GDAL):
        return write_images(path, pyramid_of(grid), read, dict(about), done)


class _Warp:
    """Reads tiles from images on the grid of a map."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._to_map = pyproj.Transformer.from_crs("EPSG:3857", grid.crs, always_xy=True) if grid.crs else None

    def read(self, tile: Tile, images: Images) -> tuple[Pixels, npt.NDArray[np.bool_]] | None:
        """Reads the tile; None where the map has no ground."""
        mesh = self._pixels(tile)
        (left, top), (right, bottom) = np.floor(mesh.min(axis=0)) - _PAD_PX, np.ceil(mesh.max(axis=0)) + _PAD_PX
        col, row = max(0, int(left)), max(0, int(top))
        width, height = min(self._grid.width, int(right)) - col, min(self._grid.height, int(bottom)) - row
        if width <= 0 or height <= 0:
            return None
        pixels, seen = images.read(self._grid.window(row, col, height, width))
        if not seen.any():
            return None
        # Pixel centres of the tile, in pixels of what was read: a centre has the coordinates of its index.
        xs, ys = ((mesh[:, axis] - start - 0.5).reshape(_MESH, _MESH) for axis, start in ((0, col), (1, row)))
        across, down = _spread(xs), _spread(ys)
        colour = cv2.remap(shown(pixels), across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        there = cv2.remap(seen.astype(np.uint8), across, down, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(colour, np.uint8), np.asarray(there > 0)

    def _pixels(self, tile: Tile) -> Points:
        """Returns (column, row) in the map of a mesh of points on the tile, from the middle of its first pixel on."""
        zoom, col, row = tile
        steps = (0.5 + np.linspace(0, TILE_PX - 1, _MESH)) / TILE_PX
        ys, xs = np.meshgrid((row + steps) / 2**zoom, (col + steps) / 2**zoom, indexing="ij")
        plane = np.column_stack([xs.ravel(), ys.ravel()])
        if self._to_map is None:
            return np.asarray((plane - 0.5) * TILE_PX * 2**PIXEL_ZOOM, np.float64)
        x, y = self._to_map.transform(*to_metres(plane).T)
        a, b, c, d, e, f = tuple(~self._grid.transform)[:6]
        return np.column_stack([a * x + b * y + c, d * x + e * y + f])


def _spread(mesh: Points) -> npt.NDArray[np.float32]:
    """Interpolates values at the mesh to all pixels of a tile."""
    at = np.linspace(0, _MESH - 1, TILE_PX, dtype=np.float32)
    across, down = np.meshgrid(at, at)
    return np.asarray(cv2.remap(mesh.astype(np.float32), across, down, cv2.INTER_LINEAR), np.float32)
