"""From two mosaics and a network to the files of a map; memory does not grow with the area."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from siamese.classes import UNCLASSIFIED
from siamese.imagery.gdal import local_gdal
from siamese.mapping.buildings import OutlineFinder, class_piece, vote
from siamese.mapping.components import ComponentFinder, Components
from siamese.mapping.grid import Grid
from siamese.mapping.mosaic import Image, Mask, Mosaic
from siamese.mapping.rasters import create, describe, write_cog
from siamese.mapping.tiles import GDAL
from siamese.mapping.vectors import BuildingWriter
from siamese.mapping.windows import Blender, Core, Span, walk
from siamese.model import Decision, Prediction, calibrate
from siamese.model.decision import at_peak, building_mask, pixel_votes
from siamese.params import MappingParams
from siamese.progress import progress

_BANDS = 5


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


@dataclass(frozen=True)
class _Pass:
    """What the first pass leaves: labels (and classes of single pixels, if they count) on disk, and the buildings."""

    pieces: tuple[tuple[int, int, int, int], ...]
    components: Components


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

    Two passes over the map: the first predicts window by window, blends, and labels buildings into a working raster;
    the second, when every building is known whole, gives it its one class and its outline.

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
    classes, labels, single = (folder / name for name in ("classes-work.tif", "labels.tif", "single.tif"))
    files = folder / "damage.tif", folder / "buildings.parquet", folder / "buildings.geojson"
    with local_gdal(**GDAL):
        with (
            create(labels, grid, "int32") as label_raster,
            create(single, grid, "uint8") as single_raster,
            create(classes, grid, "uint8", nodata=UNCLASSIFIED) as class_raster,
        ):
            describe(class_raster, model, event)
            pieces = _predict(grid, pre, post, predictor, params, disaster_type)
            first = _label(grid, pieces, predictor.decision, label_raster, single_raster)
            winner = vote(first.components, predictor.decision, params, in_metres=grid.crs is not None)
            outlines = OutlineFinder(first.components, winner, params.simplify_px)
            unknown = 0
            with (
                BuildingWriter(files[1], files[2], grid, event, review_below=params.review_below) as writer,
                progress("draw map", len(first.pieces)) as advance,
            ):
                for row, col, height, width in first.pieces:
                    window = Window(col, row, width, height)
                    found = label_raster.read(1, window=window)
                    alone = None if predictor.decision.per_building else single_raster.read(1, window=window)
                    piece = class_piece(found, first.components, winner, alone)
                    class_raster.write(piece, 1, window=window)
                    unknown += int((piece == UNCLASSIFIED).sum())
                    for building in outlines.add(row, col, found):
                        writer.add(building)
                    advance()
        write_cog(classes, files[0])
    return MapFiles(*files, writer.counts, unknown / (grid.width * grid.height))


def window_count(grid: Grid, params: MappingParams) -> int:
    """How often the network will be asked for a map."""
    return len(list(walk(grid.height, grid.width, params.tile_px, params.overlap_px)))


def _label(
    grid: Grid, predicted: Iterable[_Seen], decision: Decision, labels: DatasetWriter, single: DatasetWriter
) -> _Pass:
    finder = ComponentFinder(grid.width)
    pieces = []
    weights = np.asarray(decision.class_weights, np.float32)[:, None, None]
    for piece in predicted:
        core, prediction = piece.core, piece.prediction
        height, width = piece.seen.shape
        window = Window(core.col, core.row, width, height)
        area = grid.window(core.row, core.col, height, width).pixel_m2() or 1.0
        mask = building_mask(prediction, decision)
        told = calibrate(prediction, decision)
        votes = np.zeros_like(prediction.damage)
        votes[:, mask] = pixel_votes(prediction.damage[:, mask], decision)
        sure = at_peak(prediction.building, decision)
        found = finder.add(core.row, core.col, mask, piece.seen, sure, told.building, told.damage, votes, area)
        labels.write(found, 1, window=window)
        if not decision.per_building:
            single.write(((votes * weights).argmax(0) + 1).astype(np.uint8), 1, window=window)
        pieces.append((core.row, core.col, height, width))
    return _Pass(tuple(pieces), finder.finish())


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
