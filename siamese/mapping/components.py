"""Finds cores of buildings piece by piece: connected components, merged across the pieces that they span."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from siamese.model.decision import numbered_by_place

Labels = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

NO_DATA = -1
"""Label of a pixel that is not shown on both dates."""


class ComponentFinder:
    """Labels the 8-connected components of a map, piece by piece in row order.

    It keeps one row of labels across the map, one column, and two numbers per label.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._count = 0
        self._above = np.zeros(width, np.int32)
        self._below = np.zeros(width, np.int32)
        self._left = np.zeros(0, np.int32)
        self._pairs: list[npt.NDArray[np.int64]] = []
        self._pixels: list[npt.NDArray[np.int64]] = []
        self._first: list[npt.NDArray[np.int64]] = []

    def add(self, row: int, col: int, mask: Mask, seen: Mask) -> Labels:
        """Labels the next piece.

        Args:
            row: Row of its first pixel in the map.
            col: Column of its first pixel in the map.
            mask: ``(h, w)``, the pixels to label.
            seen: ``(h, w)``, pixels that both dates show; others are not labelled.

        Returns:
            ``(h, w)`` labels, unique over the map: 0 outside the mask, NO_DATA where not seen.
        """
        mask = mask & seen
        count, found = cv2.connectedComponents(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
        labels: Labels = np.where(mask, found + self._count, 0).astype(np.int32)
        labels[~seen] = NO_DATA
        if count > 1:
            self._measure(row, col, np.asarray(found, np.int32), count)
        if col == 0:
            self._above, self._below = self._below, np.zeros(self._width, np.int32)
        elif self._left.size:
            self._join(labels[:, 0], self._left)
        if row:
            # One pixel beyond either end, because components may touch at corners there.
            before, after = max(col - 1, 0), min(col + labels.shape[1] + 1, self._width)
            edge = np.zeros(after - before, np.int32)
            edge[col - before : col - before + labels.shape[1]] = labels[0]
            self._join(edge, self._above[before:after])
        self._below[col : col + labels.shape[1]] = labels[-1]
        self._left = labels[:, -1].copy()
        self._count += count - 1
        return labels

    def finish(self, minimum_px: int = 0) -> npt.NDArray[np.int32]:
        """Merges labels that touch into components and numbers these.

        Args:
            minimum_px: Components with fewer pixels are dropped.

        Returns:
            ``(labels + 1,)`` the number of each label's component, from 1 in row-major order of their first pixels;
            0 for label 0 and for components that are too small.
        """
        pairs = np.concatenate([*self._pairs, np.zeros((2, 0), np.int64)], axis=1)
        size = self._count + 1
        graph = coo_array((np.ones(pairs.shape[1], np.int8), (pairs[0], pairs[1])), shape=(size, size))
        count, component = connected_components(graph, directed=False)
        # Label 0 is component 0 by itself, because it is the first label.
        pixels = np.bincount(component, np.concatenate([[0], *self._pixels]), count).astype(np.int64)
        first = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(first, component[1:], np.concatenate([*self._first, np.zeros(0, np.int64)]))
        numbers: Labels = numbered_by_place(pixels, first, minimum_px)[component]
        return numbers

    def _measure(self, row: int, col: int, local: Labels, count: int) -> None:
        rows, cols = np.nonzero(local)
        label = local[rows, cols]
        self._pixels.append(np.bincount(label, minlength=count)[1:])
        # Pixels are in row-major order, so the first pixel of each label is its first index.
        _, starts = np.unique(label, return_index=True)
        self._first.append((rows[starts] + row).astype(np.int64) * self._width + cols[starts] + col)

    def _join(self, here: Labels, there: Labels) -> None:
        """Joins labels on both sides of an edge, straight across and corner to corner."""
        length = min(len(here), len(there))
        for shift in (-1, 0, 1):
            one = here[max(0, shift) : length + min(0, shift)]
            two = there[max(0, -shift) : length + min(0, -shift)]
            both = (one > 0) & (two > 0)
            if both.any():
                self._pairs.append(np.unique(np.stack([one[both], two[both]]).astype(np.int64), axis=1))
