"""Turns measures into buildings: their class by vote, their outlines, and the class of every pixel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from affine import Affine
from rasterio import features
from shapely.geometry import shape as as_shape
from shapely.geometry.base import BaseGeometry

from siamese.classes import DAMAGE_CLASSES, UNCLASSIFIED
from siamese.mapping.components import Labels
from siamese.mapping.footprints import Footprints
from siamese.mapping.measures import Measures
from siamese.mapping.outlines import REACH_PX, Shapes, apart, drawn
from siamese.mapping.reasons import MISSING, Reason, words
from siamese.model import Decision
from siamese.params import BuildingParams

UNKNOWN = "unknown"
CLASSES = (*DAMAGE_CLASSES, UNKNOWN)
_BATCH: Final = 2048
_TAKEN: Final = 0.25
"""A building of which more lies under given footprints is one of them."""
SCHEMA: Final = pa.schema(
    [
        pa.field("first", pa.int64(), nullable=False),
        pa.field("damage_class", pa.string(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("damage", pa.list_(pa.float64(), len(DAMAGE_CLASSES)), nullable=False),
        pa.field("pixels", pa.int64(), nullable=False),
        pa.field("area", pa.float64(), nullable=False),
        pa.field("outline", pa.binary(), nullable=False),
        pa.field("unknown_share", pa.float64(), nullable=False),
        pa.field("reasons", pa.string(), nullable=False),
        pa.field("footprint_id", pa.string()),
    ]
)


@dataclass(frozen=True)
class MappedBuilding:
    """One building of a map; coordinates are pixels of the grid."""

    outline: BaseGeometry
    """Polygon, or MultiPolygon where parts meet only at a corner."""
    first: int
    """Row-major index of its first pixel."""
    damage_class: str
    """A damage class, or ``unknown``."""
    probability: float
    """Mean probability of being a building."""
    damage: tuple[float, ...]
    """Mean probability of each damage class, calibrated."""
    pixels: int
    area: float
    """m², or pixels where the place on the ground is unknown."""
    unknown_share: float = 0.0
    """Share of its pixels, 0..1, that cannot be judged."""
    reasons: str = ""
    """Why they cannot, separated by commas: words of :class:`siamese.mapping.reasons.Reason`."""
    footprint_id: str | None = None
    """Id of the given footprint that it is; None for a building that the network found."""


def vote(
    found: Measures, decision: Decision, params: BuildingParams, *, in_metres: bool, footprints: int = 0
) -> npt.NDArray[np.uint8]:
    """Returns the mask value of each building: 1..4, 255 when it is unknown, 0 when it is not reported.

    A building that touches ground not shown on both dates is unknown, however much of the rest is seen; so is one of
    which too much is under cloud or the like. Not reported are buildings of the network that are too small or are given
    footprints anyway, and all that lies outside the area of interest.

    Args:
        found: The buildings; the first ones are given footprints.
        decision: Weights of the classes.
        params: Minimum size, and how much may be unknown.
        in_metres: Whether areas are in m².
        footprints: Number of given footprints.
    """
    weighted = found.votes * np.asarray(decision.class_weights)
    winner = (weighted.argmax(axis=1) + 1).astype(np.uint8) if len(found) else np.zeros(0, np.uint8)
    winner[found.touching(MISSING) | (found.unknown_share >= params.unknown_from)] = UNCLASSIFIED
    winner[found.pixels == 0] = UNCLASSIFIED
    least = params.minimum_building_m2 if in_metres else params.minimum_building_px
    own = np.arange(len(found)) >= footprints
    winner[own & (found.area < least)] = 0
    winner[own & (found.taken > _TAKEN * (found.taken + found.pixels))] = 0
    winner[(found.pixels > 0) & (found.inside * 2 < found.pixels)] = 0
    return winner


def class_piece(
    numbers: Labels, winner: npt.NDArray[np.uint8], pixel_classes: npt.NDArray[np.uint8] | None
) -> npt.NDArray[np.uint8]:
    """Returns the class of every pixel of a piece.

    Args:
        numbers: ``(h, w)``, the building that each pixel belongs to; 0 for none, NO_DATA where not seen.
        winner: Mask value of each building.
        pixel_classes: ``(h, w)`` class of each pixel on its own, for a network whose buildings do not vote.

    Returns:
        ``(h, w)`` uint8: 0 background, 1..4 damage, 255 unknown.
    """
    # One extra value at each end: background first, and last the value for NO_DATA, which is index -1.
    classes = np.concatenate([[0], winner, [UNCLASSIFIED]]).astype(np.uint8)[numbers]
    if pixel_classes is not None:
        damaged = (classes > 0) & (classes != UNCLASSIFIED)
        classes[damaged] = pixel_classes[damaged]
    return classes


class OutlineFinder:
    """Outlines buildings piece by piece, in the order of measuring; yields each once its last part has been seen."""

    def __init__(
        self,
        found: Measures,
        winner: npt.NDArray[np.uint8],
        simplify_px: float,
        footprints: Footprints | None = None,
        *,
        right_angles: bool = False,
    ) -> None:
        """Sets up outlining.

        Args:
            found: Measures of the buildings.
            winner: Mask value of each building.
            simplify_px: Outlines are simplified by at most this, unless they are drawn with right angles.
            footprints: Outlines that were given, and stay as they are.
            right_angles: Draw outlines as people do, and take neighbours apart.
        """
        self._found, self._winner, self._simplify_px = found, winner, simplify_px
        self._footprints = footprints or Footprints.none()
        self._right_angles = right_angles
        self._parts: dict[int, list[BaseGeometry]] = {}
        self._waiting: list[tuple[int, BaseGeometry]] = []
        self._before: list[tuple[int, BaseGeometry]] = []
        self._piece = 0
        reported = winner > 0
        self._last = int(found.last_piece[reported].max(initial=0)) if len(winner) else 0

    def add(self, row: int, col: int, numbers: Labels) -> Iterator[MappedBuilding]:
        """Processes the next piece and yields the buildings that it completes.

        Args:
            row: Row of its first pixel in the map.
            col: Column of its first pixel in the map.
            numbers: ``(h, w)``, the building that each pixel belongs to; values of 0 or below mean none.
        """
        reported = np.concatenate([[0], self._winner, [0]])[numbers] > 0
        done = set()
        place = Affine.translation(col, row)
        for geometry, value in features.shapes(numbers, mask=reported, connectivity=4, transform=place):
            self._parts.setdefault(int(value) - 1, []).append(as_shape(geometry))
            done.add(int(value) - 1)
        complete = sorted(number for number in done if self._found.last_piece[number] == self._piece)
        self._finish(complete)
        yield from self._settled(row, whole=self._piece >= self._last)
        self._piece += 1

    def _finish(self, numbers: Sequence[int]) -> None:
        """Draws the outlines of buildings whose last part has been seen."""
        parts = [self._parts.pop(number) for number in numbers]
        edges: Shapes = np.empty(len(parts), object)
        edges[:] = [one[0] if len(one) == 1 else shapely.union_all(one) for one in parts]
        outlines = drawn(edges) if self._right_angles else _simplified(edges, self._simplify_px)
        for number, outline in zip(numbers, outlines, strict=True):
            given = number < len(self._footprints)
            self._waiting.append((number, self._footprints.outlines[number] if given else outline))

    def _settled(self, row: int, *, whole: bool) -> Iterator[MappedBuilding]:
        """Yields finished buildings, in order, that no building which is yet to come can reach.

        Args:
            row: Row above which all pieces have been processed.
            whole: Whether all pieces have been.
        """
        if not self._waiting:
            return
        boxes = shapely.bounds(np.array([outline for _, outline in self._waiting], object))
        open_boxes = [shapely.bounds(np.array(parts, object)) for parts in self._parts.values()]
        unfinished = np.concatenate([*open_boxes, np.zeros((0, 4))])
        count = len(self._waiting)
        if not whole:
            reached = boxes[:, 3] + REACH_PX > row
            if len(unfinished):
                grown = _boxes(boxes + np.array([-1, -1, 1, 1]) * REACH_PX)
                reached[shapely.STRtree(grown).query(_boxes(unfinished))[1]] = True
            count = int(np.argmax(reached)) if reached.any() else count
        ready, self._waiting = self._waiting[:count], self._waiting[count:]
        for number, outline in self._apart(ready):
            yield self._building(number, outline)

    def _apart(self, ready: list[tuple[int, BaseGeometry]]) -> Iterator[tuple[int, BaseGeometry]]:
        """Takes buildings apart from neighbours: those that are ready, that wait, and that were yielded before."""
        if not self._right_angles or not ready:
            yield from ready
            return
        numbers = [number for number, _ in (*self._before, *ready, *self._waiting)]
        outlines = np.array([outline for _, outline in (*self._before, *ready, *self._waiting)], object)
        first = len(self._before)
        own = range(first, first + len(ready))
        found = outlines[list(own)]
        one, other = shapely.STRtree(outlines).query(found, predicate="intersects")
        for place, neighbour in zip(one, other, strict=True):
            # A given footprint stays as it was given.
            if neighbour != place + first and numbers[place + first] >= len(self._footprints):
                fixed = numbers[neighbour] < len(self._footprints)
                found[place] = apart(found[place], outlines[place + first], outlines[neighbour], fixed=fixed)
        # Those that may still touch what waits, as they were before they were cut.
        edge = min((outline.bounds[1] for _, outline in self._waiting), default=np.inf) - REACH_PX
        self._before = [one for one in (*self._before, *ready) if one[1].bounds[3] >= edge]
        yield from zip((number for number, _ in ready), found, strict=True)

    def unseen(self, width: int) -> Iterator[MappedBuilding]:
        """Yields footprints that hold no pixel of their own, such as those that others cover.

        Args:
            width: Columns of the map.
        """
        for number in np.flatnonzero(self._found.pixels[: len(self._footprints)] == 0):
            outline = self._footprints.outlines[number]
            col, row = shapely.get_coordinates(shapely.point_on_surface(outline))[0].astype(int)
            first = max(0, int(row)) * width + max(0, int(col))
            evenly = (1 / len(DAMAGE_CLASSES),) * len(DAMAGE_CLASSES)
            name = self._footprints.ids[number]
            yield MappedBuilding(outline, first, UNKNOWN, 0.0, evenly, 0, 0.0, 1.0, "", name)

    def _building(self, number: int, outline: BaseGeometry) -> MappedBuilding:
        found = self._found
        value = int(self._winner[number])
        given = number < len(self._footprints)
        return MappedBuilding(
            outline=outline,
            first=int(found.first[number]),
            damage_class=UNKNOWN if value == UNCLASSIFIED else DAMAGE_CLASSES[value - 1],
            probability=float(found.probability[number]),
            damage=tuple(map(float, found.damage[number])),
            pixels=int(found.pixels[number]),
            area=float(found.area[number]),
            unknown_share=float(found.unknown_share[number]),
            reasons=self._reasons(number),
            footprint_id=self._footprints.ids[number] if given else None,
        )

    def _reasons(self, number: int) -> str:
        found = self._found
        inside = np.flatnonzero(found.hidden[number, 1:]) + 1
        beside = [code for code in MISSING if found.near[number, code]]
        return words(code for code in (*map(int, inside), *beside) if code != Reason.OUTSIDE)


def _boxes(bounds: npt.NDArray[np.float64]) -> Shapes:
    """Returns rectangles from left, top, right and bottom."""
    return np.asarray(shapely.box(*bounds.T), dtype=object)


def _simplified(edges: Shapes, tolerance_px: float) -> Shapes:
    """Simplifies outlines; corners on a straight line, left by pixels and edges of pieces, go in any case."""
    smooth = shapely.simplify(edges, tolerance_px)
    kept = shapely.is_valid(smooth) & ~shapely.is_empty(smooth)
    return np.where(kept, smooth, edges)


def write_buildings(path: Path, buildings: Iterable[MappedBuilding]) -> None:
    """Writes a stream of buildings to Parquet in batches."""
    remaining = iter(buildings)
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        while batch := list(islice(remaining, _BATCH)):
            rows = [vars(one) | {"outline": shapely.to_wkb(one.outline)} for one in batch]
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))


def read_buildings(path: Path) -> Iterator[MappedBuilding]:
    """Yields the buildings of a table in its order, reading a batch at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH):
            for row in batch.to_pylist():
                outline, damage = shapely.from_wkb(row["outline"]), tuple(row["damage"])
                yield MappedBuilding(**row | {"outline": outline, "damage": damage})
