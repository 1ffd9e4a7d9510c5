"""Reads an image file a window at a time, on its own grid or on any other."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.warp import reproject
from rasterio.windows import Window

from siamese.geo.damage import blocks_in, check_complete
from siamese.geo.decode import decode_png, understood
from siamese.geo.gdal import GDAL_OPTIONS, local_gdal, opened, transform_points
from siamese.geo.layout import Layout, find_layout
from siamese.geo.sample import sample_of_blocks, sample_of_file
from siamese.geo.validity import FILL_MARGIN_PX, Mask, Values
from siamese.geo.values import AS_IS, SAMPLE_PX, ValueRange, fixed_range, range_of

_LARGE_PNG_PX: Final = 4096 * 4096
_BLOCK_PX: Final = 512
_LEAST_SAMPLE_PX: Final = 32
_BILINEAR_PX: Final = 2
_EDGE_POINTS: Final = 33
_TOLERANCE_PX: Final = 0.01
"""Maximum error of the warp; small, so that it does not matter which window a pixel is read in."""

_ANY_CRS: Final = "EPSG:3857"
_BLOCKS: Final = ".blocks"
"""Suffix of a PNG's copy."""

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Raster:
    """An image on disk; the file is opened only while it is read."""

    path: Path
    """File that its pixels are read from: the file itself, or for a PNG a copy in blocks."""
    name: str
    """Name of the image in errors."""
    width: int
    height: int
    crs: str | None
    transform: Affine
    layout: Layout
    values: ValueRange = AS_IS
    """How its values become 8 bits."""
    taken: str | None = None
    """TIFFTAG_DATETIME as stored in the file."""
    torn: set[tuple[int, int, int, int]] = field(default_factory=set, compare=False, repr=False)
    """Column, row, width and height of damaged blocks that were met so far; their pixels are not valid."""

    @property
    def bands(self) -> tuple[int, ...]:
        """The bands of the file that are read, counted from 1; for a palette, its band once for each colour."""
        return self.layout.bands if self.layout.palette is None else self.layout.bands * self.layout.count

    def read(self, col: int, row: int, width: int, height: int) -> tuple[Image, Mask]:
        """Reads a window on the image's own grid.

        Args:
            col: First column of the window, in the image.
            row: First row.
            width: Number of columns; the window must be within the image.
            height: Number of rows.

        Returns:
            ``(height, width, bands)`` uint8, 0 where there is no data, and ``(height, width)``, True where there is.

        Raises:
            SiameseError: The file is damaged.
        """
        with opened(self.path, self.name) as dataset:
            return self._window(dataset, col, row, width, height)

    def read_on(self, crs: str | None, place: Affine, width: int, height: int) -> tuple[Image, Mask]:
        """Reads the image on another grid, resampled (bilinear).

        Args:
            crs: CRS of the grid; None if both are pixels of one image.
            place: Transform from (column, row) of the grid to coordinates of its crs.
            width: Columns of the grid.
            height: Rows of the grid.

        Returns:
            ``(height, width, bands)`` uint8, 0 where there is no data, and ``(height, width)``, True where there is.

        Raises:
            SiameseError: The file is damaged.
        """
        empty = np.zeros((height, width, self.layout.count), np.uint8), np.zeros((height, width), bool)
        box = self._box_under(crs, place, width, height)
        if box is None:
            return empty
        col, row, wide, tall, shrink = box
        with opened(self.path, self.name) as dataset:
            if shrink > 1:
                pixels, seen = self._decimated(dataset, Window(col, row, wide, tall), shrink)
            else:
                pixels, seen = self._window(dataset, col, row, wide, tall)
            source = np.concatenate([np.moveaxis(pixels, -1, 0), seen[None].astype(np.uint8) * np.uint8(255)])
            target = np.zeros((len(source), height, width), np.uint8)
            scale = Affine.scale(wide / pixels.shape[1], tall / pixels.shape[0])
            here = self.transform @ Affine.translation(col, row) @ scale
            # Without a CRS both grids are in pixels, for which any projected CRS works.
            reproject(
                source,
                target,
                src_crs=self.crs or _ANY_CRS,
                src_transform=here,
                dst_crs=crs or _ANY_CRS,
                dst_transform=place,
                src_alpha=len(source),
                dst_alpha=len(source),
                resampling=Resampling.bilinear,
                tolerance=_TOLERANCE_PX,
            )
        valid = target[-1] > 0
        return np.where(valid[..., None], np.moveaxis(target[:-1], 0, -1), np.uint8(0)), valid

    def _window(self, dataset: DatasetReader, col: int, row: int, width: int, height: int) -> tuple[Image, Mask]:
        left, above = min(FILL_MARGIN_PX, col), min(FILL_MARGIN_PX, row)
        right = min(FILL_MARGIN_PX, self.width - col - width)
        below = min(FILL_MARGIN_PX, self.height - row - height)
        around = Window(col - left, row - above, width + left + right, height + above + below)
        values, valid = self._read(dataset, around)
        return understood(values, valid, self.values, (above, below, left, right))

    def _read(self, dataset: DatasetReader, window: Window) -> tuple[Values, Mask | None]:
        """Reads a window; if a block of the file is damaged, all others, with the damaged ones as not valid.

        Raises:
            SiameseError: The file ends before its blocks do.
        """
        try:
            return self.layout.read(dataset, window)
        except (RasterioError, CPLE_BaseError):
            if dataset.driver != "GTiff":
                raise
        values = np.zeros((window.height, window.width, self.layout.count), _kind(dataset, self.layout))
        valid = np.zeros((window.height, window.width), bool)
        for block in blocks_in(dataset, window):
            top, left = block.row_off - window.row_off, block.col_off - window.col_off
            inner = np.s_[top : top + block.height, left : left + block.width]
            try:
                found, seen = self.layout.read(dataset, block)
            except (RasterioError, CPLE_BaseError):
                check_complete(dataset, block, self.path, self.name)
                self.torn.add((block.col_off, block.row_off, block.width, block.height))
                continue
            values[inner], valid[inner] = found, True if seen is None else seen
        return values, valid

    def _decimated(self, dataset: DatasetReader, window: Window, shrink: int) -> tuple[Image, Mask]:
        """Reads a decimated window, for pictures; fill is detected among the remaining pixels."""
        shape = max(1, window.height // shrink), max(1, window.width // shrink)
        values, valid = self.layout.read(dataset, window, shape)
        return understood(values, valid, self.values, (0, 0, 0, 0))

    def _box_under(
        self, crs: str | None, place: Affine, width: int, height: int
    ) -> tuple[int, int, int, int, int] | None:
        """Returns column, row, width and height of the part that a grid needs, and its decimation factor; or None."""
        across, down = (np.linspace(0, side, _EDGE_POINTS) for side in (width, height))
        cols, rows = (points.ravel() for points in np.meshgrid(across, down))
        xs, ys = place.a * cols + place.b * rows + place.c, place.d * cols + place.e * rows + place.f
        if crs is not None and self.crs is not None and CRS.from_user_input(crs) != CRS.from_user_input(self.crs):
            found_xs, found_ys = transform_points(crs, self.crs, xs.tolist(), ys.tolist())
            xs, ys = np.asarray(found_xs, np.float64), np.asarray(found_ys, np.float64)
        back = ~self.transform
        own_cols, own_rows = back.a * xs + back.b * ys + back.c, back.d * xs + back.e * ys + back.f
        shape = _EDGE_POINTS, _EDGE_POINTS
        step = _usual_step(own_cols.reshape(shape), own_rows.reshape(shape))
        # Where longitude jumps from 180 to -180, a part of the grid seems to be far away.
        near = (own_cols > -2 * step) & (own_cols < self.width + 2 * step)
        near &= (own_rows > -2 * step) & (own_rows < self.height + 2 * step)
        if not near.any():
            return None
        own_cols, own_rows = own_cols[near], own_rows[near]
        pixels = step * (_EDGE_POINTS - 1) / max(width, height)
        shrink = max(1, math.floor(pixels / 2))
        margin = math.ceil(_BILINEAR_PX * max(pixels, 1.0))
        left, right = (min(max(0, v), self.width) for v in _span(own_cols, margin))
        top, bottom = (min(max(0, v), self.height) for v in _span(own_rows, margin))
        if left >= right or top >= bottom:
            return None
        return left, top, right - left, bottom - top, shrink


def _kind(dataset: DatasetReader, layout: Layout) -> np.dtype[np.generic]:
    if layout.palette is not None:
        return np.dtype(np.uint8)
    return np.result_type(*(np.dtype(dataset.dtypes[band - 1]) for band in layout.bands))


def open_raster(
    path: Path, name: str, folder: Path, bands: int | None = None, *, value_range: tuple[float, float] | None = None
) -> Raster:
    """Opens one image; see :func:`open_rasters`."""
    (raster,) = open_rasters([(path, name)], folder, bands, value_range=value_range)
    return raster


def open_rasters(
    files: Sequence[tuple[Path, str]],
    folder: Path,
    bands: int | None = None,
    *,
    value_range: tuple[float, float] | None = None,
    order: tuple[int, ...] | None = None,
    names: Sequence[tuple[str, ...]] | None = None,
) -> tuple[Raster, ...]:
    """Opens the images of one date, which share one range of values so that they match.

    Args:
        files: Path and name of each image.
        folder: Folder where a PNG, which can only be read from its first row, is rewritten in blocks.
        bands: Number of bands to read; None for all. With three, those marked red, green and blue are read if there
            are any, else the first ones.
        value_range: Values that map to 0 and 255 in images wider than 8 bits; by default
            :mod:`siamese.geo.values` chooses.
        order: Positions of the bands to read, counted from 1; by default by the files' metadata.
        names: For each image the common names of its bands, if they are known from elsewhere.

    Raises:
        SiameseError: A file cannot be read, holds an unsupported type, or has too few bands.
    """
    called = names if names is not None else [()] * len(files)
    rasters = [
        _look(path, name, folder, bands, order, words) for (path, name), words in zip(files, called, strict=True)
    ]
    ranges = [fixed_range(raster.layout.facts, value_range) for raster in rasters]
    wide = [raster for raster, ranged in zip(rasters, ranges, strict=True) if ranged is None]
    if wide:
        side = max(_LEAST_SAMPLE_PX, SAMPLE_PX // math.ceil(math.sqrt(len(wide))))
        shared = range_of([_sample(raster, side) for raster in wide], wide[0].layout.facts)
        ranges = [ranged or shared for ranged in ranges]
    return tuple(replace(raster, values=ranged) for raster, ranged in zip(rasters, ranges, strict=True) if ranged)


def _look(
    path: Path, name: str, folder: Path, bands: int | None, order: tuple[int, ...] | None, names: tuple[str, ...]
) -> Raster:
    with opened(path, name) as dataset:
        find_layout(dataset, name, bands, order, names)
        if dataset.driver == "PNG":
            blocks = _in_blocks(path, name, dataset, folder)
            with opened(blocks, name) as copy:
                return _raster(copy, blocks, name, bands, order, names)
        return _raster(dataset, path, name, bands, order, names)


def _raster(
    dataset: DatasetReader,
    path: Path,
    name: str,
    bands: int | None,
    order: tuple[int, ...] | None,
    names: tuple[str, ...],
) -> Raster:
    return Raster(
        path=path,
        name=name,
        width=dataset.width,
        height=dataset.height,
        crs=dataset.crs.to_string() if dataset.crs and not dataset.transform.is_identity else None,
        transform=dataset.transform,
        layout=find_layout(dataset, name, bands, order, names),
        taken=dataset.tags().get("TIFFTAG_DATETIME"),
    )


def _sample(raster: Raster, side_px: int) -> npt.NDArray[np.generic]:
    with opened(raster.path, raster.name) as dataset:
        sample = sample_of_blocks if raster.path.suffix == _BLOCKS else sample_of_file
        return sample(dataset, raster.layout, side_px)


def _in_blocks(path: Path, name: str, dataset: DatasetReader, folder: Path) -> Path:
    state = path.stat()
    key = f"{path.resolve()} {state.st_mtime_ns} {state.st_size}"
    target = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}{_BLOCKS}"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".part")
    with local_gdal(**GDAL_OPTIONS):
        if dataset.width * dataset.height <= _LARGE_PNG_PX:
            values, valid = decode_png(path.read_bytes(), name, max_side_px=_LARGE_PNG_PX)
            strips: Iterable[tuple[int, Values, Mask | None]] = [(0, values, valid)]
            _write_blocks(partial, strips, dataset.height, has_mask=valid is not None, compress=False)
        else:
            layout = find_layout(dataset, name, None)
            if layout.count == 1 and dataset.count == 1:
                # OpenCV, which decodes smaller images, does not support grey with transparency.
                layout = replace(layout, has_mask=False)
            rows = range(0, dataset.height, _BLOCK_PX)
            strips = ((row, *_strip(dataset, layout, row)) for row in rows)
            _write_blocks(partial, strips, dataset.height, has_mask=layout.has_mask, compress=True)
    partial.replace(target)
    return target


def _strip(dataset: DatasetReader, layout: Layout, row: int) -> tuple[Values, Mask | None]:
    window = Window(0, row, dataset.width, min(_BLOCK_PX, dataset.height - row))
    values, valid = layout.read(dataset, window)
    bits = int(dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8))
    if layout.palette is None and bits < 8:
        values = values.astype(np.uint8) * np.uint8(255 // (2**bits - 1))
    return values, valid


def _write_blocks(
    path: Path, strips: Iterable[tuple[int, Values, Mask | None]], height: int, *, has_mask: bool, compress: bool
) -> None:
    out: DatasetWriter | None = None
    try:
        for row, values, valid in strips:
            if out is None:
                out = _create_blocks(path, values, height, has_mask=has_mask, compress=compress)
            window = Window(0, row, values.shape[1], values.shape[0])
            bands = values.shape[2]
            out.write(np.moveaxis(values, -1, 0), list(range(1, bands + 1)), window=window)
            if has_mask:
                alpha = np.ones(values.shape[:2], bool) if valid is None else valid
                out.write(alpha.astype(values.dtype) * np.iinfo(str(values.dtype)).max, bands + 1, window=window)
    finally:
        if out is not None:
            out.close()


def _create_blocks(path: Path, values: Values, height: int, *, has_mask: bool, compress: bool) -> DatasetWriter:
    bands = values.shape[2]
    out = rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=values.shape[1],
        height=height,
        count=bands + has_mask,
        dtype=values.dtype,
        tiled=True,
        blockxsize=_BLOCK_PX,
        blockysize=_BLOCK_PX,
        interleave="pixel",
        bigtiff="if_safer",
        **({"compress": "lzw"} if compress else {}),
    )
    colours = [ColorInterp.red, ColorInterp.green, ColorInterp.blue] if bands == 3 else [ColorInterp.gray] * bands
    out.colorinterp = colours + [ColorInterp.alpha] * has_mask
    return out


def _usual_step(cols: npt.NDArray[np.float64], rows: npt.NDArray[np.float64]) -> float:
    """Returns the usual distance in pixels between neighbouring points of a grid, along its longer side."""
    steps = [np.hypot(np.diff(cols, axis=axis), np.diff(rows, axis=axis)) for axis in (0, 1)]
    known = [step[np.isfinite(step)] for step in steps]
    return max((float(np.median(step)) for step in known if step.size), default=0.0)


def _span(places: npt.NDArray[np.float64], margin: int) -> tuple[int, int]:
    return math.floor(float(places.min())) - margin, math.ceil(float(places.max())) + margin
