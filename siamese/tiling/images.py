"""Images of a map as raster tiles: read once at full detail, halved from there, in bounded memory."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

from siamese.tiling.plane import TILE_PX

Pixels = npt.NDArray[np.uint8]
Tile = tuple[int, int, int]
"""Zoom, column and row; the column may lie outside the world, whose sides meet."""

_QUALITY: Final = 82
_EFFORT: Final = 4
_NEAR_PX: Final = 33


@dataclass(frozen=True)
class Pyramid:
    """Which tiles show a rectangle of the plane."""

    left: float
    top: float
    right: float
    bottom: float
    finest: int
    """Zoom at which images are read."""

    @property
    def coarsest(self) -> int:
        """Returns the zoom at which the whole is smaller than a tile, less two to zoom out."""
        side = max(self.right - self.left, self.bottom - self.top)
        return max(0, min(self.finest, math.floor(-math.log2(max(side, 2.0**-self.finest)))) - 2)

    def tiles(self, zoom: int) -> Iterator[Tile]:
        """Yields the tiles of a zoom, row by row."""
        count = 2**zoom
        for row in range(math.floor(self.top * count), math.ceil(self.bottom * count)):
            for col in range(math.floor(self.left * count), math.ceil(self.right * count)):
                yield zoom, col, row

    def touches(self, tile: Tile) -> bool:
        """Returns whether a tile shows any of the rectangle."""
        zoom, col, row = tile
        count = 2**zoom
        beside = (col + 1) / count <= self.left or col / count >= self.right
        return not beside and (row + 1) / count > self.top and row / count < self.bottom


ReadTile = Callable[[Tile], tuple[Pixels, npt.NDArray[np.bool_]] | None]
"""Gives ``(512, 512, 3)`` red, green and blue of a tile, and where there is ground; None of an empty one."""


def write_images(
    path: Path, pyramid: Pyramid, read: ReadTile, about: dict[str, Any], done: Callable[[], None] = lambda: None
) -> int:
    """Writes a PMTiles archive of WebP tiles.

    Args:
        path: The archive.
        pyramid: Which tiles.
        read: Reads a tile of the finest zoom.
        about: Metadata of the archive.
        done: Called after each tile of the finest zoom.

    Returns:
        How many tiles it holds; without any, no file is written.
    """
    with path.open("wb") as file:
        archive = Writer(file)
        for tile in pyramid.tiles(pyramid.coarsest):
            _write(archive, tile, pyramid, read, done)
        count: int = archive.addressed_tiles
        if count:
            archive.finalize(_header(pyramid), about)
    if not count:
        path.unlink()
    return count


def _write(archive: Writer, tile: Tile, pyramid: Pyramid, read: ReadTile, done: Callable[[], None]) -> Pixels | None:
    """Writes a tile and all finer ones in it, and returns its pixels ``(512, 512, 4)``."""
    if not pyramid.touches(tile):
        return None
    zoom, col, row = tile
    if zoom == pyramid.finest:
        found = read(tile)
        done()
        pixels = None if found is None else np.dstack([found[0], found[1].astype(np.uint8) * 255])
    else:
        parts = [
            [_write(archive, (zoom + 1, 2 * col + right, 2 * row + down), pyramid, read, done) for right in (0, 1)]
            for down in (0, 1)
        ]
        pixels = _halved(parts)
    if pixels is None or not pixels[..., 3].any():
        return None
    archive.write_tile(zxy_to_tileid(zoom, col % 2**zoom, row), _encoded(pixels))
    return pixels


def _halved(parts: list[list[Pixels | None]]) -> Pixels | None:
    if all(one is None for line in parts for one in line):
        return None
    half = TILE_PX // 2
    out = np.zeros((TILE_PX, TILE_PX, 4), np.uint8)
    for down, line in enumerate(parts):
        for right, one in enumerate(line):
            if one is not None:
                # Colour weighs by what is seen, so that edges of the imagery do not darken.
                seen = (one[..., 3:] > 0).astype(np.float32)
                colour = cv2.resize(one[..., :3] * seen, (half, half), interpolation=cv2.INTER_AREA)
                weight = cv2.resize(seen, (half, half), interpolation=cv2.INTER_AREA)[..., None]
                place = out[down * half : (down + 1) * half, right * half : (right + 1) * half]
                place[..., :3] = np.rint(colour / np.maximum(weight, 1e-6)).clip(0, 255)
                place[..., 3:] = np.where(weight > 0, 255, 0)
    return out


def _encoded(pixels: Pixels) -> bytes:
    whole = bool((pixels[..., 3] == 255).all())
    out = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(pixels[..., :3]) if whole else _spread(pixels)).save(
        out, "WEBP", quality=_QUALITY, method=_EFFORT, exact=True
    )
    return out.getvalue()


def _spread(pixels: Pixels) -> Pixels:
    """Gives clear pixels the colour of what is seen near them, since WebP mixes colours of neighbours."""
    seen = (pixels[..., 3:] > 0).astype(np.float32)
    colour = pixels[..., :3] * seen
    near, weight = (cv2.blur(one, (_NEAR_PX, _NEAR_PX), borderType=cv2.BORDER_REPLICATE) for one in (colour, seen))
    mean = colour.sum(axis=(0, 1)) / seen.sum()
    filled = np.where(weight[..., None] > 1e-4, near / np.maximum(weight[..., None], 1e-4), mean)
    out = pixels.copy()
    out[..., :3] = np.where(seen > 0, pixels[..., :3], np.rint(filled).clip(0, 255))
    return out


def _header(pyramid: Pyramid) -> dict[str, Any]:
    def degrees(x: float, y: float) -> tuple[float, float]:
        lat = math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * y))))
        return (x * 360 - 180 + 180) % 360 - 180 if not 0 <= x <= 1 else x * 360 - 180, lat

    west, north = degrees(pyramid.left, pyramid.top)
    east, south = degrees(pyramid.right, pyramid.bottom)
    middle = degrees((pyramid.left + pyramid.right) / 2, (pyramid.top + pyramid.bottom) / 2)
    return {
        "tile_type": TileType.WEBP,
        "tile_compression": Compression.NONE,
        "min_lon_e7": round(west * 1e7),
        "min_lat_e7": round(south * 1e7),
        "max_lon_e7": round(east * 1e7),
        "max_lat_e7": round(north * 1e7),
        "center_zoom": pyramid.coarsest + 2,
        "center_lon_e7": round(middle[0] * 1e7),
        "center_lat_e7": round(middle[1] * 1e7),
    }
