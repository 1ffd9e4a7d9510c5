"""The plane that web maps are drawn on: Web Mercator, with the world as a square of side 1, y pointing south.

Imagery without a georeference gets a place of its own on it: the corner of the image lies where the equator meets the
zero meridian, and one pixel of the image is one pixel of a tile at ``PIXEL_ZOOM``.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

TILE_PX: Final = 512
PIXEL_ZOOM: Final = 20
EQUATOR_M: Final = 2 * math.pi * 6_378_137
_EDGE_DEGREES: Final = 85.051129


def from_degrees(degrees: Points, centre_lng: float) -> Points:
    """Returns places on the plane.

    Args:
        degrees: ``(n, 2)`` longitude and latitude.
        centre_lng: Longitudes are taken within half a turn of this one, so that a map across the antimeridian is whole;
            x may then lie outside 0..1.
    """
    lng = centre_lng + (degrees[:, 0] - centre_lng + 180) % 360 - 180
    lat = np.radians(np.clip(degrees[:, 1], -_EDGE_DEGREES, _EDGE_DEGREES))
    return np.column_stack([lng / 360 + 0.5, 0.5 - np.arcsinh(np.tan(lat)) / (2 * np.pi)])


def from_pixels(pixels: Points) -> Points:
    """Returns places on the plane of ``(n, 2)`` (column, row) of imagery without a georeference."""
    return np.asarray(0.5 + pixels / (TILE_PX * 2**PIXEL_ZOOM), np.float64)


def to_metres(plane: Points) -> Points:
    """Returns ``(n, 2)`` coordinates of EPSG:3857."""
    return np.column_stack([(plane[:, 0] - 0.5) * EQUATOR_M, (0.5 - plane[:, 1]) * EQUATOR_M])


def zoom_of(pixel_m: float, lat: float) -> int:
    """Returns the zoom whose tiles show pixels of a size in metres without losing detail; a little loss is fine."""
    exact = math.log2(EQUATOR_M * math.cos(math.radians(lat)) / (TILE_PX * pixel_m))
    return min(24, max(0, math.ceil(exact - 0.25)))
