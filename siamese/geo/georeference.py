"""Finds the georeference of an image, in the image itself or in the files beside it.

Sources, in GDAL's order: ``X.tif.aux.xml``, the image, a world file (``.tfw``, ``.pgw``, ``.wld``). If the source gives
coordinates without a CRS, it may come from a ``.prj`` beside the image or from the ``crs`` param. Ground control points
are used when there is no geotransform. RPCs are not used: without a terrain model they may be many metres off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.io import DatasetReader

from siamese.errors import SiameseError
from siamese.geo.globe import degree_bounds, outline, to_degrees
from siamese.geo.sidecars import Sidecars, parse_crs, read_sidecars

Source = Literal["geotiff", "label", "aux_xml", "world_file", "gcps"]

_LEAST_SPREAD_PX: Final = 1.0
_AFFINE_PX: Final = 0.5
"""Control points that an affine map fits this well need no warp."""
_CONTRADICTION: Final = 0.1
"""Share of the image's longer side by which control points may be off an affine map."""


@dataclass(frozen=True)
class Georeference:
    """The location of an image on the ground."""

    source: Source
    crs: str
    """``EPSG:…``, or WKT."""
    transform: Affine
    """(column, row) to coordinates of the CRS; (0, 0) is the outer corner of the first pixel."""
    residual_px: float | None = None
    """For a fit to points, the distance of the worst one in pixels."""
    points: tuple[GroundControlPoint, ...] = ()
    """Control points that no affine map fits; ``transform`` is then only approximate."""

    def bounds(self, width: int, height: int) -> tuple[float, float, float, float] | None:
        """Returns west, south, east, north in degrees, west > east across the antimeridian; None if off the globe."""
        try:
            degrees = to_degrees(outline(self.transform, width, height), self.crs)
        except SiameseError:
            return None
        if not np.isfinite(degrees).all() or np.abs(degrees[:, 1]).max() > 90:
            return None
        return degree_bounds(degrees)

    def pixel_m(self, width: int, height: int) -> float:
        """Returns the side of a pixel on the ground in metres; NaN when the image is off the globe."""
        bounds, crs = self.bounds(width, height), CRS.from_user_input(self.crs)
        if bounds is None:
            return math.nan
        unit = (_METRES_A_DEGREE**2) * math.cos(math.radians((bounds[1] + bounds[3]) / 2))
        if crs.is_projected:
            unit = float(crs.linear_units_factor[1]) ** 2
        return math.sqrt(abs(self.transform.determinant) * unit)


_METRES_A_DEGREE: Final = 111_320.0


@dataclass(frozen=True)
class Unplaced:
    """The reason why an image has no georeference."""

    why: str
    fix: str
    transform: Affine | None = None
    """(column, row) to coordinates of an unknown CRS."""
    usable: bool = True
    """Whether the image may still be one of a pair that is mapped in pixels."""

    @property
    def meant(self) -> bool:
        """Whether the image has something that was meant as a georeference."""
        return self.transform is not None or not self.usable


def find_georeference(
    dataset: DatasetReader, name: str, beside: Mapping[str, bytes], crs: str | None = None
) -> Georeference | Unplaced:
    """Finds the georeference of an image.

    Args:
        dataset: The image, opened without the files beside it (:data:`siamese.geo.gdal.GDAL_OPTIONS`).
        name: Its file name.
        beside: Content of its sidecars by file name; see :func:`siamese.geo.sidecars.sidecars_among`.
        crs: CRS for coordinates that come without one.

    Raises:
        SiameseError: A sidecar is damaged, a transform is singular, or control points contradict each other.
    """
    sidecars = read_sidecars(name, beside)
    stated = _first(sidecars.aux_crs, _usable(dataset.crs), sidecars.prj)
    assumed = parse_crs(crs) if crs is not None else None
    transform, source = _transform(dataset, sidecars)
    if transform is not None:
        if abs(transform.determinant) == 0 or not all(map(math.isfinite, tuple(transform)[:6])):
            raise SiameseError("its geotransform is singular", where=name, fix="georeference it again")
        found = stated or assumed
        if found is None:
            return _without_crs(name, sidecars, transform)
        return _wrapped(Georeference(source, found.to_string(), transform), dataset.width, dataset.height)
    points, points_crs = sidecars.points or dataset.gcps
    if points:
        return _from_points(dataset, name, points, _first(_usable(points_crs), stated, assumed))
    return _without_transform(dataset, stated, sidecars)


def fit_affine(xy: npt.NDArray[np.float64], place: npt.NDArray[np.float64]) -> tuple[Affine, float] | None:
    """Fits an affine map from pixels to coordinates by least squares.

    Args:
        xy: (N, 2) pixels.
        place: (N, 2) coordinates of the same points.

    Returns:
        The map, and the largest distance in pixels between a point and its mapped position; None when there are
        fewer than three points, or all are on one line, in pixels or in coordinates.
    """
    if len(xy) < 3:
        return None
    centre, origin = xy.mean(axis=0), place.mean(axis=0)
    # The smallest singular value divided by the root of N is the spread about the best line through the points.
    if np.linalg.svd(xy - centre, compute_uv=False)[-1] / math.sqrt(len(xy)) < _LEAST_SPREAD_PX:
        return None
    linear, *_ = np.linalg.lstsq(xy - centre, place - origin, rcond=None)
    if abs(np.linalg.det(linear)) < 1e-18:
        return None
    off = ((xy - centre) @ linear - (place - origin)) @ np.linalg.inv(linear)
    (a, d), (b, e) = linear
    c, f = origin - centre @ linear
    return Affine(*map(float, (a, b, c, d, e, f))), float(np.hypot(*off.T).max())


def _transform(dataset: DatasetReader, sidecars: Sidecars) -> tuple[Affine | None, Source]:
    if sidecars.aux_transform is not None:
        return sidecars.aux_transform, "aux_xml"
    if not dataset.transform.is_identity:
        return dataset.transform, "geotiff"
    return sidecars.world, "world_file"


def _from_points(
    dataset: DatasetReader, name: str, points: Sequence[GroundControlPoint], crs: CRS | None
) -> Georeference | Unplaced:
    xy = np.array([(point.col, point.row) for point in points], np.float64)
    place = np.array([(point.x, point.y) for point in points], np.float64)
    if crs is not None and crs.is_geographic:
        place[:, 0] = place[0, 0] + (place[:, 0] - place[0, 0] + 180) % 360 - 180
    fit = fit_affine(xy, place)
    if fit is None:
        what = f"has {len(points)} ground control points, too few or all on one line"
        raise SiameseError(what, where=name, fix="give at least three that are not on one line")
    transform, residual = fit
    if residual > _CONTRADICTION * max(dataset.width, dataset.height):
        what = f"has ground control points that contradict each other by {residual:,.0f} px"
        raise SiameseError(what, where=name, fix="georeference it again")
    if crs is None:
        what = "has ground control points but no CRS"
        return Unplaced(what, "name their CRS with --crs EPSG:…", transform)
    bent = tuple(
        GroundControlPoint(point.row, point.col, float(x), float(y))
        for point, (x, y) in zip(points, place, strict=True)
    )
    found = Georeference("gcps", crs.to_string(), transform, residual, bent if residual > _AFFINE_PX else ())
    return _wrapped(found, dataset.width, dataset.height)


def _without_crs(name: str, sidecars: Sidecars, transform: Affine) -> Unplaced:
    if sidecars.world is not None and transform == sidecars.world:
        stem = name.rpartition(".")[0]
        what = f"has a world file ({sidecars.world_name}) but no CRS"
        return Unplaced(what, f"put {stem}.prj beside it, or name the CRS with --crs EPSG:…", transform)
    what = "has a geotransform but no CRS"
    return Unplaced(what, f"name it with --crs EPSG:…, or write it: gdal_edit.py -a_srs EPSG:… {name}", transform)


def _without_transform(dataset: DatasetReader, crs: CRS | None, sidecars: Sidecars) -> Unplaced:
    fix = "give it as a georeferenced GeoTIFF, or with a world file and a .prj beside it"
    if dataset.rpcs is not None or sidecars.rpc_name is not None:
        run = "orthorectify it: gdalwarp -rpc -to RPC_DEM=dem.tif -t_srs EPSG:… IN OUT"
        return Unplaced("is placed by RPCs alone, which need a terrain model", run, usable=False)
    if crs is not None:
        return Unplaced("has a CRS but no geotransform", fix)
    return Unplaced("has no georeference", fix)


def _wrapped(found: Georeference, width: int, height: int) -> Georeference:
    """Shifts longitudes beyond ±180 to the usual ones of the same place."""
    if not CRS.from_user_input(found.crs).is_geographic:
        return found
    middle, _ = found.transform @ (width / 2, height / 2)
    turns = math.floor((middle + 180) / 360) if math.isfinite(middle) and abs(middle) <= 360 else 0
    if not turns:
        return found
    points = tuple(GroundControlPoint(one.row, one.col, one.x - 360 * turns, one.y) for one in found.points)
    return replace(found, transform=Affine.translation(-360 * turns, 0) @ found.transform, points=points)


def _usable(crs: CRS | None) -> CRS | None:
    """Returns the CRS if it refers to the earth, else None, e.g. for the LOCAL_CS that drawing programs write."""
    try:
        return crs if crs and (crs.is_geographic or crs.is_projected) else None
    except CRSError:
        return None


def _first(*found: CRS | None) -> CRS | None:
    return next((crs for crs in found if crs is not None), None)
