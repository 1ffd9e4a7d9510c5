"""Buildings: footprints of many shapes, and roofs made of sloping facets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Literal

import numpy as np

from siamese.sample.arrays import Points

Roof = Literal["gable", "hip", "flat"]
Colour = tuple[float, float, float]

HOUSE_COLOURS: Final[tuple[Colour, ...]] = (
    (112, 108, 104), (138, 134, 128), (94, 88, 84), (78, 74, 74), (124, 106, 92), (146, 126, 106), (104, 86, 74),
    (172, 154, 132), (158, 104, 80), (134, 84, 68), (188, 184, 178), (214, 214, 212), (96, 112, 104), (104, 114, 128),
)  # fmt: skip
HALL_COLOURS: Final[tuple[Colour, ...]] = (
    (206, 206, 202), (178, 178, 176), (160, 158, 152), (226, 226, 226), (132, 140, 148), (186, 176, 160), (124, 84, 74),
)  # fmt: skip


@dataclass(frozen=True)
class Facet:
    """One plane of a roof.

    Attributes:
        corners: (n, 2) pixels, x and y.
        facing: Unit vector in the image pointing down the slope; (0, 0) for flat.
    """

    corners: Points
    facing: Points


@dataclass(frozen=True)
class Building:
    """One building as it stood before the event.

    Attributes:
        outline: (n, 2) footprint in pixels, x and y, not closed.
        facets: Planes of the roof; together they cover the outline.
        lines: Ridges and parapets, (2, 2) each.
        boxes: Rooftop plant, skylights, chimneys: small outlines.
        roof: Roof type.
        colour: RGB of the roof in level light.
        pitch_deg: Slope of the facets.
        height_m: Mean height of the roof.
    """

    outline: Points
    facets: tuple[Facet, ...]
    lines: tuple[Points, ...]
    boxes: tuple[Points, ...]
    roof: Roof
    colour: Colour
    pitch_deg: float
    height_m: float

    @cached_property
    def centre(self) -> Points:
        """(2,) centre of the bounding box."""
        middle: Points = (self.outline.min(0) + self.outline.max(0)) / 2
        return middle

    def moved(self, by: Points) -> Building:
        """Returns a copy of the building at another position."""
        return replace(
            self,
            outline=self.outline + by,
            facets=tuple(Facet(facet.corners + by, facet.facing) for facet in self.facets),
            lines=tuple(line + by for line in self.lines),
            boxes=tuple(box + by for box in self.boxes),
        )


@dataclass(frozen=True)
class _Wing:
    """A part that projects from the main body, at ``middle`` along it, on side +1 or -1."""

    middle: float
    width: float
    reach: float
    side: int


def house(rng: np.random.Generator, centre: Points, angle: float, size: tuple[float, float]) -> Building:
    """Makes a dwelling: a rectangle with up to two wings under a gable or hip roof, occasionally flat.

    Args:
        rng: Source of randomness.
        centre: (2,) pixels.
        angle: Direction of the long side in radians.
        size: Length and depth of the main body in pixels.
    """
    roof: Roof = rng.choice(["gable", "hip", "flat"], p=[0.5, 0.42, 0.08])
    wings = _wings(rng, *size)
    colour = _varied(rng, HOUSE_COLOURS[rng.integers(len(HOUSE_COLOURS))])
    return _assemble(rng, centre, angle, size, roof, wings, colour, float(rng.uniform(3.2, 6.5)))


def shed(rng: np.random.Generator, centre: Points, angle: float) -> Building:
    """Makes a small outbuilding."""
    size = (float(rng.uniform(9, 16)), float(rng.uniform(7, 11)))
    colour = _varied(rng, HOUSE_COLOURS[rng.integers(len(HOUSE_COLOURS))])
    return _assemble(rng, centre, angle, size, "gable", (), colour, float(rng.uniform(2, 2.8)))


def hall(rng: np.random.Generator, centre: Points, angle: float, size: tuple[float, float]) -> Building:
    """Makes a shop, school or workshop: large, with a flat or low-pitched roof and plant on it."""
    roof: Roof = rng.choice(["flat", "gable"], p=[0.7, 0.3])
    wings = _wings(rng, *size) if roof == "flat" else ()
    colour = _varied(rng, HALL_COLOURS[rng.integers(len(HALL_COLOURS))])
    made = _assemble(rng, centre, angle, size, roof, wings, colour, float(rng.uniform(5, 10)))
    return replace(made, pitch_deg=min(made.pitch_deg, 10.0))


def _varied(rng: np.random.Generator, colour: Colour) -> Colour:
    light = rng.normal(1, 0.07)
    red, green, blue = (float(np.clip(part * light + rng.normal(0, 3), 30, 240)) for part in colour)
    return red, green, blue


def _wings(rng: np.random.Generator, length: float, depth: float) -> tuple[_Wing, ...]:
    shape = rng.choice(["rectangle", "L", "T", "Z", "U"], p=[0.36, 0.32, 0.14, 0.1, 0.08])
    width = min(depth, length * 0.42) * float(rng.uniform(0.75, 0.98))
    reach = depth * float(rng.uniform(0.25, 0.7))
    edge, side = (length - width) / 2, int(rng.choice([-1, 1]))
    match shape:
        case "L":
            return (_Wing(edge * int(rng.choice([-1, 1])), width, reach, side),)
        case "T":
            return (_Wing(edge * float(rng.uniform(-0.5, 0.5)), width, reach, side),)
        case "Z":
            return _Wing(edge, width, reach, 1), _Wing(-edge, width, reach * 0.8, -1)
        case "U":
            return _Wing(edge, width, reach, side), _Wing(-edge, width, reach * 0.9, side)
        case _:
            return ()


def _assemble(
    rng: np.random.Generator,
    centre: Points,
    angle: float,
    size: tuple[float, float],
    roof: Roof,
    wings: tuple[_Wing, ...],
    colour: Colour,
    height_m: float,
) -> Building:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def place(points: object) -> Points:
        placed: Points = np.asarray(points, float) @ turn.T + centre
        return placed

    length, depth = size
    outline = _outline(length, depth, wings)
    boxes: list[Points] = []
    facets: list[tuple[object, tuple[float, float]]] = [(outline, (0.0, 0.0))]
    lines: list[object] = []
    if roof == "flat":
        for _ in range(int(rng.poisson(length * depth / 1500))):
            middle = rng.uniform(-0.38, 0.38, 2) * size
            boxes.append(_rectangle(middle, rng.uniform(2, 5, 2)))
    else:
        facets, lines = _ridged(length, depth, wings, roof == "hip")
        if rng.random() < 0.4 and length > 20:
            boxes.append(_rectangle(np.array([rng.uniform(-0.3, 0.3) * length, 0]), np.array([1.4, 1.4])))
    return Building(
        outline=place(outline),
        facets=tuple(Facet(place(corners), turn @ np.asarray(facing)) for corners, facing in facets),
        lines=tuple(place(line) for line in lines),
        boxes=tuple(place(box) for box in boxes),
        roof=roof,
        colour=colour,
        pitch_deg=float(rng.uniform(18, 34)),
        height_m=height_m,
    )


def _rectangle(middle: Points, half: Points) -> Points:
    corners: Points = middle + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return corners


def _outline(length: float, depth: float, wings: tuple[_Wing, ...]) -> Points:
    ring: list[tuple[float, float]] = []
    for side in (-1, 1):
        # Walk along the -y side left to right, then back along the +y side.
        ring.append((-length / 2, -depth / 2) if side < 0 else (length / 2, depth / 2))
        for wing in sorted((w for w in wings if w.side == side), key=lambda w: -side * w.middle):
            near, far = (wing.middle + side * wing.width / 2, wing.middle - side * wing.width / 2)
            y0, y1 = side * depth / 2, side * (depth / 2 + wing.reach)
            ring += [(near, y0), (near, y1), (far, y1), (far, y0)]
        ring.append((length / 2, -depth / 2) if side < 0 else (-length / 2, depth / 2))
    kept = [point for i, point in enumerate(ring) if np.hypot(*np.subtract(point, ring[i - 1])) > 1e-6]
    return np.array(kept)


def _ridged(
    length: float, depth: float, wings: tuple[_Wing, ...], hipped: bool
) -> tuple[list[tuple[object, tuple[float, float]]], list[object]]:
    """Returns the facets and ridges of a main body along x and its wings along y, with valleys at 45 degrees."""
    inset = min(depth / 2, length / 2.2) if hipped else 0.0
    west, east, half = -length / 2, length / 2, depth / 2
    facets: list[tuple[object, tuple[float, float]]] = [
        ([(west, -half), (east, -half), (east - inset, 0), (west + inset, 0)], (0.0, -1.0)),
        ([(west, half), (east, half), (east - inset, 0), (west + inset, 0)], (0.0, 1.0)),
    ]
    if hipped:
        facets.append(([(west, -half), (west + inset, 0), (west, half)], (-1.0, 0.0)))
        facets.append(([(east, -half), (east - inset, 0), (east, half)], (1.0, 0.0)))
    lines: list[object] = [[(west + inset, 0), (east - inset, 0)]]
    for wing in wings:
        middle, reach, side, across = wing.middle, half + wing.reach, wing.side, wing.width / 2
        end = reach - (across if hipped else 0)
        root = half - across
        for way in (-1.0, 1.0):
            eave = middle + way * across
            corners = [(eave, side * reach), (middle, side * end), (middle, side * root), (eave, side * half)]
            facets.append((corners, (way, 0.0)))
        if hipped:
            ends = [(middle - across, side * reach), (middle, side * end), (middle + across, side * reach)]
            facets.append((ends, (0.0, float(side))))
        lines.append([(middle, side * root), (middle, side * end)])
    return facets, lines
