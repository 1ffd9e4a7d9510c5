"""Parses a label's polygons from well-known text to valid geometry, safely even for hostile text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
import shapely
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry

# Only these may reach the parser: nested collections would overflow its stack.
_POLYGON: Final = re.compile(r"\s*(MULTI)?POLYGON(\s+(Z|M|ZM))?\s*\(", re.IGNORECASE)
_MAX_DEPTH: Final = 3


class GeometryError(Exception):
    """Raised for text that is not a valid building polygon."""


class Feature(Protocol):
    """A building whose polygon is given as text."""

    @property
    def uid(self) -> str:
        """Identifier of the building."""

    @property
    def wkt(self) -> str:
        """Polygon as well-known text."""


def read_geometries(system: str, features: Sequence[Feature], max_vertices: int) -> list[tuple[BaseGeometry, bool]]:
    """Reads polygons.

    A polygon that crosses or touches itself, as some real ones do, is made valid and keeps its area.

    Args:
        system: Name of the list in errors, e.g. ``features.xy``.
        features: Text and uid of each polygon.
        max_vertices: A polygon with more vertices is refused before it is parsed.

    Returns:
        For each feature, a valid two-dimensional Polygon or MultiPolygon, and whether it had to be repaired.

    Raises:
        GeometryError: A polygon has too many vertices, is not a polygon, has non-finite coordinates, or has no area.
    """
    for feature in features:
        _check_text(system, feature, max_vertices)
    texts = np.array([feature.wkt for feature in features], dtype=object)
    with np.errstate(all="ignore"):  # caused by coordinates that are not finite; they are refused below
        parsed = shapely.force_2d(shapely.from_wkt(texts, on_invalid="ignore"))
    finite: list[bool] = np.all(np.isfinite(shapely.bounds(parsed).reshape(-1, 4)), axis=1).tolist()
    valid: list[bool] = np.asarray(shapely.is_valid(parsed), dtype=bool).tolist()
    found: list[tuple[BaseGeometry, bool]] = []
    for feature, geometry, is_finite, is_valid in zip(features, parsed, finite, valid, strict=True):
        if geometry is None or not is_finite or not np.isfinite(shapely.get_coordinates(geometry)).all():
            raise GeometryError(_why(system, feature, geometry))
        sound = geometry if is_valid else _polygonal(shapely.make_valid(geometry))
        if sound.is_empty or sound.area == 0:
            raise GeometryError(f"{system}: polygon {feature.uid[:60]} has no area")
        found.append((sound, not is_valid))
    return found


def _check_text(system: str, feature: Feature, max_vertices: int) -> None:
    vertices = feature.wkt.count(",") + 1
    if vertices > max_vertices:
        raise GeometryError(f"{system}: polygon {feature.uid[:60]} has {vertices:,} vertices, over {max_vertices:,}")
    if not _POLYGON.match(feature.wkt) or re.search(r"\(\s*" * (_MAX_DEPTH + 1), feature.wkt):
        raise GeometryError(f"{system}: WKT of {feature.uid[:60]} is no polygon: {feature.wkt[:40]!r}")


def _why(system: str, feature: Feature, geometry: BaseGeometry | None) -> str:
    if geometry is None:
        return f"{system}: WKT of {feature.uid[:60]} cannot be read: {feature.wkt[:40]!r}"
    if geometry.is_empty:
        return f"{system}: polygon {feature.uid[:60]} is empty"
    return f"{system}: polygon {feature.uid[:60]} has coordinates that are not finite"


def _polygonal(geometry: BaseGeometry) -> BaseGeometry:
    parts = [part for part in shapely.get_parts(shapely.get_parts(geometry)) if part.geom_type == "Polygon"]
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)
