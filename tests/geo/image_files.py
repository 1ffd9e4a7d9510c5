"""Images as bytes of files."""

from __future__ import annotations

import cv2
import numpy as np
import rasterio
from affine import Affine

PLACE = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)


def png(pixels: np.ndarray) -> bytes:
    """A PNG of ``(H, W, bands)`` in RGB order, with alpha as a fourth band."""
    order = {1: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[pixels.shape[2]]
    return bytes(cv2.imencode(".png", pixels if order is None else cv2.cvtColor(pixels, order))[1])


def tiff(
    pixels: np.ndarray,
    *,
    mask: np.ndarray | None = None,
    palette: bool = False,
    crs: str | None = "EPSG:32616",
    scale: tuple[float, float] | None = None,
    **profile: object,
) -> bytes:
    """A GeoTIFF of ``(H, W, bands)``; keys in capitals are tags."""
    height, width, bands = pixels.shape
    tags = {key: profile.pop(key) for key in tuple(profile) if key.isupper()}
    place = {"crs": crs, "transform": PLACE} if crs else {}
    shape = {"width": width, "height": height, "count": bands, "dtype": pixels.dtype}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"), rasterio.MemoryFile() as memory:
        with memory.open(driver="GTiff", **shape, **place, **profile) as dataset:
            dataset.write(np.moveaxis(pixels, -1, 0))
            if palette:
                dataset.write_colormap(1, {value: (value, 255 - value, value // 2, 255) for value in range(256)})
            if mask is not None:
                dataset.write_mask(mask)
            if scale is not None:
                dataset.scales, dataset.offsets = [scale[0]] * bands, [scale[1]] * bands
            dataset.update_tags(**tags)
        return memory.read()
