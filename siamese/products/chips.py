"""Sample chips of a map: a few buildings of every class, drawn at random, before and after."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import shapely

from siamese.classes import COLOURS
from siamese.geo import shown
from siamese.products.placing import to_pixels
from siamese.products.rasters import open_raster

Image = npt.NDArray[np.uint8]
ReadSquare = Callable[[int, int, int], tuple[Image, Image]]
"""Reads a square from its row, column and side in pixels: both dates, ``(side, side, bands)`` uint8."""

CHIP_PX: Final = 192
_EACH: Final = 2
_ROWS: Final = 8192
_CONTEXT: Final = 0.6
_LEAST_PX: Final = 24


@dataclass(frozen=True, eq=False)
class Chip:
    """One building before and after."""

    building: str
    damage_class: str
    confidence: float | None
    before: bytes
    """JPEG with the outline."""
    after: bytes
    """The same."""


def sample_chips(classes: Path, buildings: Path, read: ReadSquare) -> tuple[Chip, ...]:
    """Draws two buildings of every class that a map has, the worst class first.

    Which ones is decided by a hash of their ids: nobody picks them, and the same map shows the same.

    Args:
        classes: The map's class raster, for its georeference.
        buildings: The map's GeoParquet.
        read: Reads a square of both dates.
    """
    chosen = _choose(buildings)
    with open_raster(classes) as raster:
        crs, transform = raster.crs, raster.transform
    order = [*reversed([name for name in COLOURS if name != "unknown"]), "unknown"]
    rows = [row for name in order for row in chosen.get(name, [])]
    if not rows:
        return ()
    outlines = to_pixels(np.array([shapely.from_wkb(row["geometry"]) for row in rows], object), crs, transform)
    return tuple(_chip(row, outline, read) for row, outline in zip(rows, outlines, strict=True))


def _choose(buildings: Path) -> dict[str, list[dict[str, Any]]]:
    kept: dict[str, list[dict[str, Any]]] = {}
    with pq.ParquetFile(buildings) as file:
        for batch in file.iter_batches(_ROWS, columns=["id", "damage_class", "confidence", "geometry"]):
            for row in batch.to_pylist():
                kept.setdefault(row["damage_class"], []).append(row)
            kept = {name: nsmallest(_EACH, rows, key=lambda row: _hash(row["id"])) for name, rows in kept.items()}
    return kept


def _hash(building: str) -> str:
    return hashlib.sha256(building.encode()).hexdigest()


def _chip(row: dict[str, Any], outline: shapely.Geometry, read: ReadSquare) -> Chip:
    left, top, right, bottom = shapely.bounds(outline)
    side = max(_LEAST_PX, math.ceil(max(right - left, bottom - top) * (1 + 2 * _CONTEXT)))
    row0, col0 = math.floor((top + bottom - side) / 2), math.floor((left + right - side) / 2)
    before, after = read(row0, col0, side)
    scale = CHIP_PX / side
    rings = [
        np.rint((np.asarray(part.exterior.coords) - (col0, row0)) * scale).astype(np.int32)
        for part in shapely.get_parts(outline)
    ]
    red, green, blue = COLOURS[row["damage_class"]]
    drawn = (_drawn(image, rings, (blue, green, red)) for image in (before, after))
    return Chip(row["id"], row["damage_class"], row["confidence"], *drawn)


def _drawn(image: Image, rings: list[npt.NDArray[np.int32]], colour: tuple[int, int, int]) -> bytes:
    picture = cv2.resize(shown(image), (CHIP_PX, CHIP_PX), interpolation=cv2.INTER_CUBIC)
    picture = np.ascontiguousarray(picture[..., ::-1], np.uint8)
    cv2.polylines(picture, rings, True, (255, 255, 255), 3, cv2.LINE_AA)
    cv2.polylines(picture, rings, True, colour, 2, cv2.LINE_AA)
    return encode_jpeg(np.asarray(picture, np.uint8))


def encode_jpeg(image: Image, quality: int = 85) -> bytes:
    """Encodes ``(h, w, 3)`` uint8 in the order blue, green, red."""
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
