"""Judges outlines against those that people drew: one-to-one matches, merges, splits, and how they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import shapely
from rasterio import features

Shapes = npt.NDArray[Any]

IOU: Final = 0.5
_HALF: Final = 0.5
_STEP_PX: Final = 2.0
_RIGHT_DEGREES: Final = 5.0
_SLIVER_PX: Final = 2.0


@dataclass(frozen=True)
class Counts:
    """What was counted; additive."""

    labelled: int = 0
    found: int = 0
    matched: int = 0
    """Labelled buildings whose best outline overlaps them by at least half of the union, one to one."""
    iou: float = 0.0
    """Sum over matched ones."""
    merged: int = 0
    """Outlines that hold most of two labelled buildings or more."""
    merged_buildings: int = 0
    """Labelled buildings in those."""
    split: int = 0
    """Labelled buildings that hold most of two outlines or more."""
    overlaps: int = 0
    """Pairs of outlines that overlap by more than a pixel."""
    corners: int = 0
    right: int = 0
    """Corners within five degrees of a right angle."""
    steps: int = 0
    """Edges of at most two pixels."""
    slivers: int = 0
    """Outlines in which no disc of two pixels across has room."""
    parts: int = 0
    """Outlines of several parts."""

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def figures(self) -> dict[str, float]:
        """Returns shares and counts."""
        whole = max(1, self.labelled)
        return {
            **{name: value for name, value in asdict(self).items() if name not in ("iou", "right", "steps")},
            "matched_share": self.matched / whole,
            "precision": self.matched / max(1, self.found),
            "mean_iou": self.iou / max(1, self.matched),
            "right_angles": self.right / max(1, self.corners),
            "short_edges": self.steps / max(1, self.corners),
            "corners_a_building": self.corners / max(1, self.found),
        }


def labelled_shapes(ids: npt.NDArray[np.int32]) -> Shapes:
    """Returns the labelled buildings of a scene as polygons."""
    parts: dict[int, list[Any]] = {}
    for geometry, value in features.shapes(ids, mask=ids > 0, connectivity=8):
        parts.setdefault(int(value), []).append(shapely.geometry.shape(geometry))
    found: Shapes = np.empty(len(parts), object)
    found[:] = [shapely.make_valid(shapely.union_all(one)) for one in parts.values()]
    return found


def judge(labelled: Shapes, found: Sequence[Any]) -> Counts:
    """Counts matches, merges and splits of a scene, and properties of its outlines.

    Args:
        labelled: Outlines by people.
        found: Outlines of the map.
    """
    outlines: Shapes = np.empty(len(found), object)
    outlines[:] = list(found)
    drawn = _drawn(outlines)
    if not len(labelled) or not len(outlines):
        return Counts(labelled=len(labelled), found=len(outlines)) + drawn
    pairs = shapely.STRtree(outlines).query(labelled)
    common = shapely.area(shapely.intersection(labelled[pairs[0]], outlines[pairs[1]]))
    truth, made = shapely.area(labelled), shapely.area(outlines)
    iou = common / (truth[pairs[0]] + made[pairs[1]] - common)
    taken_truth, taken_made, total = set(), set(), 0.0
    for index in np.argsort(-iou, kind="stable"):
        one, other = int(pairs[0][index]), int(pairs[1][index])
        if iou[index] < IOU:
            break
        if one not in taken_truth and other not in taken_made:
            taken_truth.add(one)
            taken_made.add(other)
            total += float(iou[index])
    inside = np.bincount(pairs[1][common > _HALF * truth[pairs[0]]], minlength=len(outlines))
    pieces = np.bincount(pairs[0][common > _HALF * made[pairs[1]]], minlength=len(labelled))
    return (
        Counts(
            labelled=len(labelled),
            found=len(outlines),
            matched=len(taken_truth),
            iou=total,
            merged=int((inside > 1).sum()),
            merged_buildings=int(inside[inside > 1].sum()),
            split=int((pieces > 1).sum()),
        )
        + drawn
    )


def _drawn(outlines: Shapes) -> Counts:
    corners = right = steps = 0
    for outline in outlines:
        for part in shapely.get_parts(outline):
            ring = np.asarray(part.exterior.coords)[:-1]
            edges = np.roll(ring, -1, axis=0) - ring
            lengths = np.hypot(*edges.T)
            before = np.roll(edges, 1, axis=0)
            turn = np.degrees(
                np.arctan2(before[:, 0] * edges[:, 1] - before[:, 1] * edges[:, 0], (before * edges).sum(axis=1))
            )
            corners += len(ring)
            right += int((np.abs(np.abs(turn) - 90) <= _RIGHT_DEGREES).sum())
            steps += int((lengths <= _STEP_PX).sum())
    slim = int(sum(outline.buffer(-_SLIVER_PX / 2).is_empty for outline in outlines))
    overlaps = 0
    if len(outlines):
        one, other = shapely.STRtree(outlines).query(outlines, predicate="intersects")
        once = one < other
        overlaps = int((shapely.area(shapely.intersection(outlines[one[once]], outlines[other[once]])) > 1).sum())
    several = int(sum(len(shapely.get_parts(outline)) > 1 for outline in outlines))
    return Counts(corners=corners, right=right, steps=steps, slivers=slim, overlaps=overlaps, parts=several)
