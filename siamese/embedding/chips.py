"""Chips: square pictures of buildings and of whole images, all of one size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from siamese.errors import SiameseError
from siamese.geo import local_gdal, shown
from siamese.mapping.task import Imagery
from siamese.mapping.tiles import GDAL
from siamese.similarity.data.decode import read_image

__all__ = ["SUFFIXES", "Box", "Image", "around", "cut_chip", "load_image", "read_chips", "read_image", "scaled"]

Image = npt.NDArray[np.uint8]
Box = tuple[int, int, int]
"""Row and column of the first pixel of a square, which may lie outside the image, and its side in pixels."""

SUFFIXES: Final = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
_LEAST_PX: Final = 16


def around(bounds: Sequence[float], context: float) -> Box:
    """Returns the square around an outline's box.

    Args:
        bounds: First column, first row, last column and last row of the box, pixels.
        context: Ground on each side, in lengths of the box's longer side.
    """
    first_col, first_row, last_col, last_row = bounds
    longer = max(last_col - first_col, last_row - first_row, 1.0)
    side = max(_LEAST_PX, math.ceil(longer * (1 + 2 * context)))
    row, col = ((first + last - side) / 2 for first, last in ((first_row, last_row), (first_col, last_col)))
    return math.floor(row), math.floor(col), side


def read_chips(imagery: Imagery, box: Box) -> tuple[Image, Image]:
    """Reads a square of both dates of a map; black where there is no data.

    Returns:
        Pre and post, ``(side, side, bands)`` uint8.
    """
    row, col, side = box
    grid = imagery.grid.window(row, col, side, side)
    with local_gdal(**GDAL):
        return imagery.pre.mosaic.read(grid)[0], imagery.aligned_post.read(grid)[0]


def cut_chip(image: Image, box: Box) -> Image:
    """Cuts a square out of an image; black beyond the image's edge."""
    row, col, side = box
    chip = np.zeros((side, side, image.shape[2]), np.uint8)
    top, left = max(row, 0), max(col, 0)
    bottom, right = min(row + side, image.shape[0]), min(col + side, image.shape[1])
    if top < bottom and left < right:
        chip[top - row : bottom - row, left - col : right - col] = image[top:bottom, left:right]
    return chip


def scaled(image: Image, side_px: int) -> Image:
    """Returns an image in red, green and blue, scaled to a square.

    Args:
        image: ``(H, W, bands)`` uint8; of other than three bands, those that :func:`siamese.geo.shown` shows.
        side_px: Side of the square.
    """
    colour = shown(image)
    smaller = side_px < max(colour.shape[:2])
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(colour, (side_px, side_px), interpolation=method), np.uint8)


def load_image(path: Path) -> Image:
    """Reads an image file: PNG, TIFF or JPEG, grey or colour.

    Returns:
        ``(H, W, bands)`` uint8.

    Raises:
        SiameseError: It is missing, empty, damaged, or in another format.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SiameseError(f"cannot be read: {error.strerror}", where=str(path), fix="check the path") from error
    return read_image(data, str(path))
