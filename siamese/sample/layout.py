"""Lays out the ground of each kind of scene: streets, plots, houses, fields, rivers."""

from __future__ import annotations

import cv2
import numpy as np

from siamese.sample.arrays import Points
from siamese.sample.buildings import hall, house, shed
from siamese.sample.plan import ScenePlan
from siamese.sample.streets import Grid, Plot, Road, street_grid, winding
from siamese.sample.world import Bay, Parcel, World

FIELD_COVERS = ("grass", "meadow", "crop", "crop", "ripe", "soil", "soil")


def lay_out(plan: ScenePlan, rng: np.random.Generator) -> World:
    """Makes the ground of a scene, except for its trees.

    Args:
        plan: The scene to make.
        rng: Source of randomness.
    """
    size = (plan.canvas_px, 1024)
    match plan.kind:
        case "woods":
            world = World(size, "meadow", wild=float(rng.uniform(0.7, 1)))
            _tracks(world, rng, int(rng.integers(0, 3)), "dirt")
        case "fields":
            world = World(size, "grass", wild=0.04)
            _fields(world, rng, float(rng.uniform(170, 330)))
            _tracks(world, rng, int(rng.integers(1, 3)), "dirt")
        case "mixed":
            world = World(size, "meadow", wild=float(rng.uniform(0.2, 0.55)))
            _tracks(world, rng, 1, "asphalt")
        case "rural":
            world = World(size, "grass", wild=float(rng.uniform(0.1, 0.4)))
            _fields(world, rng, float(rng.uniform(220, 380)))
            _farms(world, rng)
        case "suburb":
            world = World(size, "lawn", wild=float(rng.uniform(0.08, 0.25)))
            grid = street_grid(rng, size, between_px=215, cross_px=430, plot_px=56, width_px=13, sway_px=45)
            _settle(world, rng, grid, taken=0.78, large=0.02)
        case "estate":
            world = World(size, "lawn", wild=float(rng.uniform(0.15, 0.35)))
            grid = street_grid(rng, size, between_px=260, cross_px=520, plot_px=82, width_px=14, sway_px=80)
            _settle(world, rng, grid, taken=0.75, large=0.0)
        case "town":
            world = World(size, "lawn", wild=float(rng.uniform(0.02, 0.1)))
            grid = street_grid(rng, size, between_px=172, cross_px=330, plot_px=44, width_px=14, sway_px=18)
            _settle(world, rng, grid, taken=0.8, large=0.05)
        case "commercial":
            world = World(size, "grass", wild=float(rng.uniform(0.05, 0.25)))
            grid = street_grid(rng, size, between_px=330, cross_px=480, plot_px=150, width_px=20, sway_px=20)
            _trade(world, rng, grid)
    world.shoulder = str(rng.choice(["gravel", "dirt", "meadow", "concrete"]))
    river = {"flood": 0.85, "wind": 0.15, "fire": 0.1}[plan.event]
    if rng.random() < (river if plan.kind in ("mixed", "fields", "woods") else river * 0.4):
        _river(world, rng)
    _keep_clear(world)
    return world


def _keep_clear(world: World) -> None:
    """Drops buildings that stand on a road or overlap each other; earlier ones stay."""
    margin = 80
    taken = np.zeros((world.size[1] + 2 * margin, world.size[0] + 2 * margin), np.uint8)
    for road in world.roads:
        if road.surface == "asphalt":
            path = np.round(road.path + margin).astype(np.int32)
            cv2.polylines(taken, [path], False, 1, int(road.width_px + 3))
    kept = []
    for building in world.buildings:
        ring = np.round(building.outline + margin).astype(np.int32)
        low, high = np.maximum(ring.min(0), 0), ring.max(0) + 1
        window = taken[low[1] : high[1], low[0] : high[0]]
        own = np.zeros_like(window)
        if not own.size:
            continue
        cv2.fillPoly(own, [ring - low], 1)
        if not (own & window).any():
            cv2.fillPoly(taken, [ring], 1)
            cv2.polylines(taken, [ring], True, 1, 3)
            kept.append(building)
    world.buildings[:] = kept


def _tracks(world: World, rng: np.random.Generator, count: int, surface: str) -> None:
    for _ in range(count):
        width = float(rng.uniform(6, 9) if surface == "dirt" else rng.uniform(12, 18))
        world.roads.append(Road(winding(rng, world.size, 70), width, surface, marked=surface == "asphalt"))


def _river(world: World, rng: np.random.Generator) -> None:
    width = float(rng.uniform(25, 90))
    for _ in range(6):
        path = winding(rng, world.size, 160)
        clear = width / 2 + 28
        if all(np.hypot(*(path - b.centre).T).min() > clear for b in world.buildings):
            world.water.append((path, width))
            return
    if world.buildings:
        path = winding(rng, world.size, 120)
        keep = [b for b in world.buildings if np.hypot(*(path - b.centre).T).min() > width / 2 + 34]
        if len(keep) > 0.7 * len(world.buildings):
            world.buildings[:] = keep
            world.water.append((path, width))


def _fields(world: World, rng: np.random.Generator, target_px: float) -> None:
    angle = float(rng.normal(0, 0.3))
    reach = float(np.hypot(*world.size)) / 2 + 40
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    boxes = [(-reach, -reach, reach, reach)]
    while boxes:
        x0, y0, x1, y1 = boxes.pop()
        wide, high = x1 - x0, y1 - y0
        if max(wide, high) > target_px * rng.uniform(1.0, 2.2):
            share = rng.uniform(0.35, 0.65)
            if wide > high:
                cut = x0 + share * wide
                boxes += [(x0, y0, cut, y1), (cut, y0, x1, y1)]
            else:
                cut = y0 + share * high
                boxes += [(x0, y0, x1, cut), (x0, cut, x1, y1)]
            continue
        edge = rng.uniform(1, 4)
        corners = np.array(
            [(x0 + edge, y0 + edge), (x1 - edge, y0 + edge), (x1 - edge, y1 - edge), (x0 + edge, y1 - edge)]
        )
        rows = angle + (np.pi / 2 if high > wide else 0)
        cover = str(rng.choice(FIELD_COVERS))
        world.parcels.append(Parcel(corners @ turn.T + np.array(world.size) / 2, cover, rows))


def _fits(world: World, middle: Points, radius: float) -> bool:
    return all(np.hypot(*(b.centre - middle)) > radius for b in world.buildings)


def _settle(world: World, rng: np.random.Generator, grid: Grid, *, taken: float, large: float) -> None:
    world.leafy = float(rng.uniform(1.5, 6))
    world.roads += grid.roads
    empty = rng.uniform(-1, 1, 3)
    for plot, front in zip(grid.plots, grid.bend.at(np.array([plot.place for plot in grid.plots])), strict=True):
        if not _near(front, world.size, 60):
            continue
        # Vacant plots are clustered, as woods and parks are.
        lean = np.sin(front[0] / 190 + 3 * empty[0]) * np.cos(front[1] / 210 + 3 * empty[1])
        if rng.random() > taken + 0.28 * lean:
            continue
        _house_on(world, rng, grid, plot, bulk=1.35 if rng.random() < large else 1.0)


def _near(place: Points, size: tuple[int, int], margin: float) -> bool:
    return bool(-margin < place[0] < size[0] + margin and -margin < place[1] < size[1] + margin)


def _house_on(world: World, rng: np.random.Generator, grid: Grid, plot: Plot, *, bulk: float) -> None:
    street = grid.roads[0].width_px / 2
    depth = plot.depth_px
    long = min(plot.width_px * float(rng.uniform(0.55, 0.8)), 52.0) * bulk
    deep = min(float(rng.uniform(18, 27)) * bulk, depth * 0.36)
    setback = street + 13 + float(rng.uniform(4, max(5.0, depth * 0.2)))
    across = setback + deep / 2
    place = plot.place + np.array([rng.uniform(-0.08, 0.08) * plot.width_px, plot.side * across])
    middle, along = grid.bend.at(place), grid.bend.along(place) + rng.normal(0, 0.02)
    if rng.random() < 0.12:
        along, long = along + np.pi / 2, min(long, depth * 0.45)
    built = house(rng, middle, along, (max(long, deep * 1.05), deep))
    world.buildings.append(built)

    drive, half, back = rng.uniform(-0.36, 0.36), float(rng.uniform(2.6, 4.5)), setback + deep * 0.4
    near, far = drive - half / plot.width_px, drive + half / plot.width_px
    surface = str(rng.choice(["concrete", "concrete", "asphalt", "gravel"]))
    world.paved.append(Parcel(_at(grid, plot, [(near, street), (far, street), (far, back), (near, back)]), surface))
    stands = _at(grid, plot, [(drive, setback * 0.75), (rng.uniform(-0.4, 0.4), street - 3)])
    world.bays += [Bay(stands[0], along + np.pi / 2, 0.45), Bay(stands[1], along, 0.12)]
    lot = [(-0.5, street), (0.5, street), (0.5, depth), (-0.5, depth)]
    world.lots.append(_at(grid, plot, lot))
    rear = setback + deep + 12
    if rng.random() < 0.07 and depth - rear > 16:
        swing = np.linspace(0, 2 * np.pi, 14)[:-1]
        ring = np.stack([np.cos(swing) * rng.uniform(5, 8), np.sin(swing) * rng.uniform(3.5, 5)], -1)
        world.pools.append(_at(grid, plot, [(rng.uniform(-0.2, 0.2), (rear + depth) / 2)])[0] + ring)
    elif rng.random() < 0.24 and depth - rear > 10:
        hut = _at(grid, plot, [(rng.uniform(-0.36, 0.36), rng.uniform(rear + 4, depth - 4))])[0]
        if _fits(world, hut, 22):
            world.buildings.append(shed(rng, hut, along + rng.normal(0, 0.05)))
    trees = [(rng.uniform(-0.5, 0.5), rng.uniform(min(rear, depth), depth)) for _ in range(rng.poisson(world.leafy))]
    world.garden += list(_at(grid, plot, [*trees, (rng.uniform(-0.5, 0.5), street + 7)]))


def _at(grid: Grid, plot: Plot, places: list[tuple[float, float]]) -> Points:
    """Converts plot positions to pixels: each in plot widths from the middle, and pixels from the street's axis."""
    across = np.array([plot.width_px, plot.side])
    return grid.bend.at(plot.place + np.array(places) * across)


def _trade(world: World, rng: np.random.Generator, grid: Grid) -> None:
    world.roads += grid.roads
    street = grid.roads[0].width_px / 2
    for plot in grid.plots:
        if not _near(grid.bend.at(plot.place), world.size, 40) or rng.random() < 0.34:
            continue
        if rng.random() < 0.2:
            _house_on(world, rng, grid, plot, bulk=1.1)
            continue
        long = plot.width_px * float(rng.uniform(0.4, 0.78))
        deep = float(rng.uniform(26, max(30.0, min(78.0, plot.depth_px * 0.52))))
        across = plot.depth_px - deep / 2 - 14
        middle = plot.place + np.array([rng.uniform(-6, 6), plot.side * across])
        along = grid.bend.along(middle)
        world.buildings.append(hall(rng, grid.bend.at(middle), along, (long, deep)))
        _car_park(world, rng, grid, plot, street + 8, across - deep / 2 - 3)


def _car_park(world: World, rng: np.random.Generator, grid: Grid, plot: Plot, near: float, far: float) -> None:
    surface = str(rng.choice(["asphalt", "asphalt", "concrete", "gravel"]))
    half, entry, way = 0.46, rng.uniform(-0.36, 0.36), 6 / plot.width_px
    world.paved.append(Parcel(_at(grid, plot, [(-half, near), (half, near), (half, far), (-half, far)]), surface))
    gate = [(entry - way, 0.0), (entry + way, 0.0), (entry + way, near), (entry - way, near)]
    world.paved.append(Parcel(_at(grid, plot, gate), surface))
    busy = float(rng.uniform(0.1, 0.6))
    along = grid.bend.along(plot.place) + np.pi / 2
    for dv in np.arange(near + 8, far - 6, 26):
        row = [(du / plot.width_px, float(dv)) for du in np.arange(5, 2 * half * plot.width_px - 4, 6.5)]
        world.bays += [Bay(place, along, busy) for place in _at(grid, plot, [(du - half, dv) for du, dv in row])]


def _farms(world: World, rng: np.random.Generator) -> None:
    road = Road(winding(rng, world.size, 60), float(rng.uniform(12, 16)), marked=True)
    world.roads.append(road)
    for _ in range(int(rng.integers(3, 9))):
        for _ in range(8):
            step = int(rng.integers(5, len(road.path) - 5))
            ahead = road.path[step + 1] - road.path[step]
            across = np.array([-ahead[1], ahead[0]]) / np.hypot(*ahead) * rng.choice([-1, 1])
            yard = road.path[step] + across * rng.uniform(38, 90)
            if _near(yard, world.size, -30) and _fits(world, yard, 75) and _off_road(road, yard, 34):
                _farm(world, rng, yard, road.path[step], float(np.arctan2(ahead[1], ahead[0])))
                break


def _off_road(road: Road, place: Points, clear: float) -> bool:
    return bool(np.hypot(*(road.path - place).T).min() > clear)


def _farm(world: World, rng: np.random.Generator, yard: Points, gate: Points, along: float) -> None:
    surface = str(rng.choice(["gravel", "dirt", "grass"]))
    swing = np.linspace(0, 2 * np.pi, 12)[:-1]
    ring = np.stack([np.cos(swing), np.sin(swing)], -1) * rng.uniform(26, 40, (11, 1))
    world.parcels.append(Parcel(yard + ring * 1.5, "lawn"))
    world.parcels.append(Parcel(yard + ring * 0.8, surface))
    world.roads.append(Road(np.stack([gate, (gate + yard) / 2 + rng.normal(0, 4, 2), yard]), 6.0, "gravel"))
    turned = along + rng.normal(0, 0.15)
    world.buildings.append(house(rng, yard, turned, (float(rng.uniform(28, 46)), float(rng.uniform(19, 25)))))
    world.bays.append(Bay(yard + rng.normal(0, 20, 2), float(rng.uniform(0, 3)), 0.6))
    for _ in range(int(rng.integers(0, 4))):
        spot = yard + rng.normal(0, 42, 2)
        if _fits(world, spot, 46) and all(_off_road(road, spot, 20) for road in world.roads):
            if rng.random() < 0.5:
                world.buildings.append(
                    hall(rng, spot, turned, (float(rng.uniform(28, 60)), float(rng.uniform(16, 26))))
                )
            else:
                world.buildings.append(shed(rng, spot, turned))
    world.garden += [yard + rng.normal(0, 48, 2) for _ in range(8)]
