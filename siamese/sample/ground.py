"""The ground as maps: the cover of each pixel, its brightness within that cover, and where trees may stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from siamese.sample.arrays import Bytes, Floats, Ints, Points
from siamese.sample.covers import COVERS, is_any
from siamese.sample.noise import grain, smooth
from siamese.sample.trees import Crowns, Trees, plant
from siamese.sample.world import World

SHIFT: Final = 3
_CLEARED: Final = ("crop", "ripe", "soil")


def fixed(points: Points) -> Ints:
    """Converts pixels to OpenCV's fixed-point numbers with SHIFT fractional bits."""
    return np.round(points * (1 << SHIFT)).astype(np.int32)


@dataclass(frozen=True)
class Ground:
    """Maps shared by both dates, (H, W) each.

    Attributes:
        covers: uint8 cover numbers.
        level: uint8 brightness within the cover.
        broad: float32 0..1, large patches.
        patches: float32 0..1, patches of some 60 pixels and smaller.
        rough: uint8 fine grain around 128.
        trees: All trees.
        crowns: Trees' crowns; None without trees.
    """

    covers: Bytes
    level: Bytes
    broad: Floats
    patches: Floats
    rough: Bytes
    trees: Trees
    crowns: Crowns | None


def survey(world: World, rng: np.random.Generator) -> Ground:
    """Draws the maps of a ground and plants its trees.

    Args:
        world: The ground, already laid out.
        rng: Source of randomness.
    """
    shape = (world.size[1], world.size[0])
    broad = smooth(rng, shape, 240, 4)
    patches = smooth(rng, shape, 60, 4)
    woodland = smooth(rng, shape, 300, 4) + np.float32(0.14) * (patches - np.float32(0.5))
    rough = grain(rng, shape, 1.0)
    covers = np.full(shape, COVERS[world.cover], np.uint8)
    covers[patches > 0.9] = COVERS["dirt"] if world.cover in ("grass", "meadow") else COVERS["grass"]
    covers[woodland > 1 - world.wild] = COVERS["floor"]
    rows = np.full(shape, 128, np.uint8)
    for parcel in world.parcels:
        outline = np.round(parcel.outline).astype(np.int32)
        cv2.fillPoly(covers, [outline], COVERS[parcel.cover])
        if parcel.angle is not None and parcel.cover in _CLEARED:
            _plough(rows, outline, parcel.angle, rng)
    taken = is_any(covers, _CLEARED)
    for parcel in world.paved:
        cv2.fillPoly(covers, [fixed(parcel.outline)], COVERS[parcel.cover], cv2.LINE_8, SHIFT)
        cv2.fillPoly(taken, [fixed(parcel.outline)], 1, cv2.LINE_8, SHIFT)
    _water(world, covers, taken)
    _pave(world, covers, taken)
    for building in world.buildings:
        cv2.polylines(taken, [np.round(building.outline).astype(np.int32)], True, 1, 9)
        cv2.fillPoly(taken, [np.round(building.outline).astype(np.int32)], 1)
    trees = plant(world, woodland, broad, taken, rng)
    for plot in world.lots:
        cv2.fillPoly(rows, [fixed(plot)], int(np.clip(rng.normal(128, 30), 50, 206)), cv2.LINE_8, SHIFT)
    fine = cv2.addWeighted(cv2.convertScaleAbs(patches, alpha=255), 0.5, rough, 0.6, -12.8)
    level = cv2.addWeighted(cv2.convertScaleAbs(broad, alpha=255), 0.5, fine, 0.85, -0.35 * 128)
    level = cv2.addWeighted(level, 1, rows, 1, -128)
    return Ground(covers, level, broad, patches, rough, trees, Crowns.of(trees, shape, grain(rng, shape, 1.6)))


def _plough(rows: Bytes, outline: Ints, angle: float, rng: np.random.Generator) -> None:
    """Adds the rows of one field to the map of rows."""
    low, high = outline.min(0), outline.max(0)
    height, width = rows.shape
    x0, y0 = np.maximum(low, 0)
    x1, y1 = min(int(high[0]) + 1, width), min(int(high[1]) + 1, height)
    if x1 <= x0 or y1 <= y0:
        return
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    across = y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle))
    stripes = rng.normal(0, 12, 4096)
    stripes += 14 * np.sin(np.arange(4096) * 2 * np.pi / rng.uniform(5, 11))
    value = 128 + np.take(stripes, (across * 1.5 + 2048).astype(np.int32) % 4096) * rng.uniform(0.4, 1.3)
    mask = np.zeros(value.shape, np.uint8)
    cv2.fillPoly(mask, [outline - np.array([x0, y0], np.int32)], 1)
    window = rows[y0:y1, x0:x1]
    window[mask > 0] = value.clip(40, 216).astype(np.uint8)[mask > 0]


def _water(world: World, covers: Bytes, taken: Bytes) -> None:
    for path, width in world.water:
        line = [np.round(path).astype(np.int32)]
        cv2.polylines(covers, line, False, COVERS["meadow"], int(width * 1.25 + 10))
        cv2.polylines(covers, line, False, COVERS["sand"], int(width + 5))
        cv2.polylines(covers, line, False, COVERS["water"], int(width))
        cv2.polylines(taken, line, False, 1, int(width + 8))


def _pave(world: World, covers: Bytes, taken: Bytes) -> None:
    for road in world.roads:
        path = [fixed(road.path)]
        if road.surface == "asphalt":
            cv2.polylines(covers, path, False, COVERS[world.shoulder], int(road.width_px + 4), cv2.LINE_8, SHIFT)
        cv2.polylines(taken, path, False, 1, int(road.width_px + 8), cv2.LINE_8, SHIFT)
    for road in world.roads:
        cv2.polylines(covers, [fixed(road.path)], False, COVERS[road.surface], int(road.width_px), cv2.LINE_8, SHIFT)
