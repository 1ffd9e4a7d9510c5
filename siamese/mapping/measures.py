"""Measures buildings piece by piece: sums over their pixels, wherever pieces cut them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from siamese.classes import DAMAGE_CLASSES
from siamese.model import Probabilities

_CLASSES = len(DAMAGE_CLASSES)
_FIGURES = 3 + 2 * _CLASSES

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measures:
    """All buildings of a map; row ``k`` of each array is building number ``k + 1``.

    Attributes:
        pixels: Number of pixels.
        area: Ground area in m²; in pixels where that is unknown.
        probability: Mean probability of being a building.
        damage: ``(n, 4)`` mean probability of each damage class, calibrated.
        votes: ``(n, 4)`` mean vote of its pixels for each class, which decides the class.
        touches_no_data: Whether a pixel of it, or one next to it, is not seen on both dates.
        first: Row-major index of its first pixel.
        last_piece: Number of the last piece that it reaches into.
    """

    pixels: npt.NDArray[np.int64]
    area: Floats
    probability: Floats
    damage: Floats
    votes: Floats
    touches_no_data: npt.NDArray[np.bool_]
    first: npt.NDArray[np.int64]
    last_piece: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pixels)


class BuildingMeter:
    """Adds up the measures of each building over a map's pieces; it keeps a few numbers per building."""

    def __init__(self, count: int, width: int) -> None:
        self._width = width
        self._piece = 0
        self._sums = np.zeros((count, _FIGURES))
        self._touches = np.zeros(count, bool)
        self._first = np.full(count, np.iinfo(np.int64).max)
        self._last = np.zeros(count, np.int64)

    def add(
        self,
        row: int,
        col: int,
        numbers: npt.NDArray[np.int32],
        near_no_data: npt.NDArray[np.bool_],
        told: Probabilities,
        votes: npt.NDArray[np.float32],
        pixel_area: float,
    ) -> None:
        """Takes the next piece.

        Args:
            row: Row of its first pixel in the map.
            col: Column of its first pixel in the map.
            numbers: ``(h, w)``, the building that each pixel belongs to; values of 0 or below mean none.
            near_no_data: ``(h, w)``, pixels next to one that is not seen on both dates.
            told: Calibrated probabilities of the pixels of buildings, in row-major order: ``(k,)`` and ``(4, k)``.
            votes: ``(4, k)`` votes of these pixels for each class (:func:`siamese.model.decision.pixel_votes`).
            pixel_area: Ground area of a pixel here.
        """
        inside = numbers > 0
        rows, cols = np.nonzero(inside)
        present, starts, place = np.unique(numbers[inside], return_index=True, return_inverse=True)
        found = present - 1
        pixels = np.bincount(place, minlength=len(found))
        summed = (told.building, *told.damage, *votes)
        sums = [np.bincount(place, values, len(found)) for values in summed]
        self._sums[found] += np.stack([pixels, pixels * pixel_area, *sums], axis=1)
        # Pixels are in row-major order, so the first pixel of each building is its first index.
        first = (rows[starts] + row).astype(np.int64) * self._width + cols[starts] + col
        self._first[found] = np.minimum(self._first[found], first)
        self._last[found] = self._piece
        self._touches[found[place[near_no_data[inside]]]] = True
        self._piece += 1

    def finish(self) -> Measures:
        """Returns the measures of all buildings, once every piece was added."""
        pixels = self._sums[:, 0]
        return Measures(
            pixels=pixels.astype(np.int64),
            area=self._sums[:, 1],
            probability=self._sums[:, 2] / pixels,
            damage=self._sums[:, 3 : 3 + _CLASSES] / pixels[:, None],
            votes=self._sums[:, 3 + _CLASSES :] / pixels[:, None],
            touches_no_data=self._touches,
            first=self._first,
            last_piece=self._last,
        )
