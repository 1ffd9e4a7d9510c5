"""Decodes whole images in memory from their bytes, for ingest, pairs and evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.io import DatasetReader

from siamese.errors import SiameseError
from siamese.geo.formats import driver_of
from siamese.geo.gdal import opened
from siamese.geo.layout import find_layout
from siamese.geo.png import check_png
from siamese.geo.sample import sample_of_array, sample_of_file
from siamese.geo.validity import Mask, Values, valid_pixels
from siamese.geo.values import AS_IS, ValueFacts, ValueRange, fixed_range, range_of

_MOST_BYTES: Final = 2 * 2**30
"""Maximum size of an image's decoded values in bytes."""
_WHOLE: Final = (0, 0, 0, 0)
_FIX: Final = "copy the file again from its source"


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An image whose pixels are in memory."""

    pixels: npt.NDArray[np.uint8]
    """(H, W, bands); colour in RGB order, without any alpha band; 0 where it is not valid."""
    valid: Mask | None
    """(H, W), False where there is no data; None when all of it is data."""
    crs: str | None
    """``EPSG:…`` or WKT; None without georeference."""
    transform: Affine | None
    """(column, row) to coordinates of the crs; (0, 0) is the outer corner of the first pixel."""
    values: ValueRange = AS_IS
    """How its values were mapped to 8 bits."""


def decode_image(
    data: bytes, name: str, *, max_side_px: int, value_range: tuple[float, float] | None = None
) -> DecodedImage:
    """Decodes a PNG or a GeoTIFF by the rules of :mod:`siamese.geo`.

    Args:
        data: The whole file.
        name: Name of the file in errors.
        max_side_px: A wider or higher image is refused before any pixel is decoded.
        value_range: Values that map to 0 and 255; by default :mod:`siamese.geo.values` chooses.

    Raises:
        SiameseError: The image is in neither format, too large, truncated, damaged, or of an unsupported type.
    """
    if driver_of(data[:16], name) == "PNG":
        values, valid = decode_png(data, name, max_side_px=max_side_px)
        facts = ValueFacts(str(values.dtype))
        ranged = fixed_range(facts, value_range) or range_of([sample_of_array(values, valid)], facts)
        return _image(values, valid, ranged, None, None)
    with opened(data, name) as dataset:
        check_size(dataset.width, dataset.height, max_side_px, name)
        _check_memory(dataset, name)
        layout = find_layout(dataset, name, None)
        ranged = fixed_range(layout.facts, value_range) or range_of([sample_of_file(dataset, layout)], layout.facts)
        values, valid = layout.read(dataset)
        transform = None if dataset.transform == Affine.identity() else dataset.transform
        crs = dataset.crs.to_string() if dataset.crs and transform else None
    return _image(values, valid, ranged, crs, transform if crs else None)


def decode_png(data: bytes, name: str, *, max_side_px: int) -> tuple[Values, Mask | None]:
    """Decodes a PNG after checking every byte of it.

    Returns:
        ``(H, W, bands)`` uint8 or uint16, with a palette resolved to colours; and ``(H, W)``, True where alpha is
        above 0, or None without alpha.

    Raises:
        SiameseError: The image is too large, truncated or damaged.
    """
    header = check_png(data, name)
    check_size(header.width, header.height, max_side_px, name)
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise SiameseError(f"PNG cannot be decoded: {error.err}", where=name, fix=_FIX) from error
    if found is None or found.shape[:2] != (header.height, header.width):
        raise SiameseError("PNG is damaged: its pixels cannot be decoded", where=name, fix=_FIX)
    raw = cast("npt.NDArray[np.uint8]", found)
    if raw.ndim == 2:
        return raw[..., np.newaxis], None
    opaque = raw[..., 3] > 0 if raw.shape[2] == 4 else None
    if header.bands == 1:
        values = np.ascontiguousarray(raw[..., :1])
    else:
        values = cast("npt.NDArray[np.uint8]", cv2.cvtColor(raw, _TO_RGB[raw.shape[2]]))
    return values, None if opaque is None or opaque.all() else opaque


_TO_RGB: Final = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}


def _image(
    values: Values, valid: Mask | None, ranged: ValueRange, crs: str | None, transform: Affine | None
) -> DecodedImage:
    pixels, seen = understood(values, valid, ranged, _WHOLE)
    return DecodedImage(pixels, None if seen.all() else seen, crs, transform, ranged)


def understood(
    values: Values, valid: Mask | None, ranged: ValueRange, margins: tuple[int, int, int, int]
) -> tuple[npt.NDArray[np.uint8], Mask]:
    """Converts values of a file to 8-bit pixels and a validity mask.

    Args:
        values: ``(H, W, bands)``, finite.
        valid: ``(H, W)``; None if the file does not declare validity.
        ranged: Mapping of values to 8 bits.
        margins: As in :func:`siamese.geo.validity.black_fill`.

    Returns:
        ``(h, w, bands)`` uint8, 0 where not valid, and ``(h, w)`` validity, both for the window without its margins.
    """
    above, below, left, right = margins
    inner = np.s_[above : values.shape[0] - below, left : values.shape[1] - right]
    seen = valid_pixels(values, valid, margins)
    pixels = ranged(values[inner])
    if not seen.all():
        pixels = np.where(seen[..., np.newaxis], pixels, np.uint8(0))
    return np.ascontiguousarray(pixels), seen


def _check_memory(dataset: DatasetReader, name: str) -> None:
    """Refuses images whose many bands or oversized blocks take far more memory than their size suggests."""
    block_height, block_width = dataset.block_shapes[0]
    pixels = max(dataset.width * dataset.height, block_width * block_height)
    needed = pixels * sum(np.dtype(kind).itemsize for kind in dataset.dtypes)
    if needed > _MOST_BYTES:
        fix = "keep fewer bands, 8 bits, and tiles of 256 px"
        raise SiameseError(f"GeoTIFF needs {needed / 2**20:,.0f} MiB of memory to read", where=name, fix=fix)


def check_size(width: int, height: int, max_side_px: int, name: str) -> None:
    """Refuses an image that is wider or higher than allowed, or empty.

    Raises:
        SiameseError: It is.
    """
    if not 0 < width <= max_side_px or not 0 < height <= max_side_px:
        fix = f"cut it into tiles of at most {max_side_px} px"
        raise SiameseError(f"is {width} x {height} px, more than {max_side_px} px a side", where=name, fix=fix)
