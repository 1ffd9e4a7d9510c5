"""Buildings found piece by piece: connected components whose parts in several pieces become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from siamese.classes import DAMAGE_CLASSES

Labels = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

NO_DATA = -1
"""Label of a pixel that one of the dates does not show."""
_CLASSES = len(DAMAGE_CLASSES)
_FIGURES = 4 + 2 * _CLASSES


@dataclass(frozen=True)
class Components:
    """All buildings of a map; row ``k`` of each array is building ``k``.

    Attributes:
        building: ``(labels + 1,)`` row of each label's building; label 0 is background.
        pixels: Pixels.
        area: Ground in m²; pixels where that is unknown.
        sure: Pixels that are sure of being a building (:func:`siamese.model.decision.at_peak`).
        probability: Mean probability of being a building.
        damage: ``(n, 4)`` mean probability of each damage class, calibrated.
        votes: ``(n, 4)`` mean of what its pixels give to each class, by which the class is decided.
        touches_no_data: Whether a pixel of it, or one beside it, is not seen on both dates.
        first: Row-major index of its first pixel.
        last_piece: Number of the last piece that it reaches into.
    """

    building: npt.NDArray[np.int64]
    pixels: npt.NDArray[np.int64]
    area: npt.NDArray[np.float64]
    sure: npt.NDArray[np.int64]
    probability: npt.NDArray[np.float64]
    damage: npt.NDArray[np.float64]
    votes: npt.NDArray[np.float64]
    touches_no_data: Mask
    first: npt.NDArray[np.int64]
    last_piece: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pixels)


class ComponentFinder:
    """Takes a map's pieces row by row and labels its buildings (8-connected).

    It keeps one row of labels across the map, one column, and a few figures a label.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._count = 0
        self._piece = 0
        self._above = np.zeros(width, np.int32)
        self._below = np.zeros(width, np.int32)
        self._left = np.zeros(0, np.int32)
        self._pairs: list[npt.NDArray[np.int64]] = []
        self._touching: list[npt.NDArray[np.int32]] = []
        self._figures: list[npt.NDArray[np.float64]] = []
        self._first: list[npt.NDArray[np.int64]] = []
        self._pieces: list[npt.NDArray[np.int64]] = []

    def add(
        self,
        row: int,
        col: int,
        mask: Mask,
        seen: Mask,
        sure: Mask,
        building: npt.NDArray[np.float32],
        damage: npt.NDArray[np.float32],
        votes: npt.NDArray[np.float32],
        pixel_area: float,
    ) -> Labels:
        """Labels the next piece.

        Args:
            row: Where its first pixel lies in the map.
            col: Where its first pixel lies in the map.
            mask: ``(h, w)``, pixels that are building.
            seen: ``(h, w)``, pixels that both dates show; a building lies only there.
            sure: ``(h, w)``, pixels that are sure of being a building.
            building: ``(h, w)`` probability of being a building.
            damage: ``(4, h, w)`` probability of each class, calibrated.
            votes: ``(4, h, w)`` what each pixel gives to each class (:func:`siamese.model.decision.pixel_votes`).
            pixel_area: Ground that a pixel covers here.

        Returns:
            ``(h, w)`` labels, unique over the map: 0 background, NO_DATA where not seen.
        """
        mask = mask & seen
        count, found = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
        local: Labels = np.asarray(found, np.int32)
        labels: Labels = np.where(mask, local + self._count, 0).astype(np.int32)
        labels[~seen] = NO_DATA
        if count > 1:
            self._measure(row, col, local, count, (sure, building, *damage, *votes), pixel_area)
            near = cv2.dilate((~seen).astype(np.uint8), np.ones((3, 3), np.uint8)).view(bool)
            self._touching.append(np.unique(labels[near & mask]))
        if col == 0:
            self._above, self._below = self._below, np.zeros(self._width, np.int32)
        elif self._left.size:
            self._join(labels[:, 0], self._left)
        if row:
            # One pixel beyond either end, since buildings may meet corner to corner there.
            before, after = max(col - 1, 0), min(col + labels.shape[1] + 1, self._width)
            edge = np.zeros(after - before, np.int32)
            edge[col - before : col - before + labels.shape[1]] = labels[0]
            self._join(edge, self._above[before:after])
        self._below[col : col + labels.shape[1]] = labels[-1]
        self._left = labels[:, -1].copy()
        self._count += count - 1
        self._piece += 1
        return labels

    def finish(self) -> Components:
        """Makes one building of every set of labels that touch."""
        pairs = np.concatenate([*self._pairs, np.zeros((2, 0), np.int64)], axis=1)
        size = self._count + 1
        graph = coo_array((np.ones(pairs.shape[1], np.int8), (pairs[0], pairs[1])), shape=(size, size))
        number, found = connected_components(graph, directed=False)
        component = np.asarray(found, np.int64)
        # Label 0 is a component of its own, numbered first since it is the first label.
        owner = component[1:] - 1
        figures = np.concatenate([*self._figures, np.zeros((0, _FIGURES))])
        sums = np.stack([np.bincount(owner, column, number - 1) for column in figures.T], axis=1).astype(np.float64)
        first = np.full(number - 1, np.iinfo(np.int64).max)
        np.minimum.at(first, owner, np.concatenate([*self._first, np.zeros(0, np.int64)]))
        last = np.zeros(number - 1, np.int64)
        np.maximum.at(last, owner, np.concatenate([*self._pieces, np.zeros(0, np.int64)]))
        touching = np.zeros(number - 1, bool)
        touching[owner[np.concatenate([*self._touching, np.zeros(0, np.int32)]) - 1]] = True
        pixels = sums[:, 0]
        return Components(
            building=component - 1,
            pixels=pixels.astype(np.int64),
            area=sums[:, 1],
            sure=sums[:, 2].astype(np.int64),
            probability=sums[:, 3] / pixels,
            damage=sums[:, 4 : 4 + _CLASSES] / pixels[:, None],
            votes=sums[:, 4 + _CLASSES :] / pixels[:, None],
            touches_no_data=touching,
            first=first,
            last_piece=last,
        )

    def _measure(
        self,
        row: int,
        col: int,
        local: Labels,
        count: int,
        summed: Sequence[npt.NDArray[np.generic]],
        pixel_area: float,
    ) -> None:
        rows, cols = np.nonzero(local)
        label = local[rows, cols]
        pixels = np.bincount(label, minlength=count)
        sums = [np.bincount(label, values[rows, cols], count) for values in summed]
        self._figures.append(np.stack([pixels, pixels * pixel_area, *sums], axis=1)[1:])
        # Pixels come in row-major order, so the first of each label is its first index.
        _, starts = np.unique(label, return_index=True)
        self._first.append((rows[starts] + row).astype(np.int64) * self._width + cols[starts] + col)
        self._pieces.append(np.full(count - 1, self._piece, np.int64))

    def _join(self, here: Labels, there: Labels) -> None:
        """Joins labels on both sides of an edge, straight across and corner to corner."""
        length = min(len(here), len(there))
        for shift in (-1, 0, 1):
            one = here[max(0, shift) : length + min(0, shift)]
            two = there[max(0, -shift) : length + min(0, -shift)]
            both = (one > 0) & (two > 0)
            if both.any():
                self._pairs.append(np.unique(np.stack([one[both], two[both]]).astype(np.int64), axis=1))
            for near, far in ((one, two), (two, one)):
                touching = (near > 0) & (far == NO_DATA)
                if touching.any():
                    self._touching.append(np.unique(near[touching]))
