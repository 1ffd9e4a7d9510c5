"""Where a tile lies on the ground: from its GeoTIFF, or fitted from a label that gives each polygon twice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform_bounds

from siamese.geo import DecodedImage
from siamese.ingest.labels import Label

_METRES_A_DEGREE: Final = 111_320.0
_LEAST_SPREAD_PX: Final = 1.0


@dataclass(frozen=True)
class Georeference:
    """A tile's place."""

    source: Literal["geotiff", "label"]
    crs: str
    transform: Affine
    """(column, row) to coordinates of the crs."""
    bounds: tuple[float, float, float, float]
    """West, south, east, north in degrees."""
    pixel_m: float
    """Side of a pixel on the ground in metres."""
    residual_px: float | None
    """Of a fit: the distance of the worst vertex in pixels."""


def from_raster(raster: DecodedImage) -> Georeference | None:
    """The georeference that an image carries; None when it carries none, or none that is of this earth."""
    if raster.crs is None or raster.transform is None:
        return None
    height, width = raster.pixels.shape[:2]
    return _georeference("geotiff", raster.crs, raster.transform, width, height, None)


def from_label(label: Label, width: int, height: int) -> Georeference | None:
    """Fits a georeference to the polygons that a label gives both in pixels and in degrees.

    Returns:
        The fit in EPSG:4326, whatever its residual; None when there are not three points off one line.
    """
    pairs = [
        (shapely.get_coordinates(one.pixels), shapely.get_coordinates(one.lng_lat))
        for one in label.buildings
        if one.lng_lat is not None and not one.repaired
    ]
    pairs = [(xy, lng_lat) for xy, lng_lat in pairs if len(xy) == len(lng_lat)]
    if not pairs:
        return None
    fit = fit_affine(np.concatenate([xy for xy, _ in pairs]), np.concatenate([lng_lat for _, lng_lat in pairs]))
    return _georeference("label", "EPSG:4326", fit[0], width, height, fit[1]) if fit else None


def fit_affine(xy: npt.NDArray[np.float64], lng_lat: npt.NDArray[np.float64]) -> tuple[Affine, float] | None:
    """The affine map from pixels to degrees that is best in the sense of least squares.

    Args:
        xy: (N, 2) pixels.
        lng_lat: (N, 2) degrees of the same points.

    Returns:
        The map, and the distance in pixels between the worst point and where the map puts it; None when there are
        fewer than three points, or all lie on one line, in pixels or in degrees.
    """
    if len(xy) < 3:
        return None
    centre, origin = xy.mean(axis=0), lng_lat.mean(axis=0)
    # The smallest singular value, over the root of N, is the spread about the best line through the points.
    if np.linalg.svd(xy - centre, compute_uv=False)[-1] / math.sqrt(len(xy)) < _LEAST_SPREAD_PX:
        return None
    linear, *_ = np.linalg.lstsq(xy - centre, lng_lat - origin, rcond=None)
    if abs(np.linalg.det(linear)) < 1e-18:
        return None
    off = ((xy - centre) @ linear - (lng_lat - origin)) @ np.linalg.inv(linear)
    (a, d), (b, e) = linear
    c, f = origin - centre @ linear
    return Affine(*map(float, (a, b, c, d, e, f))), float(np.hypot(*off.T).max())


def _georeference(
    source: Literal["geotiff", "label"],
    crs: str,
    transform: Affine,
    width: int,
    height: int,
    residual_px: float | None,
) -> Georeference | None:
    corners = [transform @ corner for corner in ((0, 0), (width, 0), (width, height), (0, height))]
    xs, ys = zip(*corners, strict=True)
    try:
        degrees = transform_bounds(crs, "EPSG:4326", min(xs), min(ys), max(xs), max(ys))
        unit_m = CRS.from_string(crs).linear_units_factor[1] if CRS.from_string(crs).is_projected else None
    except (RasterioError, CRSError, CPLE_BaseError):
        return None
    west, south, east, north = map(float, degrees)
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        return None
    area = abs(transform.determinant)
    if unit_m is None:
        area *= _METRES_A_DEGREE**2 * math.cos(math.radians((south + north) / 2))
    else:
        area *= unit_m**2
    return Georeference(source, crs, transform, (west, south, east, north), math.sqrt(area), residual_px)
