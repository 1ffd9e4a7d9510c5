"""The second step of a map: finds, numbers, classifies and outlines buildings in a prediction, without the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.io import DatasetWriter
from rasterio.windows import Window as PixelWindow

from siamese.classes import DAMAGE_CLASSES, UNCLASSIFIED
from siamese.geo import local_gdal
from siamese.manifests import BuildingSet, Prediction
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
from siamese.mapping.grid import Grid
from siamese.mapping.measures import BuildingMeter, Measures
from siamese.mapping.mosaic import Mask
from siamese.mapping.probabilities import BlendedBlocks
from siamese.mapping.rasters import create
from siamese.mapping.stage import BUILDING_SET
from siamese.mapping.tiles import GDAL
from siamese.mapping.windows import Layout, spans
from siamese.mapping.workplace import workplace
from siamese.model import Decision, Probabilities, calibrate
from siamese.model.decision import at_peak, building_mask, grow, pixel_votes
from siamese.params import BuildingParams
from siamese.progress import progress
from siamese.store import ObjectStore, put_file

_BANDS = 5
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
    with workplace(store) as folder:
        made = decide_buildings(grid_of(prediction), blended, decision, params, folder)
        target = BuildingSet.folder(store, origin.digest)
        return BuildingSet(
            origin=origin,
            prediction=prediction.digest,
            classes=put_file(store, target, "classes.tif", made.classes),
            table=put_file(store, target, "buildings.parquet", made.table),
            counts=made.counts,
            unknown_share=made.unknown_share,
        ).publish(store)


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
    """Share of the map, 0..1, that is not shown on both dates or belongs to an unknown building."""


def decide_buildings(
    grid: Grid, blended: BlendedBlocks, decision: Decision, params: BuildingParams, folder: Path
) -> DecidedMap:
    """Turns blended probabilities into classes and buildings.

    Memory does not grow with the area, only by a few numbers per building. There are three passes
    over the map, piece by piece, with working rasters between them: the first labels the cores of buildings; the
    second, once every core is known completely, grows and measures buildings; the third gives each its class and its
    outline.

    Args:
        grid: Pixels of the map.
        blended: Its probabilities.
        decision: Thresholds and weights.
        params: Minimum building size, and how outlines are simplified.
        folder: Folder for the files; working files stay there.
    """
    made, table = folder / "classes.tif", folder / "buildings-found.parquet"
    counts = Counter(dict.fromkeys((*DAMAGE_CLASSES, UNKNOWN), 0))
    with (
        local_gdal(**GDAL),
        create(folder / "labels.tif", grid, "int32") as labels,
        create(folder / "numbers.tif", grid, "int32") as numbers,
        create(folder / "probabilities.tif", grid, "float32", bands=_BANDS) as probabilities,
        create(made, grid, "uint8", nodata=UNCLASSIFIED) as classes,
    ):
        places = [
            _place(window.rows.start, window.cols.start, window.rows.own, window.cols.own) for window in blended.layout
        ]
        cores = _label(grid, blended, decision, labels, probabilities)
        found = _measure(grid, places, cores, decision, labels, probabilities, numbers)
        winner = vote(found, decision, params, in_metres=grid.crs is not None)
        outlines = OutlineFinder(found, winner, params.simplify_px)
        unknown = 0

        def drawn() -> Iterator[MappedBuilding]:
            nonlocal unknown
            with progress("outline buildings", len(places)) as advance:
                for place in places:
                    own = numbers.read(1, window=place)
                    piece = class_piece(own, winner, _pixel_classes(probabilities, place, decision))
                    classes.write(piece, 1, window=place)
                    unknown += int((piece == UNCLASSIFIED).sum())
                    for building in outlines.add(place.row_off, place.col_off, own):
                        counts[building.damage_class] += 1
                        yield building
                    advance()

        write_buildings(table, drawn())
    return DecidedMap(made, table, dict(counts), unknown / (grid.width * grid.height))


def _place(row: int, col: int, height: int, width: int) -> PixelWindow:
    return PixelWindow(col, row, width, height)


def _label(
    grid: Grid, blended: BlendedBlocks, decision: Decision, labels: DatasetWriter, probabilities: DatasetWriter
) -> Labels:
    """First pass: writes labels of cores, and the probabilities of pixels that may be building, to disk.

    Returns:
        The number of the building that each label belongs to, 0 for none.
    """
    finder = ComponentFinder(grid.width)
    with progress("find buildings", len(blended.layout)) as advance:
        for window in blended.layout:
            piece = blended.piece(window)
            seen = piece.unseen == 0
            place = _place(piece.row, piece.col, *seen.shape)
            mask = building_mask(piece.found, decision) & seen
            cores = finder.add(piece.row, piece.col, mask & at_peak(piece.found.building, decision), seen)
            cores[mask & (cores == 0)] = _FAINT
            labels.write(cores, 1, window=place)
            if mask.any():
                values = np.concatenate([piece.found.building[None], piece.found.damage])
                probabilities.write(np.where(mask, values, np.float32(0)), window=place)
            advance()
    return finder.finish(decision.minimum_px)


def _measure(
    grid: Grid,
    places: Sequence[PixelWindow],
    cores: Labels,
    decision: Decision,
    labels: DatasetWriter,
    probabilities: DatasetWriter,
    numbers: DatasetWriter,
) -> Measures:
    """Second pass: writes each pixel's building to disk and accumulates the measures of each building."""
    meter = BuildingMeter(int(cores.max(initial=0)), grid.width)
    with progress("measure buildings", len(places)) as advance:
        for place in places:
            own, near_no_data = _grown(labels, place, cores, decision)
            numbers.write(own, 1, window=place)
            inside = own > 0
            said = probabilities.read(window=place)[:, inside] if inside.any() else np.zeros((_BANDS, 0), np.float32)
            prediction = Probabilities(said[0], said[1:])
            votes = pixel_votes(prediction.damage, decision)
            row, col = place.row_off, place.col_off
            area = grid.window(row, col, place.height, place.width).pixel_m2() or 1.0
            meter.add(row, col, own, near_no_data, calibrate(prediction, decision), votes, area)
            advance()
    return meter.finish()


def _grown(labels: DatasetWriter, window: PixelWindow, cores: Labels, decision: Decision) -> tuple[Labels, Mask]:
    """Returns each pixel's building in a window, and whether the pixel is unseen or next to an unseen one.

    A margin that buildings may grow from is read too, so the result does not depend on how the map is cut.
    """
    margin = max(1, decision.growth_px)
    top, left = max(0, window.row_off - margin), max(0, window.col_off - margin)
    bottom = min(labels.height, window.row_off + window.height + margin)
    right = min(labels.width, window.col_off + window.width + margin)
    around = labels.read(1, window=PixelWindow(left, top, right - left, bottom - top))
    mask = (around > 0) | (around == _FAINT)
    grown = grow(cores[np.maximum(around, 0)], mask, decision.growth_px)
    unseen = around == NO_DATA
    near = cv2.dilate(unseen.view(np.uint8), np.ones((3, 3), np.uint8)).view(bool)
    row, col = window.row_off - top, window.col_off - left
    inner = np.s_[row : row + window.height, col : col + window.width]
    return np.where(unseen, NO_DATA, grown)[inner].astype(np.int32), near[inner]


def _pixel_classes(
    probabilities: DatasetWriter, window: PixelWindow, decision: Decision
) -> npt.NDArray[np.uint8] | None:
    """Returns the class of each pixel on its own, for a network whose buildings do not vote."""
    if decision.per_building:
        return None
    weights = np.asarray(decision.class_weights, np.float32)[:, None, None]
    votes = pixel_votes(probabilities.read(window=window)[1:], decision)
    return np.asarray((votes * weights).argmax(0) + 1, np.uint8)
