"""Road markings, swimming pools, and cars, which are at different places on each date."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from siamese.sample.arrays import Bytes, Floats
from siamese.sample.covers import COVERS
from siamese.sample.ground import SHIFT, fixed
from siamese.sample.world import World

CARS: Final = (
    (232, 232, 232), (205, 206, 208), (150, 152, 156), (58, 60, 64), (32, 33, 36), (140, 40, 36), (44, 66, 112),
    (120, 110, 96), (226, 226, 222),
)  # fmt: skip


def draw_markings(world: World, image: Bytes) -> None:
    """Paints road markings and pools into an (H, W, 3) RGB image."""
    for road in world.roads:
        if not road.marked:
            continue
        if road.width_px > 17:
            cv2.polylines(image, [fixed(road.path)], False, (196, 176, 96), 1, cv2.LINE_AA, SHIFT)
        for start, end in zip(road.path[:-1:2], road.path[1::2], strict=False):
            middle = start * 0.5 + end * 0.5
            ends = fixed(np.stack([middle * 0.4 + start * 0.6, middle]))
            cv2.line(image, tuple(ends[0]), tuple(ends[1]), (204, 202, 192), 1, cv2.LINE_AA, SHIFT)
    for pool in world.pools:
        cv2.fillPoly(image, [fixed(pool + (pool - pool.mean(0)) * 0.35)], (186, 180, 168), cv2.LINE_AA, SHIFT)
        cv2.fillPoly(image, [fixed(pool)], (92, 176, 196), cv2.LINE_AA, SHIFT)


def draw_cars(world: World, image: Bytes, height: Floats, covers: Bytes, rng: np.random.Generator) -> None:
    """Places cars on roads and in bays.

    Args:
        world: Where cars may stand.
        image: (H, W, 3) RGB, painted into.
        height: (H, W) metres above ground, raised where a car stands.
        covers: (H, W) cover numbers; no car stands in a flood.
        rng: Source of randomness.
    """
    body = np.array([[-4.6, -2], [4.6, -2], [4.6, 2], [-4.6, 2]])
    busy = rng.random(len(world.bays)) < np.array([bay.busy for bay in world.bays])
    spots = [(bay.place, bay.angle) for bay, there in zip(world.bays, busy, strict=True) if there]
    for road in world.roads:
        if road.surface == "asphalt":
            for _ in range(int(rng.poisson(len(road.path) / (12 if road.marked else 40)))):
                step = int(rng.integers(1, len(road.path)))
                ahead = road.path[step] - road.path[step - 1]
                across = np.array([-ahead[1], ahead[0]]) / max(np.hypot(*ahead), 1e-6)
                lane = across * road.width_px * 0.25 * rng.choice([-1, 1])
                spots.append((road.path[step] + lane, float(np.arctan2(ahead[1], ahead[0]))))
    for place, angle in spots:
        x, y = np.round(place).astype(int)
        if not (0 <= x < covers.shape[1] and 0 <= y < covers.shape[0]) or covers[y, x] == COVERS["flood"]:
            continue
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        outline = body * rng.uniform(0.85, 1.15) @ turn.T + place
        colour = CARS[rng.integers(len(CARS))]
        cv2.fillPoly(image, [fixed(outline)], colour, cv2.LINE_AA, SHIFT)
        glass = (outline - place) * np.array(0.5) + place
        cv2.fillPoly(image, [fixed(glass)], tuple(0.7 * c for c in colour), cv2.LINE_AA, SHIFT)
        cv2.fillPoly(height, [np.round(outline).astype(np.int32)], 1.4)
