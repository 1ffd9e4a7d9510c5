"""From two mosaics and a network to the files of a map; memory does not grow with the area."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from siamese.classes import UNCLASSIFIED
from siamese.imagery.gdal import local_gdal
from siamese.mapping.buildings import OutlineFinder, class_piece, vote
from siamese.mapping.components import NO_DATA, ComponentFinder, Labels
from siamese.mapping.grid import Grid
from siamese.mapping.measures import BuildingMeter, Measures
from siamese.mapping.mosaic import Image, Mask, Mosaic
from siamese.mapping.rasters import create, describe, write_cog
from siamese.mapping.tiles import GDAL
from siamese.mapping.vectors import BuildingWriter
from siamese.mapping.windows import Blender, Core, Span, walk
from siamese.model import Decision, Prediction, calibrate
from siamese.model.decision import at_peak, building_mask, grow, pixel_votes
from siamese.params import MappingParams
from siamese.progress import progress

_BANDS = 5
_FAINT = -2
"""Label of a pixel that belongs to a building if a core is near."""

_Piece = tuple[int, int, int, int]
"""Row, column, height, width."""


class PairPredictor(Protocol):
    """Whoever tells buildings and damage from a pair; :class:`siamese.model.Predictor` does."""

    @property
    def decision(self) -> Decision:
        """How its probabilities become classes."""

    @property
    def bands(self) -> tuple[int, int]:
        """Of the pre and of the post image, as it takes them."""

    def predict(
        self, pre: Image, post: Image, disaster_type: str | None = None, *, classes_only: bool = False
    ) -> Prediction:
        """Probabilities for one pair of ``(H, W, bands)`` uint8 images; see :meth:`siamese.model.Predictor.predict`."""


@dataclass(frozen=True)
class MapFiles:
    """What was drawn."""

    classes: Path
    """Cloud-optimised GeoTIFF."""
    buildings: Path
    """GeoParquet."""
    geojson: Path
    counts: dict[str, int]
    """Buildings by class."""
    unknown_share: float
    """Share of the map that one of the dates does not show, or where a building is unknown; 0..1."""


@dataclass(frozen=True)
class _Seen:
    """A finished piece: probabilities, and where both dates have data."""

    core: Core
    seen: Mask

    @property
    def prediction(self) -> Prediction:
        return Prediction(self.core.values[0], self.core.values[1:])


def draw_map(
    grid: Grid,
    pre: Mosaic,
    post: Mosaic,
    predictor: PairPredictor,
    params: MappingParams,
    folder: Path,
    *,
    model: str,
    event: str,
    disaster_type: str | None = None,
) -> MapFiles:
    """Draws a map.

    Three passes over the map, piece by piece, with working rasters between them: the first predicts, blends, and labels
    the cores of buildings; the second, when every core is known whole, grows and measures buildings; the third gives
    each its one class and its outline.

    Args:
        grid: Pixels of the map.
        pre: Images before the disaster.
        post: Images after it.
        predictor: The network.
        params: Windows and least building.
        folder: Where files go; working files stay there.
        model: Written into the raster.
        event: Written into the raster.
        disaster_type: What struck, as in :data:`siamese.classes.DISASTER_TYPES`.

    Raises:
        SiameseError: An image is damaged.
    """
    files = folder / "damage.tif", folder / "buildings.parquet", folder / "buildings.geojson"
    classes = folder / "classes-work.tif"
    decision, in_metres = predictor.decision, grid.crs is not None
    with local_gdal(**GDAL):
        with (
            create(folder / "labels.tif", grid, "int32") as labels,
            create(folder / "numbers.tif", grid, "int32") as numbers,
            create(folder / "probabilities.tif", grid, "float32", bands=_BANDS) as probabilities,
            create(classes, grid, "uint8", nodata=UNCLASSIFIED) as class_raster,
        ):
            describe(class_raster, model, event)
            predicted = _predict(grid, pre, post, predictor, params, disaster_type)
            pieces, cores = _label(grid, predicted, decision, labels, probabilities)
            found = _measure(grid, pieces, cores, decision, labels, probabilities, numbers)
            winner = vote(found, decision, params, in_metres=in_metres)
            outlines = OutlineFinder(found, winner, params.simplify_px)
            unknown = 0
            with (
                BuildingWriter(files[1], files[2], grid, event, review_below=params.review_below) as writer,
                progress("draw map", len(pieces)) as advance,
            ):
                for row, col, height, width in pieces:
                    window = Window(col, row, width, height)
                    own = numbers.read(1, window=window)
                    piece = class_piece(own, winner, _pixel_classes(probabilities, window, decision))
                    class_raster.write(piece, 1, window=window)
                    unknown += int((piece == UNCLASSIFIED).sum())
                    for building in outlines.add(row, col, own):
                        writer.add(building)
                    advance()
        write_cog(classes, files[0])
    return MapFiles(*files, writer.counts, unknown / (grid.width * grid.height))


def window_count(grid: Grid, params: MappingParams) -> int:
    """How often the network will be asked for a map."""
    return len(list(walk(grid.height, grid.width, params.tile_px, params.overlap_px)))


def _label(
    grid: Grid, predicted: Iterable[_Seen], decision: Decision, labels: DatasetWriter, probabilities: DatasetWriter
) -> tuple[tuple[_Piece, ...], Labels]:
    """First pass: labels of cores, and what the network says of pixels that may be building, go to disk.

    Returns:
        The pieces; and the number of the building that each label belongs to, 0 for none.
    """
    finder = ComponentFinder(grid.width)
    pieces = []
    for piece in predicted:
        core, prediction = piece.core, piece.prediction
        height, width = piece.seen.shape
        window = Window(core.col, core.row, width, height)
        mask = building_mask(prediction, decision) & piece.seen
        found = finder.add(core.row, core.col, mask & at_peak(prediction.building, decision), piece.seen)
        found[mask & (found == 0)] = _FAINT
        labels.write(found, 1, window=window)
        if mask.any():
            probabilities.write(np.where(mask, core.values, np.float32(0)), window=window)
        pieces.append((core.row, core.col, height, width))
    return tuple(pieces), finder.finish(decision.minimum_px)


def _measure(
    grid: Grid,
    pieces: Sequence[_Piece],
    cores: Labels,
    decision: Decision,
    labels: DatasetWriter,
    probabilities: DatasetWriter,
    numbers: DatasetWriter,
) -> Measures:
    """Second pass: each pixel's building goes to disk, and what its pixels come to is added up."""
    meter = BuildingMeter(int(cores.max(initial=0)), grid.width)
    with progress("measure buildings", len(pieces)) as advance:
        for row, col, height, width in pieces:
            window = Window(col, row, width, height)
            own, near_no_data = _grown(labels, window, cores, decision)
            numbers.write(own, 1, window=window)
            inside = own > 0
            said = probabilities.read(window=window)[:, inside] if inside.any() else np.zeros((_BANDS, 0), np.float32)
            prediction = Prediction(said[0], said[1:])
            votes = pixel_votes(prediction.damage, decision)
            area = grid.window(row, col, height, width).pixel_m2() or 1.0
            meter.add(row, col, own, near_no_data, calibrate(prediction, decision), votes, area)
            advance()
    return meter.finish()


def _grown(labels: DatasetWriter, window: Window, cores: Labels, decision: Decision) -> tuple[Labels, Mask]:
    """Which building each pixel of a window belongs to, and whether it lies beside one that is not seen.

    Whatever may grow into the window is read too, so that it does not matter how the map is cut.
    """
    margin = max(1, decision.growth_px)
    top, left = max(0, window.row_off - margin), max(0, window.col_off - margin)
    bottom = min(labels.height, window.row_off + window.height + margin)
    right = min(labels.width, window.col_off + window.width + margin)
    around = labels.read(1, window=Window(left, top, right - left, bottom - top))
    mask = (around > 0) | (around == _FAINT)
    grown = grow(cores[np.maximum(around, 0)], mask, decision.growth_px)
    unseen = around == NO_DATA
    near = cv2.dilate(unseen.view(np.uint8), np.ones((3, 3), np.uint8)).view(bool)
    row, col = window.row_off - top, window.col_off - left
    inner = np.s_[row : row + window.height, col : col + window.width]
    return np.where(unseen, NO_DATA, grown)[inner].astype(np.int32), near[inner]


def _pixel_classes(probabilities: DatasetWriter, window: Window, decision: Decision) -> npt.NDArray[np.uint8] | None:
    """The class of each pixel by itself, for a network whose buildings do not vote."""
    if decision.per_building:
        return None
    weights = np.asarray(decision.class_weights, np.float32)[:, None, None]
    votes = pixel_votes(probabilities.read(window=window)[1:], decision)
    return np.asarray((votes * weights).argmax(0) + 1, np.uint8)


def _predict(
    grid: Grid,
    pre: Mosaic,
    post: Mosaic,
    predictor: PairPredictor,
    params: MappingParams,
    disaster_type: str | None,
) -> Iterator[_Seen]:
    windows = list(walk(grid.height, grid.width, params.tile_px, params.overlap_px))
    # Damage of a window without buildings still counts where it fades into one with buildings.
    alone = len(windows) == 1
    blender = Blender(_BANDS, grid.width, params.overlap_px)
    with progress("predict windows", len(windows)) as advance:
        for (rows, cols), before, after, seen in _read_ahead(grid, pre, post, windows):
            if seen.any():
                found = predictor.predict(before, after, disaster_type, classes_only=alone)
                values = np.concatenate([found.building[None], found.damage])
            else:
                values = np.zeros((_BANDS, rows.size, cols.size), np.float32)
            core = blender.add(rows, cols, values)
            yield _Seen(core, seen[: rows.core - rows.start, : cols.core - cols.start])
            advance()


def _read_ahead(
    grid: Grid, pre: Mosaic, post: Mosaic, windows: list[tuple[Span, Span]]
) -> Iterator[tuple[tuple[Span, Span], Image, Image, Mask]]:
    """Reads each window while the network is busy with the one before."""

    def read(rows: Span, cols: Span) -> tuple[Image, Image, npt.NDArray[np.bool_]]:
        part = grid.window(rows.start, cols.start, rows.size, cols.size)
        before, one = pre.read(part) if post.touches(part) else _nothing(part, pre.bands)
        after, two = post.read(part) if one.any() else _nothing(part, post.bands)
        return before, after, one & two

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(read, *windows[0])
        for number, window in enumerate(windows):
            before, after, seen = ahead.result()
            if number + 1 < len(windows):
                ahead = pool.submit(read, *windows[number + 1])
            yield window, before, after, seen


def _nothing(grid: Grid, bands: int) -> tuple[Image, Mask]:
    return np.zeros((grid.height, grid.width, bands), np.uint8), np.zeros((grid.height, grid.width), bool)
