"""The first step of a map: runs the network once on each window and stores its output as a block."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import shapely

from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, Prediction
from siamese.mapping.blocks import BlockShelf, KeptBlock
from siamese.mapping.plans import BlockPlan, Rules, box_of, plan_block, plan_windows, six_numbers
from siamese.mapping.running import PairPredictor, predict_blocks
from siamese.mapping.shifts import FURTHEST_PX, LEAST_PX, ShiftField, estimate_shifts
from siamese.mapping.spread import Spread, WindowWork
from siamese.mapping.stage import PREDICTION
from siamese.mapping.survey import Learned, Survey, check_gsd, survey
from siamese.mapping.task import Imagery, MapTask
from siamese.mapping.windows import Layout
from siamese.model import Decision, Predictor, read_config
from siamese.model.predictor import average_decision
from siamese.params import PredictParams
from siamese.progress import LOGGER, progress
from siamese.store import ObjectStore, Origin, put_blob
from siamese.store.stage import Input

OpenImagery = Callable[[tuple[int, int]], Imagery]
"""Opens the imagery of a task with the given numbers of bands for both dates."""


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
    spread: Spread | None = None,
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
        spread: Processes that windows are spread over; by default they are predicted in this one.

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
    layout = plan_windows(opened, params)
    _check_common_ground(opened, layout)
    notes = check_gsd(opened, params.coarsest_m, learned() if learned else None)
    looked = survey(opened) if params.find_obscured else Survey()
    notes += looked.notes
    if params.align:
        opened = replace(opened, shifts=align(opened))
        notes += _told(opened)
    grid = opened.grid
    network_parts = _network_identity(checkpoints, params, task.disaster_type)
    for note in notes:
        LOGGER.warning(note)
    apart = opened.shifts is not None and opened.shifts.apart
    rules = Rules(obscured=params.find_obscured, count_unseen=params.count_unseen, misaligned=apart)
    plans = {
        (window.row, window.col): plan_block(opened, window, network_parts, alone=len(layout) == 1, rules=rules)
        for window in layout
    }
    shelf = BlockShelf(store)
    done = shelf.find_all([plan.key for plan in plans.values() if plan.key])
    missing = [plan for plan in plans.values() if plan.key and plan.key not in done]
    at_once = not done
    if missing:
        missing = _by_size(_started_anywhere(missing))
        if spread is not None and spread.is_worth_it(len(missing)):
            work = WindowWork.of(task, checkpoints, bands, grid, params, len(layout))
            blocks = spread.predict(work, missing)
        else:
            # The backend is chosen for the whole map, so that a resumed map equals an uninterrupted one.
            network = predictor or Predictor.load(store, *checkpoints, expected_pairs=len(layout), flips=params.flips)
            blocks = predict_blocks(opened, missing, network, shelf, task.disaster_type)
        with progress("predict windows", len(layout)) as advance:
            advance(len(layout) - len(missing))
            for plan, kept in blocks:
                done[plan.key] = kept
                advance()
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
        transform=six_numbers(grid.transform),
        width=grid.width,
        height=grid.height,
        rows=tuple((span.start, span.stop) for span in layout.rows),
        cols=tuple((span.start, span.stop) for span in layout.cols),
        blocks=tuple(plan.described(done[plan.key].data if plan.key else None) for plan in plans.values()),
        area=put_blob(store, folder, "area.wkb", shapely.to_wkb(area)) if area is not None else None,
        footprints=put_blob(store, folder, "footprints.parquet", footprints.to_bytes()) if footprints else None,
        shifts=put_blob(store, folder, "shifts.geojson", opened.shifts.to_geojson(grid)) if opened.shifts else None,
        looks=looked.looks,
        warnings=(*opened.warnings, *notes, *_torn(opened, done.values())),
    ).publish(store)


def _started_anywhere(plans: list[BlockPlan]) -> list[BlockPlan]:
    """Rotates plans to a random start, so that two processes on one map do not predict the same blocks."""
    first = int.from_bytes(os.urandom(4)) % len(plans)
    return plans[first:] + plans[:first]


def _by_size(plans: list[BlockPlan]) -> list[BlockPlan]:
    """Puts windows of one size together, the largest first: each size needs memory of its own in the network."""
    return sorted(plans, key=lambda plan: (plan.grid.height, plan.grid.width), reverse=True)


def _check_common_ground(imagery: Imagery, layout: Layout) -> None:
    """Refuses images of which no window, inside the area of interest, is shown on both dates."""
    for window in layout:
        place = window.rows.start, window.cols.start, window.rows.size, window.cols.size
        part = imagery.grid.window(*place)
        wanted = imagery.area is None or shapely.intersects(imagery.area, box_of(*place))
        if wanted and imagery.pre.mosaic.touches(part) and imagery.post.mosaic.touches(part):
            return
    names = f"{imagery.pre.mosaic.tiles[0].name} and {imagery.post.mosaic.tiles[0].name}"
    inside = " inside the area of interest" if imagery.area is not None else ""
    fix = "check that images of both dates, and the area if one is given, show one place"
    raise SiameseError(f"no ground{inside} is shown on both dates", where=names, fix=fix)


def align(imagery: Imagery) -> ShiftField | None:
    """Estimates the shifts of the post images against the pre images; None for different sensors or without a block."""
    pre, post = imagery.pre.mosaic, imagery.post.mosaic
    if pre.bands != post.bands:
        return None
    with progress("align dates", 1) as advance:
        field = estimate_shifts(
            imagery.grid, pre.read, post.read, lambda part: pre.touches(part) and post.touches(part)
        )
        advance(note=f"{len(field.trusted)} of {len(field.blocks)} blocks can be trusted")
    return field if field.blocks else None


def _told(imagery: Imagery) -> tuple[str, ...]:
    """Describes in one line the shift that is applied, or that none could be found; nothing where none is needed."""
    field = imagery.shifts
    if field is not None and field.apart:
        return (
            "the dates cannot be matched, so all ground is unknown: they show different places, or lie more than "
            f"{FURTHEST_PX} px apart; if you are sure that they lie right, set mapping.align=false",
        )
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


def _torn(imagery: Imagery, blocks: Iterable[KeptBlock]) -> tuple[str, ...]:
    """Names the files with damaged blocks, one line each, whichever process met them."""
    met: dict[str, set[tuple[int, int, int, int]]] = {}
    for block in blocks:
        for name, torn in block.torn.items():
            met.setdefault(name, set()).update(torn)
    names = dict.fromkeys(tile.name for date in (imagery.pre, imagery.post) for tile in date.mosaic.tiles)
    return tuple(
        f"{name}: {len(met[name])} block{'s' * (len(met[name]) != 1)} cannot be read and are unknown in the map"
        for name in names
        if name in met
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
