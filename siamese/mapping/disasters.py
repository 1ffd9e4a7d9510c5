"""Which scenes of a catalog become one map: all of a disaster that are placed on the ground, if they lie together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from siamese.errors import SiameseError
from siamese.geo.globe import Bounds, boxes_touch, degree_bounds
from siamese.ingest.catalog import Scene
from siamese.mapping.events import place_name
from siamese.mapping.grid import mostly_empty
from siamese.mapping.placing import Place

_CELL_DEGREES: Final = 1 / 16
"""Side of the cells that scenes far apart are mapped in: at most 7 km, a map that may well be mostly empty."""
_DEGREE_M: Final = 111_320.0
_ROUGHLY: Final = 1.2
"""How many times the pixels that are computed here a map may have."""

NOT_PLACED: Final = "has no georeference, so it is mapped on its own"


@dataclass(frozen=True)
class Disaster:
    """Scenes of one disaster, or of a part of it, that make up a mosaic."""

    name: str
    """Name of their map: of the disaster; of a part with the middle of its cell, ``flood_41.5312N_95.7812W``."""
    scenes: tuple[Scene, ...]
    """In order of their names; each has both images and a georeference."""

    @property
    def type(self) -> str | None:
        """What struck, as the scenes say; None if none of them does.

        Raises:
            SiameseError: They contradict each other.
        """
        told = sorted({scene.disaster_type for scene in self.scenes if scene.disaster_type})
        if len(told) > 1:
            fix = "correct the labels' metadata, or give disaster_type"
            raise SiameseError(f"its scenes name several disaster types: {', '.join(told)}", where=self.name, fix=fix)
        return told[0] if told else None


def place_of(scene: Scene) -> Place | None:
    """Returns the georeference of a scene; None if the catalog has none."""
    return (scene.crs, scene.affine) if scene.crs and scene.affine else None


def within(scenes: Iterable[Scene], area: Bounds | None) -> list[Scene]:
    """Returns the scenes that touch an area, and those of which nobody knows where they lie; all without an area."""
    return [scene for scene in scenes if area is None or scene.bounds is None or boxes_touch(scene.bounds, area)]


def by_disaster(scenes: Iterable[Scene]) -> tuple[tuple[Disaster, ...], tuple[Scene, ...]]:
    """Groups scenes by disaster.

    The scenes of a disaster are one mosaic unless nearly all of it would be empty. Then each cell of a fixed grid over
    the globe has a mosaic of its own, so that a scene which comes later changes one map and no name.

    Args:
        scenes: Scenes with both images, the most needed first.

    Returns:
        The disasters, the one with the most needed scene first, and of one in parts the part with the most needed
        scene; and the scenes that no mosaic can hold, since nobody knows where they lie.
    """
    groups: dict[str, list[Scene]] = {}
    alone = []
    for scene in scenes:
        if scene.disaster and place_of(scene):
            groups.setdefault(scene.disaster, []).append(scene)
        else:
            alone.append(scene)
    parts: dict[str, list[Scene]] = {}
    for disaster, members in groups.items():
        apart = _far_apart(members)
        for scene in members:
            cell = f"{disaster}_{_cell(scene)}" if apart else disaster
            parts.setdefault(cell, []).append(scene)
    mosaics = (Disaster(name, tuple(sorted(members, key=lambda one: one.scene))) for name, members in parts.items())
    return tuple(mosaics), tuple(alone)


def _far_apart(scenes: Sequence[Scene]) -> bool:
    """Returns whether scenes lie so far apart that nearly all of their mosaic would be empty."""
    boxes = [scene.bounds for scene in scenes]
    sides = [scene.pixel_m for scene in scenes]
    if not all(boxes) or not all(sides):
        return False
    corners = [corner for box in boxes if box for corner in product(box[::2], box[1::2])]
    west, south, east, north = degree_bounds(np.array(corners))
    finest = min(side for side in sides if side)
    wide = (east - west) % 360 * _DEGREE_M * math.cos(math.radians((south + north) / 2)) / finest
    tall = (north - south) * _DEGREE_M / finest
    return mostly_empty(_ROUGHLY * wide * tall, sum((scene.width or 0) * (scene.height or 0) for scene in scenes))


def _cell(scene: Scene) -> str:
    """Returns the place of the cell that the middle of a scene lies in."""
    west, south, east, north = scene.bounds or (0.0, 0.0, 0.0, 0.0)
    middle = west + (east - west) % 360 / 2, (south + north) / 2
    lng, lat = ((math.floor(side / _CELL_DEGREES) + 0.5) * _CELL_DEGREES for side in middle)
    return place_name((lng + 180) % 360 - 180, lat)
