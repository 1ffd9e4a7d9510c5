"""Reads polygons from GeoParquet: of a bucket only those row groups whose bounding boxes touch the map."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, BinaryIO, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely
from pyproj import CRS

from siamese.errors import SiameseError
from siamese.geo.globe import WGS84, Bounds
from siamese.mapping.polygons import ID_NAMES, Geometries, Shapes, box_polygons, crs_of, from_wkb, ids_of, polygons_of

_NATIVE: Final = {"polygon": (2, shapely.GeometryType.POLYGON), "multipolygon": (3, shapely.GeometryType.MULTIPOLYGON)}
"""Native encodings of GeoParquet that hold polygons, and how many lists lie around their coordinates."""
_NATIVE_OTHERS: Final = ("point", "linestring", "multipoint", "multilinestring")


def read_geoparquet(source: BinaryIO, where: str, bounds: Bounds | None, id_column: str | None) -> Shapes:
    """Reads the polygons of a GeoParquet file; rows that its bounding boxes place elsewhere are left out.

    Args:
        source: The file.
        where: Its name, for messages.
        bounds: West, south, east, north in degrees; None for all.
        id_column: Column that holds the ids; None: the first of the usual names, else the row's number.

    Raises:
        SiameseError: It is damaged or no GeoParquet, has no CRS of the earth, an unknown encoding, or lacks the column.
    """
    try:
        with pq.ParquetFile(source, pre_buffer=False) as file:
            schema = file.schema_arrow
            geo = json.loads((schema.metadata or {}).get(b"geo", b"{}"))
            column = geo.get("primary_column", "geometry")
            if column not in schema.names:
                raise SiameseError("has no column of geometry", where=where, fix="give GeoParquet")
            about = geo.get("columns", {}).get(column, {})
            crs = _parquet_crs(about, where)
            box = _box_column(schema, about) if CRS.from_user_input(crs).is_geographic else None
            groups = [
                number
                for number in range(file.num_row_groups)
                if bounds is None or box is None or _group_touches(file.metadata.row_group(number), box, bounds)
            ]
            rows = file.metadata.num_rows
            wanted = [name for name in schema.names if name.lower() in ID_NAMES or name == id_column]
            named = [column, *wanted, *([box] if box else [])]
            table = file.read_row_groups(groups, columns=list(dict.fromkeys(named)))
    except (pa.ArrowException, ValueError, OSError) as error:
        fix = "write it again as GeoParquet"
        raise SiameseError(f"cannot be read: {str(error).splitlines()[0]}", where=where, fix=fix) from error
    if bounds is not None and box is not None:
        table = table.filter(_row_touches(table[box], bounds))
    columns = [np.asarray(table[name].to_pylist(), dtype=object) for name in wanted]
    numbers = np.arange(table.num_rows)
    ids = ids_of(wanted, columns, numbers, where, id_column)
    found = polygons_of(_decoded(table[column], about.get("encoding"), where), ids, crs)
    return replace(found, elsewhere=rows - table.num_rows)


def _decoded(column: pa.ChunkedArray, encoding: str | None, where: str) -> Geometries:
    """Returns the geometries of a GeoParquet column; None for those that are no polygons or cannot be read."""
    depth = _list_depth(column.type)
    kind = (encoding or ("unknown" if depth else "WKB")).lower()
    if kind == "wkb" and not pa.types.is_nested(column.type):
        return from_wkb(np.asarray(column.to_pylist(), dtype=object))
    if kind in _NATIVE and depth == _NATIVE[kind][0]:
        return _from_lists(column, _NATIVE[kind][1])
    if kind in _NATIVE_OTHERS:
        return np.full(len(column), None, dtype=object)
    what = f"holds its geometry in an encoding that is not read: {encoding or kind}"
    raise SiameseError(what, where=where, fix="write it again as GeoParquet with its geometry as WKB")


def _list_depth(kind: pa.DataType) -> int:
    """Returns how many lists lie around the coordinates of a native encoding; 0 if it is none."""
    depth = 0
    while pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind, depth = kind.value_type, depth + 1
    names = {kind.field(number).name for number in range(kind.num_fields)} if pa.types.is_struct(kind) else set()
    return depth if {"x", "y"} <= names else 0


def _from_lists(column: pa.ChunkedArray, kind: shapely.GeometryType) -> Geometries:
    """Returns the polygons of a native encoding; None for those whose rings are too short."""
    found = np.full(len(column), None, dtype=object)
    rows = column.combine_chunks().drop_null()
    try:
        polygons = _ragged(rows, kind)
    except (ValueError, shapely.GEOSException):
        polygons = np.array([_ragged_alone(rows.take(pa.array([row])), kind) for row in range(len(rows))], dtype=object)
    found[np.asarray(column.is_valid())] = polygons
    return found


def _ragged(rows: pa.Array, kind: shapely.GeometryType) -> Geometries:
    offsets: list[npt.NDArray[Any]] = []
    while not pa.types.is_struct(rows.type):
        offsets.insert(0, np.asarray(rows.offsets))
        rows = rows.values
    points = np.column_stack([rows.field("x"), rows.field("y")])
    return cast("Geometries", shapely.from_ragged_array(kind, points, tuple(offsets)))


def _ragged_alone(row: pa.Array, kind: shapely.GeometryType) -> shapely.Geometry | None:
    try:
        return cast("shapely.Geometry", _ragged(row, kind)[0])
    except (ValueError, shapely.GEOSException):
        return None


def _parquet_crs(about: dict[str, Any], where: str) -> str:
    """Returns the CRS of a GeoParquet column: OGC:CRS84 where none is named (GeoParquet 1.1)."""
    if "crs" not in about:
        return WGS84
    return crs_of(json.dumps(about["crs"]) if about["crs"] is not None else None, where)


def _box_column(schema: pa.Schema, about: dict[str, Any]) -> str | None:
    """Returns the column of bounding boxes, which GeoParquet 1.1 names and older Overture releases have anyway."""
    covering = about.get("covering", {}).get("bbox", {}).get("xmin", ["bbox"])[0]
    if covering not in schema.names:
        return None
    kind = schema.field(covering).type
    names = {kind.field(number).name for number in range(kind.num_fields)} if pa.types.is_struct(kind) else set()
    return str(covering) if {"xmin", "ymin", "xmax", "ymax"} <= names else None


def _group_touches(group: Any, box: str, bounds: Bounds) -> bool:  # noqa: ANN401
    """Whether a row group may hold polygons in a bounding box, by its statistics."""
    found: dict[str, Any] = {}
    for number in range(group.num_columns):
        about = group.column(number)
        if about.path_in_schema.startswith(f"{box}.") and about.statistics and about.statistics.has_min_max:
            found[about.path_in_schema.rpartition(".")[2]] = about.statistics
    if not {"xmin", "ymin", "xmax", "ymax"} <= found.keys():
        return True
    south_north = found["ymin"].min <= bounds[3] and found["ymax"].max >= bounds[1]
    sides = [tuple(side.bounds[::2]) for side in box_polygons(bounds)]
    return south_north and any(found["xmin"].min <= east and found["xmax"].max >= west for west, east in sides)


def _row_touches(column: pa.ChunkedArray, bounds: Bounds) -> pa.ChunkedArray:
    boxes = {name: pc.struct_field(column, name) for name in ("xmin", "ymin", "xmax", "ymax")}
    within = pc.and_(pc.less_equal(boxes["ymin"], bounds[3]), pc.greater_equal(boxes["ymax"], bounds[1]))
    across = None
    for side in box_polygons(bounds):
        west, _, east, _ = side.bounds
        one = pc.and_(pc.less_equal(boxes["xmin"], east), pc.greater_equal(boxes["xmax"], west))
        across = one if across is None else pc.or_(across, one)
    return pc.and_(within, across)
