"""Blocks of a map that are yet to be predicted: their windows, and what determines their content."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import shapely
from affine import Affine

from siamese.manifests import PredictedBlock
from siamese.mapping.blocks import OUTSIDE, POST_MISSING, PRE_MISSING, SEEN, block_key
from siamese.mapping.footprints import mask_identity
from siamese.mapping.grid import Grid
from siamese.mapping.mosaic import Mask
from siamese.mapping.stage import PREDICTION
from siamese.mapping.task import Imagery
from siamese.mapping.windows import Layout, Window, lay_windows
from siamese.params import PredictParams
from siamese.store import Blob

_SNAP = 4096
"""Grids of windows are aligned to one part in this many of a pixel."""


@dataclass(frozen=True)
class Rules:
    """What is done where a date shows no ground."""

    obscured: bool = True
    """Look for cloud and the like."""
    count_unseen: bool = True
    """Find buildings where only the pre image shows the ground."""
    misaligned: bool = False
    """The dates could not be matched: all ground is unknown."""


@dataclass(frozen=True, eq=False)
class BlockPlan:
    """A block that is yet to be predicted: its window and identity."""

    window: Window
    grid: Grid
    """Grid of the window."""
    key: str
    """The block's identity; empty where a date has no images."""
    unseen: int
    """The dates without images, if the key is empty."""
    alone: bool
    """Whether the window is the whole map."""
    rules: Rules = Rules()
    bits: bytes = b""
    """:attr:`kept` as bits, since the plans of a large map lie in memory together; empty without a mask."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Pixels, right and down, by which the post images are shifted."""

    @property
    def kept(self) -> Mask | None:
        """``(h, w)`` where damage is kept in any case."""
        if not self.bits:
            return None
        size = self.grid.height, self.grid.width
        pixels = np.frombuffer(self.bits, np.uint8)
        return np.unpackbits(pixels, count=size[0] * size[1]).reshape(size).astype(bool)

    def described(self, data: Blob | None) -> PredictedBlock:
        """Returns the block's entry in the manifest."""
        rows, cols = self.window.rows, self.window.cols
        return PredictedBlock(
            row=self.window.row,
            col=self.window.col,
            height=rows.size,
            width=cols.size,
            key=self.key,
            data=data,
            unseen=self.unseen,
        )


def plan_windows(imagery: Imagery, params: PredictParams) -> Layout:
    """Lays the windows of a map.

    One window starts at the corner of the first pre image, so that windows keep their location on the ground when
    further images enlarge the map.
    """
    grid = imagery.grid
    return lay_windows(grid.height, grid.width, params.tile_px, params.overlap_px, imagery.corner)


def plan_block(
    imagery: Imagery, window: Window, network: dict[str, object], *, alone: bool, rules: Rules = Rules()
) -> BlockPlan:
    """Computes a block's identity from all that determines its content: the network, the ground, and its images.

    Args:
        imagery: Both dates.
        window: The block's window.
        network: Everything besides the images that the network's output depends on.
        alone: The window is the whole map, so that only its own buildings matter.
        rules: What is done where a date shows no ground.
    """
    place = window.rows.start, window.cols.start, window.rows.size, window.cols.size
    grid = _snapped(imagery.grid.window(*place))
    if imagery.area is not None and not shapely.intersects(imagery.area, box_of(*place)):
        return BlockPlan(window, grid, "", OUTSIDE, alone, rules)
    shift = imagery.shift_at(window.rows.start + window.rows.size / 2, window.cols.start + window.cols.size / 2)
    pre, post = imagery.pre.touching(grid), imagery.post.touching(grid.shifted(shift))
    if not pre or (not post and not rules.count_unseen):
        unseen = (SEEN if pre else PRE_MISSING) | (SEEN if post else POST_MISSING)
        return BlockPlan(window, grid, "", unseen, alone, rules)
    ground = {"crs": grid.crs, "transform": six_numbers(grid.transform), "size": (grid.height, grid.width)}
    parts = network | ground | {"pre": pre, "post": post, "alone": alone, "rules": vars(rules)}
    kept = imagery.footprints.around(*place) if imagery.footprints else None
    if kept is not None and kept.any():
        parts["kept"] = mask_identity(kept)
    if shift != (0.0, 0.0):
        parts["shift"] = shift
    key = block_key(parts | {"stage": PREDICTION.noun, "version": PREDICTION.version})
    bits = np.packbits(kept).tobytes() if kept is not None else b""
    return BlockPlan(window, grid, key, SEEN, alone, rules, bits, shift)


def _snapped(grid: Grid) -> Grid:
    """Moves a grid by less than a thousandth of a pixel, so that it is identical whichever map contains it."""
    place = grid.transform
    if place.b or place.d or grid.crs is None:
        return grid
    left = round(place.c / place.a * _SNAP) / _SNAP * place.a
    top = round(place.f / place.e * _SNAP) / _SNAP * place.e
    return replace(grid, transform=Affine(place.a, 0, left, 0, place.e, top))


def box_of(row: int, col: int, height: int, width: int) -> shapely.Polygon:
    """Returns a piece of a grid as a polygon in the grid's pixels."""
    return shapely.box(col, row, col + width, row + height)


def six_numbers(transform: Affine) -> tuple[float, float, float, float, float, float]:
    """Returns the six numbers of a transform, as manifests state them."""
    a, b, c, d, e, f, *_ = tuple(transform)
    return float(a), float(b), float(c), float(d), float(e), float(f)
