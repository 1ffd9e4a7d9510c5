"""Reads polygons that people give: areas of interest, footprints and districts, from files, buckets or the web.

GeoJSON, GeoPackage, FlatGeobuf, shapefiles and OpenStreetMap extracts are read by GDAL's vector drivers of these names
alone; GeoParquet is read by pyarrow, from a bucket only those row groups whose bounding boxes touch the map, as in
Overture's releases.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from siamese.errors import SiameseError
from siamese.geo.globe import WGS84, Bounds
from siamese.mapping.remote import WebFile, download_web, find_web, is_web, web_name, web_sha256
from siamese.store import ObjectInfo, ObjectStore, S3Uri, file_sha256

Geometries = npt.NDArray[Any]
FoundFile = Path | ObjectInfo | WebFile

FORMATS: Final = ".geojson, .json, .gpkg, .fgb, .shp, .osm, .pbf, .parquet"
_DRIVERS: Final = {
    ".geojson": "GeoJSON",
    ".json": "GeoJSON",
    ".gpkg": "GPKG",
    ".fgb": "FlatGeobuf",
    ".shp": "ESRI Shapefile",
    ".osm": "OSM",
    ".pbf": "OSM",
}
_PARQUET: Final = (".parquet", ".geoparquet", ".pq")
_OSM: Final = (".osm", ".pbf")
_SHAPEFILE: Final = ".shp"
_SHAPEFILE_NEEDS: Final = (".shx", ".dbf")
"""Without these a shapefile cannot be read."""
_SHAPEFILE_PARTS: Final = (*_SHAPEFILE_NEEDS, ".prj", ".cpg")
_NATIVE: Final = {"polygon": (2, shapely.GeometryType.POLYGON), "multipolygon": (3, shapely.GeometryType.MULTIPOLYGON)}
"""Native encodings of GeoParquet that hold polygons, and how many lists lie around their coordinates."""
_NATIVE_OTHERS: Final = ("point", "linestring", "multipoint", "multilinestring")
_BOX: Final = re.compile(r"\s*(-?[\d.]+(e-?\d+)?)(\s*,\s*(-?[\d.]+(e-?\d+)?)){3}\s*", re.IGNORECASE)
_ID_NAMES: Final = ("id", "@id", "osm_id", "osm_way_id", "footprint_id", "building_id", "uid", "globalid")
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, eq=False)
class Shapes:
    """Polygons in degrees, each with an id."""

    geometries: Geometries
    """``(n,)`` polygons and multipolygons, longitude and latitude."""
    ids: tuple[str, ...]
    skipped: int = 0
    """Features that are no polygons, or have no area."""
    elsewhere: int = 0
    """Features away from the bounding box that was asked for; those of GeoParquet may be no polygons."""

    @property
    def only_skipped(self) -> bool:
        """Whether features were found, none of which is a polygon."""
        return bool(self.skipped) and not len(self.ids) and not self.elsewhere


@dataclass(frozen=True)
class ShapeSource:
    """A file, object or prefix of polygons, found but not read yet."""

    name: str
    """As the user named it."""
    identity: str
    """Equal identities mean equal polygons."""
    files: tuple[FoundFile, ...] = field(default=())
    beside: tuple[FoundFile, ...] = ()
    """The other files of a shapefile."""


def bounding_box(text: str) -> Bounds | None:
    """Returns west, south, east, north of ``-94.51,37.05,-94.48,37.07``; None if the text is no bounding box.

    Raises:
        SiameseError: The numbers are no bounding box in degrees.
    """
    if not _BOX.fullmatch(text):
        return None
    west, south, east, north = map(float, text.split(","))
    within = -180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90 and west != east
    if not within:
        fix = "give west,south,east,north in degrees; west is greater than east across the antimeridian"
        raise SiameseError("is no bounding box in degrees", where=text, fix=fix)
    return west, south, east, north


def box_polygons(bounds: Bounds) -> Geometries:
    """Returns a bounding box as one polygon, or as two on either side of the antimeridian."""
    west, south, east, north = bounds
    if west < east:
        return np.array([shapely.box(west, south, east, north)], dtype=object)
    sides = [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
    return np.array([one for one in sides if one.area > 0], dtype=object)


def find_shapes(given: str, option: str, store: ObjectStore) -> ShapeSource:
    """Finds files of polygons without reading them; one on the web is downloaded once for its identity.

    Args:
        given: A file, an object ``s3://…``, a file ``https://…``, or a folder or prefix of GeoParquet files.
        option: The option that named it, for messages.
        store: Object storage.

    Raises:
        SiameseError: There is no such file, it has an unknown format, or a shapefile lacks a part.
        TransientError: The server of a file on the web does not answer.
    """
    where = f"{option} {given}"
    found = _files(given, where, store)
    if not found:
        fix = f"give a file ({FORMATS}) or a folder of GeoParquet files"
        raise SiameseError("no file of polygons here", where=where, fix=fix)
    for file in found:
        _check_format(_name(file), where)
    beside = _beside(found[0], where, store) if _suffix(found[0]) == _SHAPEFILE else ()
    return ShapeSource(given, _identity([_digest(one, store) for one in (*found, *beside)]), found, beside)


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


def left_out(where: str, skipped: int) -> tuple[str, ...]:
    """Returns what to tell of features that were skipped: one line, or none.

    Args:
        where: The option and the file that it names.
        skipped: Number of features that are no polygons, or have no area.
    """
    if not skipped:
        return ()
    features = (
        "1 feature is no polygon, or has no area, and is"
        if skipped == 1
        else f"{skipped:,} features are no polygons, or have no area, and are"
    )
    return (f"{where}: {features} left out",)


def no_polygon(where: str, skipped: int, fix: str) -> SiameseError:
    """Returns the error that a file holds no polygon.

    Args:
        where: The option and the file that it names.
        skipped: Number of features that are no polygons, or have no area.
        fix: What to give instead.
    """
    why = f": none of its {skipped:,} features is a polygon with an area" if skipped else ""
    return SiameseError(f"holds no polygon{why}", where=where, fix=fix)


def moved(geometries: Geometries, crs: str, to_pixel: Callable[[npt.NDArray[np.float64]], Any]) -> Geometries:
    """Moves polygons in degrees to the pixels of a grid.

    Args:
        geometries: Polygons in degrees.
        crs: CRS of the grid.
        to_pixel: Converts ``(N, 2)`` coordinates of the CRS to (column, row).
    """
    forth = Transformer.from_crs(WGS84, crs, always_xy=True)

    def change(points: npt.NDArray[np.float64]) -> Any:  # noqa: ANN401
        return to_pixel(np.column_stack(forth.transform(points[:, 0], points[:, 1])))

    return cast("Geometries", shapely.transform(geometries, change))


def _files(given: str, where: str, store: ObjectStore) -> tuple[FoundFile, ...]:
    if given.startswith("s3://"):
        uri = S3Uri.parse(given)
        if uri.key and not uri.key.endswith("/") and (one := store.head(uri)):
            return (one,)
        folder = uri if not uri.key or uri.key.endswith("/") else S3Uri(uri.bucket, f"{uri.key}/")
        return tuple(info for info in store.list(folder) if info.uri.key.lower().endswith(_PARQUET))
    if is_web(given):
        _check_format(web_name(given), where)
        return (find_web(given),)
    path = Path(given)
    if not path.exists():
        raise SiameseError("there is no such file", where=where, fix="check the path")
    if not path.is_dir():
        return (path,)
    return tuple(sorted(one for one in path.rglob("*") if _suffix(one) in _PARQUET and one.is_file()))


def _beside(file: FoundFile, where: str, store: ObjectStore) -> tuple[FoundFile, ...]:
    """Returns the other files of a shapefile, in a fixed order."""
    if isinstance(file, WebFile):
        fix = "give it as GeoJSON, GeoPackage or GeoParquet, or copy all its files to a folder or a bucket"
        raise SiameseError("is a shapefile, of which a web address names only one file", where=where, fix=fix)
    found = {ending: one for ending in _SHAPEFILE_PARTS if (one := _part(file, ending, store))}
    if missing := [ending for ending in _SHAPEFILE_NEEDS if ending not in found]:
        what = f"is a shapefile without its {' and '.join(missing)}"
        raise SiameseError(what, where=where, fix="put all files of the shapefile beside it")
    return tuple(found.values())


def _part(file: Path | ObjectInfo, ending: str, store: ObjectStore) -> Path | ObjectInfo | None:
    for written in (ending, ending.upper()):
        if isinstance(file, Path):
            path = file.with_suffix(written)
            if path.is_file():
                return path
        else:
            key = file.uri.key[: -len(_SHAPEFILE)] + written
            if info := store.head(S3Uri(file.uri.bucket, key)):
                return info
    return None


def _digest(file: FoundFile, store: ObjectStore) -> str:
    match file:
        case Path():
            return file_sha256(file)
        case ObjectInfo():
            return f"{file.etag} {file.size}"
        case WebFile():
            return web_sha256(file, store.settings.cache)


def _identity(digests: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _read(
    source: ShapeSource,
    file: FoundFile,
    store: ObjectStore,
    folder: Path,
    bounds: Bounds | None,
    id_column: str | None,
) -> Shapes:
    where = source.name if len(source.files) == 1 else _address(file)
    if _suffix(file) not in _PARQUET:
        return _from_gdal(_bring(source, file, store, folder), where, bounds, id_column)
    if isinstance(file, ObjectInfo):
        with _ObjectReader(store, file) as ranged:
            return _from_parquet(ranged, where, bounds, id_column)
    with _bring(source, file, store, folder).open("rb") as opened:
        return _from_parquet(opened, where, bounds, id_column)


def _bring(source: ShapeSource, file: FoundFile, store: ObjectStore, folder: Path) -> Path:
    """Copies a file to local disk, and the other files of a shapefile beside it; a local one stays where it is."""
    if isinstance(file, Path):
        return file
    path = folder / f"{hashlib.sha256(_address(file).encode()).hexdigest()[:16]}{_suffix(file)}"
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(file, WebFile):
        download_web(file, path)
        if _identity([file_sha256(path)]) != source.identity:
            raise SiameseError("has changed since it was found", where=file.url, fix="map again")
        return path
    for one in (file, *source.beside):
        if isinstance(one, ObjectInfo):
            store.download(one.uri, path.with_suffix(_suffix(one)), version_id=one.version_id)
    return path


def _from_gdal(path: Path, where: str, bounds: Bounds | None, id_column: str | None) -> Shapes:
    suffix = path.suffix.lower()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Non closed ring")  # Rings are closed below.
            layer = "multipolygons" if suffix in _OSM else _layer(path, where)
            meta, fids, wkb, columns = pyogrio.raw.read(path, layer=layer, return_fids=True)
    except (DataSourceError, DataLayerError, RuntimeError, UnicodeError) as error:
        fix = f"give a file of polygons: {FORMATS}"
        raise SiameseError(f"cannot be read: {str(error).splitlines()[0]}", where=where, fix=fix) from error
    names = [str(name) for name in meta["fields"]]
    if suffix in _OSM:
        # Of OpenStreetMap only what is tagged as a building.
        tagged = np.array([value is not None for value in columns[names.index("building")]], bool)
        fids, wkb, columns = fids[tagged], wkb[tagged], [column[tagged] for column in columns]
    crs = _crs(meta["crs"], where)
    ids = _ids(names, columns, fids, where, id_column)
    if suffix in (".geojson", ".json") and id_column is None and "id" not in {name.lower() for name in names}:
        ids = _geojson_ids(path, ids)
    return _shapes(_from_wkb(wkb), ids, crs)


def _layer(path: Path, where: str) -> str:
    """Returns the only layer of polygons, else the first layer of any geometry."""
    layers = {str(name): str(kind) for name, kind in pyogrio.list_layers(path) if kind is not None}
    if not layers:
        raise no_polygon(where, 0, f"give a file of polygons: {FORMATS}")
    holding = [name for name, kind in layers.items() if len(layers) == 1 or _holds_polygons(path, name, kind)]
    if len(holding) > 1:
        fix = "save the one that you mean as a file of its own"
        raise SiameseError(f"has polygons in {len(holding)} layers: {', '.join(holding)}", where=where, fix=fix)
    return holding[0] if holding else next(iter(layers))


def _holds_polygons(path: Path, layer: str, kind: str) -> bool:
    if kind.startswith("Unknown"):
        return bool(_are_polygons(_from_wkb(pyogrio.raw.read(path, layer=layer, columns=[])[2])).any())
    declared = "Polygon" in kind or "MultiSurface" in kind
    return declared and pyogrio.read_info(path, layer=layer, force_feature_count=True)["features"] > 0


def _geojson_ids(path: Path, ids: list[str]) -> list[str]:
    """Returns the ids of features whose numbers GDAL may have replaced, such as two features of one id."""
    try:
        features = json.loads(path.read_bytes()).get("features", [])
    except (ValueError, AttributeError):
        return ids
    if len(features) != len(ids):
        return ids
    return [str(one.get("id", fallback)) for one, fallback in zip(features, ids, strict=True)]


def _from_parquet(source: BinaryIO, where: str, bounds: Bounds | None, id_column: str | None) -> Shapes:
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
            wanted = [name for name in schema.names if name.lower() in _ID_NAMES or name == id_column]
            named = [column, *wanted, *([box] if box else [])]
            table = file.read_row_groups(groups, columns=list(dict.fromkeys(named)))
    except (pa.ArrowException, ValueError, OSError) as error:
        fix = "write it again as GeoParquet"
        raise SiameseError(f"cannot be read: {str(error).splitlines()[0]}", where=where, fix=fix) from error
    if bounds is not None and box is not None:
        table = table.filter(_row_touches(table[box], bounds))
    columns = [np.asarray(table[name].to_pylist(), dtype=object) for name in wanted]
    numbers = np.arange(table.num_rows)
    ids = _ids(wanted, columns, numbers, where, id_column)
    found = _shapes(_decoded(table[column], about.get("encoding"), where), ids, crs)
    return replace(found, elsewhere=rows - table.num_rows)


def _decoded(column: pa.ChunkedArray, encoding: str | None, where: str) -> Geometries:
    """Returns the geometries of a GeoParquet column; None for those that are no polygons or cannot be read."""
    depth = _list_depth(column.type)
    kind = (encoding or ("unknown" if depth else "WKB")).lower()
    if kind == "wkb" and not pa.types.is_nested(column.type):
        return _from_wkb(np.asarray(column.to_pylist(), dtype=object))
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


def _from_wkb(wkb: npt.NDArray[Any]) -> Geometries:
    """Returns geometries, their rings closed; None for those that cannot be read, such as a ring of one point."""
    return np.asarray(shapely.from_wkb(wkb, on_invalid="fix"), dtype=object)


def _parquet_crs(about: dict[str, Any], where: str) -> str:
    """Returns the CRS of a GeoParquet column: OGC:CRS84 where none is named (GeoParquet 1.1)."""
    if "crs" not in about:
        return WGS84
    return _crs(json.dumps(about["crs"]) if about["crs"] is not None else None, where)


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


def _ids(
    names: Sequence[str], columns: Sequence[npt.NDArray[Any]], numbers: Iterable[int], where: str, asked: str | None
) -> list[str]:
    by_name = {name.lower(): column for name, column in zip(names, columns, strict=True)}
    if asked is not None and asked.lower() not in by_name:
        raise SiameseError(f"has no column {asked}", where=where, fix="check mapping.footprint_id")
    order = (asked.lower(),) if asked is not None else _ID_NAMES
    ids = [str(number) for number in numbers]
    for name in reversed(order):
        if name in by_name:
            ids = [old if _empty(new) else _plain(new) for old, new in zip(ids, by_name[name], strict=True)]
    return ids


def _empty(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _plain(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _shapes(geometries: Geometries, ids: Sequence[str], crs: str) -> Shapes:
    """Keeps polygons, mends those that cross themselves, and moves them to degrees."""
    polygons = _are_polygons(geometries)
    found = shapely.force_2d(geometries[polygons])
    broken = ~shapely.is_valid(found)
    if broken.any():
        found[broken] = [_mended(one) for one in found[broken]]
    if CRS.from_user_input(crs) != CRS.from_user_input(WGS84):
        back = Transformer.from_crs(crs, WGS84, always_xy=True)
        found = shapely.transform(found, lambda points: np.column_stack(back.transform(points[:, 0], points[:, 1])))
    solid = shapely.area(found) > 0
    names = [name for name, here in zip(ids, polygons, strict=True) if here]
    kept = tuple(name for name, here in zip(names, solid, strict=True) if here)
    return Shapes(found[solid], kept, len(geometries) - int(solid.sum()))


def _are_polygons(geometries: Geometries) -> npt.NDArray[np.bool_]:
    kinds = shapely.get_type_id(geometries)
    polygons = np.isin(kinds, (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON))
    return polygons & ~shapely.is_empty(geometries)


def _mended(geometry: shapely.Geometry) -> shapely.Geometry:
    parts = [part for part in shapely.get_parts(shapely.make_valid(geometry)) if part.area > 0]
    return shapely.union_all(parts) if parts else shapely.Polygon()


def _crs(text: str | None, where: str) -> str:
    try:
        found = CRS.from_user_input(text) if text else None
    except CRSError:
        found = None
    if found is None or not (found.is_geographic or found.is_projected):
        raise SiameseError("has no CRS of the earth's surface", where=where, fix="write it with its CRS")
    return str(found.to_string()) if found.to_epsg() else str(found.to_wkt())


def _check_format(name: str, where: str) -> None:
    suffix = Path(name).suffix.lower()
    if suffix not in _DRIVERS and suffix not in _PARQUET:
        raise SiameseError(f"{name} is in no known format", where=where, fix=f"give one of {FORMATS}")


def _name(file: FoundFile) -> str:
    match file:
        case Path():
            return file.name
        case ObjectInfo():
            return file.uri.name
        case WebFile():
            return web_name(file.url)


def _address(file: FoundFile) -> str:
    match file:
        case Path():
            return str(file)
        case ObjectInfo():
            return str(file.uri)
        case WebFile():
            return file.url


def _suffix(file: FoundFile) -> str:
    return Path(_name(file)).suffix.lower()


class _ObjectReader(io.RawIOBase, BinaryIO):
    """A seekable file over an object, read in ranges."""

    def __init__(self, store: ObjectStore, info: ObjectInfo) -> None:
        super().__init__()
        self._store, self._info, self._at = store, info, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._info.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._info.size - self._at)
        length = left if size < 0 else min(size, left)
        data = self._store.get(self._info.uri, version_id=self._info.version_id, start=self._at, length=length)
        self._at += len(data)
        return data
