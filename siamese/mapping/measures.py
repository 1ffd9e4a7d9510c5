"""Measures buildings piece by piece: sums over their pixels, wherever pieces cut them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from siamese.classes import DAMAGE_CLASSES
from siamese.mapping.reasons import Codes, Reason
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
        damage: ``(n, 4)`` mean probability of each damage class over the pixels that can be judged, calibrated.
        votes: ``(n, 4)`` mean vote of these pixels for each class, which decides the class.
        near: ``(n, codes)`` whether a pixel of it, or one next to it, is unknown for a reason.
        hidden: ``(n, codes)`` number of its pixels that are unknown for a reason; column 0 counts those that are not.
        inside: Number of its pixels in the area of interest.
        taken: Number of its pixels under a given footprint.
        first: Row-major index of its first pixel.
        last_piece: Number of the last piece that it reaches into.
    """

    pixels: npt.NDArray[np.int64]
    area: Floats
    probability: Floats
    damage: Floats
    votes: Floats
    near: npt.NDArray[np.bool_]
    hidden: npt.NDArray[np.int64]
    inside: npt.NDArray[np.int64]
    taken: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    last_piece: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def unknown_share(self) -> Floats:
        """``(n,)`` share of each building's pixels in the area of interest that are unknown."""
        unknown = self.hidden[:, 1:].sum(axis=1) - self.hidden[:, Reason.OUTSIDE]
        return np.asarray(unknown / np.maximum(self.inside, 1), np.float64)

    def touching(self, reasons: Iterable[int]) -> npt.NDArray[np.bool_]:
        """Returns ``(n,)`` whether each building touches ground that is unknown for one of these reasons."""
        return np.asarray(self.near[:, list(reasons)].any(axis=1), bool)


class BuildingMeter:
    """Adds up the measures of each building over a map's pieces; it keeps a few numbers per building."""

    def __init__(self, count: int, width: int) -> None:
        self._width = width
        self._piece = 0
        self._sums = np.zeros((count, _FIGURES))
        self._near = np.zeros((count, len(Reason)), bool)
        self._hidden = np.zeros((count, len(Reason)), np.int64)
        self._taken = np.zeros(count, np.int64)
        self._first = np.full(count, np.iinfo(np.int64).max)
        self._last = np.zeros(count, np.int64)

    def add(
        self,
        row: int,
        col: int,
        numbers: npt.NDArray[np.int32],
        reasons: Codes,
        told: Probabilities,
        votes: npt.NDArray[np.float32],
        pixel_area: float,
        *,
        around: Codes | None = None,
        taken: npt.NDArray[np.int32] | None = None,
    ) -> None:
        """Takes the next piece.

        Args:
            row: Row of its first pixel in the map.
            col: Column of its first pixel in the map.
            numbers: ``(h, w)``, the building that each pixel belongs to; values of 0 or below mean none.
            reasons: ``(h, w)``, why each pixel is unknown.
            told: Calibrated probabilities of the pixels of buildings, in row-major order: ``(k,)`` and ``(4, k)``.
            votes: ``(4, k)`` votes of these pixels for each class (:func:`siamese.model.decision.pixel_votes`).
            pixel_area: Ground area of a pixel here.
            around: ``(h, w)``, the highest reason of each pixel and those next to it; by default those of the pixel.
            taken: ``(h, w)``, the building of the network that a footprint takes each pixel from; 0 for none.
        """
        if taken is not None:
            lost = taken[taken > 0] - 1
            self._taken += np.bincount(lost, minlength=len(self._taken))
        inside = numbers > 0
        rows, cols = np.nonzero(inside)
        present, starts, place = np.unique(numbers[inside], return_index=True, return_inverse=True)
        found = present - 1
        pixels = np.bincount(place, minlength=len(found))
        seen = reasons[inside] == Reason.NONE
        # What cannot be judged has no say in the damage.
        summed = (told.building, *(told.damage * seen), *(votes * seen))
        sums = [np.bincount(place, values, len(found)) for values in summed]
        self._sums[found] += np.stack([pixels, pixels * pixel_area, *sums], axis=1)
        # Pixels are in row-major order, so the first pixel of each building is its first index.
        first = (rows[starts] + row).astype(np.int64) * self._width + cols[starts] + col
        self._first[found] = np.minimum(self._first[found], first)
        self._last[found] = self._piece
        codes = len(Reason)
        counted = np.bincount(place * codes + reasons[inside], minlength=len(found) * codes)
        self._hidden[found] += counted.reshape(len(found), codes)
        self._near[found[place], (reasons if around is None else around)[inside]] = True
        self._near[found[place], reasons[inside]] = True
        self._piece += 1

    def finish(self) -> Measures:
        """Returns the measures of all buildings, once every piece was added."""
        seen = self._hidden[:, [Reason.NONE]]
        # A footprint that holds no pixel's centre has no pixels.
        pixels = np.maximum(self._sums[:, 0], 1e-9)
        return Measures(
            pixels=self._sums[:, 0].astype(np.int64),
            area=self._sums[:, 1],
            probability=self._sums[:, 2] / pixels,
            damage=np.where(seen > 0, self._sums[:, 3 : 3 + _CLASSES] / np.maximum(seen, 1), 1 / _CLASSES),
            votes=self._sums[:, 3 + _CLASSES :] / np.maximum(seen, 1),
            near=self._near,
            hidden=self._hidden,
            inside=self._hidden.sum(axis=1) - self._hidden[:, Reason.OUTSIDE],
            taken=self._taken,
            first=self._first,
            last_piece=self._last,
        )
