"""The grid of a map: which ground each of its pixels covers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyproj import Geod, Transformer
from rasterio.crs import CRS

from siamese.errors import SiameseError
from siamese.geo.globe import WGS84, Bounds, degree_bounds, mean_place, outline, reproject_points, to_degrees
from siamese.mapping.tiles import Tile

_ALIGNED_PX: Final = 1e-3
_LARGE_PX: Final = 10**9
_LEAST_COVERED: Final = 0.01
_FINER: Final = 0.98
"""Pixels that are less than this times as wide as others are finer."""
_SQUARE: Final = 1.1
"""Pixels whose sides differ by at most this factor are treated as square."""
_CLOSE_DEGREES: Final = 10.0


@dataclass(frozen=True)
class Grid:
    """A north-up pixel grid on the ground; without a crs, the pixels of the images themselves."""

    crs: str | None
    transform: Affine
    """(column, row) to coordinates of the crs."""
    width: int
    height: int

    def window(self, row: int, col: int, height: int, width: int) -> Grid:
        """Returns the part of the grid that starts at a pixel and has the given size."""
        return Grid(self.crs, self.transform @ Affine.translation(col, row), width, height)

    def shifted(self, shift: tuple[float, float]) -> Grid:
        """Returns the grid moved by pixels, right and down."""
        if shift == (0.0, 0.0):
            return self
        return replace(self, transform=self.transform @ Affine.translation(*shift))

    def coarser(self, factor: float) -> Grid:
        """Returns a grid of the same ground with pixels ``factor`` times as wide."""
        width, height = (max(1, round(side / factor)) for side in (self.width, self.height))
        scale = Affine.scale(self.width / width, self.height / height)
        return Grid(self.crs, self.transform @ scale, width, height)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Returns left, bottom, right, top in the crs."""
        return _box(outline(self.transform, self.width, self.height))

    def degrees(self) -> Bounds | None:
        """Returns west, south, east, north, with west > east across the antimeridian; None without a crs."""
        if self.crs is None:
            return None
        return degree_bounds(to_degrees(outline(self.transform, self.width, self.height), self.crs))

    def pixel_m2(self) -> float | None:
        """Returns the mean ground area of a pixel in m², measured on the ellipsoid; None without a crs.

        Units of the crs are not used: in Web Mercator, or in feet, they are not metres on the ground.
        """
        if self.crs is None:
            return None
        corners = np.array([(0, 0), (self.width, 0), (self.width, self.height), (0, self.height)], np.float64)
        lng, lat = self.to_degrees(corners).T
        area, _ = Geod(ellps="WGS84").polygon_area_perimeter(lng, lat)
        return abs(float(area)) / (self.width * self.height)

    def side_m(self) -> float:
        """Returns the mean side of a pixel on the ground in metres; NaN without a crs."""
        return math.sqrt(self.pixel_m2() or math.nan)

    def to_degrees(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Converts ``(N, 2)`` (column, row) to ``(N, 2)`` (longitude, latitude), longitudes within ±180."""
        a, b, c, d, e, f = tuple(self.transform)[:6]
        x = a * points[:, 0] + b * points[:, 1] + c
        y = d * points[:, 0] + e * points[:, 1] + f
        lng, lat = Transformer.from_crs(self.crs, WGS84, always_xy=True).transform(x, y)
        return np.column_stack([lng, lat])

    def to_pixels(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Converts ``(N, 2)`` coordinates of the crs to ``(N, 2)`` (column, row)."""
        a, b, c, d, e, f = tuple(~self.transform)[:6]
        x, y = points.T
        return np.column_stack([a * x + b * y + c, d * x + e * y + f])


@dataclass(frozen=True)
class _Pixel:
    """The pixel in the middle of a tile, measured in the crs of a grid."""

    across: float
    """Distance to the next column."""
    down: float
    """Distance to the next row."""
    turn: float
    """Degrees by which rows of the image deviate from the grid's axes, within ±45."""
    side: float
    """Side of a square pixel that loses no detail."""

    @property
    def straight(self) -> bool:
        """Whether its rows run along the axes of the grid, possibly turned by right angles."""
        return abs(self.turn) < 1e-6

    @property
    def square(self) -> bool:
        """Whether its sides are about equal."""
        return max(self.across, self.down) <= _SQUARE * min(self.across, self.down)


def plan_grid(pre: Sequence[Tile], post: Sequence[Tile], gsd: float | None = None) -> Grid:
    """Lays the grid of a map over the extent of the pre tiles.

    Its crs is that of the pre tiles, or the UTM zone of their middle if that crs is in degrees. Its pixels are as
    fine as those of the finer date, north up and square. Where tiles have such pixels, the grid aligns with their
    edges, so that as many tiles as possible are read without resampling.

    Args:
        pre: Tiles before the disaster; either all have a crs or none has.
        post: Tiles after it, likewise.
        gsd: Side of a pixel on the ground in metres; None: that of the finer date.

    Raises:
        SiameseError: The location of a tile cannot be computed, or the pre tiles are far apart.
    """
    if pre[0].crs is None:
        return Grid(None, Affine.identity(), pre[0].width, pre[0].height)
    crs = _map_crs(pre)
    anchor = _anchor(pre, post, crs)
    left, bottom, right, top = extent(pre, crs)
    if gsd is not None:
        own = Grid(crs, Affine.translation(left, top) @ Affine.scale(anchor.a, anchor.e), 1000, 1000).side_m()
        anchor = Affine.scale(anchor.a * gsd / own, anchor.e * gsd / own)
    # Pixel edges stay aligned with the anchor's, so that tiles on its grid are read without resampling.
    col0, row0 = (math.floor(value + _ALIGNED_PX) for value in ~anchor @ (left, top))
    col1, row1 = (math.ceil(value - _ALIGNED_PX) for value in ~anchor @ (right, bottom))
    grid = Grid(crs, anchor @ Affine.translation(col0, row0), max(1, col1 - col0), max(1, row1 - row0))
    _check_extent(grid, pre)
    return grid


def check_overlap(grid: Grid, pre: Sequence[Tile], post: Sequence[Tile]) -> None:
    """Refuses post tiles that show nothing of a grid.

    Raises:
        SiameseError: The two dates show different places.
    """
    if grid.crs is None:
        return
    apart = SiameseError(
        "pre and post images do not overlap",
        where=f"pre {_place(pre)}, post {_place(post)}",
        fix="check that both show one place",
    )
    west, south, east, north = grid.bounds
    try:
        left, bottom, right, top = extent(post, grid.crs)
    except SiameseError as error:
        raise (apart if _far(pre, post) else error) from error
    if left >= east or right <= west or bottom >= north or top <= south:
        raise apart


def describe_resampling(grid: Grid, pre: Sequence[Tile], post: Sequence[Tile]) -> str | None:
    """Describes in one line which images are not on the grid of the map, and why; None when all are."""
    if grid.crs is None:
        return None
    parts = []
    for date, tiles in (("pre", pre), ("post", post)):
        resampled = [tile for tile in tiles if aligned(grid, tile) is None]
        if resampled:
            count = "" if len(tiles) == 1 else f", {len(resampled)} of {len(tiles)} images"
            reasons = "; ".join(dict.fromkeys(_difference(grid, tile) for tile in resampled))
            parts.append(f"{date} ({reasons}{count})")
    if not parts:
        return None
    onto = f"a north-up grid of {_size(grid)} in {_short(grid.crs)}"
    return f"resampled onto {onto}: {' and '.join(parts)}"


def native_m(tile: Tile) -> float:
    """Returns the side of a tile's pixels on the ground in metres; NaN without a crs."""
    if tile.crs is None:
        return math.nan
    return Grid(tile.crs, tile.transform, tile.width, tile.height).side_m()


def extent(tiles: Sequence[Tile], crs: str | None) -> tuple[float, float, float, float]:
    """Returns left, bottom, right, top of all tiles in a crs; in pixels without one.

    Raises:
        SiameseError: A tile's location cannot be computed in that crs.
    """
    lefts, bottoms, rights, tops = zip(*(_box(_edge(tile, crs)) for tile in tiles), strict=True)
    return min(lefts), min(bottoms), max(rights), max(tops)


def aligned(grid: Grid, tile: Tile) -> tuple[int, int] | None:
    """Returns column and row of the grid's corner in the tile if their pixels coincide; None otherwise."""
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


def _anchor(pre: Sequence[Tile], post: Sequence[Tile], crs: str) -> Affine:
    """Returns a transform whose pixels have the size and alignment of the map's; its origin does not matter."""
    pixels = [[_pixel(tile, crs) for tile in tiles] for tiles in (pre, post)]
    before, after = (min(pixel.side for pixel in date) for date in pixels)
    side = after if after < _FINER * before else before
    for tiles, date in zip((pre, post), pixels, strict=True):
        for tile, pixel in zip(tiles, date, strict=True):
            same = CRS.from_user_input(tile.crs) == CRS.from_user_input(crs)
            if same and pixel.straight and pixel.square and _FINER * side <= pixel.side <= side / _FINER:
                left, _, _, top = extent([tile], crs)
                width, height = _sides(tile.transform)
                return Affine(width, 0, left, 0, -height, top)
    return Affine.scale(side, -side)


def _pixel(tile: Tile, crs: str) -> _Pixel:
    middle = tile.width / 2, tile.height / 2
    points = [tile.transform @ (middle[0] + col, middle[1] + row) for col, row in ((0, 0), (1, 0), (0, 1))]
    start, right, below = _moved(tile, np.array(points, np.float64), crs)
    across, down = right - start, below - start
    if tile.crs == crs:
        across, down = np.array([tile.transform.a, tile.transform.d]), np.array([tile.transform.b, tile.transform.e])
    lengths = float(np.hypot(*across)), float(np.hypot(*down))
    side = math.sqrt(abs(across[0] * down[1] - across[1] * down[0]))
    if not CRS.from_user_input(tile.crs).is_geographic and max(lengths) > _SQUARE * min(lengths):
        # In degrees, pixels that were square to the sensor are oblong; others hold detail along their short side.
        side = min(lengths)
    turn = math.degrees(math.atan2(across[1], across[0]))
    return _Pixel(*lengths, (turn + 45) % 90 - 45, float(f"{side:.9g}"))


def _sides(transform: Affine) -> tuple[float, float]:
    """Returns width and height of the pixels of an image along the axes, possibly turned by right angles."""
    if abs(transform.a) > abs(transform.b):
        return abs(transform.a), abs(transform.e)
    return abs(transform.b), abs(transform.d)


def _edge(tile: Tile, crs: str | None) -> npt.NDArray[np.float64]:
    points = outline(tile.transform, tile.width, tile.height)
    return points if crs is None else _moved(tile, points, crs)


def _moved(tile: Tile, points: npt.NDArray[np.float64], crs: str) -> npt.NDArray[np.float64]:
    """Reprojects points from the crs of a tile to another one."""
    if tile.crs is None:
        raise _misplaced(tile, "it has no crs")
    if CRS.from_user_input(tile.crs) != CRS.from_user_input(crs):
        try:
            points = reproject_points(points, tile.crs, crs)
        except SiameseError as error:
            raise _misplaced(tile, error.what) from error
    if not np.isfinite(points).all():
        raise _misplaced(tile, f"it reaches beyond {_short(crs)}")
    return points


def _misplaced(tile: Tile, why: str) -> SiameseError:
    return SiameseError(f"its place cannot be computed: {why}", where=tile.name, fix="check its crs and transform")


def mostly_empty(pixels: float, covered: float) -> bool:
    """Returns whether a map is large, and images cover nearly nothing of it.

    Args:
        pixels: Pixels of the map.
        covered: Pixels of its images.
    """
    return pixels > _LARGE_PX and covered < pixels * _LEAST_COVERED


def _check_extent(grid: Grid, tiles: Sequence[Tile]) -> None:
    """Refuses images so far apart that nearly all of the map would be empty."""
    pixels, covered = grid.width * grid.height, sum(tile.width * tile.height for tile in tiles)
    if mostly_empty(pixels, covered):
        what = f"the pre images lie far apart: {covered / pixels:.2%} of their extent, {grid.width} x {grid.height} px"
        raise SiameseError(what, where=tiles[0].name, fix="check their georeference, or map them in groups")


def _far(pre: Sequence[Tile], post: Sequence[Tile]) -> bool:
    one, other = (mean_place(_all_degrees(tiles)) for tiles in (pre, post))
    return max(abs((one[0] - other[0] + 180) % 360 - 180), abs(one[1] - other[1])) > _CLOSE_DEGREES


def _map_crs(pre: Sequence[Tile]) -> str:
    """Returns the crs of the first tile; UTM if that is in degrees or is discontinuous where the tiles lie."""
    own = CRS.from_user_input(pre[0].crs)
    if own.is_geographic:
        return _utm(pre)
    west, _, east, _ = degree_bounds(_all_degrees(pre))
    if west > east:
        utm = _utm(pre)
        left, _, right, _ = extent(pre, _name(own))
        other_left, _, other_right, _ = extent(pre, utm)
        if right - left > 2 * (other_right - other_left):
            return utm
    return _name(own)


def _utm(tiles: Sequence[Tile]) -> str:
    lng, lat = mean_place(np.array([mean_place(_edge(tile, WGS84)) for tile in tiles]))
    if abs(lat) > 84:
        return "EPSG:32661" if lat > 0 else "EPSG:32761"
    zone = math.floor((lng + 180) / 6) % 60 + 1
    return f"EPSG:{(32600 if lat >= 0 else 32700) + zone}"


def _all_degrees(tiles: Sequence[Tile]) -> npt.NDArray[np.float64]:
    return np.concatenate([_edge(tile, WGS84) for tile in tiles])


def _name(crs: CRS) -> str:
    return str(crs.to_string())


def _box(points: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    left, bottom = points.min(axis=0)
    right, top = points.max(axis=0)
    return float(left), float(bottom), float(right), float(top)


def _difference(grid: Grid, tile: Tile) -> str:
    """Describes how the pixels of a tile differ from those of the grid."""
    if grid.crs is None or tile.crs is None:
        return "no crs"
    pixel = _pixel(tile, grid.crs)
    found = []
    if CRS.from_user_input(tile.crs) != CRS.from_user_input(grid.crs):
        found.append(f"in {_short(tile.crs)}")
    elif not pixel.straight:
        found.append(f"turned by {abs(pixel.turn):.3g}°")
    elif tile.transform.a <= 0 or tile.transform.e >= 0:
        found.append("not north up")
    sides = _sides(grid.transform)
    if not (_FINER <= pixel.across / sides[0] <= 1 / _FINER and _FINER <= pixel.down / sides[1] <= 1 / _FINER):
        # Two digits: pixels of one sensor differ in the third from tile to tile.
        wide, high = f"{pixel.across:.2g}", f"{pixel.down:.2g}"
        found.append(f"pixels of {wide}" if wide == high else f"pixels of {wide} x {high}")
    return ", ".join(found) or "shifted by parts of a pixel"


def _size(grid: Grid) -> str:
    wide, high = (f"{side:.3g}" for side in _sides(grid.transform))
    unit = str(CRS.from_user_input(grid.crs).linear_units)
    return f"{wide if wide == high else f'{wide} x {high}'} {'m' if unit == 'metre' else unit} pixels"


def _short(crs: str) -> str:
    return crs if len(crs) < 40 else "its own CRS"


def _place(tiles: Sequence[Tile]) -> str:
    west, south, east, north = degree_bounds(_all_degrees(tiles))
    return f"{west:.4f}..{east:.4f} E {south:.4f}..{north:.4f} N"
