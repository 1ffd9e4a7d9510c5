"""Rasters of a map on local disk: working rasters, and the cloud-optimised GeoTIFF that is published."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio import shutil
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetWriter

from siamese.classes import BACKGROUND, COLOURS, DAMAGE_CLASSES, UNCLASSIFIED
from siamese.mapping.grid import Grid

_BACKGROUND_COLOUR = (245, 245, 245)
_BLOCK = 256
_COG_BLOCK = 512


@contextmanager
def create(path: Path, grid: Grid, dtype: str, nodata: int | None = None, bands: int = 1) -> Iterator[DatasetWriter]:
    """Creates a blocked GeoTIFF to write and read by windows; blocks that are never written take no space."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w+",
            driver="GTiff",
            width=grid.width,
            height=grid.height,
            count=bands,
            dtype=dtype,
            nodata=nodata,
            crs=grid.crs,
            transform=grid.transform if grid.crs else None,
            tiled=True,
            blockxsize=_BLOCK,
            blockysize=_BLOCK,
            compress="lzw",
            bigtiff="if_safer",
            sparse_ok=True,
        ) as dataset:
            yield dataset


def describe(dataset: DatasetWriter, model: str, event: str) -> None:
    """Writes the meaning of the values into a class raster's metadata."""
    names = {BACKGROUND: "background", **{value + 1: name for value, name in enumerate(DAMAGE_CLASSES)}}
    colours = {BACKGROUND: _BACKGROUND_COLOUR, **{value: COLOURS[name] for value, name in names.items() if value}}
    dataset.write_colormap(1, {**colours, UNCLASSIFIED: COLOURS["unknown"]})
    dataset.set_band_description(1, "damage class")
    meaning = {f"CLASS_{value}": name for value, name in {**names, UNCLASSIFIED: "unknown"}.items()}
    place = {} if dataset.crs else {"COORDINATES": "pixels; the imagery has no georeference"}
    dataset.update_tags(MODEL=model, EVENT=event, **meaning, **place)


def describe_copy(source: Path, target: Path, grid: Grid, model: str, event: str) -> None:
    """Copies a class raster and adds the meaning of its values, which cannot be added to an existing file."""
    with (
        create(target, grid, "uint8", nodata=UNCLASSIFIED) as out,
        warnings.catch_warnings(),
    ):
        describe(out, model, event)
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(source, driver="GTiff") as dataset:
            for _, window in out.block_windows(1):
                out.write(dataset.read(1, window=window), 1, window=window)


def write_cog(source: Path, target: Path) -> None:
    """Copies a class raster to a cloud-optimised GeoTIFF: blocks, overviews, header first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
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


def worst_classes(path: Path, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Reads a class raster at lower resolution without losing a building: each pixel shows the worst class in it.

    Args:
        path: The class raster.
        height: Rows of the result, at most the raster's.
        width: Columns of the result, at most the raster's.

    Returns:
        ``(height, width)`` uint8; 255 only where all is unknown.
    """
    small = np.zeros((height, width), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, driver="GTiff") as dataset:
            rows = np.linspace(0, dataset.height, height + 1).astype(int)
            cols = np.linspace(0, dataset.width, width + 1).astype(int)
            for number in range(height):
                top, bottom = int(rows[number]), int(rows[number + 1])
                strip = dataset.read(1, window=rasterio.windows.Window(0, top, dataset.width, bottom - top))
                known = np.where(strip == UNCLASSIFIED, 0, strip).max(axis=0)
                some_known = (strip != UNCLASSIFIED).any(axis=0)
                worst = np.maximum.reduceat(known, cols[:-1])
                small[number] = np.where(np.logical_or.reduceat(some_known, cols[:-1]), worst, UNCLASSIFIED)
    return small
