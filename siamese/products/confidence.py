"""The confidence raster: how sure the map is of each building, on the pixels of the class raster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from affine import Affine
from rasterio.io import DatasetReader
from rasterio.windows import Window

from siamese.products.owners import owned_windows
from siamese.products.placing import to_pixels
from siamese.products.rasters import open_raster, working_raster, write_cog

NOTHING: Final = 255
"""Value of pixels without a building, or with one whose damage the map does not know."""
_MOST: Final = 100
_ROWS: Final = 4096


def write_confidence(classes: Path, buildings: Path, target: Path, folder: Path) -> None:
    """Writes a cloud-optimised GeoTIFF with the confidence of each pixel's building, in percent.

    It is the number that the table of buildings gives, so that raster and table never disagree.

    Args:
        classes: The map's class raster.
        buildings: The map's GeoParquet.
        target: uint8: 0..100 percent; 255 where there is no building or its damage is unknown.
        folder: For a working file.
    """
    rough = folder / "confidence-rough.tif"
    with open_raster(classes) as raster:
        found = _Buildings.read(buildings, raster)
        with working_raster(
            rough, raster.width, raster.height, "uint8", crs=raster.crs, transform=raster.transform, nodata=NOTHING
        ) as out:
            out.write_colormap(1, _colours())
            out.set_band_description(1, "confidence in percent")
            tags = {key: value for key, value in raster.tags().items() if key in ("MODEL", "EVENT", "COORDINATES")}
            out.update_tags(**tags, UNIT="percent", MEANING="probability of building times that of its damage class")
            percent = np.append(found.percent, np.uint8(NOTHING))
            for piece in owned_windows(raster, found.boxes, found.take):
                # Position -1, no owner, is the value for nothing.
                out.write(percent[piece.owner], 1, window=piece.window)
    write_cog(rough, target)


def write_reasons(
    source: Path,
    target: Path,
    folder: Path,
    names: Mapping[int, str],
    colours: Mapping[int, tuple[int, int, int]],
    about: Mapping[str, str],
) -> None:
    """Writes a cloud-optimised GeoTIFF of why each pixel is unknown.

    Args:
        source: Raster of uint8 codes, 0 where the map is not unknown.
        target: The same with the meaning of the codes, a colour table and overviews; 0 is nodata.
        folder: For a working file.
        names: Name of each code.
        colours: RGB of each code.
        about: Further tags, e.g. ``EVENT``.
    """
    rough = folder / "reasons-rough.tif"
    with (
        open_raster(source) as raster,
        working_raster(
            rough, raster.width, raster.height, "uint8", crs=raster.crs, transform=raster.transform, nodata=0
        ) as out,
    ):
        out.write_colormap(1, {0: (0, 0, 0, 0), **{code: (*colour, 255) for code, colour in colours.items()}})
        out.set_band_description(1, "reason why unknown")
        out.update_tags(**{f"REASON_{code}": name for code, name in sorted(names.items())}, **about)
        for row in range(0, raster.height, 1024):
            window = Window(0, row, raster.width, min(1024, raster.height - row))
            out.write(raster.read(1, window=window), 1, window=window)
    write_cog(rough, target)


class _Buildings:
    """Confidence and outlines of a map's buildings; outlines as WKB, made into polygons where they are needed."""

    def __init__(
        self, percent: npt.NDArray[np.uint8], boxes: npt.NDArray[np.float64], wkb: pa.ChunkedArray, place: DatasetReader
    ) -> None:
        self.percent, self.boxes = percent, boxes
        self._wkb, self._crs, self._transform = wkb, place.crs, place.transform

    @classmethod
    def read(cls, path: Path, raster: DatasetReader) -> _Buildings:
        percent, boxes = [np.zeros(0, np.uint8)], [np.zeros((0, 4))]
        chunks = []
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS, columns=["confidence", "geometry"], use_threads=False):
                confidence = batch["confidence"].to_numpy(zero_copy_only=False).astype(np.float64)
                known = np.isfinite(confidence)
                rounded = np.rint(np.where(known, confidence, 0) * _MOST).astype(np.uint8)
                percent.append(np.where(known, rounded, NOTHING).astype(np.uint8))
                outlines = _pixels(batch["geometry"], raster.crs, raster.transform)
                boxes.append(shapely.bounds(outlines).reshape(-1, 4))
                chunks.append(batch["geometry"])
        wkb = pa.chunked_array(chunks, pa.binary())
        return cls(np.concatenate(percent), np.concatenate(boxes), wkb, raster)

    def take(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Returns the outlines at some positions, in pixels."""
        return _pixels(self._wkb.take(pa.array(positions)), self._crs, self._transform)


def _pixels(wkb: pa.Array, crs: object, transform: Affine) -> npt.NDArray[Any]:
    outlines = np.asarray(shapely.from_wkb(wkb.to_pylist()), dtype=object)
    return to_pixels(outlines, crs, transform)


def _colours() -> dict[int, tuple[int, int, int, int]]:
    """Returns a ramp that people with colour blindness can read too: from yellow, look here, to dark, sure."""
    ramp = mpl.colormaps["cividis_r"]
    return {value: _bytes(ramp(value / _MOST)) for value in range(_MOST + 1)} | {NOTHING: (0, 0, 0, 0)}


def _bytes(colour: tuple[float, ...]) -> tuple[int, int, int, int]:
    red, green, blue, alpha = (round(255 * part) for part in colour)
    return red, green, blue, alpha
