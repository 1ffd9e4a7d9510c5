"""The first step of a map: runs the network once on each window and stores its output as a block."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import shapely
from affine import Affine

from siamese.geo import local_gdal
from siamese.manifests import Checkpoint, PredictedBlock, Prediction
from siamese.mapping.blocks import (
    OUTSIDE,
    POST_MISSING,
    PRE_MISSING,
    SEEN,
    UNREADABLE,
    Block,
    BlockShelf,
    Bytes,
    block_key,
    missing_reasons,
)
from siamese.mapping.footprints import mask_identity
from siamese.mapping.grid import Grid
from siamese.mapping.mosaic import Image, Mask
from siamese.mapping.obscured import find_obscured
from siamese.mapping.shifts import LEAST_PX, ShiftField, estimate_shifts
from siamese.mapping.stage import PREDICTION
from siamese.mapping.survey import Learned, Survey, check_gsd, survey
from siamese.mapping.task import Date, Imagery, MapTask
from siamese.mapping.tiles import GDAL
from siamese.mapping.windows import Layout, Window, lay_windows
from siamese.model import Decision, Predictor, Probabilities, read_config
from siamese.model.predictor import average_decision
from siamese.params import PredictParams
from siamese.progress import LOGGER, progress
from siamese.store import Blob, ObjectStore, Origin, put_blob
from siamese.store.stage import Input

_SNAP = 4096
"""Grids of windows are aligned to one part in this many of a pixel."""

OpenImagery = Callable[[tuple[int, int]], Imagery]
"""Opens the imagery of a task with the given numbers of bands for both dates."""


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


def plan_prediction(task: MapTask, checkpoints: Sequence[Checkpoint], params: PredictParams) -> Origin:
    """Returns the identity of a prediction."""
    inputs: dict[str, Input] = {**task.imagery_inputs(), "disaster_type": task.disaster_type or ""}
    inputs["checkpoint"] = checkpoints[0]
    if further := checkpoints[1:]:
        inputs["further"] = further
    return PREDICTION.plan(inputs=inputs, params={"mapping": params})


def predict(
    task: MapTask,
    checkpoints: Sequence[Checkpoint],
    params: PredictParams,
    store: ObjectStore,
    imagery: OpenImagery,
    predictor: PairPredictor | None = None,
    learned: Callable[[], Learned | None] | None = None,
) -> Prediction:
    """Predicts all windows of a map; windows that any earlier run predicted are reused.

    Any number of processes may work on one map at once: each predicts windows that are still missing.

    Args:
        task: Images to map.
        checkpoints: The network, or those of an ensemble.
        params: Windows and flips.
        store: Object storage for the blocks.
        imagery: Opens the task's images; called only if needed.
        predictor: The checkpoints' network, if it is loaded already.
        learned: Returns the GSD that the network was trained on, if that is known; called only if needed.

    Raises:
        SiameseError: An image is missing, damaged or has the wrong bands, only one date has a georeference, the dates
            show different places or one picture, or their pixels are too coarse.
    """
    origin = plan_prediction(task, checkpoints, params)
    if found := PREDICTION.find(store, origin, older=task.reuse_older):
        return found
    begun = time.monotonic()
    decision, bands = _decision_and_bands(checkpoints, predictor, store)
    opened = imagery(bands)
    notes = check_gsd(opened, params.coarsest_m, learned() if learned else None)
    looked = survey(opened) if params.find_obscured else Survey()
    notes += looked.notes
    if params.align:
        opened = replace(opened, shifts=align(opened))
        notes += _told(opened)
    grid, layout = opened.grid, plan_windows(opened, params)
    network_parts = _network_identity(checkpoints, params, task.disaster_type)
    for note in notes:
        LOGGER.warning(note)
    rules = Rules(obscured=params.find_obscured, count_unseen=params.count_unseen)
    plans = {
        (window.row, window.col): plan_block(opened, window, network_parts, alone=len(layout) == 1, rules=rules)
        for window in layout
    }
    shelf = BlockShelf(store)
    done = shelf.find_all([plan.key for plan in plans.values() if plan.key])
    missing = [plan for plan in plans.values() if plan.key and plan.key not in done]
    at_once = not done
    if missing:
        # The backend is chosen for the whole map, so that a resumed map equals an uninterrupted one.
        network = predictor or Predictor.load(store, *checkpoints, expected_pairs=len(layout), flips=params.flips)
        done |= _predict_missing(opened, missing, network, shelf, task.disaster_type, total=len(layout))
    folder = Prediction.folder(store, origin.digest)
    area, footprints = opened.area, opened.footprints
    return Prediction(
        origin=origin,
        checkpoint=checkpoints[0].digest,
        further=tuple(one.digest for one in checkpoints[1:]),
        seconds=time.monotonic() - begun if at_once else None,
        disaster_type=task.disaster_type,
        decision=decision.model_dump(mode="json"),
        bands=bands,
        crs=grid.crs,
        transform=_six(grid.transform),
        width=grid.width,
        height=grid.height,
        rows=tuple((span.start, span.stop) for span in layout.rows),
        cols=tuple((span.start, span.stop) for span in layout.cols),
        blocks=tuple(plan.described(done.get(plan.key)) for plan in plans.values()),
        area=put_blob(store, folder, "area.wkb", shapely.to_wkb(area)) if area is not None else None,
        footprints=put_blob(store, folder, "footprints.parquet", footprints.to_bytes()) if footprints else None,
        shifts=put_blob(store, folder, "shifts.geojson", opened.shifts.to_geojson(grid)) if opened.shifts else None,
        looks=looked.looks,
        warnings=(*opened.warnings, *notes, *_torn(opened)),
    ).publish(store)


@dataclass(frozen=True)
class Rules:
    """What is done where a date shows no ground."""

    obscured: bool = True
    """Look for cloud and the like."""
    count_unseen: bool = True
    """Find buildings where only the pre image shows the ground."""


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
    kept: Mask | None = None
    """``(h, w)`` where damage is kept in any case."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Pixels, right and down, by which the post images are shifted."""

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
    if imagery.area is not None and not shapely.intersects(imagery.area, _box(*place)):
        return BlockPlan(window, grid, "", OUTSIDE, alone, rules)
    shift = imagery.shift_at(window.rows.start + window.rows.size / 2, window.cols.start + window.cols.size / 2)
    pre, post = imagery.pre.touching(grid), imagery.post.touching(grid.shifted(shift))
    if not pre or (not post and not rules.count_unseen):
        unseen = (SEEN if pre else PRE_MISSING) | (SEEN if post else POST_MISSING)
        return BlockPlan(window, grid, "", unseen, alone, rules)
    ground = {"crs": grid.crs, "transform": _six(grid.transform), "size": (grid.height, grid.width)}
    parts = network | ground | {"pre": pre, "post": post, "alone": alone, "rules": vars(rules)}
    kept = imagery.footprints.around(*place) if imagery.footprints else None
    if kept is not None and kept.any():
        parts["kept"] = mask_identity(kept)
    if shift != (0.0, 0.0):
        parts["shift"] = shift
    key = block_key(parts | {"stage": PREDICTION.noun, "version": PREDICTION.version})
    return BlockPlan(window, grid, key, SEEN, alone, rules, kept, shift)


def predict_block(
    plan: BlockPlan, pre: Image, post: Image, unseen: Bytes, network: PairPredictor, disaster_type: str | None
) -> Block:
    """Runs the network on one window, unless no pixel of it can be judged.

    Where only the pre image shows the ground, buildings are found as if nothing had happened, so that they can be
    counted as unknown.

    Args:
        plan: The block's plan.
        pre: ``(h, w, bands)``.
        post: ``(h, w, bands)``.
        unseen: ``(h, w)``, see :class:`siamese.mapping.blocks.Block`.
        network: The network.
        disaster_type: Type of the disaster.
    """
    reasons, before = find_obscured(pre, post, unseen) if plan.rules.obscured else (missing_reasons(unseen), None)
    hidden = reasons > 0
    found = None
    if not hidden.all():
        # Damage in a window without buildings still matters where it blends into a window with buildings.
        found = network.predict(pre, post, disaster_type, classes_only=plan.alone and plan.kept is None)
    alone = hidden & (unseen & PRE_MISSING == 0)
    if before is not None:
        alone &= ~before
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


def _predict_missing(
    imagery: Imagery,
    missing: list[BlockPlan],
    network: PairPredictor,
    shelf: BlockShelf,
    disaster_type: str | None,
    *,
    total: int,
) -> dict[str, Blob]:
    """Predicts blocks; while the network runs, the next window is read and the previous block is written."""
    done: dict[str, Blob] = {}
    writing: tuple[str, Future[Blob]] | None = None
    with (
        progress("predict windows", total) as advance,
        ThreadPoolExecutor(1) as writer,
        local_gdal(**GDAL),
    ):
        advance(total - len(missing))
        for plan, found in _read_ahead(imagery, _started_anywhere(missing), shelf):
            if isinstance(found, Blob):
                done[plan.key] = found
            else:
                block = predict_block(plan, *found, network, disaster_type)
                if writing:
                    done[writing[0]] = writing[1].result()
                writing = plan.key, writer.submit(shelf.keep, plan.key, block)
            advance()
        if writing:
            done[writing[0]] = writing[1].result()
    return done


def _started_anywhere(plans: list[BlockPlan]) -> list[BlockPlan]:
    """Rotates plans to a random start, so that two processes on one map do not predict the same blocks."""
    first = int.from_bytes(os.urandom(4)) % len(plans)
    return plans[first:] + plans[:first]


def _read_ahead(
    imagery: Imagery, plans: list[BlockPlan], shelf: BlockShelf
) -> Iterator[tuple[BlockPlan, Blob | tuple[Image, Image, Bytes]]]:
    """Reads each window while the network runs on the previous one; skips blocks that another process has made."""

    def read(plan: BlockPlan) -> Blob | tuple[Image, Image, Bytes]:
        return shelf.find(plan.key) or read_window(plan.grid, imagery.pre, imagery.post, plan.shift)

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(read, plans[0])
        for number, plan in enumerate(plans):
            found = ahead.result()
            if number + 1 < len(plans):
                ahead = pool.submit(read, plans[number + 1])
            yield plan, found


def align(imagery: Imagery) -> ShiftField | None:
    """Estimates the shifts of the post images against the pre images; None for different sensors or without a block."""
    pre, post = imagery.pre.mosaic, imagery.post.mosaic
    if pre.bands != post.bands:
        return None
    with progress("align dates") as advance, local_gdal(**GDAL):
        field = estimate_shifts(
            imagery.grid, pre.read, post.read, lambda part: pre.touches(part) and post.touches(part)
        )
        advance(note=f"{len(field.trusted)} of {len(field.blocks)} blocks can be trusted")
    return field if field.blocks else None


def _told(imagery: Imagery) -> tuple[str, ...]:
    """Describes the shift that is applied, in one line; nothing where none is."""
    field = imagery.shifts
    if field is None or not field.usable:
        return ()
    _, _, length = field.median_px
    middle = imagery.grid.height / 2, imagery.grid.width / 2
    if field.at(*middle) == (0.0, 0.0) and length < LEAST_PX:
        return ()
    metres = imagery.grid.side_m() * length if imagery.grid.crs is not None else math.nan
    size = f"{length:.1f} px" if math.isnan(metres) else f"{length:.1f} px ({metres:.1f} m)"
    trusted = f"{len(field.trusted)} of {len(field.blocks)} blocks"
    return (f"the post images are shifted by {size} against the pre images ({trusted}) and were aligned",)


def _torn(imagery: Imagery) -> tuple[str, ...]:
    """Names the files with damaged blocks, one line each."""
    return tuple(
        f"{tile.name}: {len(tile.torn)} block{'s' * (len(tile.torn) != 1)} cannot be read and are unknown in the map"
        for date in (imagery.pre, imagery.post)
        for tile in date.mosaic.tiles
        if tile.torn
    )


def _decision_and_bands(
    checkpoints: Sequence[Checkpoint], predictor: PairPredictor | None, store: ObjectStore
) -> tuple[Decision, tuple[int, int]]:
    """Returns decision and bands without loading the network, which may not be needed."""
    if predictor is not None:
        return predictor.decision, predictor.bands
    configs = [read_config(one.network.read(store), one.network.uri) for one in checkpoints]
    return average_decision([config.decision for config in configs]), configs[0].network.input_bands


def _network_identity(
    checkpoints: Sequence[Checkpoint], params: PredictParams, disaster_type: str | None
) -> dict[str, object]:
    networks = []
    for one in checkpoints:
        parts = one.quantized.parts if one.quantized else ()
        numbers = [blob.sha256 for part in parts for blob in (part.operations, part.constants)]
        networks.append([one.weights.sha256, one.network.sha256, *numbers])
    return {"networks": networks, "flips": params.flips, "disaster_type": disaster_type}


def _snapped(grid: Grid) -> Grid:
    """Moves a grid by less than a thousandth of a pixel, so that it is identical whichever map contains it."""
    place = grid.transform
    if place.b or place.d or grid.crs is None:
        return grid
    left = round(place.c / place.a * _SNAP) / _SNAP * place.a
    top = round(place.f / place.e * _SNAP) / _SNAP * place.e
    return replace(grid, transform=Affine(place.a, 0, left, 0, place.e, top))


def _box(row: int, col: int, height: int, width: int) -> shapely.Polygon:
    return shapely.box(col, row, col + width, row + height)


def _six(transform: Affine) -> tuple[float, float, float, float, float, float]:
    a, b, c, d, e, f, *_ = tuple(transform)
    return float(a), float(b), float(c), float(d), float(e), float(f)


def _nothing(grid: Grid, bands: int) -> tuple[Image, Mask]:
    # The post image was not read, so it is not known to be missing.
    return np.zeros((grid.height, grid.width, bands), np.uint8), np.ones((grid.height, grid.width), bool)
