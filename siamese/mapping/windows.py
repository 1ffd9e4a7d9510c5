"""Windows that the network runs on, and how they fade into each other so that the map has no seams."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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
    """Start of the next window; from here on the two overlap."""
    fades_in: int
    """Overlap with the previous window."""

    @property
    def size(self) -> int:
        """Length in pixels."""
        return self.stop - self.start

    @property
    def own(self) -> int:
        """Pixels up to the start of the next window."""
        return self.core - self.start


@dataclass(frozen=True)
class Window:
    """One of a map's windows."""

    row: int
    """Counted in windows from the top."""
    col: int
    """Counted in windows from the left."""
    rows: Span
    cols: Span


@dataclass(frozen=True)
class Layout:
    """All windows of a map; every row of windows is cut at the same columns."""

    rows: tuple[Span, ...]
    cols: tuple[Span, ...]

    def __len__(self) -> int:
        return len(self.rows) * len(self.cols)

    def __iter__(self) -> Iterator[Window]:
        """Yields the windows row by row."""
        for row in range(len(self.rows)):
            for col in range(len(self.cols)):
                yield self.window(row, col)

    def window(self, row: int, col: int) -> Window:
        """Returns the window in a row and column of windows."""
        return Window(row, col, self.rows[row], self.cols[col])


def lay_windows(height: int, width: int, window_px: int, overlap_px: int, origin: tuple[int, int] = (0, 0)) -> Layout:
    """Covers a map with windows.

    Args:
        height: Height of the map in pixels.
        width: Width of the map in pixels.
        window_px: Maximum side of a window in pixels.
        overlap_px: Pixels that neighbours share; at most half of ``window_px``.
        origin: Row and column, inside or outside the map, at which a window starts; this keeps windows in place on
            the ground when a map grows on any side.
    """
    rows, cols = (
        cut(length, window_px, overlap_px, start) for length, start in ((height, origin[0]), (width, origin[1]))
    )
    return Layout(spans(rows), spans(cols))


def cut(length: int, window_px: int, overlap_px: int, origin: int = 0) -> tuple[tuple[int, int], ...]:
    """Returns start and stop of each window along one axis; a length that fits into one window gets one."""
    if length <= window_px:
        return ((0, length),)
    step = window_px - overlap_px
    first = origin % step - step if origin % step else 0
    count = math.ceil((length - overlap_px - first) / step)
    starts = [first + number * step for number in range(count)]
    return tuple((max(0, start), min(start + window_px, length)) for start in starts)


def spans(edges: Sequence[tuple[int, int]]) -> tuple[Span, ...]:
    """Returns the windows along one axis for their starts and stops."""
    starts, stops = [start for start, _ in edges], [stop for _, stop in edges]
    before, after = [starts[0], *stops[:-1]], [*starts[1:], stops[-1]]
    return tuple(
        Span(start, stop, core, last - start)
        for start, stop, core, last in zip(starts, stops, after, before, strict=True)
    )


def ramp(length: int) -> Floats:
    """Returns ``(length,)`` weights of a window where it fades in; the previous window has the remainder."""
    return ((np.arange(length, dtype=np.float32) + 0.5) / length).astype(np.float32)
