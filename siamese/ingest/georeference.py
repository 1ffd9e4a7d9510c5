"""Georeferences a tile by its image, the files beside it, or a label that gives polygons in pixels and degrees."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import shapely

from siamese.geo.gdal import opened
from siamese.geo.georeference import Georeference, Unplaced, find_georeference, fit_affine
from siamese.ingest.labels import Label


def from_image(data: bytes, name: str, beside: Mapping[str, bytes], crs: str | None = None) -> Georeference | Unplaced:
    """Finds the georeference of an image; see :func:`siamese.geo.georeference.find_georeference`.

    Args:
        data: The whole file, which has been decoded successfully before.
        name: Its file name.
        beside: Content of its sidecars by file name.
        crs: CRS for coordinates that come without one.

    Raises:
        SiameseError: A sidecar is damaged, or control points contradict each other.
    """
    with opened(data, name) as dataset:
        return find_georeference(dataset, name, beside, crs)


def from_label(label: Label, width: int, height: int) -> Georeference | None:
    """Fits a georeference to the polygons that a label gives both in pixels and in degrees.

    Returns:
        The fit in EPSG:4326, whatever its residual; None without three points that are not on one line, or if the
        image would be off the globe.
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
    found = Georeference("label", "EPSG:4326", *fit) if fit else None
    return found if found and found.bounds(width, height) else None
