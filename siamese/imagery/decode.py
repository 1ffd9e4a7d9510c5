"""PNG and GeoTIFF bytes to 8-bit pixels; whatever is wrong with them is one clear error."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, MemoryFile

from siamese.errors import SiameseError
from siamese.imagery.gdal import local_gdal
from siamese.imagery.png import SIGNATURE, check_png, png_size

MAX_BANDS: Final = 32
_MOST_BYTES_A_PX: Final = 8
STRETCH_PERCENT: Final = (2.0, 98.0)
_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_FIX: Final = "copy the file again from its source"


@dataclass(frozen=True, eq=False)
class Raster:
    """A decoded image."""

    pixels: npt.NDArray[np.uint8]
    """(H, W, bands); colour in RGB order, without any alpha band."""
    valid: npt.NDArray[np.bool_] | None
    """(H, W), False where there is no data; None when all of it is data."""
    crs: str | None
    """``EPSG:…`` or WKT; None without georeference."""
    transform: Affine | None
    """(column, row) to coordinates of the crs; (0, 0) is the outer corner of the first pixel."""


def decode_image(data: bytes, name: str, *, max_side_px: int) -> Raster:
    """Decodes a PNG or a GeoTIFF, told apart by their first bytes.

    Values of a wider type than 8 bits become 8 bits by :func:`to_8_bit`.

    Args:
        data: The whole file.
        name: What errors call it.
        max_side_px: A wider or higher image is refused before any pixel is decoded.

    Raises:
        SiameseError: Neither format, too large, truncated, damaged, or of a type that is no image's.
    """
    if data.startswith(SIGNATURE):
        return _decode_png(data, name, max_side_px)
    if data.startswith(_TIFF):
        return _decode_tiff(data, name, max_side_px)
    what = "is empty" if not data else "is neither PNG nor GeoTIFF"
    raise SiameseError(what, where=name, fix=_FIX if not data else "convert it to one of them")


def image_size(data: bytes, name: str) -> tuple[int, int]:
    """Width and height in pixels, from the header alone; (0, 0) when it is no image.

    Raises:
        SiameseError: The header cannot be read.
    """
    if data.startswith(SIGNATURE):
        return png_size(data, name)
    if data.startswith(_TIFF):
        with _open_tiff(data, name) as dataset:
            return dataset.width, dataset.height
    return 0, 0


def to_8_bit(pixels: npt.NDArray[np.integer], valid: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.uint8]:
    """Brings integers of any type to 8 bits.

    Values that all lie in 0..255 stay as they are: xBD's GeoTIFF edition holds 8-bit values in int16. Any wider range
    is stretched, band by band: the 2nd percentile of the valid pixels becomes 0, the 98th 255, linearly, clipped
    beyond; the usual stretch for 11-bit and 16-bit imagery.

    Args:
        pixels: (H, W, bands).
        valid: (H, W); pixels that count. None: all.

    Returns:
        (H, W, bands) uint8.
    """
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    counted = pixels if valid is None else pixels[valid]
    if counted.size == 0 or (counted.min() >= 0 and counted.max() <= 255):
        narrow: npt.NDArray[np.uint8] = np.clip(pixels, 0, 255).astype(np.uint8)
        return narrow
    out = np.empty(pixels.shape, np.uint8)
    for band in range(pixels.shape[-1]):
        low, high = np.percentile(counted[..., band], STRETCH_PERCENT)
        scaled = (pixels[..., band].astype(np.float32) - low) * (255 / max(high - low, 1))
        out[..., band] = np.clip(np.rint(scaled), 0, 255)
    return out


def _decode_png(data: bytes, name: str, max_side_px: int) -> Raster:
    width, height = check_png(data, name)
    _check_size(width, height, max_side_px, name)
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise SiameseError(f"PNG cannot be decoded: {error.err}", where=name, fix=_FIX) from error
    if found is None or found.shape[:2] != (height, width):
        raise SiameseError("PNG is damaged: its pixels cannot be decoded", where=name, fix=_FIX)
    raw = cast("npt.NDArray[np.integer]", found)
    raw = raw[..., np.newaxis] if raw.ndim == 2 else raw
    if raw.shape[2] == 4:
        opaque = raw[..., 3] > 0
        return _raster(raw[..., 2::-1], None if opaque.all() else opaque, None, None)
    return _raster(raw[..., ::-1], None, None, None)


def _decode_tiff(data: bytes, name: str, max_side_px: int) -> Raster:
    with _open_tiff(data, name) as dataset:
        _check_size(dataset.width, dataset.height, max_side_px, name)
        _check_memory(dataset, max_side_px, name)
        return _read_tiff(dataset, name)


@contextmanager
def _open_tiff(data: bytes, name: str) -> Iterator[DatasetReader]:
    try:
        with local_gdal(), warnings.catch_warnings(), MemoryFile(data) as memory:
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(memory.name, driver="GTiff", sharing=False) as dataset:
                yield dataset
    except (RasterioError, CPLE_BaseError, ValueError, MemoryError) as error:
        cause = error.__cause__ or error
        raise SiameseError(f"GeoTIFF cannot be decoded: {cause}", where=name, fix=_FIX) from error


def _check_memory(dataset: DatasetReader, max_side_px: int, name: str) -> None:
    """Many bands, or blocks larger than the image itself, must not take more memory than the largest image may."""
    block_height, block_width = dataset.block_shapes[0]
    pixels = max(dataset.width * dataset.height, block_width * block_height)
    needed = pixels * sum(np.dtype(kind).itemsize for kind in dataset.dtypes)
    if needed > max_side_px**2 * _MOST_BYTES_A_PX:
        fix = "keep fewer bands, 8 bits, and tiles of 256 px"
        raise SiameseError(f"GeoTIFF needs {needed / 2**20:,.0f} MiB of memory to read", where=name, fix=fix)


def _read_tiff(dataset: DatasetReader, name: str) -> Raster:
    colour = [band for band, use in zip(dataset.indexes, dataset.colorinterp, strict=True) if use != ColorInterp.alpha]
    if not colour or dataset.count > MAX_BANDS:
        raise SiameseError(f"GeoTIFF has {dataset.count} bands", where=name, fix=f"keep 1 to {MAX_BANDS} bands")
    wrong = {kind for kind in dataset.dtypes if not np.issubdtype(np.dtype(kind), np.integer)}
    if wrong:
        fix = "convert it to integers, 8-bit at best (gdal_translate -ot Byte -scale)"
        raise SiameseError(f"GeoTIFF holds {', '.join(sorted(wrong))}, not integers", where=name, fix=fix)
    pixels = np.moveaxis(dataset.read(colour), 0, -1)
    all_valid = all(MaskFlags.all_valid in flags for flags in dataset.mask_flag_enums)
    valid = None if all_valid else dataset.dataset_mask() > 0
    transform = None if dataset.transform == Affine.identity() else dataset.transform
    crs = dataset.crs.to_string() if dataset.crs and transform else None
    return _raster(pixels, None if valid is None or valid.all() else valid, crs, transform if crs else None)


def _raster(
    pixels: npt.NDArray[np.integer], valid: npt.NDArray[np.bool_] | None, crs: str | None, transform: Affine | None
) -> Raster:
    return Raster(np.ascontiguousarray(to_8_bit(pixels, valid)), valid, crs, transform)


def _check_size(width: int, height: int, max_side_px: int, name: str) -> None:
    if not 0 < width <= max_side_px or not 0 < height <= max_side_px:
        fix = f"cut it into tiles of at most {max_side_px} px"
        raise SiameseError(f"is {width} x {height} px, more than {max_side_px} px a side", where=name, fix=fix)
