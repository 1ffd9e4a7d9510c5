"""Draws one acquisition of a ground: covers, roads, buildings, cars, trees, shadows, light, air."""

from __future__ import annotations

import cv2
import numpy as np

from siamese.sample.arrays import Bytes
from siamese.sample.canopy import draw_crowns, draw_debris, draw_trunks
from siamese.sample.covers import COVERS, OPEN, is_any, paint, palette
from siamese.sample.damage import Harm, flooded
from siamese.sample.ground import Ground
from siamese.sample.light import LEVEL, Light, cast_shadows, illuminate
from siamese.sample.plan import Event
from siamese.sample.ruin import Ruins, stuff
from siamese.sample.structures import draw_building
from siamese.sample.traffic import draw_cars, draw_markings
from siamese.sample.world import World


def draw(
    world: World, ground: Ground, light: Light, rng: np.random.Generator, *, event: Event, harm: Harm | None
) -> Bytes:
    """Draws one acquisition, before sensor effects.

    Args:
        world: The objects on the ground.
        ground: The ground's maps.
        light: Sun, season, view.
        rng: Source of randomness.
        event: The disaster type.
        harm: Its effects; None before the event.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    covers, level = ground.covers, ground.level
    if harm is not None and harm.edge < 1:
        covers, level = _changed(world, ground, event, harm)
    image = paint(covers, level, palette(light.dryness, rng))
    height = np.zeros(covers.shape, np.float32)
    plain = image.copy() if event == "flood" and harm is not None else None
    draw_markings(world, image)
    if plain is not None:
        cv2.copyTo(plain, is_any(covers, ("flood",)), image)
    draw_cars(world, image, height, covers, rng)
    classes = harm.classes if harm else (0,) * len(world.buildings)
    ruins = Ruins(image, stuff(rng), rng) if any(classes) else None
    for building, grade in zip(world.buildings, classes, strict=True):
        draw_building(image, height, building, light, event, grade, ruins)
    if harm is not None and event == "wind" and harm.edge < 1:
        draw_debris(image, harm, rng)
        draw_trunks(ground.trees, image, harm, rng)
    level_ground = np.full(covers.shape, LEVEL, np.uint8)
    lit: Bytes = cv2.addWeighted(level_ground, 1, ground.rough, 0.17, -0.17 * 128)
    lit = draw_crowns(ground, image, height, lit, light, rng, event=event, harm=harm)
    shadow = cast_shadows(cv2.GaussianBlur(height, (0, 0), 0.7), light)
    dim = cv2.convertScaleAbs(shadow, alpha=-(1 - light.shade), beta=255)
    lit = cv2.multiply(lit, cv2.GaussianBlur(dim, (0, 0), 0.8), scale=1 / 255)
    return illuminate(image, lit, light)


def _changed(world: World, ground: Ground, event: Event, harm: Harm) -> tuple[Bytes, Bytes]:
    """Returns covers and brightness after the event."""
    covers, level = ground.covers.copy(), ground.level
    open_ground = is_any(covers, OPEN) > 0
    ragged = harm.field + np.float32(0.16) * (ground.patches - np.float32(0.5))
    ragged = cv2.addWeighted(ragged, 1, ground.rough, 0.0003, -0.0003 * 128, dtype=cv2.CV_32F)
    match event:
        case "flood":
            wet = flooded(world, harm, ground.rough)
            damp = cv2.dilate(wet, np.ones((9, 9), np.uint8))
            covers[(damp > 0) & open_ground] = COVERS["mud"]
            covers[wet > 0] = COVERS["flood"]
            covers[covers == COVERS["water"]] = COVERS["flood"]
            level = np.where(wet > 0, cv2.convertScaleAbs(ground.broad, alpha=150, beta=40), level)
        case "fire":
            scar = (ragged > harm.edge - 0.01).astype(np.uint8)
            covers[(ragged > harm.edge - 0.05) & open_ground] = COVERS["singed"]
            for building, grade in zip(world.buildings, harm.classes, strict=True):
                ring = [np.round(building.outline).astype(np.int32)]
                cv2.polylines(scar, ring, True, int(grade > 0), 26 if grade else 20)
            covers[(scar > 0) & open_ground] = COVERS["burnt"]
        case "wind":
            bare = harm.field * 0.6 + ground.patches * 0.55 > harm.edge * 0.6 + 0.52
            covers[bare & open_ground] = COVERS["litter"]
    return covers, level
