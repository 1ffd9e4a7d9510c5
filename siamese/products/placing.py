"""Takes published outlines, which are in degrees, back to the pixels of their map."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from pyproj import Transformer

from siamese.geo.globe import WGS84


def to_pixels(outlines: npt.NDArray[Any], crs: object, transform: Affine) -> npt.NDArray[Any]:
    """Returns outlines in pixels of a raster.

    Args:
        outlines: In degrees; in pixels already, if the raster has no crs.
        crs: Of the raster; None without a georeference.
        transform: (column, row) to coordinates of the crs.
    """
    if not crs:
        return outlines
    there = Transformer.from_crs(WGS84, crs, always_xy=True)
    back = ~transform

    def moved(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        x, y = there.transform(points[:, 0], points[:, 1])
        return np.column_stack([back.a * x + back.b * y + back.c, back.d * x + back.e * y + back.f])

    return np.asarray(shapely.transform(outlines, moved), dtype=object)
