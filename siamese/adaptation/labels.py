"""Label files of people, and which building of a map each label means."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyproj
import shapely
from pyproj.exceptions import CRSError
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from siamese.adaptation.buildings import Geometries, MapBuildings
from siamese.classes import DAMAGE_CLASSES, SUBTYPES, UNCLASSIFIED
from siamese.errors import SiameseError
from siamese.geo.globe import WGS84
from siamese.tables import csv_rows

NO_BUILDING: Final = "no_building"
"""Label of a building that is none; an assessment counts it, ``adapt`` takes such a building out of the map."""
UNCLEAR: Final = "unclear"
"""Label of a building whose damage nobody can tell from the images."""
LABEL_CLASSES: Final = (*DAMAGE_CLASSES, NO_BUILDING, UNCLEAR)
_NAMED: Final = 8
"""So many features are named in a message; it says how many more there are."""
_MOST_BYTES: Final = 256 * 2**20
_FIX: Final = f"damage_class is one of {', '.join(LABEL_CLASSES)}"
_SPELLINGS: Final = {name.replace("_", ""): name for name in LABEL_CLASSES} | {
    subtype.replace("-", ""): UNCLEAR if value == UNCLASSIFIED else DAMAGE_CLASSES[value - 1]
    for subtype, value in SUBTYPES.items()
}


@dataclass(frozen=True)
class WrittenLabel:
    """One label as it stands in a file."""

    feature: str
    """What to call it in messages, e.g. ``feature 3`` or ``line 4``."""
    damage_class: str
    """One of ``LABEL_CLASSES``."""
    building: str | None
    """Id of a building, where one was written."""
    geometry: BaseGeometry | None
    """Where it is: degrees, or pixels of a map without georeference."""
    author: str | None


@dataclass(frozen=True)
class Label:
    """The class that a person gave to a building."""

    place: int
    """Position of the building in its map."""
    damage_class: str
    """One of ``LABEL_CLASSES``."""
    author: str | None = None
    """Who, where the file says so for this label."""
    feature: str = ""
    """Where it stands in the file."""


def read_label_file(path: Path) -> tuple[WrittenLabel, ...]:
    """Reads labels from GeoJSON (a feature a label, with ``damage_class``) or CSV (columns ``id``, ``damage_class``).

    Features whose ``damage_class`` is null or empty are not labelled yet and are left out.

    Args:
        path: ``*.csv``, or GeoJSON under any other name.

    Raises:
        SiameseError: The file cannot be read, holds no label, or a label is not a class.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SiameseError("is too large for labels", where=str(path), fix="hand in the labelled buildings alone")
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        fix = "name a GeoJSON or CSV file in UTF-8"
        raise SiameseError(f"cannot be read: {error}", where=str(path), fix=fix) from error
    found = _from_csv(text, str(path)) if path.suffix.lower() == ".csv" else _from_geojson(text, str(path))
    if not found:
        fix = "write a class into damage_class of the buildings that you looked at"
        raise SiameseError("holds no label", where=str(path), fix=fix)
    return tuple(found)


def match_labels(
    labels: Sequence[WrittenLabel], buildings: MapBuildings, *, iou: float, where: str
) -> tuple[Label, ...]:
    """Finds the building that each label means: by its id, or else by its place.

    A point means the building that it lies in. A polygon means the building that it overlaps most, if their
    intersection over union reaches ``iou``, or else the building that holds a point inside it.

    Args:
        labels: What stands in the file.
        buildings: The buildings of the map.
        iou: Intersection over union from which a polygon and a building are one.
        where: Name of the file, for messages.

    Returns:
        One label a building, in the order of the buildings. Equal labels of one building count once.

    Raises:
        SiameseError: An id is unknown, a label lies outside the map or on no building, or a building has two classes.
            The message names the features.
    """
    places = [None if one.building is None else buildings.places.get(one.building) for one in labels]
    lost = [one for one, place in zip(labels, places, strict=True) if place is None and one.geometry is None]
    if lost:
        told = named(f"{one.feature} ({one.building})" for one in lost)
        fix = "take ids from this map's buildings, or hand in GeoJSON with geometry"
        raise SiameseError(f"{_count(lost)} no building of the map: {told}", where=where, fix=fix)
    sought = [number for number, place in enumerate(places) if place is None]
    shapes = np.array([labels[number].geometry for number in sought], dtype=object)
    for number, place in zip(sought, _located([labels[n] for n in sought], shapes, buildings, iou, where), strict=True):
        places[number] = place
    return _one_each(labels, [place for place in places if place is not None], buildings, where)


def _located(
    labels: Sequence[WrittenLabel],
    shapes: Geometries,
    buildings: MapBuildings,
    iou: float,
    where: str,
) -> list[int]:
    """Returns the building of each label by its place."""
    if not len(shapes):
        return []
    tree = shapely.STRtree(buildings.geometry)
    found = [best_match(tree, one, iou) for one in shapes]
    missed = [number for number, place in enumerate(found) if place is None]
    if missed:
        area = _area(buildings)
        outside = [labels[number] for number in missed if not area.intersects(shapes[number])]
        kind = "outside the map" if outside else "on no building of the map"
        strange = outside or [labels[number] for number in missed]

        units = "degrees" if buildings.grid.crs else "pixels from the map's upper left corner, as it has no CRS"
        fix = f"label buildings of this map; coordinates are {units}"
        lie = "1 label lies" if len(strange) == 1 else f"{len(strange)} labels lie"
        what = f"{lie} {kind}: {named(one.feature for one in strange)}"
        raise SiameseError(what, where=where, fix=fix)
    return [place for place in found if place is not None]


def best_match(tree: shapely.STRtree, wanted: BaseGeometry, iou: float) -> int | None:
    """Returns the position of the outline that a shape means, by the rule of :func:`match_labels`; None if none."""
    point = shapely.point_on_surface(wanted)
    if wanted.area > 0:
        near = tree.query(wanted, predicate="intersects")
        if len(near):
            there = tree.geometries[near]
            shared = shapely.area(shapely.intersection(there, wanted))
            overlap = shared / (shapely.area(there) + wanted.area - shared)
            if overlap.max() >= iou:
                return int(near[overlap.argmax()])
    inside = tree.query(point, predicate="intersects")
    return int(inside.min()) if len(inside) else None


def _area(buildings: MapBuildings) -> BaseGeometry:
    """Returns the ground of the map, in the coordinates of labels."""
    grid = buildings.grid
    corners = np.array([(0, 0), (grid.width, 0), (grid.width, grid.height), (0, grid.height)], np.float64)
    return shapely.Polygon(grid.to_degrees(corners) if grid.crs else corners)


def _one_each(
    labels: Sequence[WrittenLabel], places: Sequence[int], buildings: MapBuildings, where: str
) -> tuple[Label, ...]:
    by_place: dict[int, list[WrittenLabel]] = defaultdict(list)
    for one, place in zip(labels, places, strict=True):
        by_place[place].append(one)
    torn = {place: given for place, given in by_place.items() if len({one.damage_class for one in given}) > 1}
    if torn:
        told = named(
            f"{buildings.ids[place]} ({', '.join(f'{one.feature} {one.damage_class}' for one in given)})"
            for place, given in sorted(torn.items())
        )
        have = "1 building has" if len(torn) == 1 else f"{len(torn)} buildings have"
        what = f"{have} contradicting labels: {told}"
        raise SiameseError(what, where=where, fix="decide on one class for each building")
    return tuple(
        Label(place, given[-1].damage_class, given[-1].author, given[-1].feature)
        for place, given in sorted(by_place.items())
    )


def _from_csv(text: str, where: str) -> list[WrittenLabel]:
    columns, rows = csv_rows(text, where)
    names = {name.strip().lower() for name in columns}
    if not {"id", "damage_class"} <= names:
        fix = "its first line names the columns, id and damage_class among them"
        raise SiameseError(f"has columns {', '.join(sorted(names)) or 'none'}", where=where, fix=fix)
    found = []
    for number, row in enumerate(rows, start=2):
        values = {name.strip().lower(): (value or "").strip() for name, value in row.items()}
        feature = f"line {number}"
        if values.get("damage_class"):
            damage_class = _class(values["damage_class"], feature, where)
            found.append(WrittenLabel(feature, damage_class, values["id"], None, values.get("author") or None))
    return found


def _from_geojson(text: str, where: str) -> list[WrittenLabel]:
    try:
        tree = json.loads(text)
        features = tree["features"] if tree["type"] == "FeatureCollection" else [tree]
        if not isinstance(features, list) or not all(isinstance(one, dict) for one in features):
            raise TypeError("features are no list of objects")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        fix = "write a FeatureCollection; `siamese select` shows one"
        raise SiameseError(f"not GeoJSON: {' '.join(str(error).split())}", where=where, fix=fix) from error
    to_degrees = _reprojection(tree, where)
    found = []
    for number, one in enumerate(features, start=1):
        feature, properties = f"feature {number}", one.get("properties") or {}
        if not isinstance(properties, dict):
            fix = "write properties as an object that holds damage_class"
            raise SiameseError("properties are no object", where=f"{where}: {feature}", fix=fix)
        written = properties.get("damage_class", properties.get("subtype"))
        if written is None or written == "":
            continue
        name = one.get("id", properties.get("id"))
        geometry = _geometry(one.get("geometry"), to_degrees, feature, where)
        if name is None and geometry is None:
            fix = "give each label the id of a building, or a geometry"
            raise SiameseError("has neither id nor geometry", where=f"{where}: {feature}", fix=fix)
        author = properties.get("author")
        damage_class = _class(written, feature, where)
        building = None if name is None else str(name)
        found.append(WrittenLabel(feature, damage_class, building, geometry, str(author) if author else None))
    return found


def _class(written: object, feature: str, where: str) -> str:
    if isinstance(written, float) and math.isnan(written):
        raise SiameseError("damage_class is NaN", where=f"{where}: {feature}", fix=_FIX)
    plain = str(written).strip().lower().replace("-", "").replace("_", "").replace(" ", "")
    if plain not in _SPELLINGS:
        raise SiameseError(f"damage_class is {written!r}", where=f"{where}: {feature}", fix=_FIX)
    return _SPELLINGS[plain]


def _geometry(raw: object, to_degrees: pyproj.Transformer | None, feature: str, where: str) -> BaseGeometry | None:
    if raw is None:
        return None
    try:
        found: BaseGeometry = shape(raw)  # type: ignore[arg-type]
        if to_degrees is not None:
            found = shapely.transform(found, lambda points: np.column_stack(to_degrees.transform(*points.T)))
        if found.is_empty or not np.isfinite(shapely.get_coordinates(found)).all():
            raise ValueError("it is empty, or a coordinate is no number or lies nowhere on Earth")
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError, ShapelyError) as error:
        fix = "write a Point or a Polygon"
        what = f"has no usable geometry: {' '.join(str(error).split())}"
        raise SiameseError(what, where=f"{where}: {feature}", fix=fix) from error
    return found if found.is_valid else shapely.make_valid(found)


def _reprojection(tree: Mapping[str, Any], where: str) -> pyproj.Transformer | None:
    """Returns the way to degrees from the CRS of older GeoJSON files, which QGIS still writes; None of degrees."""
    try:
        named = (tree.get("crs") or {})["properties"]["name"]
    except (KeyError, TypeError):
        return None
    try:
        crs = pyproj.CRS.from_user_input(named)
    except CRSError as error:
        raise SiameseError(f"names an unknown CRS, {named}", where=where, fix="save it in EPSG:4326") from error
    return None if crs.is_geographic else pyproj.Transformer.from_crs(crs, WGS84, always_xy=True)


def _count(labels: Sequence[WrittenLabel]) -> str:
    return "1 label names" if len(labels) == 1 else f"{len(labels)} labels name"


def named(names: Iterable[str]) -> str:
    """Returns the first few of many names, and how many more there are."""
    every = list(names)
    return ", ".join(every[:_NAMED]) + (f" and {len(every) - _NAMED} more" if len(every) > _NAMED else "")
