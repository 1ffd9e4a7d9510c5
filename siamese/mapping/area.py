"""The area of interest of a map: polygons in degrees, and the part of the map's grid that they cover."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine

from siamese.errors import SiameseError
from siamese.geo import rasterize
from siamese.geo.globe import Bounds, degree_bounds
from siamese.mapping.grid import Grid
from siamese.mapping.mosaic import Mask
from siamese.mapping.polygons import bounding_box, box_polygons, left_out, moved, no_polygon
from siamese.mapping.shape_files import ShapeSource, find_shapes
from siamese.mapping.shapes import read_shapes
from siamese.mapping.workplace import workplace
from siamese.store import ObjectStore

MARGIN_PX: Final = 64
"""Pixels around the area that are mapped too, so that buildings on its edge are seen whole."""
_EDGE_DEGREES: Final = 0.01
"""Long edges are bent along the ground at this distance."""


@dataclass(frozen=True, eq=False)
class Area:
    """An area of interest."""

    name: str
    """As the user named it."""
    identity: str
    """Equal identities mean equal polygons."""
    geometries: npt.NDArray[Any]
    """Polygons in degrees."""
    notes: tuple[str, ...] = ()
    """What was strange about its file, one line each."""

    def bounds(self) -> Bounds:
        """Returns west, south, east, north in degrees, west > east across the antimeridian."""
        return degree_bounds(shapely.get_coordinates(self.geometries))

    def on(self, grid: Grid) -> shapely.Geometry:
        """Returns the area in pixels of a grid.

        Raises:
            SiameseError: The grid has no georeference.
        """
        if grid.crs is None:
            fix = "give georeferenced images"
            raise SiameseError("cannot be placed: the imagery has no georeference", where=f"--aoi {self.name}", fix=fix)
        bent = shapely.segmentize(self.geometries, _EDGE_DEGREES)
        return shapely.union_all(moved(bent, grid.crs, grid.to_pixels))


@dataclass(frozen=True)
class AreaSource:
    """An area that was named, found but not read yet."""

    given: str
    identity: str
    file: ShapeSource | None = None

    def read(self, store: ObjectStore, folder: Path) -> Area:
        """Reads the area.

        Raises:
            SiameseError: It is no file of polygons, or holds none.
        """
        if self.file is None:
            return Area(self.given, self.identity, box_polygons(bounding_box(self.given) or (0, 0, 0, 0)))
        found = read_shapes(self.file, store, folder)
        where = f"--aoi {self.given}"
        if not len(found.geometries):
            raise no_polygon(where, found.skipped, "give a polygon of the area")
        return Area(self.given, self.identity, found.geometries, left_out(where, found.skipped))

    def bounds(self, store: ObjectStore) -> Bounds:
        """Reads the area and returns its bounds; see :meth:`read` and :meth:`Area.bounds`."""
        with workplace(store) as folder:
            return self.read(store, folder).bounds()


def find_area(given: str, store: ObjectStore) -> AreaSource:
    """Finds an area of interest.

    Args:
        given: ``west,south,east,north`` in degrees, or a file, an object or an ``https://`` address of
            polygons.
        store: Object storage.

    Raises:
        SiameseError: It is neither.
    """
    if bounding_box(given) is not None:
        return AreaSource(given, hashlib.sha256(given.replace(" ", "").encode()).hexdigest())
    source = find_shapes(given, "--aoi", store)
    return AreaSource(given, source.identity, source)


def crop(grid: Grid, area: Area) -> Grid:
    """Returns the part of a grid around an area.

    Raises:
        SiameseError: The area lies outside the grid.
    """
    where = f"--aoi {area.name}"
    left, top, right, bottom = shapely.bounds(area.on(grid))
    if not np.isfinite([left, top, right, bottom]).all() or right <= 0 or bottom <= 0:
        raise _outside(where)
    if left >= grid.width or top >= grid.height:
        raise _outside(where)
    row, col = max(0, int(top) - MARGIN_PX), max(0, int(left) - MARGIN_PX)
    height = min(grid.height, int(np.ceil(bottom)) + MARGIN_PX) - row
    width = min(grid.width, int(np.ceil(right)) + MARGIN_PX) - col
    return grid.window(row, col, height, width)


def inside(area: shapely.Geometry, row: int, col: int, height: int, width: int) -> Mask:
    """Returns which pixels of a piece of a grid lie in an area, by their centres.

    Args:
        area: In pixels of the grid.
        row: First row of the piece.
        col: First column.
        height: Rows.
        width: Columns.
    """
    near = shapely.intersection(area, shapely.box(col - 1, row - 1, col + width + 1, row + height + 1))
    if near.is_empty or near.area == 0:
        return np.zeros((height, width), bool)
    place = rasterize([(near, 1)], (height, width), transform=Affine.translation(col, row), dtype="uint8")
    return np.asarray(place, bool)


def _outside(where: str) -> SiameseError:
    fix = "check that the area and the images show one place"
    return SiameseError("the area of interest lies outside the images before the disaster", where=where, fix=fix)
