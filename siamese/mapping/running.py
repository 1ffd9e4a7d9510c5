"""Runs the network on windows of a map and keeps its output, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from siamese.geo import local_gdal
from siamese.mapping.blocks import (
    POST_MISSING,
    PRE_MISSING,
    SEEN,
    UNREADABLE,
    Block,
    BlockShelf,
    Bytes,
    KeptBlock,
    Torn,
    missing_reasons,
)
from siamese.mapping.grid import Grid
from siamese.mapping.mosaic import Image, Mask
from siamese.mapping.obscured import find_obscured
from siamese.mapping.plans import BlockPlan
from siamese.mapping.reasons import Codes, Reason
from siamese.mapping.task import Date, Imagery
from siamese.mapping.tiles import GDAL
from siamese.model import Decision, Probabilities
from siamese.parallel import ordered_map


class PairPredictor(Protocol):
    """Interface for models that predict buildings and damage from an image pair: :class:`siamese.model.Predictor`."""

    @property
    def decision(self) -> Decision:
        """The rule by which its probabilities become classes."""

    @property
    def bands(self) -> tuple[int, int]:
        """The numbers of bands that it takes of the pre and of the post image."""

    def predict(
        self, pre: Image, post: Image, disaster_type: str | None = None, *, classes_only: bool = False
    ) -> Probabilities:
        """Predicts one pair of ``(H, W, bands)`` uint8 images; see :meth:`siamese.model.Predictor.predict`."""


@dataclass(frozen=True, eq=False)
class SeenWindow:
    """Both dates of a window, and what of them can be judged.

    Attributes:
        pre: ``(h, w, bands)``.
        post: ``(h, w, bands)``.
        unseen: ``(h, w)``, see :class:`siamese.mapping.blocks.Block`.
        reasons: ``(h, w)``, why a pixel cannot be judged.
        before: ``(h, w)``, True where that is so for the pre image; None where nobody looked.
    """

    pre: Image
    post: Image
    unseen: Bytes
    reasons: Codes
    before: Mask | None


def see_window(plan: BlockPlan, pre: Date, post: Date) -> SeenWindow:
    """Reads a window and looks for what hides the ground.

    Args:
        plan: The window's plan.
        pre: The images before the disaster.
        post: The images after it.
    """
    images = read_window(plan.grid, pre, post, plan.shift)
    reasons, before = find_obscured(*images) if plan.rules.obscured else (missing_reasons(images[2]), None)
    if plan.rules.misaligned:
        reasons = np.where(reasons == Reason.NONE, np.uint8(Reason.MISALIGNED), reasons)
    return SeenWindow(*images, reasons, before)


def predict_block(plan: BlockPlan, window: SeenWindow, network: PairPredictor, disaster_type: str | None) -> Block:
    """Runs the network on one window, unless no pixel of it can be judged.

    Where only the pre image shows the ground, buildings are found as if nothing had happened, so that they can be
    counted as unknown.

    Args:
        plan: The block's plan.
        window: Its images.
        network: The network.
        disaster_type: Type of the disaster.
    """
    pre, post, unseen, reasons = window.pre, window.post, window.unseen, window.reasons
    hidden = reasons > 0
    found = None
    if not hidden.all():
        # Damage in a window without buildings still matters where it blends into a window with buildings.
        found = network.predict(pre, post, disaster_type, classes_only=plan.alone and plan.kept is None)
    alone = hidden & (unseen & PRE_MISSING == 0)
    if window.before is not None:
        alone &= ~window.before
    if plan.rules.count_unseen and alone.any():
        found = _filled(found, network.predict(pre, _unchanged(pre, network), disaster_type), alone)
    if found is None:
        return Block.unknown(unseen, reasons)
    gone = hidden & ~alone if plan.rules.count_unseen else hidden
    return Block.of(found.without(gone), unseen, network.decision, reasons, plan.kept)


def _unchanged(pre: Image, network: PairPredictor) -> Image:
    """Returns a post image in which nothing has changed, or an empty one for networks that expect another sensor."""
    bands = network.bands
    return pre if bands[0] == bands[1] else np.zeros((*pre.shape[:2], bands[1]), np.uint8)


def _filled(found: Probabilities | None, alone: Probabilities, where: Mask) -> Probabilities:
    """Takes the buildings that the pre image alone shows into what was found with both dates."""
    if found is None:
        return Probabilities(np.where(where, alone.building, np.float32(0)), alone.damage)
    return Probabilities(np.where(where, alone.building, found.building), found.damage)


def read_window(
    grid: Grid, pre: Date, post: Date, shift: tuple[float, float] = (0.0, 0.0)
) -> tuple[Image, Image, Bytes]:
    """Reads both dates of a window and its unseen pixels; the post image is not read if pre shows nothing.

    Args:
        grid: Pixels of the window.
        pre: The images before the disaster.
        post: The images after it.
        shift: Pixels, right and down, by which the post images show the ground away from where the pre images do.
    """
    there = grid.shifted(shift)
    before, one = pre.mosaic.read(grid)
    after, two = post.mosaic.read(there) if one.any() else _nothing(grid, post.mosaic.bands)
    unseen = np.where(one, SEEN, PRE_MISSING) | np.where(two, SEEN, POST_MISSING)
    torn = ~one & pre.mosaic.torn(grid) | ~two & post.mosaic.torn(there)
    return before, after, (unseen | np.where(torn, UNREADABLE, SEEN)).astype(np.uint8)


def predict_blocks(
    imagery: Imagery,
    plans: Sequence[BlockPlan],
    network: PairPredictor,
    shelf: BlockShelf,
    disaster_type: str | None = None,
) -> Iterator[tuple[BlockPlan, KeptBlock]]:
    """Predicts blocks; while the network runs, the next window is read and the previous block is written.

    Blocks that another process keeps in the meantime are taken from there.

    Args:
        imagery: Both dates, open.
        plans: The blocks.
        network: The network.
        shelf: Where the blocks are kept.
        disaster_type: Type of the disaster.

    Yields:
        Each plan with its block, one step behind the network.
    """
    writing: tuple[BlockPlan, Future[KeptBlock]] | None = None
    with ThreadPoolExecutor(1) as writer, local_gdal(**GDAL):
        for plan, found in _read_ahead(imagery, plans, shelf):
            if isinstance(found, KeptBlock):
                yield plan, found
                continue
            block = predict_block(plan, found, network, disaster_type)
            torn = _torn_near(imagery, plan)
            if writing:
                yield writing[0], writing[1].result()
            writing = plan, writer.submit(shelf.keep, plan.key, block, torn)
        if writing:
            yield writing[0], writing[1].result()


def _torn_near(imagery: Imagery, plan: BlockPlan) -> Torn:
    """Returns the damaged blocks of files that were met so far, of the files that a window reads."""
    found = {}
    for date, grid in ((imagery.pre, plan.grid), (imagery.post, plan.grid.shifted(plan.shift))):
        for number in date.mosaic.touching(grid):
            tile = date.mosaic.tiles[number]
            if tile.torn:
                found[tile.name] = tuple(sorted(tile.torn))
    return found


def _read_ahead(
    imagery: Imagery, plans: Sequence[BlockPlan], shelf: BlockShelf
) -> Iterator[tuple[BlockPlan, KeptBlock | SeenWindow]]:
    """Reads each window while the network runs on the previous one; skips blocks that another process has made."""

    def read(plan: BlockPlan) -> KeptBlock | SeenWindow:
        return shelf.find(plan.key) or see_window(plan, imagery.pre, imagery.post)

    with ThreadPoolExecutor(1) as pool:
        yield from zip(plans, ordered_map(pool, read, plans, ahead=2), strict=True)


def _nothing(grid: Grid, bands: int) -> tuple[Image, Mask]:
    # The post image was not read, so it is not known to be missing.
    return np.zeros((grid.height, grid.width, bands), np.uint8), np.ones((grid.height, grid.width), bool)
