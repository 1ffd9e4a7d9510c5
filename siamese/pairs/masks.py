"""Rasterizes building polygons into masks, with one rule for overlaps."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from siamese.classes import BACKGROUND, SUBTYPES, UNCLASSIFIED
from siamese.errors import SiameseError
from siamese.geo import rasterize

Mask = NDArray[np.uint8]


def training_mask(buildings: Iterable[tuple[BaseGeometry, str]], height: int, width: int) -> Mask:
    """Burns buildings with their damage into a mask.

    Where buildings overlap the more severe class wins, and un-classified lies beneath every class; so the order of
    the polygons in a label does not matter. A pixel belongs to a building when its centre does.

    Args:
        buildings: Footprint in pixels (x = column, y = row) and xBD subtype of each.
        height: Rows of the mask.
        width: Columns of the mask.

    Returns:
        (height, width) uint8: 0 background, 1-4 damage, 255 un-classified.

    Raises:
        SiameseError: A subtype is not one of xBD's.
    """
    return burn(((footprint, class_value(subtype)) for footprint, subtype in buildings), height, width)


def class_value(subtype: str) -> int:
    """Returns the mask value of an xBD subtype.

    Raises:
        SiameseError: There is no such subtype.
    """
    try:
        return SUBTYPES[subtype]
    except KeyError:
        known = ", ".join(SUBTYPES)
        raise SiameseError("not a subtype of xBD", where=repr(subtype), fix=f"use one of {known}") from None


def burn(shapes: Iterable[tuple[BaseGeometry, int]], height: int, width: int) -> Mask:
    """Burns polygons in order of severity: 255 first, then 1 to 4, each over what is there.

    Args:
        shapes: Footprint in pixels and value of each.
        height: Rows of the mask.
        width: Columns of the mask.

    Returns:
        (height, width) uint8, 0 where there is no polygon.
    """
    areas = ((polygonal(shape), value) for shape, value in shapes)
    ordered = sorted(((shape, value) for shape, value in areas if not shape.is_empty), key=_severity)
    if not ordered:
        return np.full((height, width), BACKGROUND, np.uint8)
    mask: Mask = rasterize(ordered, out_shape=(height, width), fill=BACKGROUND, all_touched=False, dtype="uint8")
    return mask


def polygonal(geometry: BaseGeometry) -> BaseGeometry:
    """Returns the area of a geometry as a valid (multi)polygon with its holes; empty when it has no area.

    A ring that crosses itself keeps everything that it encloses.
    """
    if isinstance(geometry, Polygon | MultiPolygon) and geometry.is_valid:
        return geometry
    mended = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
    parts = [part for part in shapely.get_parts(mended) if isinstance(part, Polygon | MultiPolygon)]
    return shapely.union_all(parts) if parts else Polygon()


def _severity(shape: tuple[BaseGeometry, int]) -> int:
    return BACKGROUND if shape[1] == UNCLASSIFIED else shape[1]
