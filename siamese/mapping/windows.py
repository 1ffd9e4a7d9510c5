"""Windows that the network sees, and how one fades into the next so that the map has no seams."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Span:
    """One window along one axis, in pixels."""

    start: int
    stop: int
    core: int
    """From ``start`` to here no later window changes anything; beyond it lies the overlap with the next."""
    fades_in: int
    """Overlap with the window before."""
    fades_out: int
    """Overlap with the window after."""

    @property
    def size(self) -> int:
        """Pixels."""
        return self.stop - self.start

    def weights(self) -> Floats:
        """``(size,)``: linear over each overlap; those of neighbours add up to 1 everywhere."""
        weights = np.ones(self.size, np.float32)
        if self.fades_in:
            weights[: self.fades_in] *= _ramp(self.fades_in)
        if self.fades_out:
            weights[-self.fades_out :] *= 1 - _ramp(self.fades_out)
        return weights


def spans(length: int, tile: int, overlap: int) -> tuple[Span, ...]:
    """Cuts a length into as few windows of at most ``tile`` pixels as cover it, all of about one size.

    Even windows cost less than full ones with a padded rest, and no sliver sees less than its neighbours.

    Args:
        length: Pixels to cover.
        tile: Most pixels of a window.
        overlap: Pixels that neighbours share; at most half of ``tile``.
    """
    count = 1 if length <= tile else math.ceil((length - overlap) / (tile - overlap))
    step = length if count == 1 else max(overlap, math.ceil((length - overlap) / count))
    starts = range(0, max(1, length - (overlap if count > 1 else 0)), step)
    found = []
    for start in starts:
        last = start + step + overlap >= length
        stop = length if last else start + step + overlap
        found.append(Span(start, stop, stop if last else start + step, overlap if start else 0, 0 if last else overlap))
    return tuple(found)


@dataclass(frozen=True)
class Core:
    """A finished piece of the map; pieces tile it in rows without gap or overlap."""

    row: int
    col: int
    values: Floats
    """``(bands, height, width)``."""


class Blender:
    """Adds up weighted windows, given row by row, and hands out each piece when nothing more can change it.

    It keeps only what the next windows will need: the overlap to the right, and one strip of overlap across the map.
    """

    def __init__(self, bands: int, width: int, overlap: int) -> None:
        self._below = np.zeros((bands, overlap, width), np.float32)
        self._right = np.zeros((bands, 0, 0), np.float32)

    def add(self, rows: Span, cols: Span, values: Floats) -> Core:
        """Takes the next window.

        Args:
            rows: Where it lies.
            cols: Where it lies.
            values: ``(bands, rows.size, cols.size)``; its weights are applied here.
        """
        total = values * (rows.weights()[:, None] * cols.weights())
        if cols.fades_in:
            total[:, :, : cols.fades_in] += self._right
        core = np.s_[cols.start : cols.core]
        if rows.fades_in:
            total[:, : rows.fades_in, : cols.core - cols.start] += self._below[:, : rows.fades_in, core]
        if rows.fades_out:
            self._below[:, : rows.fades_out, core] = total[:, -rows.fades_out :, : cols.core - cols.start]
        self._right = total[:, :, cols.core - cols.start :].copy()
        return Core(rows.start, cols.start, total[:, : rows.core - rows.start, : cols.core - cols.start])


def walk(height: int, width: int, tile: int, overlap: int) -> Iterator[tuple[Span, Span]]:
    """All windows of a map, row by row."""
    across = spans(width, tile, overlap)
    for rows in spans(height, tile, overlap):
        for cols in across:
            yield rows, cols


def _ramp(length: int) -> Floats:
    return ((np.arange(length, dtype=np.float32) + 0.5) / length).astype(np.float32)
