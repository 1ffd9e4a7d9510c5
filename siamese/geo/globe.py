"""Computations with longitudes and latitudes, including where longitude jumps from 180 to -180."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from siamese.errors import SiameseError
from siamese.geo.gdal import transform_points

WGS84: Final = "EPSG:4326"
Points = npt.NDArray[np.float64]
Bounds = tuple[float, float, float, float]
"""West, south, east, north in degrees; west > east when it crosses the antimeridian."""
_EDGE_POINTS: Final = 21


def outline(transform: Affine, width: int, height: int) -> Points:
    """Returns ``(N, 2)`` coordinates along the edge of an image, including its corners."""
    along = np.linspace(0, 1, _EDGE_POINTS)
    zero, one = np.zeros_like(along), np.ones_like(along)
    cols = np.concatenate([along, one, along[::-1], zero]) * width
    rows = np.concatenate([zero, along, one, along[::-1]]) * height
    xs = transform.a * cols + transform.b * rows + transform.c
    ys = transform.d * cols + transform.e * rows + transform.f
    return np.column_stack([xs, ys])


def reproject_points(points: Points, crs: str, target: str) -> Points:
    """Reprojects ``(N, 2)`` coordinates from one CRS to another.

    Raises:
        SiameseError: There is no transformation between the two.
    """
    try:
        xs, ys = transform_points(crs, target, points[:, 0].tolist(), points[:, 1].tolist())
    except (RasterioError, CPLE_BaseError) as error:
        raise SiameseError(str(error), where=crs, fix="check the CRS") from error
    return np.column_stack([np.asarray(xs, np.float64), np.asarray(ys, np.float64)])


def to_degrees(points: Points, crs: str) -> Points:
    """Converts ``(N, 2)`` coordinates of a CRS to (longitude, latitude).

    Raises:
        SiameseError: There is no transformation from the CRS to degrees.
    """
    return reproject_points(points, crs, WGS84)


def mean_place(degrees: Points) -> tuple[float, float]:
    """Returns longitude and latitude of the middle of points anywhere on the globe."""
    lng, lat = np.radians(degrees).T
    x, y, z = np.mean([np.cos(lat) * np.cos(lng), np.cos(lat) * np.sin(lng), np.sin(lat)], axis=1)
    return float(np.degrees(np.arctan2(y, x))), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def degree_bounds(degrees: Points) -> Bounds:
    """Returns west, south, east, north of points less than half a globe apart."""
    middle, _ = mean_place(degrees)
    off = (degrees[:, 0] - middle + 180) % 360 - 180
    west, east = middle + off.min(), middle + off.max()
    west, east = west + 360 if west < -180 else west, east - 360 if east > 180 else east
    if west > 180:
        west -= 360
    if east < -180:
        east += 360
    return float(west), float(degrees[:, 1].min()), float(east), float(degrees[:, 1].max())


def boxes_touch(box: Sequence[float], bounds: Bounds) -> bool:
    """Returns whether a box of four numbers, or six with heights, touches bounds; both may cross the antimeridian."""
    half = len(box) // 2
    west, south, east, north = box[0], box[1], box[half], box[half + 1]
    left, bottom, right, top = bounds
    width, wide = (east - west) % 360, (right - left) % 360
    if east - west >= 360:
        width = 360
    return south <= top and north >= bottom and ((left - west) % 360 <= width or (west - left) % 360 <= wide)


def cut_at_antimeridian(geometries: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Cuts polygons in degrees that cross the antimeridian into parts on either side (RFC 7946, 3.1.9).

    Args:
        geometries: Polygons, each less than half a globe wide, with longitudes within ±180.

    Returns:
        The same geometries, with those that cross as multipolygons.
    """
    boxes = shapely.bounds(geometries)
    crossing = np.flatnonzero(boxes[:, 2] - boxes[:, 0] > 180)
    if not crossing.size:
        return geometries
    out = geometries.copy()
    for position in crossing:
        whole = shapely.make_valid(shapely.transform(out[position], _eastward))
        parts = [
            *_polygons(shapely.intersection(whole, shapely.box(0, -90, 180, 90))),
            *_polygons(shapely.transform(shapely.intersection(whole, shapely.box(180, -90, 360, 90)), _westward)),
        ]
        out[position] = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    return out


class Box:
    """Accumulates the bounds of many geometries; in degrees these may be on both sides of the antimeridian."""

    def __init__(self, *, degrees: bool) -> None:
        self._degrees = degrees
        self._low, self._high = np.full(2, np.inf), np.full(2, -np.inf)
        self._below = -np.inf
        """Greatest longitude west of Greenwich."""
        self._above = np.inf
        """Least longitude east of Greenwich."""

    def add(self, geometries: npt.NDArray[Any]) -> None:
        """Extends the bounds by geometries whose longitudes are within ±180."""
        points = shapely.get_coordinates(geometries)
        if not len(points):
            return
        self._low, self._high = np.minimum(self._low, points.min(0)), np.maximum(self._high, points.max(0))
        lng = points[:, 0]
        self._below = max(self._below, lng[lng < 0].max(initial=-np.inf))
        self._above = min(self._above, lng[lng >= 0].min(initial=np.inf))

    def bounds(self) -> list[float] | None:
        """Returns left, bottom, right, top, with left > right if that is the shorter way around; None if empty."""
        if not np.isfinite(self._low).all():
            return None
        (left, bottom), (right, top) = self._low, self._high
        if self._degrees and right - left > 180 and np.isfinite([self._below, self._above]).all():
            left, right = self._above, self._below
        return [float(left), float(bottom), float(right), float(top)]


def _polygons(geometry: shapely.Geometry) -> list[shapely.Polygon]:
    return [part for part in shapely.get_parts(geometry) if isinstance(part, shapely.Polygon) and not part.is_empty]


def _eastward(points: Points) -> Points:
    return np.column_stack([np.where(points[:, 0] < 0, points[:, 0] + 360, points[:, 0]), points[:, 1]])


def _westward(points: Points) -> Points:
    return np.column_stack([points[:, 0] - 360, points[:, 1]])
