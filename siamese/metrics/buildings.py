"""Scores per building: predicted buildings are matched one to one with labelled ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from siamese.classes import DAMAGE_CLASSES, UNCLASSIFIED
from siamese.metrics.xview2 import Raster, Tally

_SIDE: Final = len(DAMAGE_CLASSES) + 1

Table = tuple[tuple[int, ...], ...]
EMPTY: Final[Table] = ((0,) * _SIDE,) * _SIDE


@dataclass(frozen=True)
class Buildings:
    """The buildings of one scene.

    Args:
        ids: (H, W) int32, 0 where there is no building, else 1..n.
        classes: (n,) uint8, class of building ``i + 1``: 1..4, or 255 for un-classified.
    """

    ids: NDArray[np.int32]
    classes: NDArray[np.uint8]

    @classmethod
    def from_classes(cls, raster: Raster) -> Self:
        """Treats every 8-connected component as a building, with the class that most of its pixels have.

        Args:
            raster: (H, W) uint8 in 0..4.
        """
        _, ids = cv2.connectedComponents((raster > 0).astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
        return cls.numbered(np.asarray(ids, np.int32), raster)

    @classmethod
    def numbered(cls, ids: NDArray[np.int32], raster: Raster) -> Self:
        """Assigns to buildings that are already numbered the class that most of their pixels have.

        Args:
            ids: (H, W) int32, 0 where there is no building, else 1..n without gaps.
            raster: (H, W) uint8 in 1..4 where there is one.
        """
        inside = np.flatnonzero(ids)
        count = int(ids.max(initial=0)) + 1
        votes = np.bincount(ids.ravel()[inside] * _SIDE + raster.ravel()[inside], minlength=count * _SIDE)
        classes = votes.reshape(count, _SIDE)[1:].argmax(axis=1)
        return cls(ids, classes.astype(np.uint8))


class BuildingCounts(BaseModel):
    """Matches, misses and false detections of one scene or of many; additive, with ``BuildingCounts()`` as zero."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    detection: Tally = Field(Tally(), description="Buildings found, false and missed, whatever their class.")
    confusion: Table = Field(
        EMPTY,
        description="Rows: labelled class 1-4, row 0 for false finds. Columns: predicted class 1-4, column 0 for "
        "missed. Un-classified buildings, and finds matched with them, are left out.",
    )

    def __add__(self, other: Self) -> Self:
        return type(self)(
            detection=self.detection + other.detection, confusion=add_tables(self.confusion, other.confusion)
        )

    @property
    def damage(self) -> dict[str, Tally]:
        """End to end, by class: misses and wrong classes are false negatives, false detections are false positives."""
        return _tallies(np.asarray(self.confusion))

    @property
    def matched_damage(self) -> dict[str, Tally]:
        """Among matched buildings only, by class: how well damage is classified once a building is found."""
        return _tallies(np.asarray(self.confusion)[1:, 1:])


@dataclass(frozen=True)
class Match:
    """The assignment of predicted to labelled buildings.

    Args:
        partner: (labelled,) id of the predicted building that each is matched with, 0 for none.
        taken: (predicted,) whether it is matched.
    """

    partner: NDArray[np.int64]
    taken: NDArray[np.bool_]


def match_buildings(target: Buildings, prediction: Buildings, iou: float) -> Match:
    """Matches predicted with labelled buildings, greatest overlap first, each at most once.

    Args:
        target: Labelled buildings.
        prediction: Predicted buildings of the same scene.
        iou: Intersection over union from which two buildings match, in (0, 1]; matches are unique above 0.5.
    """
    labelled, found, overlaps = _overlaps(target, prediction)
    partner = np.zeros(len(target.classes), np.int64)
    taken = np.zeros(len(prediction.classes), bool)
    for index in np.lexsort((found, labelled, -overlaps)):
        if overlaps[index] < iou:
            break
        mine, theirs = labelled[index] - 1, found[index] - 1
        if not partner[mine] and not taken[theirs]:
            partner[mine], taken[theirs] = theirs + 1, True
    return Match(partner, taken)


def judge_buildings(
    target: Buildings, prediction: Buildings, match: Match
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Determines which predicted buildings are right: matched, and of the labelled class.

    Returns:
        right, (predicted,); and whether it can be judged, (predicted,): not if matched with an un-classified building.
    """
    truth = np.zeros(len(prediction.classes), np.uint8)
    matched = match.partner > 0
    truth[match.partner[matched] - 1] = target.classes[matched]
    return truth == prediction.classes, truth != UNCLASSIFIED


def count_buildings(target: Buildings, prediction: Buildings, iou: float, match: Match | None = None) -> BuildingCounts:
    """Counts matches, misses and false detections; see :func:`match_buildings`.

    Labelled buildings without a pixel of their own (hidden beneath another, or outside the image) are not counted.

    Args:
        target: Labelled buildings.
        prediction: Predicted buildings of the same scene.
        iou: Intersection over union from which two buildings match, in (0, 1]; matches are unique above 0.5.
        match: The result of :func:`match_buildings` for them, if already computed.
    """
    there = _areas(target) > 0
    guessed = _areas(prediction) > 0
    match = match or match_buildings(target, prediction, iou)
    partner, taken = match.partner, match.taken
    guess = np.concatenate([[0], prediction.classes])[partner]
    known = there & (target.classes != UNCLASSIFIED)
    table = np.zeros((_SIDE, _SIDE), np.int64)
    np.add.at(table, (target.classes[known], guess[known]), 1)
    np.add.at(table[0], prediction.classes[guessed & ~taken], 1)
    tp = int(np.count_nonzero(partner))
    detection = Tally(tp=tp, fp=int(guessed.sum()) - tp, fn=int(there.sum()) - tp)
    return BuildingCounts(detection=detection, confusion=as_table(table))


def macro_f1(tallies: Mapping[str, Tally]) -> float:
    """Returns the mean F1 over the classes present in the labels; 0 if none is."""
    present = [tally.f1 for tally in tallies.values() if tally.support]
    return sum(present) / len(present) if present else 0.0


def as_table(array: NDArray[np.int64]) -> Table:
    """Converts a matrix to nested tuples of plain integers."""
    return tuple(tuple(int(value) for value in row) for row in array)


def add_tables(one: Table, other: Table) -> Table:
    """Adds two tables cell by cell."""
    return as_table(np.asarray(one) + np.asarray(other))


def _overlaps(
    target: Buildings, prediction: Buildings
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Returns labelled id, predicted id and IoU of every pair that shares a pixel, by counting pixels."""
    shared = np.flatnonzero((target.ids > 0) & (prediction.ids > 0))
    width = len(prediction.classes) + 1
    codes, sizes = np.unique(
        target.ids.ravel()[shared].astype(np.int64) * width + prediction.ids.ravel()[shared], return_counts=True
    )
    labelled, found = np.divmod(codes, width)
    union = _areas(target)[labelled - 1] + _areas(prediction)[found - 1] - sizes
    return labelled, found, sizes / union


def _areas(buildings: Buildings) -> NDArray[np.int64]:
    inside = buildings.ids.ravel()[np.flatnonzero(buildings.ids > 0)]
    return np.bincount(inside, minlength=len(buildings.classes) + 1)[1:]


def _tallies(table: NDArray[np.int64]) -> dict[str, Tally]:
    skip = len(table) - len(DAMAGE_CLASSES)
    hits, truth, guesses = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    return {
        name: Tally(tp=int(hits[k]), fp=int(guesses[k] - hits[k]), fn=int(truth[k] - hits[k]))
        for k, name in enumerate(DAMAGE_CLASSES, start=skip)
    }
