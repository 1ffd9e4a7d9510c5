"""Groups scenes that show the same or neighbouring ground and therefore must stay in the same split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely

Bounds = tuple[float, float, float, float]
"""West, south, east, north in degrees; west > east when it crosses the antimeridian."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The properties of a scene that splitting depends on."""

    scene: str
    disaster: str
    official: str | None
    bounds: Bounds | None
    """None when the location of the scene is unknown."""
    images: tuple[str, ...]
    """Digests of its images."""
    buildings: tuple[int, ...]
    """Count in each damage class."""
    twins: str | None = None
    """The group of scenes of which it is a changed copy; None if there is none."""

    @property
    def marks(self) -> tuple[str, ...]:
        """Returns what it shares with scenes that show the same picture."""
        return self.images if self.twins is None else (*self.images, f"twins of {self.twins}")


def neighbourhoods(candidates: Sequence[Candidate], gap: float) -> list[list[int]]:
    """Groups scenes that overlap, are near each other, contain an identical image, or are twins.

    Two tiles are near when the gap between them, in longitude and in latitude, is at most ``gap`` times the mean of
    their sides. Grouping is transitive: a chain of neighbours is one group.

    Args:
        candidates: The scenes.
        gap: Share of a tile's side, 0 or more.

    Returns:
        Groups of positions in ``candidates``, each in ascending order; groups are ordered by their first position.
    """
    parent = list(range(len(candidates)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in _links(candidates, gap):
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    groups: dict[int, list[int]] = {}
    for position in range(len(candidates)):
        groups.setdefault(root(position), []).append(position)
    return list(groups.values())


def _links(candidates: Sequence[Candidate], gap: float) -> Iterable[tuple[int, int]]:
    first: dict[str, int] = {}
    for position, candidate in enumerate(candidates):
        for mark in candidate.marks:
            yield first.setdefault(mark, position), position
    yield from near(candidates, gap)


def near(candidates: Sequence[Candidate], gap: float) -> Iterable[tuple[int, int]]:
    """Yields pairs of positions of scenes that overlap or are near each other; a scene is near itself."""
    placed = [(n, c.bounds) for n, c in enumerate(candidates) if c.bounds is not None]
    if not placed:
        return
    owner = np.array([position for position, _ in placed])
    west, south, east, north = np.array([bounds for _, bounds in placed], float).T
    east = np.where(east < west, east + 360, east)
    # Each box grows by half of the gap on every side, so that two boxes meet when they are one gap apart.
    x, y = (east - west) * gap / 2, (north - south) * gap / 2
    boxes = shapely.box(west - x, south - y, east + x, north + y)
    # The same boxes once around the globe, so that tiles on both sides of the antimeridian meet.
    around = shapely.box(west - x + 360, south - y, east + x + 360, north + y)
    tree = shapely.STRtree(boxes)
    for others in (boxes, around):
        one, other = tree.query(others, predicate="intersects")
        yield from zip(owner[one].tolist(), owner[other].tolist(), strict=True)
