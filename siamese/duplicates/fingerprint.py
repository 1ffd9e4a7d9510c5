"""Describes an image by a few kilobytes from which its twins are found: local features and a thumbnail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

WORK_PX: Final = 384
"""Features are found on a copy whose longer side is at most this."""
_LEAST_PX: Final = 256
"""Smaller images are enlarged to this, as SIFT finds nothing in a handful of pixels."""
THUMBNAIL_PX: Final = 256
"""Longer side of the thumbnail."""
FEATURES: Final = 320
"""Features kept of an image."""
_GRID: Final = 6
"""Features are shared out over so many cells a side, so that every crop holds some."""
_JPEG: Final = [cv2.IMWRITE_JPEG_QUALITY, 92]
_MIRRORED: Final = np.arange(128).reshape(4, 4, 8)[::-1][:, :, [0, 7, 6, 5, 4, 3, 2, 1]].reshape(-1)
"""Where each number of a SIFT descriptor comes from when its image is mirrored: rows turn round, angles change sign."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is kept of an image."""

    width: int
    """Of the image, in pixels."""
    height: int
    points: Floats
    """(n, 2) x and y of the features, as shares of width and height, 0..1."""
    descriptors: Bytes
    """(n, 128) SIFT."""
    thumbnail: bytes
    """JPEG."""

    @property
    def small(self) -> Bytes:
        """(h, w, 3) uint8 RGB, the thumbnail."""
        found = cv2.imdecode(np.frombuffer(self.thumbnail, np.uint8), cv2.IMREAD_COLOR_RGB)
        return np.asarray(found, np.uint8)


def fingerprint(pixels: Bytes) -> Fingerprint:
    """Describes an image.

    Args:
        pixels: (H, W, bands) uint8, any number of bands; the first three are taken for red, green and blue.

    Returns:
        The fingerprint; the same pixels give the same one.
    """
    colour = _colour(pixels)
    height, width = colour.shape[:2]
    grey = np.asarray(cv2.cvtColor(_sized(colour, WORK_PX, _LEAST_PX), cv2.COLOR_RGB2GRAY), np.uint8)
    points, descriptors = _features(grey)
    small = cv2.cvtColor(_sized(colour, THUMBNAIL_PX, 0), cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", small, _JPEG)
    return Fingerprint(width, height, points, descriptors, jpeg.tobytes())


def mirrored(descriptors: NDArray[Any]) -> NDArray[Any]:
    """Returns the descriptors that the same features have in the mirrored image."""
    return np.ascontiguousarray(descriptors[:, _MIRRORED])


def rooted(descriptors: Bytes) -> Floats:
    """Returns descriptors of length 1 for Hellinger's distance (RootSIFT, Arandjelović & Zisserman 2012).

    Args:
        descriptors: (n, 128) SIFT.
    """
    values = descriptors.astype(np.float32)
    return np.asarray(np.sqrt(values / np.maximum(values.sum(axis=1, keepdims=True), 1e-6)), np.float32)


def _colour(pixels: Bytes) -> Bytes:
    return np.ascontiguousarray(pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2))


def _sized(image: Bytes, most: int, least: int) -> Bytes:
    height, width = image.shape[:2]
    longer = max(height, width)
    side = min(max(longer, least), most)
    if side == longer:
        return image
    size = (max(1, round(width * side / longer)), max(1, round(height * side / longer)))
    return np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA if side < longer else cv2.INTER_LINEAR), np.uint8
    )


def _features(grey: Bytes) -> tuple[Floats, Bytes]:
    """Finds the strongest features of each part of an image."""
    sift: Any = cv2.SIFT_create(  # type: ignore[attr-defined]
        nfeatures=0, contrastThreshold=0.01
    )
    found = sift.detect(grey, None)
    height, width = grey.shape
    if found:
        where = np.array(cv2.KeyPoint.convert(found), float)
        strength = np.array([point.response for point in found])
        cells = (where * _GRID / (width, height)).astype(int).clip(0, _GRID - 1) @ (1, _GRID)
        # The rank of a feature within its cell decides; empty cells leave their share to the others.
        order = np.lexsort((where[:, 1], where[:, 0], -strength, cells))
        sorted_cells = cells[order]
        rank = np.empty(len(found), int)
        rank[order] = np.arange(len(found)) - np.searchsorted(sorted_cells, sorted_cells)
        best = np.lexsort((where[:, 1], where[:, 0], -strength, rank))[:FEATURES]
        found = [found[position] for position in best]
    points, descriptors = sift.compute(grey, found)
    if descriptors is None or not len(points):
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8)
    places = np.asarray([point.pt for point in points], np.float32) / np.asarray([width, height], np.float32)
    return places.astype(np.float32), descriptors.clip(0, 255).astype(np.uint8)
