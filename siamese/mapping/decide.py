"""The second step of a map: finds, numbers, classifies and outlines buildings in a prediction, without the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio.io import DatasetWriter
from rasterio.windows import Window as PixelWindow

from siamese.classes import DAMAGE_CLASSES, UNCLASSIFIED
from siamese.geo import local_gdal
from siamese.manifests import BuildingSet, Prediction
from siamese.mapping.area import inside
from siamese.mapping.blocks import BlockShelf
from siamese.mapping.buildings import (
    UNKNOWN,
    MappedBuilding,
    OutlineFinder,
    class_piece,
    vote,
    write_buildings,
)
from siamese.mapping.components import NO_DATA, ComponentFinder, Labels
from siamese.mapping.footprints import Footprints
from siamese.mapping.grid import Grid
from siamese.mapping.measures import BuildingMeter, Measures
from siamese.mapping.probabilities import BlendedBlocks, Piece
from siamese.mapping.rasters import create
from siamese.mapping.reasons import MISSING, Codes, Reason, shares
from siamese.mapping.shifts import BlockShift, ShiftField, judged, shift_of_shapes
from siamese.mapping.stage import BUILDING_SET
from siamese.mapping.tiles import GDAL
from siamese.mapping.windows import Layout, Window, spans
from siamese.mapping.workplace import workplace
from siamese.model import Decision, Probabilities, calibrate
from siamese.model.decision import at_peak, building_mask, grow, pixel_votes
from siamese.parallel import ordered_map
from siamese.params import BuildingParams
from siamese.progress import progress
from siamese.store import ObjectStore, put_blob, put_file

_MOST_WINDOWS = 64
"""How many windows footprints are compared in."""
_FAINT = -2
"""Label of a pixel that belongs to a building only if a core is near."""


def find_buildings(
    prediction: Prediction, params: BuildingParams, store: ObjectStore, *, reuse_older: bool = True
) -> BuildingSet:
    """Finds the buildings of a prediction.

    Args:
        prediction: What the network found.
        params: Least building, and how outlines are simplified.
        store: Where the prediction lies and the buildings go.
        reuse_older: Take what an earlier version of the stage found, if there is something.

    Raises:
        SiameseError: A block is missing or differs from what was published.
    """
    origin = BUILDING_SET.plan(inputs={"prediction": prediction}, params={"mapping": params})
    if found := BUILDING_SET.find(store, origin, older=reuse_older):
        return found
    decision = Decision.model_validate(prediction.decision)
    layout = Layout(spans(prediction.rows), spans(prediction.cols))
    blocks = {(block.row, block.col): block for block in prediction.blocks}
    shelf = BlockShelf(store)
    blended = BlendedBlocks(layout, decision, lambda window: shelf.read(blocks[window.row, window.col]))
    given = Given(
        area=shapely.from_wkb(prediction.area.read(store)) if prediction.area else None,
        footprints=Footprints.from_bytes(prediction.footprints.read(store)) if prediction.footprints else None,
    )
    grid = grid_of(prediction)
    field = footprint_shifts(blended, given.footprints) if given.footprints and params.align_footprints else None
    if field is not None:
        given = replace(given, shift=field.at)
    with workplace(store) as folder:
        made = decide_buildings(grid, blended, decision, params, folder, given)
        target = BuildingSet.folder(store, origin.digest)
        return BuildingSet(
            origin=origin,
            prediction=prediction.digest,
            classes=put_file(store, target, "classes.tif", made.classes),
            table=put_file(store, target, "buildings.parquet", made.table),
            reasons=put_file(store, target, "reasons.tif", made.reasons) if made.reasons else None,
            counts=made.counts,
            unknown_share=made.unknown_share,
            reason_shares=made.reason_shares,
            footprints=len(given.footprints) if given.footprints else None,
            shifts=put_blob(store, target, "shifts.geojson", field.to_geojson(grid)) if field else None,
        ).publish(store)


def footprint_shifts(blended: BlendedBlocks, footprints: Footprints) -> ShiftField | None:
    """Estimates how far the network shows buildings away from their footprints, by windows spread over the map.

    Returns:
        The shifts; None without a window that holds both.
    """
    every = list(blended.layout)
    found = []
    with progress("align footprints") as advance:
        for window in every[:: max(1, len(every) // _MOST_WINDOWS)]:
            row, col, height, width = window.rows.start, window.cols.start, window.rows.own, window.cols.own
            drawn = (footprints.numbers(row, col, height, width) > 0).astype(np.float32)
            if not drawn.any():
                continue
            piece = blended.piece(window)
            right, down, match = shift_of_shapes(drawn, piece.found.building)
            found.append(BlockShift(row + height // 2, col + width // 2, right, down, match))
            advance()
    return ShiftField(judged(found)) if found else None


def grid_of(prediction: Prediction) -> Grid:
    """Returns the grid of a prediction."""
    return Grid(prediction.crs, Affine(*prediction.transform), prediction.width, prediction.height)


@dataclass(frozen=True)
class DecidedMap:
    """Class raster and buildings of a map on local disk."""

    classes: Path
    """GeoTIFF, the class of every pixel."""
    table: Path
    """Parquet, see :func:`siamese.mapping.buildings.write_buildings`."""
    counts: dict[str, int]
    """Number of buildings by class, including classes without any."""
    unknown_share: float
    """Share of the map, 0..1, that cannot be judged or belongs to an unknown building."""
    reasons: Path | None = None
    """GeoTIFF, why each pixel is unknown: :class:`siamese.mapping.reasons.Reason`."""
    reason_shares: dict[str, float] = field(default_factory=dict)
    """Share of the map, 0..1, that is unknown for each reason that occurs."""


@dataclass(frozen=True, eq=False)
class Given:
    """What people gave beside the imagery, in pixels of the grid."""

    area: shapely.Geometry | None = None
    """The area of interest; None: all of the grid."""
    footprints: Footprints | None = None
    """Outlines of buildings; None: the network finds them."""
    shift: Callable[[float, float], tuple[float, float]] | None = None
    """Columns and rows by which the imagery at a pixel (row, col) shows the footprints away from where they are."""


def decide_buildings(
    grid: Grid,
    blended: BlendedBlocks,
    decision: Decision,
    params: BuildingParams,
    folder: Path,
    given: Given | None = None,
) -> DecidedMap:
    """Turns blended probabilities into classes and buildings.

    Memory does not grow with the area, only by a few numbers per building. There are three passes
    over the map, piece by piece, with working rasters between them: the first labels the cores of buildings; the
    second, once every core is known completely, grows and measures buildings; the third gives each its class and its
    outline. Each reads the next piece while it works on one.

    Args:
        grid: Pixels of the map.
        blended: Its probabilities.
        decision: Thresholds and weights.
        params: Minimum building size, and how outlines are simplified.
        folder: Folder for the files; working files stay there.
        given: Area of interest and footprints.
    """
    given = given or Given()
    made, table, why = folder / "classes.tif", folder / "buildings-found.parquet", folder / "reasons.tif"
    counts = Counter(dict.fromkeys((*DAMAGE_CLASSES, UNKNOWN), 0))
    footprints = given.footprints or Footprints.none()
    with (
        local_gdal(**GDAL),
        create(folder / "labels.tif", grid, "int32") as labels,
        create(folder / "numbers.tif", grid, "int32") as numbers,
        create(why, grid, "uint8") as reasons,
        create(made, grid, "uint8", nodata=UNCLASSIFIED) as classes,
    ):
        files = _Files(labels, numbers, reasons)
        cores, codes = _label(grid, blended, decision, files, given, alone=params.footprint_use == "replace")
        found = _measure(grid, blended, cores, decision, files, given)
        winner = vote(found, decision, params, in_metres=grid.crs is not None, footprints=len(footprints))
        outlines = OutlineFinder(found, winner, params.simplify_px, footprints, right_angles=params.right_angles)
        unknown = 0

        def drawn() -> Iterator[MappedBuilding]:
            nonlocal unknown
            with progress("outline buildings", len(blended.layout)) as advance:
                for window in blended.layout:
                    place = _place(window)
                    own = numbers.read(1, window=place)
                    piece = class_piece(own, winner, _pixel_classes(blended, window, decision))
                    why_here = reasons.read(1, window=place)
                    # What is too small to be a building does not turn unknown ground into known ground.
                    piece[(why_here > 0) & (piece == 0)] = UNCLASSIFIED
                    classes.write(piece, 1, window=place)
                    unknown += int(((piece == UNCLASSIFIED) & (why_here != Reason.OUTSIDE)).sum())
                    for building in outlines.add(place.row_off, place.col_off, own):
                        counts[building.damage_class] += 1
                        yield building
                    advance()
            for building in outlines.unseen(grid.width):
                counts[building.damage_class] += 1
                yield building

        write_buildings(table, drawn())
    whole = max(1, grid.width * grid.height - int(codes[Reason.OUTSIDE]))
    codes[Reason.OUTSIDE] = 0
    return DecidedMap(made, table, dict(counts), unknown / whole, why, shares(codes, whole))


@dataclass(frozen=True)
class _Files:
    """Working rasters of a map."""

    labels: DatasetWriter
    """Labels of cores, and :data:`_FAINT`."""
    numbers: DatasetWriter
    """The building of each pixel, NO_DATA where it is unknown."""
    reasons: DatasetWriter


def _place(window: Window) -> PixelWindow:
    """Returns where the piece of a window lies."""
    return PixelWindow(window.cols.start, window.rows.start, window.cols.own, window.rows.own)


def _read_ahead(blended: BlendedBlocks) -> Iterator[tuple[Window, Piece]]:
    """Yields each window with its piece, while the next piece is read."""
    with ThreadPoolExecutor(1) as pool:
        # One thread reads, so that blocks which neighbours share are read once.
        yield from zip(blended.layout, ordered_map(pool, blended.piece, blended.layout, ahead=2), strict=True)


def _label(
    grid: Grid, blended: BlendedBlocks, decision: Decision, files: _Files, given: Given, *, alone: bool
) -> tuple[Labels, npt.NDArray[np.int64]]:
    """First pass: writes labels of cores, and reasons, to disk.

    Args:
        grid: Pixels of the map.
        blended: Its probabilities.
        decision: Thresholds.
        files: Working rasters.
        given: Area of interest and footprints.
        alone: Where there are footprints, the network's own buildings are left out.

    Returns:
        The number of the building that each label belongs to, 0 for none; and the number of pixels by reason.
    """
    finder = ComponentFinder(grid.width)
    counted = np.zeros(len(Reason), np.int64)
    with progress("find buildings", len(blended.layout)) as advance:
        for window, piece in _read_ahead(blended):
            size = piece.reasons.shape
            place = _place(window)
            why = piece.reasons
            if given.area is not None:
                why = np.where(inside(given.area, piece.row, piece.col, *size), why, np.uint8(Reason.OUTSIDE))
            counted += np.bincount(why.ravel(), minlength=len(Reason))
            if why.any():
                files.reasons.write(why, 1, window=place)
            mask = building_mask(piece.found, decision)
            if given.footprints is not None and alone:
                mask = np.zeros_like(mask)
            core = mask & at_peak(piece.found.building, decision)
            cores = finder.add(piece.row, piece.col, core, np.ones(size, bool))
            cores[mask & (cores == 0)] = _FAINT
            if mask.any():
                files.labels.write(cores, 1, window=place)
            advance()
    return finder.finish(decision.minimum_px), counted


def _measure(
    grid: Grid,
    blended: BlendedBlocks,
    cores: Labels,
    decision: Decision,
    files: _Files,
    given: Given,
) -> Measures:
    """Second pass: writes each pixel's building to disk and accumulates the measures of each building."""
    footprints = given.footprints or Footprints.none()
    meter = BuildingMeter(len(footprints) + int(cores.max(initial=0)), grid.width)
    with progress("measure buildings", len(blended.layout)) as advance:
        for window, piece in _read_ahead(blended):
            place, row, col = _place(window), piece.row, piece.col
            own, why, around = _grown(files, place, cores, decision)
            taken = None
            if len(footprints):
                own[own > 0] += len(footprints)
                shift = given.shift(row + place.height // 2, col + place.width // 2) if given.shift else (0.0, 0.0)
                given_here = footprints.numbers(row, col, place.height, place.width, shift)
                taken = np.where(given_here > 0, np.maximum(own, 0), 0)
                own = np.where(given_here > 0, given_here, own).astype(np.int32)
            files.numbers.write(np.where((own == 0) & (why > 0), NO_DATA, own).astype(np.int32), 1, window=place)
            inner = own > 0
            prediction = Probabilities(piece.found.building[inner], piece.found.damage[:, inner])
            votes = pixel_votes(prediction.damage, decision)
            area = grid.window(row, col, place.height, place.width).pixel_m2() or 1.0
            told = calibrate(prediction, decision)
            meter.add(row, col, own, why, told, votes, area, around=around, taken=taken)
            advance()
    return meter.finish()


def _grown(files: _Files, window: PixelWindow, cores: Labels, decision: Decision) -> tuple[Labels, Codes, Codes]:
    """Returns each pixel's building in a window, why it is unknown, and the highest reason of it and its neighbours.

    A margin that buildings may grow from is read too, so the result does not depend on how the map is cut.
    """
    margin = max(1, decision.growth_px)
    top, left = max(0, window.row_off - margin), max(0, window.col_off - margin)
    bottom = min(files.labels.height, window.row_off + window.height + margin)
    right = min(files.labels.width, window.col_off + window.width + margin)
    place = PixelWindow(left, top, right - left, bottom - top)
    around = files.labels.read(1, window=place)
    mask = (around > 0) | (around == _FAINT)
    grown = grow(cores[np.maximum(around, 0)], mask, decision.growth_px)
    why = files.reasons.read(1, window=place)
    missing = np.where(np.isin(why, MISSING), why, np.uint8(0))
    near = cv2.dilate(missing, np.ones((3, 3), np.uint8))
    row, col = window.row_off - top, window.col_off - left
    inner = np.s_[row : row + window.height, col : col + window.width]
    return grown[inner].astype(np.int32), why[inner], np.asarray(near[inner], np.uint8)


def _pixel_classes(blended: BlendedBlocks, window: Window, decision: Decision) -> npt.NDArray[np.uint8] | None:
    """Returns the class of each pixel on its own, for a network whose buildings do not vote."""
    if decision.per_building:
        return None
    weights = np.asarray(decision.class_weights, np.float32)[:, None, None]
    votes = pixel_votes(blended.piece(window).found.damage, decision)
    return np.asarray((votes * weights).argmax(0) + 1, np.uint8)
