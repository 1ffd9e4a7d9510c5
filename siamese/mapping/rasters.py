"""Rasters of a map on local disk, and the meaning of the values of its classes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from siamese.classes import BACKGROUND, COLOURS, DAMAGE_CLASSES, UNCLASSIFIED
from siamese.mapping.grid import Grid
from siamese.products.rasters import open_raster, working_raster

_BACKGROUND_COLOUR = (245, 245, 245)


@contextmanager
def create(path: Path, grid: Grid, dtype: str, nodata: int | None = None, bands: int = 1) -> Iterator[DatasetWriter]:
    """Creates a working raster on a grid; see :func:`siamese.products.rasters.working_raster`."""
    with working_raster(
        path, grid.width, grid.height, dtype, crs=grid.crs, transform=grid.transform, nodata=nodata, bands=bands
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
    with create(target, grid, "uint8", nodata=UNCLASSIFIED) as out, open_raster(source) as dataset:
        describe(out, model, event)
        for _, window in out.block_windows(1):
            out.write(dataset.read(1, window=window), 1, window=window)


def wholly_unknown(path: Path, height: int, width: int) -> npt.NDArray[np.bool_]:
    """Reads where a class raster is unknown at lower resolution: in each pixel of which nothing is known.

    Args:
        path: The class raster.
        height: Rows of the result, at most the raster's.
        width: Columns of the result, at most the raster's.

    Returns:
        ``(height, width)``.
    """
    small = np.zeros((height, width), bool)
    with open_raster(path) as dataset:
        rows = np.linspace(0, dataset.height, height + 1).astype(int)
        cols = np.linspace(0, dataset.width, width + 1).astype(int)
        few = max(1, _STRIP_ROWS * height // dataset.height)
        for first in range(0, height, few):
            edges = rows[first : first + few + 1]
            strip = dataset.read(1, window=Window(0, int(edges[0]), dataset.width, int(edges[-1] - edges[0])))
            unknown = np.logical_and.reduceat(strip == UNCLASSIFIED, (edges - edges[0])[:-1], axis=0)
            small[first : first + few] = np.logical_and.reduceat(unknown, cols[:-1], axis=1)
    return small


_STRIP_ROWS: Final = 512
"""Rows of a class raster that are read at once."""
