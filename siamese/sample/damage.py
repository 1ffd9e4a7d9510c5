"""Distributes the damage: a field over the ground, and the damage class of each building."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from siamese.sample.arrays import Bytes, Floats, Ints
from siamese.sample.noise import smooth
from siamese.sample.plan import Event, ScenePlan, Severity
from siamese.sample.world import World

NONE, MINOR, MAJOR, DESTROYED = 0, 1, 2, 3
_COARSE: Final = 4
SUBTYPE_OF: Final = ("no-damage", "minor-damage", "major-damage", "destroyed")

# Shares of minor, major and destroyed buildings.
_SHARES: Final[dict[tuple[Event, Severity], tuple[float, float, float]]] = {
    ("wind", "heavy"): (0.28, 0.21, 0.22),
    ("wind", "moderate"): (0.18, 0.09, 0.05),
    ("wind", "light"): (0.07, 0.02, 0.0),
    ("flood", "heavy"): (0.27, 0.33, 0.16),
    ("flood", "moderate"): (0.14, 0.12, 0.03),
    ("flood", "light"): (0.05, 0.02, 0.0),
    ("fire", "heavy"): (0.05, 0.05, 0.44),
    ("fire", "moderate"): (0.03, 0.02, 0.17),
    ("fire", "light"): (0.01, 0.0, 0.05),
}
_REACH: Final[dict[Severity, float]] = {"heavy": 0.8, "moderate": 0.45, "light": 0.2, "none": 0.0}


@dataclass(frozen=True)
class Harm:
    """The effects of the event.

    Attributes:
        field: (H, W) float32 intensity in 0..1, before thresholds.
        edge: Intensity from which the ground shows the event; above 1 if it shows nowhere.
        classes: Damage class of each building, 0..3, in the order of the world's buildings.
        hidden: Whether each building's damage is impossible to see.
        cloud: (H, W) float32 0..1: how much cloud or smoke hides the ground afterwards; None for clear air.
    """

    field: Floats
    edge: float
    classes: tuple[int, ...]
    hidden: tuple[bool, ...]
    cloud: Floats | None


def strike(plan: ScenePlan, world: World, rng: np.random.Generator) -> Harm:
    """Simulates the event.

    Args:
        plan: Event and severity.
        world: The ground.
        rng: Source of randomness.
    """
    field = _field(plan.event, world, rng)
    count = len(world.buildings)
    shares = _SHARES.get((plan.event, plan.severity), (0.0, 0.0, 0.0))
    if plan.severity == "none" or not any(shares):
        classes, edge = np.zeros(count, int), 2.0
    else:
        centres = np.array([b.centre for b in world.buildings]).reshape(-1, 2)
        x = centres[:, 0].clip(0, world.size[0] - 1).astype(int)
        y = centres[:, 1].clip(0, world.size[1] - 1).astype(int)
        spread = {"wind": 0.10, "flood": 0.03, "fire": 0.05}[plan.event]
        score = field[y, x] + rng.normal(0, spread, count)
        classes, edge = _graded(score, shares, rng)
        if not count:
            edge = float(np.quantile(field, 1 - _REACH[plan.severity]))
    cloud, hidden = _cloud(plan, world, rng)
    return Harm(field, edge, tuple(int(c) for c in classes), hidden, cloud)


def _graded(score: Floats, shares: tuple[float, float, float], rng: np.random.Generator) -> tuple[Ints, float]:
    """Assigns classes by rank of the score, so that each share is met whatever the field looks like."""
    count = len(score)
    rank = np.argsort(np.argsort(-score))
    destroyed, major, minor = (int(share * count + rng.random()) for share in shares[::-1])
    ends = np.cumsum([destroyed, major, minor])
    classes = np.select([rank < end for end in ends], [DESTROYED, MAJOR, MINOR], NONE)
    hit = score[classes > NONE]
    return classes, float(hit.min()) if len(hit) else 0.95


def _field(event: Event, world: World, rng: np.random.Generator) -> Floats:
    size = world.size
    field = _coarse_field(event, world, (size[1] // _COARSE, size[0] // _COARSE), rng)
    return cv2.resize(field.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)


def _coarse_field(event: Event, world: World, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Returns the field at every _COARSE-th row and column, since it has no finer detail than that."""
    broad = smooth(rng, shape, 380 / _COARSE, 4)
    x, y = np.meshgrid(np.arange(shape[1]) * _COARSE, np.arange(shape[0]) * _COARSE, sparse=True)
    angle = rng.uniform(0, 2 * np.pi)
    middle = np.array(world.size) * rng.uniform(0.2, 0.8, 2)
    across = (x - middle[0]) * np.cos(angle) + (y - middle[1]) * np.sin(angle)
    slope: Floats = np.clip(across / 1400 + 0.5, 0, 1)
    match event:
        case "wind":
            track: Floats = np.exp(-np.square(across / rng.uniform(200, 380)))
            return track * 0.75 + broad * 0.25
        case "fire":
            return slope * 0.6 + broad * 0.4
        case "flood":
            low = slope * 0.6
            if world.water:
                dry = np.full(shape, 255, np.uint8)
                for path, wide in world.water:
                    cv2.polylines(dry, [np.round(path / _COARSE).astype(np.int32)], False, 0, int(wide / _COARSE))
                low = 0.75 * np.exp(-cv2.distanceTransform(dry, cv2.DIST_L2, 5) * _COARSE / 260)
            return low + broad * 0.25


def _cloud(plan: ScenePlan, world: World, rng: np.random.Generator) -> tuple[Floats | None, tuple[bool, ...]]:
    """Hides buildings under cloud or smoke in some scenes; a few others are unclear for other reasons."""
    count = len(world.buildings)
    odd = rng.random(count) < 0.018
    if rng.random() > (0.4 if plan.event == "fire" else 0.22):
        return None, tuple(bool(o) for o in odd)
    shape = (world.size[1], world.size[0])
    puffs = smooth(rng, shape, 330, 4)
    cloud = np.clip((puffs - rng.uniform(0.55, 0.78)) / 0.34, 0, 1).astype(np.float32)
    cloud = np.minimum(cloud * cloud * (3 - 2 * cloud) * np.float32(1.1), 1)
    for number, building in enumerate(world.buildings):
        x, y = building.centre.clip(0, (world.size[0] - 1, world.size[1] - 1)).astype(int)
        odd[number] |= bool(cloud[y, x] > 0.7)
    return cloud, tuple(bool(o) for o in odd)


def flooded(world: World, harm: Harm, rough: Bytes) -> Bytes:
    """Returns where water stands after a flood: by the field, and consistent with the class of each building.

    Args:
        world: The ground.
        harm: The effects of the event.
        rough: (H, W) uint8 grain around 128 that roughens the shore.

    Returns:
        (H, W) uint8, 255 under water, soft at the shore.
    """
    level = cv2.addWeighted(harm.field, 1, rough, 0.0008, -0.0008 * 128, dtype=cv2.CV_32F)
    wet = (level > harm.edge - 0.015).astype(np.uint8) * 255
    order = (NONE, MINOR, MAJOR, DESTROYED)
    outlines = [np.round(b.outline).astype(np.int32) for b in world.buildings]
    for grade, reach, value in (
        (NONE, 56, 0),
        (MINOR, 74, 255),
        (MAJOR, 44, 255),
        (DESTROYED, 52, 255),
        (MINOR, 22, 0),
    ):
        rings = [o for o, c in zip(outlines, harm.classes, strict=True) if c == order[grade]]
        for ring in rings:
            cv2.polylines(wet, [ring], True, value, reach)
            cv2.fillPoly(wet, [ring], 0 if grade <= MINOR else 255)
    soft = cv2.GaussianBlur(wet, (0, 0), 4)
    rim = cv2.addWeighted(soft, 1, rough, 0.5, -64)
    return cv2.threshold(rim, 127, 255, cv2.THRESH_BINARY)[1]
