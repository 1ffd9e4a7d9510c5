"""Rasters on local disk: working rasters written by windows, and the cloud-optimised GeoTIFFs made from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import rasterio
from affine import Affine
from rasterio import shutil
from rasterio.io import DatasetReader, DatasetWriter

from siamese.geo import local_gdal

_BLOCK: Final = 256
_COG_BLOCK: Final = 512
DRIVERS: Final = ("GTiff",)


@contextmanager
def working_raster(
    path: Path,
    width: int,
    height: int,
    dtype: str,
    *,
    crs: object = None,
    transform: Affine | None = None,
    nodata: int | None = None,
    bands: int = 1,
) -> Iterator[DatasetWriter]:
    """Creates a blocked GeoTIFF to write and read by windows; blocks that are never written take no space.

    Args:
        path: The file.
        width: Pixels.
        height: Pixels.
        dtype: Type of a value, as in NumPy.
        crs: None for images without a georeference; ``transform`` then does not count.
        transform: (column, row) to coordinates of the crs.
        nodata: Value of pixels that hold nothing.
        bands: Their number.
    """
    with (
        local_gdal(),
        rasterio.open(
            path,
            "w+",
            driver="GTiff",
            width=width,
            height=height,
            count=bands,
            dtype=dtype,
            nodata=nodata,
            crs=crs,
            transform=transform if crs else None,
            tiled=True,
            blockxsize=_BLOCK,
            blockysize=_BLOCK,
            compress="lzw",
            bigtiff="if_safer",
            sparse_ok=True,
        ) as dataset,
    ):
        yield dataset


@contextmanager
def open_raster(path: Path) -> Iterator[DatasetReader]:
    """Opens a GeoTIFF to read, with or without a georeference."""
    with local_gdal(), rasterio.open(path, driver=DRIVERS[0]) as dataset:
        yield dataset


def write_cog(source: Path, target: Path) -> None:
    """Copies an 8-bit raster with a colour table to a cloud-optimised GeoTIFF: blocks, overviews, header first.

    Overviews show the most frequent value, because the mean of two classes, or of two entries of a colour table, is a
    third one.
    """
    with local_gdal():
        shutil.copy(
            source,
            target,
            driver="COG",
            COMPRESS="DEFLATE",
            BLOCKSIZE=_COG_BLOCK,
            OVERVIEWS="IGNORE_EXISTING",
            OVERVIEW_RESAMPLING="MODE",
            BIGTIFF="IF_SAFER",
        )
