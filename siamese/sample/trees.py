"""Trees: where they stand, and their crowns as domes of leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from siamese.sample.arrays import Bytes, Floats, Ints, Points
from siamese.sample.world import World

SPACING_PX: Final = 11.0
EVERGREEN: Final = ((34, 48, 34), (64, 80, 54))
LEAFY: Final = ((46, 64, 38), (98, 112, 66))
BARE: Final = ((92, 82, 66), (124, 110, 88))
SCORCHED: Final = ((30, 26, 22), (68, 52, 38))
BROWNED: Final = ((84, 66, 44), (120, 96, 66))


@dataclass(frozen=True)
class Trees:
    """All trees.

    Attributes:
        places: (n, 2) pixels.
        radius: (n,) pixels.
        evergreen: (n,) whether the tree keeps its leaves.
    """

    places: Points
    radius: Points
    evergreen: Points


def plant(world: World, woodland: Floats, stands: Floats, taken: Bytes, rng: np.random.Generator) -> Trees:
    """Plants woods where the woodland field is high, and garden trees.

    Args:
        world: The ground, already laid out.
        woodland: (H, W) field in 0..1.
        stands: (H, W) field in 0..1 that determines the tree species.
        taken: (H, W) uint8, not 0 where no tree may stand.
        rng: Source of randomness.
    """
    width, height = world.size
    columns, rows = int(width / SPACING_PX) + 2, int(height / SPACING_PX) + 2
    spots = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2) * SPACING_PX
    spots = spots + rng.uniform(-0.48, 0.48, spots.shape) * SPACING_PX
    x, y = spots[:, 0].clip(0, width - 1).astype(int), spots[:, 1].clip(0, height - 1).astype(int)
    edge = 1 - world.wild
    dense = np.clip((woodland[y, x] - edge) / 0.12 + 0.5, 0, 1) if world.wild > 0 else np.zeros(len(spots))
    wood = spots[rng.random(len(spots)) < np.maximum(dense * 0.95, 0.012)]
    garden = np.array(world.garden).reshape(-1, 2)
    places = np.concatenate([wood, garden + rng.normal(0, 2, garden.shape)])
    radius = np.concatenate([rng.gamma(9, 0.82, len(wood)), rng.gamma(7, 1.25, len(garden))]).clip(3.5, 17)
    inside = (places[:, 0] >= 0) & (places[:, 1] >= 0) & (places[:, 0] < width) & (places[:, 1] < height)
    places, radius = places[inside], radius[inside]
    free = taken[places[:, 1].astype(int), places[:, 0].astype(int)] == 0
    places, radius = places[free], radius[free]
    x, y = places.astype(int).T
    # Species cluster: the lower half of the woodland's fine structure is evergreen.
    kind = stands[y, x] + rng.normal(0, 0.12, len(places))
    return Trees(places, radius, kind < rng.beta(1.2, 1.2))


@dataclass(frozen=True)
class Crowns:
    """Which tree each pixel belongs to, and its distance from the stem; shared by both dates.

    Attributes:
        nearest: (H, W) int32 index of the nearest tree.
        away: (H, W) float32 pixels to its stem, made ragged like foliage.
    """

    nearest: Ints
    away: Floats

    @staticmethod
    def of(trees: Trees, shape: tuple[int, int], ragged: Bytes) -> Crowns | None:
        """Finds the nearest tree of each pixel; None without trees.

        Args:
            trees: All trees.
            shape: Rows and columns.
            ragged: (H, W) uint8 grain around 128.
        """
        if not len(trees.places):
            return None
        free = np.full(shape, 255, np.uint8)
        x, y = trees.places.astype(int).T
        free[y, x] = 0
        labels: Ints
        away, labels = cv2.distanceTransformWithLabels(free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
        owner = np.zeros(len(trees.places) + 1, np.int32)
        owner[labels[y, x]] = np.arange(len(trees.places))
        away = cv2.addWeighted(away, 1, ragged, 0.035, -0.035 * 128, dtype=cv2.CV_32F)
        return Crowns(owner[labels], away)

    def domes(self, radius: Points) -> Floats:
        """Returns height above ground in metres for crowns of ``radius`` (n,) pixels, 0 outside them.

        Returns:
            (H, W) float32.
        """
        reach = np.take(np.maximum(radius, 0.01).astype(np.float32), self.nearest)
        part = cv2.divide(self.away, reach)
        top: Floats = (reach * np.float32(0.62) + np.float32(1.5)) * (reach > 1)
        domes: Floats = cv2.sqrt(np.maximum(1 - part * part, 0)) * top
        return domes


def leaf_colours(trees: Trees, dryness: float, harm: Points, burnt: bool, rng: np.random.Generator) -> Bytes:
    """Returns the colour of each tree.

    Args:
        trees: All trees.
        dryness: 0 lush to 1 dry: how far the leaves have turned.
        harm: (n,) 0..1: how far each tree was stripped or scorched.
        burnt: Whether the harm was caused by fire.
        rng: Source of randomness.

    Returns:
        (n, 3) uint8 RGB.
    """
    count = len(trees.places)

    def between(pair: tuple[tuple[int, int, int], tuple[int, int, int]]) -> Points:
        mixed: Points = np.array(pair[0]) + rng.random((count, 1)) * np.subtract(pair[1], pair[0])
        return mixed

    turned = (rng.random((count, 1)) * 0.6 + 0.7) * max(dryness - 0.35, 0) * 1.3
    leafy = between(LEAFY) * (1 - turned.clip(0, 1)) + between(BARE) * turned.clip(0, 1)
    colour = np.where(trees.evergreen[:, None], between(EVERGREEN), leafy)
    harmed = between(SCORCHED if burnt else BROWNED)
    blend = harm[:, None].clip(0, 1)
    colour = colour * (1 - blend) + harmed * blend + rng.normal(0, 2.5, (count, 3))
    tinted: Bytes = colour.clip(10, 230).astype(np.uint8)
    return tinted
