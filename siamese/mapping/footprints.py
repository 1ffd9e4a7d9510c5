"""Building footprints that people give, on the grid of a map."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from affine import Affine

from siamese.errors import SiameseError
from siamese.geo import rasterize
from siamese.mapping.components import Labels
from siamese.mapping.grid import Grid
from siamese.mapping.mosaic import Mask
from siamese.mapping.polygons import left_out, moved, no_polygon
from siamese.mapping.shape_files import ShapeSource
from siamese.mapping.shapes import read_shapes
from siamese.store import ObjectStore

MARGIN_PX: Final = 16
"""Damage is kept this far around a footprint, so that it can be read where the imagery shows the building."""
_TINY_PX: Final = 2.0
"""Footprints of at most this area may hold no pixel's centre; the pixel in their middle stands for them."""
_SCHEMA: Final = pa.schema([pa.field("id", pa.string()), pa.field("outline", pa.binary())])


@dataclass(frozen=True, eq=False)
class Footprints:
    """Footprints in pixels of a grid, the larger ones first."""

    ids: tuple[str, ...]
    outlines: npt.NDArray[Any]
    """``(n,)`` polygons and multipolygons, (column, row)."""

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def none(cls) -> Self:
        """Returns no footprints."""
        return cls((), np.zeros(0, object))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Reads footprints from the bytes that :meth:`to_bytes` returns."""
        table = pq.read_table(io.BytesIO(data))
        return cls(tuple(table["id"].to_pylist()), shapely.from_wkb(np.array(table["outline"].to_pylist(), object)))

    def to_bytes(self) -> bytes:
        """Serializes the footprints as Parquet; equal footprints give equal bytes."""
        table = pa.table({"id": list(self.ids), "outline": list(shapely.to_wkb(self.outlines))}, schema=_SCHEMA)
        out = io.BytesIO()
        pq.write_table(table, out, compression="zstd")
        return out.getvalue()

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.outlines)

    @cached_property
    def _middles(self) -> npt.NDArray[np.int64]:
        """``(n, 2)`` row and column of a pixel inside each footprint."""
        points = shapely.get_coordinates(shapely.point_on_surface(self.outlines))
        return np.floor(points[:, ::-1]).astype(np.int64)

    @cached_property
    def _tiny(self) -> Mask:
        return np.asarray(shapely.area(self.outlines) <= _TINY_PX)

    def numbers(self, row: int, col: int, height: int, width: int, shift: tuple[float, float] = (0.0, 0.0)) -> Labels:
        """Returns the footprint of each pixel of a piece: its position plus one, 0 for none; the smaller one on top.

        Args:
            row: First row of the piece.
            col: First column.
            height: Rows.
            width: Columns.
            shift: Columns and rows by which the imagery shows the footprints away from where they were drawn.
        """
        right, down = shift
        box = shapely.box(col - right, row - down, col + width - right, row + height - down)
        near = np.sort(self._tree.query(box))  # Larger footprints first, so that smaller ones are painted last.
        out = np.zeros((height, width), np.int32)
        if not near.size:
            return out
        place = Affine.translation(col - right, row - down)
        shapes = ((self.outlines[number], int(number) + 1) for number in near)
        rasterize(shapes, out=out, transform=place)
        for number in near[self._tiny[near]]:
            at = self._middles[number] + (round(down), round(right)) - (row, col)
            if (at >= 0).all() and at[0] < height and at[1] < width:
                out[at[0], at[1]] = number + 1
        return out

    def around(self, row: int, col: int, height: int, width: int) -> Mask:
        """Returns which pixels of a piece are within :data:`MARGIN_PX` of a footprint."""
        margin = MARGIN_PX
        found = self.numbers(row - margin, col - margin, height + 2 * margin, width + 2 * margin) > 0
        square = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
        grown = cv2.dilate(found.view(np.uint8), square)
        return np.asarray(grown[margin : margin + height, margin : margin + width], bool)


def place_footprints(
    source: ShapeSource, grid: Grid, store: ObjectStore, folder: Path, id_column: str | None = None
) -> tuple[Footprints, tuple[str, ...]]:
    """Reads the footprints that lie on a grid.

    Args:
        source: The file or files.
        grid: The grid of a map.
        store: Object storage.
        folder: Folder for copies.
        id_column: Column of their ids.

    Returns:
        The footprints, and what was strange about them, one line each.

    Raises:
        SiameseError: The grid has no georeference, a file cannot be read or holds no polygon, or no footprint
            lies on the grid.
    """
    where = f"--footprints {source.name}"
    bounds = grid.degrees()
    if grid.crs is None or bounds is None:
        fix = "give georeferenced images"
        raise SiameseError("cannot be placed: the imagery has no georeference", where=where, fix=fix)
    found = read_shapes(source, store, folder, bounds, id_column)
    if found.only_skipped:
        raise no_polygon(where, found.skipped, "give outlines of buildings")
    outlines = moved(found.geometries, grid.crs, grid.to_pixels)
    on_grid = shapely.intersects(outlines, shapely.box(0, 0, grid.width, grid.height))
    if not on_grid.any():
        fix = "check that footprints and images show one place"
        raise SiameseError("no footprint lies on the images before the disaster", where=where, fix=fix)
    order = np.argsort(-shapely.area(outlines[on_grid]), kind="stable")
    ids = np.array(found.ids, dtype=object)[on_grid][order]
    notes = list(left_out(where, found.skipped))
    if doubled := len(ids) - len(set(ids)):
        notes.append(f"{where}: {doubled:,} footprints share their id with another one")
    return Footprints(tuple(map(str, ids)), outlines[on_grid][order]), tuple(notes)


def mask_identity(mask: Mask) -> str:
    """Returns the identity of a mask."""
    return hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()
