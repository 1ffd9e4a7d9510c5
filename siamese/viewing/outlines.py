"""Outlines of buildings as flat arrays, sorted by place."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from siamese.tiling.plane import Points, from_degrees, from_pixels

UNIT: Final = 2.0**-25
"""Side of the world per unit of the arrays, about a metre; outlines 50 km from the origin are true to 5 mm."""


def flat_outlines(
    geometry: npt.NDArray[Any], *, pixels: bool, centre_lng: float, origin: tuple[float, float]
) -> dict[str, npt.NDArray[Any]]:
    """Returns outlines as arrays.

    Args:
        geometry: ``(n,)`` polygons or multipolygons, in degrees or pixels.
        pixels: Whether they are in pixels.
        centre_lng: Longitude of the map's middle.
        origin: Place on the plane that coordinates count from.

    Returns:
        ``vertices`` ``(m, 2)`` float32 in units from the origin, rings without their closing point; ``rings`` first
        vertex of each ring, and the end; ``holes`` 1 for a ring that is a hole in the ring before; ``starts`` first
        ring of each building in drawing order, and the end; ``order`` building by place in drawing order; ``at``
        ``(n, 2)`` a point inside each building.
    """
    n = len(geometry)
    inside = _placed(shapely.get_coordinates(shapely.point_on_surface(geometry)), pixels, centre_lng, origin)
    order = np.argsort(_morton(inside), kind="stable")
    polygons, owner = shapely.get_parts(geometry[order], return_index=True)
    rings, polygon = shapely.get_rings(polygons, return_index=True)
    holes = np.zeros(len(rings), np.uint8)
    holes[1:] = polygon[1:] == polygon[:-1]
    points, ring = shapely.get_coordinates(rings, return_index=True)
    # The last point of a ring repeats its first.
    last = np.append(ring[1:] != ring[:-1], True) if len(ring) else np.zeros(0, bool)
    kept = _placed(points[~last], pixels, centre_lng, origin)
    counts = np.bincount(ring, minlength=len(rings)) - 1 if len(ring) else np.zeros(0, np.int64)
    return {
        "vertices": kept.astype(np.float32),
        "rings": np.append(0, np.cumsum(counts)).astype(np.uint32),
        "holes": holes,
        "starts": np.append(0, np.cumsum(np.bincount(owner[polygon], minlength=n))).astype(np.uint32),
        "order": order.astype(np.uint32),
        "at": inside.astype(np.float32),
    }


def _placed(points: Points, pixels: bool, centre_lng: float, origin: tuple[float, float]) -> Points:
    plane = from_pixels(points) if pixels else from_degrees(points, centre_lng)
    return np.asarray((plane - np.array(origin)) / UNIT, np.float64)


def _morton(points: Points) -> npt.NDArray[np.uint64]:
    """Returns numbers by which near points are near each other: bits of both coordinates in turn."""
    if not len(points):
        return np.zeros(0, np.uint64)
    low, high = points.min(axis=0), points.max(axis=0)
    side = max(float((high - low).max()), 1e-9)
    grid = ((points - low) / side * 0xFFFF).astype(np.uint64)
    code = np.zeros(len(points), np.uint64)
    for bit in range(16):
        for axis in (0, 1):
            code |= ((grid[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(2 * bit + axis)
    return code
