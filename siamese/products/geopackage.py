"""The GeoPackage: buildings with a QGIS style inside, so that they show in the map's colours when opened."""

from __future__ import annotations

import json
import sqlite3
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely

from siamese.geo.globe import WGS84
from siamese.products.qgis import areas_style, buildings_style

_ROWS: Final = 4096
_GEOMETRY: Final = "geometry"
_COLUMN: Final = "geom"
"""Name of the geometry in the file: GDAL's own default, which it takes whatever the Arrow column is called."""
_WKB: Final = {b"ARROW:extension:name": b"geoarrow.wkb"}
_LEFT_OUT: Final = ("bbox",)
_CLOCK: Final = "OGR_CURRENT_DATE"
_TIME: Final = "2000-01-01T00:00:00.000Z"
"""Said as the time of every layer's last change, so that the same map has the same bytes whenever it is made."""
_SHIFT: Final = pa.schema(
    [
        pa.field("row", pa.int64()),
        pa.field("col", pa.int64()),
        pa.field("right_px", pa.float64()),
        pa.field("down_px", pa.float64()),
        pa.field("length_m", pa.float64()),
        pa.field("response", pa.float64()),
        pa.field("trusted", pa.bool_()),
        pa.field(_GEOMETRY, pa.binary(), metadata=_WKB),
    ]
)
"""Columns of a layer of shifts, as :meth:`siamese.mapping.shifts.ShiftField.to_geojson` names them."""
_STYLES: Final = """
CREATE TABLE layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT, f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256),
  f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN,
  description TEXT, owner TEXT(30), ui TEXT(30), update_time DATETIME DEFAULT CURRENT_TIMESTAMP
)
"""
_SETTING = threading.Lock()
"""pyogrio's configuration belongs to the process."""


def write_geopackage(
    buildings: Path,
    target: Path,
    *,
    placed: bool,
    about: Mapping[str, str],
    areas: Path | None = None,
    shifts: Mapping[str, Path] | None = None,
) -> None:
    """Writes a GeoPackage; the same tables give the same bytes.

    Args:
        buildings: The map's GeoParquet; read and written a batch at a time.
        target: The file; one that exists is replaced.
        placed: Whether coordinates are degrees; otherwise they are pixels and no CRS is said.
        about: Metadata of the file.
        areas: GeoParquet of the summary by area, for a second layer.
        shifts: GeoJSON of shifts by blocks, by the name of their layer; these layers have no style.
    """
    target.unlink(missing_ok=True)
    with _clock():
        _layer(buildings, target, "buildings", placed=placed, about=about)
        if areas is not None:
            _layer(areas, target, "areas", placed=placed, about=None)
        for name, layer in (shifts or {}).items():
            _write(_shifts(layer), target, name, "Point", placed=placed, about=None)
    with closing(sqlite3.connect(target)) as database, database:
        _add_styles(database, {"buildings": buildings_style()} | ({"areas": areas_style()} if areas else {}))


def _layer(table: Path, target: Path, name: str, *, placed: bool, about: Mapping[str, str] | None) -> None:
    with pq.ParquetFile(table) as file:
        columns = [column for column in file.schema_arrow.names if column not in _LEFT_OUT]
        schema = pa.schema([_field(file.schema_arrow.field(column)) for column in columns])

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
                arrays = [_several(batch[column]) if column == _GEOMETRY else batch[column] for column in columns]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

        rows = pa.RecordBatchReader.from_batches(schema, batches())
        _write(rows, target, name, "MultiPolygon", placed=placed, about=about)


def _write(
    rows: pa.RecordBatchReader, target: Path, name: str, shape: str, *, placed: bool, about: Mapping[str, str] | None
) -> None:
    """Writes a layer, into the file if it exists."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        pyogrio.write_arrow(
            rows,
            target,
            layer=name,
            driver="GPKG",
            geometry_name=_GEOMETRY,
            geometry_type=shape,
            crs=WGS84 if placed else None,
            append=target.exists(),
            # Later versions make the QGIS of long-term distributions warn.
            dataset_options={"VERSION": "1.2"},
            dataset_metadata=dict(about) if about else None,
        )


def _shifts(layer: Path) -> pa.RecordBatchReader:
    features = json.loads(layer.read_bytes())["features"]
    rows = [
        one["properties"] | {_GEOMETRY: shapely.to_wkb(shapely.Point(one["geometry"]["coordinates"]))}
        for one in features
    ]
    return pa.Table.from_pylist(rows, schema=_SHIFT).to_reader()


def _several(wkb: pa.Array) -> pa.Array:
    """Returns polygons as multipolygons: programs expect one type in a layer."""
    shapes = shapely.from_wkb(wkb.to_pylist())
    several = [shapely.MultiPolygon([shape]) if isinstance(shape, shapely.Polygon) else shape for shape in shapes]
    return pa.array(shapely.to_wkb(several).tolist() if several else [], wkb.type)


def _field(field: pa.Field) -> pa.Field:
    if field.name != _GEOMETRY:
        return field
    return field.with_metadata(_WKB)


def _add_styles(database: sqlite3.Connection, styles: Mapping[str, str]) -> None:
    """Adds the table in which QGIS looks for the style of a layer, and registers it as the standard demands."""
    database.execute(_STYLES)
    for name, style in styles.items():
        database.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, "
            "styleQML, styleSLD, useAsDefault, description, owner, update_time) "
            "VALUES ('', '', ?, ?, ?, ?, '', 1, 'damage classes of siamese', '', ?)",
            (name, _COLUMN, name, style, _TIME),
        )
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, last_change, srs_id) "
        "VALUES ('layer_styles', 'attributes', 'layer_styles', '', ?, 0)",
        (_TIME,),
    )


@contextmanager
def _clock() -> Iterator[None]:
    """Sets the time that GDAL writes into files."""
    with _SETTING:
        before = pyogrio.get_gdal_config_option(_CLOCK)
        pyogrio.set_gdal_config_options({_CLOCK: _TIME})
        try:
            yield
        finally:
            pyogrio.set_gdal_config_options({_CLOCK: before})
