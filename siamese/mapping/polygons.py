"""Polygons in degrees that people give, each with an id: bounding boxes, and what is kept of a file's features."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from siamese.errors import SiameseError
from siamese.geo.globe import WGS84, Bounds

Geometries = npt.NDArray[Any]

_BOX: Final = re.compile(r"\s*(-?[\d.]+(e-?\d+)?)(\s*,\s*(-?[\d.]+(e-?\d+)?)){3}\s*", re.IGNORECASE)
ID_NAMES: Final = ("id", "@id", "osm_id", "osm_way_id", "footprint_id", "building_id", "uid", "globalid")
"""Usual names of the column of ids, the first that there is before the others."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """Polygons in degrees, each with an id."""

    geometries: Geometries
    """``(n,)`` polygons and multipolygons, longitude and latitude."""
    ids: tuple[str, ...]
    skipped: int = 0
    """Features that are no polygons, or have no area."""
    elsewhere: int = 0
    """Features away from the bounding box that was asked for; those of GeoParquet may be no polygons."""

    @property
    def only_skipped(self) -> bool:
        """Whether features were found, none of which is a polygon."""
        return bool(self.skipped) and not len(self.ids) and not self.elsewhere


def bounding_box(text: str) -> Bounds | None:
    """Returns west, south, east, north of ``-94.51,37.05,-94.48,37.07``; None if the text is no bounding box.

    Raises:
        SiameseError: The numbers are no bounding box in degrees.
    """
    if not _BOX.fullmatch(text):
        return None
    west, south, east, north = map(float, text.split(","))
    within = -180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90 and west != east
    if not within:
        fix = "give west,south,east,north in degrees; west is greater than east across the antimeridian"
        raise SiameseError("is no bounding box in degrees", where=text, fix=fix)
    return west, south, east, north


def box_polygons(bounds: Bounds) -> Geometries:
    """Returns a bounding box as one polygon, or as two on either side of the antimeridian."""
    west, south, east, north = bounds
    if west < east:
        return np.array([shapely.box(west, south, east, north)], dtype=object)
    sides = [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
    return np.array([one for one in sides if one.area > 0], dtype=object)


def moved(geometries: Geometries, crs: str, to_pixel: Callable[[npt.NDArray[np.float64]], Any]) -> Geometries:
    """Moves polygons in degrees to the pixels of a grid.

    Args:
        geometries: Polygons in degrees.
        crs: CRS of the grid.
        to_pixel: Converts ``(N, 2)`` coordinates of the CRS to (column, row).
    """
    forth = Transformer.from_crs(WGS84, crs, always_xy=True)

    def change(points: npt.NDArray[np.float64]) -> Any:  # noqa: ANN401
        return to_pixel(np.column_stack(forth.transform(points[:, 0], points[:, 1])))

    return cast("Geometries", shapely.transform(geometries, change))


def left_out(where: str, skipped: int) -> tuple[str, ...]:
    """Returns what to tell of features that were skipped: one line, or none.

    Args:
        where: The option and the file that it names.
        skipped: Number of features that are no polygons, or have no area.
    """
    if not skipped:
        return ()
    features = (
        "1 feature is no polygon, or has no area, and is"
        if skipped == 1
        else f"{skipped:,} features are no polygons, or have no area, and are"
    )
    return (f"{where}: {features} left out",)


def no_polygon(where: str, skipped: int, fix: str) -> SiameseError:
    """Returns the error that a file holds no polygon.

    Args:
        where: The option and the file that it names.
        skipped: Number of features that are no polygons, or have no area.
        fix: What to give instead.
    """
    why = f": none of its {skipped:,} features is a polygon with an area" if skipped else ""
    return SiameseError(f"holds no polygon{why}", where=where, fix=fix)


def from_wkb(wkb: npt.NDArray[Any]) -> Geometries:
    """Returns geometries, their rings closed; None for those that cannot be read, such as a ring of one point."""
    return np.asarray(shapely.from_wkb(wkb, on_invalid="fix"), dtype=object)


def ids_of(
    names: Sequence[str], columns: Sequence[npt.NDArray[Any]], numbers: Iterable[int], where: str, asked: str | None
) -> list[str]:
    """Returns the ids of features: of the column asked for, else of the first usual one that holds any, else numbers.

    Args:
        names: Names of the columns.
        columns: One a name, ``(n,)``.
        numbers: ``n`` numbers of the features.
        where: The file, for messages.
        asked: Column that holds the ids.

    Raises:
        SiameseError: There is no such column.
    """
    by_name = {name.lower(): column for name, column in zip(names, columns, strict=True)}
    if asked is not None and asked.lower() not in by_name:
        raise SiameseError(f"has no column {asked}", where=where, fix="check mapping.footprint_id")
    order = (asked.lower(),) if asked is not None else ID_NAMES
    ids = [str(number) for number in numbers]
    for name in reversed(order):
        if name in by_name:
            ids = [old if _empty(new) else _plain(new) for old, new in zip(ids, by_name[name], strict=True)]
    return ids


def _empty(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _plain(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def polygons_of(geometries: Geometries, ids: Sequence[str], crs: str) -> Shapes:
    """Keeps polygons, mends those that cross themselves, and moves them to degrees."""
    polygons = are_polygons(geometries)
    found = shapely.force_2d(geometries[polygons])
    broken = ~shapely.is_valid(found)
    if broken.any():
        found[broken] = [_mended(one) for one in found[broken]]
    if CRS.from_user_input(crs) != CRS.from_user_input(WGS84):
        back = Transformer.from_crs(crs, WGS84, always_xy=True)
        found = shapely.transform(found, lambda points: np.column_stack(back.transform(points[:, 0], points[:, 1])))
    solid = shapely.area(found) > 0
    names = [name for name, here in zip(ids, polygons, strict=True) if here]
    kept = tuple(name for name, here in zip(names, solid, strict=True) if here)
    return Shapes(found[solid], kept, len(geometries) - int(solid.sum()))


def are_polygons(geometries: Geometries) -> npt.NDArray[np.bool_]:
    """Returns ``(n,)`` bool: which geometries are polygons or multipolygons, and not empty."""
    kinds = shapely.get_type_id(geometries)
    polygons = np.isin(kinds, (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON))
    return polygons & ~shapely.is_empty(geometries)


def _mended(geometry: shapely.Geometry) -> shapely.Geometry:
    parts = [part for part in shapely.get_parts(shapely.make_valid(geometry)) if part.area > 0]
    return shapely.union_all(parts) if parts else shapely.Polygon()


def crs_of(text: str | None, where: str) -> str:
    """Returns a CRS of the earth's surface as text that others read.

    Raises:
        SiameseError: It is none, or not named.
    """
    try:
        found = CRS.from_user_input(text) if text else None
    except CRSError:
        found = None
    if found is None or not (found.is_geographic or found.is_projected):
        raise SiameseError("has no CRS of the earth's surface", where=where, fix="write it with its CRS")
    return str(found.to_string()) if found.to_epsg() else str(found.to_wkt())
