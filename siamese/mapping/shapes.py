"""Reads polygons that people give: areas of interest, footprints and districts, from files, buckets or the web.

GeoJSON, GeoPackage, FlatGeobuf, shapefiles and OpenStreetMap extracts are read by GDAL's vector drivers of these names
alone; GeoParquet is read by pyarrow, from a bucket only those row groups whose bounding boxes touch the map, as in
Overture's releases.
"""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Final

import numpy as np
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError

from siamese.errors import SiameseError
from siamese.geo.globe import Bounds
from siamese.mapping.geoparquet import read_geoparquet
from siamese.mapping.polygons import (
    Shapes,
    are_polygons,
    box_polygons,
    crs_of,
    from_wkb,
    ids_of,
    no_polygon,
    polygons_of,
)
from siamese.mapping.shape_files import (
    FORMATS,
    GEOJSON,
    OSM,
    PARQUET,
    FoundFile,
    ShapeSource,
    address_of,
    bring,
    opened_object,
    suffix_of,
)
from siamese.store import ObjectInfo, ObjectStore

_HEAD: Final = 1 << 16
_BEGINNINGS: Final = {
    ".gpkg": re.compile(rb"SQLite format 3\0"),
    ".fgb": re.compile(rb"fgb\x03"),
    ".shp": re.compile(rb"\0\0\x27\x0a"),
    ".osm": re.compile(rb"(\xef\xbb\xbf)?\s*<[^\0]*<osm\b|(\xef\xbb\xbf)?\s*<osm\b"),
    ".pbf": re.compile(rb"\0\0..\x0a\x09OSMHeader", re.DOTALL),
}
"""How files begin, by their suffix."""


def read_shapes(
    source: ShapeSource, store: ObjectStore, folder: Path, bounds: Bounds | None = None, id_column: str | None = None
) -> Shapes:
    """Reads the polygons of a source that touch a bounding box.

    Args:
        source: The files.
        store: Object storage.
        folder: Folder for copies of objects and of files on the web.
        bounds: West, south, east, north in degrees; None for all.
        id_column: Column that holds the ids; None: the first of the usual names, else the feature's number.

    Raises:
        SiameseError: A file is damaged, has no CRS of the earth, has polygons in several layers, lacks the column, or
            has changed since it was found.
    """
    parts = [_read(source, one, store, folder, bounds, id_column) for one in source.files]
    geometries = np.concatenate([part.geometries for part in parts])
    if bounds is not None and len(geometries):
        near = np.asarray(shapely.intersects(geometries[:, None], box_polygons(bounds)[None]).any(axis=1), bool)
    else:
        near = np.ones(len(geometries), bool)
    ids = [one for part in parts for one in part.ids]
    kept = tuple(name for name, here in zip(ids, near, strict=True) if here)
    elsewhere = sum(part.elsewhere for part in parts) + int((~near).sum())
    return Shapes(geometries[near], kept, sum(part.skipped for part in parts), elsewhere)


def _read(
    source: ShapeSource,
    file: FoundFile,
    store: ObjectStore,
    folder: Path,
    bounds: Bounds | None,
    id_column: str | None,
) -> Shapes:
    where = source.name if len(source.files) == 1 else address_of(file)
    if suffix_of(file) not in PARQUET:
        return _from_gdal(bring(source, file, store, folder), where, bounds, id_column)
    if isinstance(file, ObjectInfo):
        with opened_object(file, store) as ranged:
            return read_geoparquet(ranged, where, bounds, id_column)
    with bring(source, file, store, folder).open("rb") as opened:
        return read_geoparquet(opened, where, bounds, id_column)


def _from_gdal(path: Path, where: str, bounds: Bounds | None, id_column: str | None) -> Shapes:
    suffix = path.suffix.lower()
    dataset = _dataset(path, where)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Non closed ring")  # Rings are closed below.
            layer = "multipolygons" if suffix in OSM else _layer(dataset, where)
            meta, fids, wkb, columns = pyogrio.raw.read(dataset, layer=layer, return_fids=True)
    except (DataSourceError, DataLayerError, RuntimeError, UnicodeError) as error:
        fix = f"give a file of polygons: {FORMATS}"
        raise SiameseError(f"cannot be read: {str(error).splitlines()[0]}", where=where, fix=fix) from error
    names = [str(name) for name in meta["fields"]]
    if suffix in OSM:
        # Of OpenStreetMap only what is tagged as a building.
        tagged = np.array([value is not None for value in columns[names.index("building")]], bool)
        fids, wkb, columns = fids[tagged], wkb[tagged], [column[tagged] for column in columns]
    crs = crs_of(meta["crs"], where)
    ids = ids_of(names, columns, fids, where, id_column)
    if suffix in GEOJSON and id_column is None and "id" not in {name.lower() for name in names}:
        ids = _geojson_ids(path, ids)
    return polygons_of(from_wkb(wkb), ids, crs)


def _dataset(path: Path, where: str) -> str:
    """Returns the name by which GDAL opens a file with the driver of its suffix.

    GDAL chooses drivers by content, and some that it would choose read other files and the web, or run a pipeline,
    as the file says (OGR_VRT, GDALG). Here a file has to begin as its suffix says.

    Raises:
        SiameseError: It does not.
    """
    suffix = path.suffix.lower()
    if suffix in GEOJSON:
        return f"GeoJSON:{path}"
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not _BEGINNINGS[suffix].match(head) or b"OGRVRTDataSource" in head:
        fix = f"give a file of polygons: {FORMATS}"
        raise SiameseError(f"does not begin as a {suffix} file does", where=where, fix=fix)
    return str(path)


def _layer(dataset: str, where: str) -> str:
    """Returns the only layer of polygons, else the first layer of any geometry."""
    layers = {str(name): str(kind) for name, kind in pyogrio.list_layers(dataset) if kind is not None}
    if not layers:
        raise no_polygon(where, 0, f"give a file of polygons: {FORMATS}")
    holding = [name for name, kind in layers.items() if len(layers) == 1 or _holds_polygons(dataset, name, kind)]
    if len(holding) > 1:
        fix = "save the one that you mean as a file of its own"
        raise SiameseError(f"has polygons in {len(holding)} layers: {', '.join(holding)}", where=where, fix=fix)
    return holding[0] if holding else next(iter(layers))


def _holds_polygons(dataset: str, layer: str, kind: str) -> bool:
    if kind.startswith("Unknown"):
        return bool(are_polygons(from_wkb(pyogrio.raw.read(dataset, layer=layer, columns=[])[2])).any())
    declared = "Polygon" in kind or "MultiSurface" in kind
    return declared and pyogrio.read_info(dataset, layer=layer, force_feature_count=True)["features"] > 0


def _geojson_ids(path: Path, ids: list[str]) -> list[str]:
    """Returns the ids of features whose numbers GDAL may have replaced, such as two features of one id."""
    try:
        features = json.loads(path.read_bytes()).get("features", [])
    except (ValueError, AttributeError):
        return ids
    if len(features) != len(ids):
        return ids
    return [str(one.get("id", fallback)) for one, fallback in zip(features, ids, strict=True)]
