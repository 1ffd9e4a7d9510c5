"""Rectifies images with ground control points that need a warp: resamples them once onto a regular grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import DatasetReader
from rasterio.warp import reproject

from siamese.geo.georeference import Georeference

_BLOCK_PX: Final = 512
_TOLERANCE_PX: Final = 0.05


def rectify(dataset: DatasetReader, found: Georeference, path: Path) -> Georeference:
    """Warps an image through all of its control points (a thin plate spline) onto a regular grid.

    Args:
        dataset: The image.
        found: Its control points, as :func:`siamese.geo.georeference.find_georeference` gives them.
        path: GeoTIFF to write, with an alpha band in addition to the image's bands.

    Returns:
        The georeference of the written file: north up, square pixels as large as the image's.
    """
    transform, width, height = _grid(found, dataset)
    palette = dataset.colorinterp[0] == ColorInterp.palette
    colours = [band for band in dataset.indexes if dataset.colorinterp[band - 1] != ColorInterp.alpha]
    alpha = next((band for band in dataset.indexes if dataset.colorinterp[band - 1] == ColorInterp.alpha), None)
    profile = {
        "driver": "GTiff",
        "width": width,
        "height": height,
        "count": len(colours) + 1,
        "dtype": dataset.dtypes[0],
        "crs": found.crs,
        "transform": transform,
        "tiled": True,
        "blockxsize": _BLOCK_PX,
        "blockysize": _BLOCK_PX,
        "compress": "lzw",
        "bigtiff": "if_safer",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **profile) as out:
        kept = [dataset.colorinterp[band - 1] for band in colours]
        out.colorinterp = [*kept, ColorInterp.alpha]
        if palette:
            out.write_colormap(1, dataset.colormap(1))
        reproject(
            rasterio.band(dataset, colours),
            rasterio.band(out, list(range(1, len(colours) + 1))),
            gcps=list(found.points),
            src_crs=found.crs,
            src_nodata=dataset.nodata,
            src_alpha=alpha or 0,
            dst_alpha=len(colours) + 1,
            resampling=Resampling.nearest if palette else Resampling.bilinear,
            tolerance=_TOLERANCE_PX,
            SRC_METHOD="GCP_TPS",
            UNIFIED_SRC_NODATA="YES",
        )
    return Georeference("gcps", found.crs, transform, found.residual_px)


def _grid(found: Georeference, dataset: DatasetReader) -> tuple[Affine, int, int]:
    corners = [
        found.transform @ at
        for at in ((0, 0), (dataset.width, 0), (dataset.width, dataset.height), (0, dataset.height))
    ]
    places = np.array([*corners, *_places(found.points)])
    side = abs(found.transform.determinant) ** 0.5
    left, top = np.floor(places[:, 0].min() / side) * side, np.ceil(places[:, 1].max() / side) * side
    width = max(1, int(np.ceil((places[:, 0].max() - left) / side)))
    height = max(1, int(np.ceil((top - places[:, 1].min()) / side)))
    return Affine(side, 0, float(left), 0, -side, float(top)), width, height


def _places(points: Sequence[GroundControlPoint]) -> list[tuple[float, float]]:
    return [(point.x, point.y) for point in points]
