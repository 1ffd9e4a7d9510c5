"""Draws one acquisition of a ground: covers, roads, buildings, cars, trees, shadows, light, air."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from siamese.sample.arrays import Bytes, Floats, Points
from siamese.sample.buildings import Building
from siamese.sample.covers import COVERS, OPEN, lookup, paint, palette
from siamese.sample.damage import DESTROYED, Harm, flooded
from siamese.sample.ground import SHIFT, Ground, fixed
from siamese.sample.light import LEVEL, Light, cast_shadows, illuminate
from siamese.sample.plan import Event
from siamese.sample.ruin import Ruins, stuff
from siamese.sample.trees import leaf_colours
from siamese.sample.world import World

CARS: Final = (
    (232, 232, 232), (205, 206, 208), (150, 152, 156), (58, 60, 64), (32, 33, 36), (140, 40, 36), (44, 66, 112),
    (120, 110, 96), (226, 226, 222),
)  # fmt: skip


def draw(
    world: World, ground: Ground, light: Light, rng: np.random.Generator, *, event: Event, harm: Harm | None
) -> Bytes:
    """Draws one acquisition, before the sensor sees it.

    Args:
        world: What stands on the ground.
        ground: Its maps.
        light: Sun, season, view.
        rng: Source of randomness.
        event: What struck.
        harm: What it did; None before the event.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    covers, level = ground.covers, ground.level
    if harm is not None and harm.edge < 1:
        covers, level = _changed(world, ground, event, harm)
    image = paint(covers, level, palette(light.dryness, rng))
    height = np.zeros(covers.shape, np.float32)
    plain = image.copy() if event == "flood" and harm is not None else None
    _markings(world, image)
    if plain is not None:
        cv2.copyTo(plain, (covers == COVERS["flood"]).astype(np.uint8), image)
    _cars(world, image, height, covers, light, rng)
    classes = harm.classes if harm else (0,) * len(world.buildings)
    ruins = Ruins(image, stuff(rng), rng) if any(classes) else None
    for building, grade in zip(world.buildings, classes, strict=True):
        _building(image, height, building, light, event, grade, ruins)
    if harm is not None and event == "wind" and harm.edge < 1:
        _scatter(image, harm, rng)
        _trunks(world, image, harm, rng)
    lit = np.full(covers.shape, LEVEL, np.uint8)
    lit = cv2.addWeighted(lit, 1, ground.rough, 0.17, -0.17 * 128)
    lit = _trees(world, ground, image, height, lit, light, rng, event, harm)
    shadow = cast_shadows(cv2.GaussianBlur(height, (0, 0), 0.7), light)
    dim = cv2.convertScaleAbs(shadow, alpha=-(1 - light.shade), beta=255)
    lit = cv2.multiply(lit, cv2.GaussianBlur(dim, (0, 0), 0.8), scale=1 / 255)
    return illuminate(image, lit, light)


def _changed(world: World, ground: Ground, event: Event, harm: Harm) -> tuple[Bytes, Bytes]:
    """Covers and brightness after the event."""
    covers, level = ground.covers.copy(), ground.level
    open_ground = np.isin(covers, OPEN)
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


def _markings(world: World, image: Bytes) -> None:
    for road in world.roads:
        if not road.marked:
            continue
        if road.width_px > 17:
            cv2.polylines(image, [fixed(road.path)], False, (196, 176, 96), 1, cv2.LINE_AA, SHIFT)
        for start, end in zip(road.path[:-1:2], road.path[1::2], strict=False):
            middle = (start * 0.5 + end * 0.5)
            ends = fixed(np.stack([middle * 0.4 + start * 0.6, middle]))
            cv2.line(image, tuple(ends[0]), tuple(ends[1]), (204, 202, 192), 1, cv2.LINE_AA, SHIFT)
    for pool in world.pools:
        cv2.fillPoly(image, [fixed(pool + (pool - pool.mean(0)) * 0.35)], (186, 180, 168), cv2.LINE_AA, SHIFT)
        cv2.fillPoly(image, [fixed(pool)], (92, 176, 196), cv2.LINE_AA, SHIFT)


def _cars(
    world: World, image: Bytes, height: Floats, covers: Bytes, light: Light, rng: np.random.Generator
) -> None:
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


def _tone(colour: tuple[float, float, float], by: float) -> tuple[float, float, float]:
    red, green, blue = (float(min(part * by, 255.0)) for part in colour)
    return red, green, blue


def _building(
    image: Bytes, height: Floats, building: Building, light: Light, event: Event, grade: int, ruins: Ruins | None
) -> None:
    """Draws one building: walls, roof planes, ridges, plant; then its damage; then how high it is."""
    if ruins and grade == DESTROYED:
        paint_ruin = {"wind": ruins.wind, "flood": ruins.flood, "fire": ruins.fire}[event]
        paint_ruin(building.outline, grade)
        cv2.fillPoly(height, [np.round(building.outline).astype(np.int32)], 0.5)
        return
    lean = light.lean(building.height_m)
    seen = building.moved(lean)
    hull = cv2.convexHull(np.concatenate([building.outline, seen.outline]).astype(np.float32))[:, 0]
    if len(building.outline) == 4:
        cv2.fillPoly(image, [fixed(hull)], _tone((168, 158, 146), 0.8), cv2.LINE_AA, SHIFT)
    else:
        cv2.fillPoly(image, [fixed(building.outline)], _tone((168, 158, 146), 0.8), cv2.LINE_AA, SHIFT)
    cv2.fillPoly(image, [fixed(seen.outline)], building.colour, cv2.LINE_AA, SHIFT)
    for facet in seen.facets:
        shade = light.facing(facet.facing, building.pitch_deg)
        cv2.fillPoly(image, [fixed(facet.corners)], _tone(building.colour, shade), cv2.LINE_AA, SHIFT)
    if building.roof == "flat":
        cv2.polylines(image, [fixed(seen.outline)], True, _tone(building.colour, 1.12), 1, cv2.LINE_AA, SHIFT)
    for line in seen.lines:
        cv2.polylines(image, [fixed(line)], False, _tone(building.colour, 1.1), 1, cv2.LINE_AA, SHIFT)
    for box in seen.boxes:
        cv2.fillPoly(image, [fixed(box - light.to_sun[:2] * 2)], _tone(building.colour, 0.5), cv2.LINE_AA, SHIFT)
        cv2.fillPoly(image, [fixed(box)], (176, 176, 172), cv2.LINE_AA, SHIFT)
    if ruins and grade:
        paint_ruin = {"wind": ruins.wind, "flood": ruins.flood, "fire": ruins.fire}[event]
        paint_ruin(seen.outline, grade)
    cv2.fillPoly(height, [np.round(seen.outline).astype(np.int32)], building.height_m)


def _scatter(image: Bytes, harm: Harm, rng: np.random.Generator) -> None:
    """Debris strewn on the ground where the wind was strong."""
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


def _trunks(world: World, image: Bytes, harm: Harm, rng: np.random.Generator) -> None:
    """Fallen trees, most of them with the wind."""
    x, y = world.trees.places.astype(int).T
    down = (harm.field[y, x] - harm.edge) * 2.5 > rng.random(len(x))
    wind = rng.uniform(0, np.pi)
    for place, radius in zip(world.trees.places[down], world.trees.radius[down], strict=True):
        angle = wind + rng.normal(0, 0.5)
        ends = fixed(np.stack([place, place + radius * 2.2 * np.array([np.cos(angle), np.sin(angle)])]))
        shade = float(rng.uniform(0.6, 1.15))
        cv2.line(image, tuple(ends[0]), tuple(ends[1]), _tone((112, 94, 72), shade), 1, cv2.LINE_AA, SHIFT)
        for _ in range(4):
            twig = place + radius * (1.3 * np.array([np.cos(angle), np.sin(angle)]) + rng.normal(0, 0.5, 2))
            ends = fixed(np.stack([twig, twig + rng.normal(0, 0.5 * radius, 2)]))
            cv2.line(image, tuple(ends[0]), tuple(ends[1]), _tone((92, 78, 54), shade), 1, cv2.LINE_AA, SHIFT)


def _trees(
    world: World,
    ground: Ground,
    image: Bytes,
    height: Floats,
    lit: Bytes,
    light: Light,
    rng: np.random.Generator,
    event: Event,
    harm: Harm | None,
) -> Bytes:
    """Draws crowns into the image and the height map; returns the light map with leaves in it."""
    if ground.crowns is None:
        return lit
    harmed, radius = _harmed(world, rng, event, harm)
    dome = ground.crowns.domes(radius)
    over = dome > np.maximum(height * 0.6, 0.8)
    mask = over.astype(np.uint8) * 255
    colours = leaf_colours(world.trees, light.dryness, harmed, event == "fire", rng)
    cv2.copyTo(lookup(colours, ground.crowns.nearest), mask, image)
    np.maximum(height, np.where(over, dome, 0), out=height)
    sun = light.to_sun
    kernel = np.zeros((3, 3), np.float32)
    kernel[1, 0], kernel[1, 2] = -sun[0], sun[0]
    kernel[0, 1], kernel[2, 1] = -sun[1], sun[1]
    # A crown is bright where it rises away from the sun's side: where height grows against the light.
    slope = cv2.filter2D(dome, cv2.CV_32F, kernel)
    leaves = cv2.addWeighted(slope, -30.0, ground.rough, 0.5, LEVEL * 0.95 - 0.5 * 128, dtype=cv2.CV_32F)
    np.clip(leaves, 30, 230, out=leaves)
    cv2.copyTo(leaves.astype(np.uint8), mask, lit)
    return lit


def _harmed(
    world: World, rng: np.random.Generator, event: Event, harm: Harm | None
) -> tuple[Points, Points]:
    """How far each tree is harmed, 0..1, and its radius now."""
    trees = world.trees
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
