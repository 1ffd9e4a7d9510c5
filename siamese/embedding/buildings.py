"""Vectors of the buildings of a map, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from siamese.embedding.outlines import Outlines
from siamese.embedding.pooling import Floats, number_pixels
from siamese.geo import local_gdal
from siamese.mapping.plans import plan_block
from siamese.mapping.running import read_window
from siamese.mapping.task import Imagery
from siamese.mapping.tiles import GDAL
from siamese.mapping.windows import Layout, Span, Window, lay_windows
from siamese.params import EmbeddingParams
from siamese.progress import progress

Image = npt.NDArray[np.uint8]
Embed = Callable[[Image, Image, npt.NDArray[np.int32], int], Floats]
"""Gives the vectors of the numbered outlines of a window; pre and post image, outline of each pixel, their count."""


@dataclass(frozen=True)
class Neighbourhoods:
    """Which window gives each building its vector: the one whose inner part holds the middle of the building.

    The windows depend on the ground and on the params of embedding alone, not on how the map was cut, and each shows a
    margin of ground around its inner part; so a building gets the same vector whatever windows it was found in.
    """

    layout: Layout
    margin_px: int

    @classmethod
    def of(cls, imagery: Imagery, params: EmbeddingParams) -> Neighbourhoods:
        """Lays the windows over a map."""
        grid, overlap = imagery.grid, 2 * params.margin_px
        return cls(lay_windows(grid.height, grid.width, params.window_px, overlap, imagery.corner), params.margin_px)

    def owners(self, middles: Floats) -> npt.NDArray[np.int64]:
        """Returns the position of the window, counted row by row, that owns each of ``(n, 2)`` rows and columns."""
        row, col = (
            np.searchsorted(self._starts(spans), middles[:, axis], side="right")
            for axis, spans in enumerate((self.layout.rows, self.layout.cols))
        )
        return row * len(self.layout.cols) + col

    def window(self, number: int) -> Window:
        """Returns the window at a position."""
        return self.layout.window(*divmod(number, len(self.layout.cols)))

    def _starts(self, spans: Sequence[Span]) -> list[int]:
        """Returns where the inner part of each window but the first begins."""
        return [span.start + self.margin_px for span in spans[1:]]


def pool_buildings(imagery: Imagery, outlines: Outlines, params: EmbeddingParams, values: Floats, embed: Embed) -> None:
    """Fills in the vector of each building of a map, reading the map window by window.

    Args:
        imagery: The map's images, open.
        outlines: Its buildings.
        params: Windows.
        values: ``(n, d)``, written to: one row a building.
        embed: Makes the vectors of one window.
    """
    areas = Neighbourhoods.of(imagery, params)
    owners = areas.owners(outlines.middles)
    order = np.argsort(owners, kind="stable")
    used, first = np.unique(owners[order], return_index=True)
    groups = dict(zip(used.tolist(), np.split(order, first[1:]), strict=True))
    with progress("embed buildings", len(outlines)) as advance, local_gdal(**GDAL):
        for number, (pre, post) in _read_ahead(imagery, {number: areas.window(number) for number in groups}):
            window, members = areas.window(number), groups[number]
            shapes = outlines.take(members)
            numbers = number_pixels(shapes, window.rows.start, window.cols.start, *pre.shape[:2])
            values[members] = embed(pre, post, numbers, len(members))
            advance(len(members))


def read_pair(imagery: Imagery, window: Window) -> tuple[Image, Image]:
    """Reads both dates of a window as the network saw them when the map was made."""
    plan = plan_block(imagery, window, {}, alone=False)
    pre, post, _ = read_window(plan.grid, imagery.pre, imagery.post, plan.shift)
    return pre, post


def _read_ahead(imagery: Imagery, windows: dict[int, Window]) -> Iterator[tuple[int, tuple[Image, Image]]]:
    """Reads each window while the network runs on the previous one."""
    numbers = list(windows)

    def read(number: int) -> tuple[Image, Image]:
        with local_gdal(**GDAL):
            return read_pair(imagery, windows[number])

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(read, numbers[0]) if numbers else None
        for number, following in zip(numbers, [*numbers[1:], None], strict=True):
            assert ahead is not None  # noqa: S101
            found = ahead.result()
            ahead = pool.submit(read, following) if following is not None else None
            yield number, found
