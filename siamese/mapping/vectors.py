"""Writes buildings as GeoParquet and GeoJSON, one after another."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS

from siamese.classes import DAMAGE_CLASSES
from siamese.geo.globe import WGS84, Box, cut_at_antimeridian
from siamese.mapping.buildings import UNKNOWN, MappedBuilding
from siamese.mapping.grid import Grid

_BATCH: Final = 2048
_DEGREE_DIGITS: Final = 7
"""About a centimetre."""
_SIDES: Final = ("xmin", "ymin", "xmax", "ymax")
SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("damage_class", pa.string(), nullable=False),
        ("confidence", pa.float32()),
        pa.field("review", pa.bool_(), nullable=False),
        *((f"probability_{name}", pa.float32()) for name in DAMAGE_CLASSES),
        ("probability_building", pa.float32()),
        ("area_m2", pa.float32()),
        ("area_px", pa.int32()),
        ("unknown_share", pa.float32()),
        ("reasons", pa.string()),
        ("footprint_id", pa.string()),
        pa.field("geometry", pa.binary(), nullable=False),
        pa.field("bbox", pa.struct([(side, pa.float64()) for side in _SIDES]), nullable=False),
    ]
)


class BuildingWriter:
    """Writes one GeoParquet and one GeoJSON file; at most one batch is kept in memory."""

    def __init__(self, parquet: Path, geojson: Path, grid: Grid, name: str, *, review_below: float) -> None:
        self.counts: dict[str, int] = {}
        self.reviewed = 0
        """Buildings that are marked for review."""
        self._review_below = review_below
        self._grid = grid
        self._name = name
        self._paths = parquet, geojson
        self._rows: list[MappedBuilding] = []
        self._box = Box(degrees=grid.crs is not None)
        self._types: set[str] = set()
        self._any = False

    def __enter__(self) -> Self:
        parquet, geojson = self._paths
        self._parquet = pq.ParquetWriter(parquet, SCHEMA, compression="zstd")
        self._geojson: TextIO = geojson.open("w", encoding="utf-8")
        head: dict[str, Any] = {"type": "FeatureCollection", "name": self._name}
        if self._grid.crs is None:
            head["coordinates"] = "pixels from the upper left corner, x right, y down; the imagery has no georeference"
        self._geojson.write(json.dumps(head)[:-1] + ', "features": [')
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
            bounds = self._box.bounds()
            self._geojson.write("\n]" + (f', "bbox": {json.dumps(bounds)}' if bounds else "") + "}\n")
            self._parquet.add_key_value_metadata({"geo": json.dumps(self._geo())})
        self._geojson.close()
        self._parquet.close()

    def add(self, building: MappedBuilding) -> None:
        """Adds a building."""
        self.counts[building.damage_class] = self.counts.get(building.damage_class, 0) + 1
        self._rows.append(building)
        if len(self._rows) == _BATCH:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        outlines = np.array([row.outline for row in rows], dtype=object)
        points = shapely.get_coordinates(shapely.point_on_surface(outlines))
        if self._grid.crs is not None:
            outlines = shapely.transform(outlines, lambda found: self._grid.to_degrees(found).round(_DEGREE_DIGITS))
            points = self._grid.to_degrees(points)
            outlines = cut_at_antimeridian(outlines)
        outlines = shapely.orient_polygons(outlines)
        ids = [self._id(row, point) for row, point in zip(rows, points, strict=True)]
        table = [self._properties(row, name) for row, name in zip(rows, ids, strict=True)]
        boxes = [dict(zip(_SIDES, box, strict=True)) for box in shapely.bounds(outlines).tolist()]
        geometry = [
            {"geometry": found, "bbox": box} for found, box in zip(shapely.to_wkb(outlines), boxes, strict=True)
        ]
        self._parquet.write_table(
            pa.Table.from_pylist([one | two for one, two in zip(table, geometry, strict=True)], schema=SCHEMA)
        )
        for properties, outline in zip(table, shapely.to_geojson(outlines), strict=True):
            self.reviewed += bool(properties["review"])
            rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in properties.items()}
            self._geojson.write(
                f'{"," if self._any else ""}\n{{"type": "Feature", "id": {json.dumps(rounded.pop("id"))}, '
                f'"properties": {json.dumps(rounded)}, "geometry": {outline}}}'
            )
            self._any = True
        self._box.add(outlines)
        self._types |= {str(outline.geom_type) for outline in outlines}

    def _id(self, row: MappedBuilding, point: npt.NDArray[np.float64]) -> str:
        """Returns the building's id, made from its location: the same place keeps its id, whatever else is mapped.

        With a georeference it is a point inside the building in ISO 6709 form, to six digits (a decimetre, which is
        less than a pixel).
        """
        if self._grid.crs is None:
            return f"row{row.first // self._grid.width:06d}col{row.first % self._grid.width:06d}"
        return f"{point[1]:+010.6f}{point[0]:+011.6f}"

    def _properties(self, row: MappedBuilding, name: str) -> dict[str, Any]:
        known = row.damage_class != UNKNOWN
        damage = dict(zip(DAMAGE_CLASSES, row.damage, strict=True))
        # That a given footprint is a building is known, so only its class is in doubt.
        standing = row.probability if row.footprint_id is None else 1.0
        confidence = standing * damage[row.damage_class] if known else None
        return {
            "id": name,
            "damage_class": row.damage_class,
            "confidence": confidence,
            "review": confidence is None or confidence < self._review_below,
            **{f"probability_{which}": value if known else None for which, value in damage.items()},
            "probability_building": row.probability,
            "area_m2": row.area if self._grid.crs is not None else None,
            "area_px": row.pixels,
            "unknown_share": row.unknown_share,
            "reasons": row.reasons,
            "footprint_id": row.footprint_id,
        }

    def _geo(self) -> dict[str, Any]:
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": sorted(self._types),
            "orientation": "counterclockwise",
            "crs": CRS.from_user_input(WGS84).to_json_dict() if self._grid.crs is not None else None,
            # Readers skip whole row groups by this column without looking at a geometry.
            "covering": {"bbox": {side: ["bbox", side] for side in _SIDES}},
        }
        if bounds := self._box.bounds():
            column["bbox"] = bounds
        return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
