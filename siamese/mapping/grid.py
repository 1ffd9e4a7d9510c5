"""The grid of a map: which ground each of its pixels covers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyproj import Geod, Transformer
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import calculate_default_transform, transform_bounds

from siamese.errors import SiameseError
from siamese.mapping.tiles import Tile

WGS84 = "EPSG:4326"
_ALIGNED_PX = 1e-3
_LARGE_PX = 10**9
_LEAST_COVERED = 0.01


@dataclass(frozen=True)
class Grid:
    """Pixels on the ground, north up; without a crs they are the pixels of the images themselves."""

    crs: str | None
    transform: Affine
    """(column, row) to coordinates of the crs."""
    width: int
    height: int

    def window(self, row: int, col: int, height: int, width: int) -> Grid:
        """The part of the grid from a pixel on."""
        return Grid(self.crs, self.transform @ Affine.translation(col, row), width, height)

    def coarser(self, factor: float) -> Grid:
        """The same ground with pixels ``factor`` times as wide."""
        width, height = (max(1, round(side / factor)) for side in (self.width, self.height))
        scale = Affine.scale(self.width / width, self.height / height)
        return Grid(self.crs, self.transform @ scale, width, height)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top in the crs."""
        return _box(self.transform, self.width, self.height)

    def degrees(self) -> tuple[float, float, float, float] | None:
        """West, south, east, north; None without a crs."""
        if self.crs is None:
            return None
        west, south, east, north = transform_bounds(self.crs, WGS84, *self.bounds, densify_pts=21)
        return float(west), float(south), float(east), float(north)

    def pixel_m2(self) -> float | None:
        """Ground that a pixel covers on average, measured on the ellipsoid; None without a crs.

        The crs itself is not asked: in Web Mercator, or in feet, its units are not metres on the ground.
        """
        if self.crs is None:
            return None
        corners = np.array([(0, 0), (self.width, 0), (self.width, self.height), (0, self.height)], np.float64)
        lng, lat = self.to_degrees(corners).T
        area, _ = Geod(ellps="WGS84").polygon_area_perimeter(lng, lat)
        return abs(float(area)) / (self.width * self.height)

    def to_degrees(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """``(N, 2)`` of (column, row) to ``(N, 2)`` of (longitude, latitude)."""
        a, b, c, d, e, f = tuple(self.transform)[:6]
        x = a * points[:, 0] + b * points[:, 1] + c
        y = d * points[:, 0] + e * points[:, 1] + f
        lng, lat = Transformer.from_crs(self.crs, WGS84, always_xy=True).transform(x, y)
        return np.column_stack([lng, lat])


def plan_grid(pre: Sequence[Tile], post: Sequence[Tile]) -> Grid:
    """Lays the grid of a map: the pre tiles' crs and resolution over their common extent.

    When that crs counts in degrees, or an image is turned against north, the grid is laid in the UTM zone of its
    centre or turned north, at the resolution of the images.

    Args:
        pre: Tiles before the disaster.
        post: Tiles after it.

    Raises:
        SiameseError: Only one date has a georeference, images without one are not one pair of the same size, or the
            two dates show different places.
    """
    located = [tile.crs is not None for tile in (*pre, *post)]
    if not any(located):
        return _pixel_grid(pre, post)
    for date, tiles in (("pre", pre), ("post", post)):
        for tile in tiles:
            if tile.crs is None:
                what = f"has no georeference, while other images have one; this {date} image cannot be placed"
                raise SiameseError(what, where=tile.name, fix="give it as a georeferenced GeoTIFF")
    grid = _ground_grid(pre)
    _check_extent(grid, pre)
    west, south, east, north = grid.bounds
    left, bottom, right, top = extent(post, grid.crs)
    if left >= east or right <= west or bottom >= north or top <= south:
        where = f"pre {_place(pre)}, post {_place(post)}"
        raise SiameseError("pre and post images do not overlap", where=where, fix="check that both show one place")
    return grid


def extent(tiles: Sequence[Tile], crs: str | None) -> tuple[float, float, float, float]:
    """Left, bottom, right, top of all tiles in a crs; in pixels without one.

    Raises:
        SiameseError: A tile's place cannot be computed in that crs.
    """
    boxes = []
    for tile in tiles:
        box = _box(tile.transform, tile.width, tile.height)
        if crs is not None:
            try:
                box = transform_bounds(tile.crs, crs, *box, densify_pts=21)
            except (RasterioError, CPLE_BaseError) as error:
                raise _misplaced(tile, str(error)) from error
        if not all(map(math.isfinite, box)):
            raise _misplaced(tile, f"it reaches beyond {crs}")
        boxes.append(box)
    lefts, bottoms, rights, tops = zip(*boxes, strict=True)
    return min(lefts), min(bottoms), max(rights), max(tops)


def aligned(grid: Grid, tile: Tile) -> tuple[int, int] | None:
    """Column and row of the grid's corner in the tile, when their pixels are the same; None otherwise."""
    if tile.crs is None or grid.crs is None:
        return round(grid.transform.c), round(grid.transform.f)
    if CRS.from_user_input(tile.crs) != CRS.from_user_input(grid.crs):
        return None
    relative = ~tile.transform @ grid.transform
    col, row = round(relative.c), round(relative.f)
    far = relative @ (grid.width, grid.height)
    off = (relative.c - col, relative.f - row, far[0] - col - grid.width, far[1] - row - grid.height)
    straight = abs(relative.b) < _ALIGNED_PX / grid.height and abs(relative.d) < _ALIGNED_PX / grid.width
    return (col, row) if straight and max(map(abs, off)) < _ALIGNED_PX * 100 else None


def _pixel_grid(pre: Sequence[Tile], post: Sequence[Tile]) -> Grid:
    if len(pre) > 1 or len(post) > 1:
        fix = "map such scenes one by one, or give georeferenced GeoTIFFs"
        raise SiameseError("several images without georeference cannot be placed", where=pre[0].name, fix=fix)
    (before,), (after,) = pre, post
    if (before.width, before.height) != (after.width, after.height):
        sizes = f"{before.width} x {before.height} px before, {after.width} x {after.height} px after"
        fix = "give images of one size, or georeferenced GeoTIFFs"
        raise SiameseError(f"without georeference both dates must have one size: {sizes}", where=after.name, fix=fix)
    return Grid(None, Affine.identity(), before.width, before.height)


def _ground_grid(pre: Sequence[Tile]) -> Grid:
    first = pre[0]
    crs = CRS.from_user_input(first.crs)
    turned = max(abs(first.transform.b), abs(first.transform.d)) > 1e-9 * abs(first.transform.a)
    upside_down = first.transform.e > 0 or first.transform.a < 0
    if crs.is_geographic:
        crs = _utm(pre)
    if turned or upside_down or crs != CRS.from_user_input(first.crs):
        step, *_ = calculate_default_transform(
            first.crs, crs, first.width, first.height, *_box(first.transform, first.width, first.height)
        )
        anchor = Affine.scale(step.a, step.e)
    else:
        anchor = first.transform
    left, bottom, right, top = extent(pre, _name(crs))
    # Pixel edges stay those of the first tile, so that tiles on its grid are read and not resampled.
    col0, row0 = (math.floor(value + _ALIGNED_PX) for value in ~anchor @ (left, top))
    col1, row1 = (math.ceil(value - _ALIGNED_PX) for value in ~anchor @ (right, bottom))
    return Grid(_name(crs), anchor @ Affine.translation(col0, row0), max(1, col1 - col0), max(1, row1 - row0))


def _misplaced(tile: Tile, why: str) -> SiameseError:
    return SiameseError(f"its place cannot be computed: {why}", where=tile.name, fix="check its crs and transform")


def _check_extent(grid: Grid, tiles: Sequence[Tile]) -> None:
    """Refuses images strewn so far apart that nearly all of the map would be empty."""
    pixels, covered = grid.width * grid.height, sum(tile.width * tile.height for tile in tiles)
    if pixels > _LARGE_PX and covered < pixels * _LEAST_COVERED:
        what = f"the pre images lie far apart: {covered / pixels:.2%} of their extent, {grid.width} x {grid.height} px"
        raise SiameseError(what, where=tiles[0].name, fix="check their georeference, or map them in groups")


def _utm(tiles: Sequence[Tile]) -> CRS:
    west, south, east, north = extent(tiles, WGS84)
    lng, lat = (west + east) / 2, (south + north) / 2
    zone = min(60, math.floor((lng + 180) / 6) + 1)
    return CRS.from_epsg((32600 if lat >= 0 else 32700) + zone)


def _name(crs: CRS) -> str:
    return str(crs.to_string())


def _box(transform: Affine, width: int, height: int) -> tuple[float, float, float, float]:
    corners = [transform @ corner for corner in ((0, 0), (width, 0), (width, height), (0, height))]
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _place(tiles: Sequence[Tile]) -> str:
    west, south, east, north = extent(tiles, WGS84)
    return f"{west:.4f}..{east:.4f} E {south:.4f}..{north:.4f} N"
