"""Draws trees as they are on one date: leafy, stripped, scorched or felled; and debris scattered by the wind."""

from __future__ import annotations

import cv2
import numpy as np

from siamese.sample.arrays import Bytes, Floats, Points
from siamese.sample.covers import lookup
from siamese.sample.damage import Harm
from siamese.sample.ground import SHIFT, Ground, fixed
from siamese.sample.light import LEVEL, Light
from siamese.sample.plan import Event
from siamese.sample.trees import Trees, leaf_colours


def draw_crowns(
    ground: Ground,
    image: Bytes,
    height: Floats,
    lit: Bytes,
    light: Light,
    rng: np.random.Generator,
    *,
    event: Event,
    harm: Harm | None,
) -> Bytes:
    """Draws crowns.

    Args:
        ground: Trees and their crowns.
        image: (H, W, 3) RGB, painted into.
        height: (H, W) metres above ground, raised to the crowns.
        lit: (H, W) light map, painted into.
        light: The acquisition.
        rng: Source of randomness.
        event: The disaster type.
        harm: Its effects; None before the event.

    Returns:
        The light map, including foliage.
    """
    if ground.crowns is None:
        return lit
    harmed, radius = _harmed(ground.trees, rng, event, harm)
    dome = ground.crowns.domes(radius)
    over = dome > np.maximum(height * 0.6, 0.8)
    mask = over.astype(np.uint8) * 255
    colours = leaf_colours(ground.trees, light.dryness, harmed, event == "fire", rng)
    cv2.copyTo(lookup(colours, ground.crowns.nearest), mask, image)
    np.maximum(height, np.where(over, dome, 0), out=height)
    sun = light.to_sun
    kernel = np.zeros((3, 3), np.float32)
    kernel[1, 0], kernel[1, 2] = -sun[0], sun[0]
    kernel[0, 1], kernel[2, 1] = -sun[1], sun[1]
    # A crown is bright where it slopes towards the sun.
    slope = cv2.filter2D(dome, cv2.CV_32F, kernel)
    leaves = cv2.addWeighted(slope, -30.0, ground.rough, 0.5, LEVEL * 0.95 - 0.5 * 128, dtype=cv2.CV_32F)
    np.clip(leaves, 30, 230, out=leaves)
    cv2.copyTo(leaves.astype(np.uint8), mask, lit)
    return lit


def _harmed(trees: Trees, rng: np.random.Generator, event: Event, harm: Harm | None) -> tuple[Points, Points]:
    """Returns each tree's degree of harm, 0..1, and its current radius."""
    none = np.zeros(len(trees.places))
    if harm is None or harm.edge >= 1 or event == "flood":
        return none, trees.radius
    x, y = trees.places.astype(int).T
    over = harm.field[y, x] - harm.edge + rng.normal(0, 0.05, len(none))
    if event == "fire":
        hit = np.clip(over / 0.08 + 0.3, 0, 1)
        return hit, trees.radius * (1 - 0.35 * hit)
    hit = np.clip(over / 0.25 + 0.1, 0, 1)
    felled = rng.random(len(none)) < hit * 0.75
    return hit, np.where(felled, 0.0, trees.radius * (1 - 0.4 * hit))


def draw_trunks(trees: Trees, image: Bytes, harm: Harm, rng: np.random.Generator) -> None:
    """Draws fallen trees, most of them in the wind's direction."""
    x, y = trees.places.astype(int).T
    down = (harm.field[y, x] - harm.edge) * 2.5 > rng.random(len(x))
    foot, reach = trees.places[down], trees.radius[down, None]
    angle = rng.uniform(0, np.pi) + rng.normal(0, 0.5, len(foot))
    along = np.stack([np.cos(angle), np.sin(angle)], -1)
    segments = [np.stack([foot, foot + 2.2 * reach * along], 1)]
    for _ in range(3):
        twig = foot + reach * (1.3 * along + rng.normal(0, 0.5, foot.shape))
        segments.append(np.stack([twig, twig + reach * rng.normal(0, 0.5, foot.shape)], 1))
    for colour, lines in zip(((116, 98, 76), (96, 82, 58), (78, 64, 46), (128, 112, 90)), segments, strict=True):
        cv2.polylines(image, list(fixed(lines)), False, colour, 1, cv2.LINE_AA, SHIFT)


def draw_debris(image: Bytes, harm: Harm, rng: np.random.Generator) -> None:
    """Draws debris scattered on the ground where the wind was strong."""
    rows, columns = harm.field.shape
    count = 9000 * rows * columns // (1024 * 1024)
    x, y = rng.integers(0, columns - 3, count), rng.integers(0, rows - 3, count)
    strength = np.clip((harm.field[y, x] - harm.edge + 0.05) * 3, 0, 1)
    kept = rng.random(count) < strength**2
    tint = np.array([(226, 222, 214), (196, 178, 152), (150, 128, 108), (120, 112, 106), (180, 188, 200)])
    colour = tint[rng.integers(len(tint), size=count)]
    for dx, dy in ((0, 0), (1, 0), (0, 1)):
        part = kept & (rng.random(count) < 0.75)
        image[y[part] + dy, x[part] + dx] = colour[part]
