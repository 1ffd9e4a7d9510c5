"""Files of polygons as people have them: rings left open, several layers, many parts, other suffixes, on the web."""

from __future__ import annotations

import hashlib
import json
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from affine import Affine
from builders.made_web import served
from shapely import Point, box

from siamese.errors import SiameseError, TransientError
from siamese.mapping.area import find_area
from siamese.mapping.areas import bring_areas
from siamese.mapping.footprints import place_footprints
from siamese.mapping.grid import Grid
from siamese.mapping.polygons import Shapes
from siamese.mapping.shape_files import find_shapes
from siamese.mapping.shapes import read_shapes
from siamese.params import PublishParams
from siamese.store import ObjectStore, file_sha256

SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1]]
LINE = [[0, 0], [1, 0]]
GRID = Grid("EPSG:4326", Affine(0.1, 0, 0, 0, -0.1, 10), 100, 100)
"""Ten degrees by ten, which hold every polygon here."""


def polygon(*rings: list[list[int]]) -> dict[str, object]:
    """A polygon of GeoJSON."""
    return {"type": "Polygon", "coordinates": rings}


def geojson(path: Path, **features: Mapping[str, object] | None) -> Path:
    """A file of features by their ids."""
    made = [
        {"type": "Feature", "id": name, "properties": {}, "geometry": geometry} for name, geometry in features.items()
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": made}))
    return path


def frame(*geometries: shapely.Geometry | None) -> gpd.GeoDataFrame:
    """Geometries with the ids a, b, c and so on."""
    ids = [chr(ord("a") + number) for number in range(len(geometries))]
    return gpd.GeoDataFrame({"id": ids}, geometry=list(geometries), crs=4326)


def shapefile(folder: Path, *ids: str) -> Path:
    """A shapefile of squares with these ids."""
    folder.mkdir(exist_ok=True)
    squares = frame(*(box(number, 0, number + 1, 1) for number in range(len(ids)))).assign(id=ids)
    squares.to_file(folder / "squares.shp", encoding="utf-8")
    return folder / "squares.shp"


def found(given: object, store: ObjectStore, folder: Path) -> Shapes:
    """Finds and reads footprints."""
    return read_shapes(find_shapes(str(given), "--footprints", store), store, folder / "copies")


def test_open_rings_are_closed_and_what_has_no_area_is_left_out(store: ObjectStore, tmp_path: Path) -> None:
    path = geojson(
        tmp_path / "open.geojson",
        open=polygon(SQUARE),
        line=polygon(LINE),
        point=polygon(LINE[:1]),
        flat=polygon([[0, 0], [1, 0], [2, 0], [0, 0]]),
        hole=polygon([[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]], [[1, 1], [2, 1], [2, 2]]),
        several={"type": "MultiPolygon", "coordinates": [[SQUARE], [LINE]]},
        nothing=None,
        closed=polygon([*SQUARE, SQUARE[0]]),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shapes = found(path, store, tmp_path)
    assert dict(zip(shapes.ids, shapely.area(shapes.geometries), strict=True)) == {
        "open": 1, "hole": 80.5, "several": 1, "closed": 1,
    }  # fmt: skip
    assert shapes.skipped == 4
    _, notes = place_footprints(find_shapes(str(path), "--footprints", store), GRID, store, tmp_path)
    assert notes == (f"--footprints {path}: 4 features are no polygons, or have no area, and are left out",)
    area = find_area(str(path), store).read(store, tmp_path)
    assert area.notes == (f"--aoi {path}: 4 features are no polygons, or have no area, and are left out",)


def test_an_open_ring_in_geoparquet_is_closed(store: ObjectStore, tmp_path: Path) -> None:
    rings = [struct.pack("<BIII", 1, 3, 1, len(ring)) + np.array(ring, "<f8").tobytes() for ring in (SQUARE, LINE[:1])]
    path = tmp_path / "open.parquet"
    frame(box(0, 0, 1, 1), box(0, 0, 1, 1)).to_parquet(path)
    table = pq.read_table(path)
    pq.write_table(
        table.set_column(1, "geometry", pa.array(rings)).replace_schema_metadata(table.schema.metadata), path
    )
    shapes = found(path, store, tmp_path)
    assert (shapes.ids, shapes.skipped, shapely.area(shapes.geometries).tolist()) == (("a",), 1, [1])


def test_an_area_of_interest_without_any_area_is_refused(store: ObjectStore, tmp_path: Path) -> None:
    path = geojson(tmp_path / "line.geojson", line=polygon(LINE), dot=polygon(LINE[:1]))
    with pytest.raises(
        SiameseError, match=r"--aoi .*holds no polygon: none of its 2 features is a polygon with an area"
    ):
        find_area(str(path), store).read(store, tmp_path)
    with pytest.raises(SiameseError, match=r"--areas .*holds no polygon"):
        districts(str(path), store, tmp_path)


def districts(given: str, store: ObjectStore, folder: Path) -> tuple[str, ...]:
    """Names of the areas of a file."""
    areas = bring_areas(PublishParams(areas=given), "EPSG:4326", store)
    assert areas is not None
    return tuple(areas.read(store, folder).ids)


@pytest.mark.parametrize("several", [False, True])
def test_geoparquet_in_its_native_encoding_is_read(store: ObjectStore, tmp_path: Path, several: bool) -> None:
    ring = box(0, 0, 4, 4).difference(box(1, 1, 2, 2))
    whole = shapely.MultiPolygon([box(5, 5, 6, 6), box(7, 7, 8, 8)]) if several else box(5, 5, 6, 6)
    path = tmp_path / "native.parquet"
    frame(ring, None, whole).to_parquet(path, geometry_encoding="geoarrow")
    shapes = found(path, store, tmp_path)
    assert (shapes.ids, shapes.skipped) == (("a", "c"), 1)
    assert shapely.area(shapes.geometries).tolist() == [15, 2 if several else 1]


def test_a_ring_that_is_too_short_in_a_native_encoding_costs_only_itself(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "native.parquet"
    frame(box(0, 0, 1, 1), box(1, 1, 2, 2)).to_parquet(path, geometry_encoding="geoarrow")
    table = pq.read_table(path)
    rings = [[[{"x": x, "y": y} for x, y in ring]] for ring in (SQUARE, LINE)]
    column = pa.array(rings, table.schema.field("geometry").type)
    pq.write_table(table.set_column(1, table.schema.field("geometry"), column), path)
    shapes = found(path, store, tmp_path)
    assert (shapes.ids, shapes.skipped) == (("a",), 1)


def test_other_encodings_of_geoparquet_are_named(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    frame(box(0, 0, 1, 1)).to_parquet(path, geometry_encoding="geoarrow")
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[b"geo"])
    about["columns"]["geometry"]["encoding"] = "spiral"
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(about)}), path)
    with pytest.raises(SiameseError, match=r"other.parquet: .* encoding that is not read: spiral — .* as WKB"):
        found(path, store, tmp_path)


@pytest.mark.parametrize("name", ["points.geojson", "points.gpkg", "points.parquet", "native.parquet"])
def test_a_file_of_points_holds_no_polygon(store: ObjectStore, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    points = frame(Point(1, 1), Point(2, 2))
    if path.suffix == ".parquet":
        points.to_parquet(path, geometry_encoding="geoarrow" if name.startswith("native") else "WKB")
    else:
        points.to_file(path)
    with pytest.raises(SiameseError, match=r"--footprints .*holds no polygon: none of its 2 features"):
        place_footprints(find_shapes(str(path), "--footprints", store), GRID, store, tmp_path)


def test_polygons_elsewhere_are_told_from_no_polygons(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "far.gpkg"
    frame(box(50, 50, 51, 51), Point(1, 1)).to_file(path)
    with pytest.raises(SiameseError, match="no footprint lies on the images"):
        place_footprints(find_shapes(str(path), "--footprints", store), GRID, store, tmp_path)


@pytest.mark.parametrize("kind", ["Polygon", "Unknown"])
def test_of_several_layers_the_only_one_with_polygons_is_read(store: ObjectStore, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "layers.gpkg"
    pyogrio.write_dataframe(pd.DataFrame({"id": [1]}), path, layer="notes")
    frame(Point(0, 0)).to_file(path, layer="addresses")
    frame(box(0, 0, 1, 1)).iloc[:0].to_file(path, layer="planned", geometry_type="Polygon")
    frame(Point(0, 0)).to_file(path, layer="sketches", geometry_type="Unknown")
    frame(box(0, 0, 1, 1), box(2, 2, 3, 3)).to_file(path, layer="buildings", geometry_type=kind)
    assert found(path, store, tmp_path).ids == ("a", "b")
    frame(box(0, 0, 1, 1)).to_file(path, layer="parcels")
    with pytest.raises(SiameseError, match=r"has polygons in 2 layers: buildings, parcels — save the one"):
        found(path, store, tmp_path)


def test_a_file_without_any_geometry_holds_no_polygon(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "table.gpkg"
    pyogrio.write_dataframe(pd.DataFrame({"id": [1]}), path)
    with pytest.raises(SiameseError, match="holds no polygon"):
        found(path, store, tmp_path)


@pytest.mark.parametrize("upper", [False, True])
def test_a_shapefile_is_all_its_files(store: ObjectStore, tmp_path: Path, upper: bool) -> None:
    path = shapefile(tmp_path / "files", "ä", "b")
    if upper:
        for part in list(path.parent.iterdir()):
            part.rename(part.with_suffix(part.suffix.upper()))
        path = path.with_suffix(".SHP")
    for part in path.parent.iterdir():
        store.upload(part, store.raw / "given" / part.name)
    there = f"{store.raw}given/{path.name}"
    assert found(path, store, tmp_path).ids == found(there, store, tmp_path).ids == ("ä", "b")

    before = [find_shapes(given, "--footprints", store).identity for given in (str(path), there)]
    other = shapefile(tmp_path / "other", "ä", "c")
    assert file_sha256(other) == file_sha256(path)
    table = path.with_suffix(".DBF" if upper else ".dbf")
    table.write_bytes(other.with_suffix(".dbf").read_bytes())
    store.upload(table, store.raw / "given" / table.name)
    after = [find_shapes(given, "--footprints", store).identity for given in (str(path), there)]
    assert len({*before, *after}) == 4, "other ids are other footprints"
    assert found(there, store, tmp_path).ids == ("ä", "c")


def test_a_shapefile_that_lacks_a_part_is_refused_with_the_parts_name(store: ObjectStore, tmp_path: Path) -> None:
    path = shapefile(tmp_path / "files", "a")
    store.upload(path, store.raw / "given" / path.name)
    with pytest.raises(SiameseError, match=r"is a shapefile without its \.shx and \.dbf — put all files"):
        find_shapes(f"{store.raw}given/{path.name}", "--footprints", store)
    path.with_suffix(".dbf").unlink()
    with pytest.raises(SiameseError, match=r"is a shapefile without its \.dbf — put all files"):
        find_shapes(str(path), "--footprints", store)


def test_the_identity_of_other_files_stays_what_it_was(store: ObjectStore, tmp_path: Path) -> None:
    path = geojson(tmp_path / "one.geojson", a=polygon(SQUARE))
    info = store.upload(path, store.raw / "given" / path.name)
    expected = {str(path): file_sha256(path), str(info.uri): f"{info.etag} {info.size}"}
    for given, digest in expected.items():
        identity = find_shapes(given, "--footprints", store).identity
        assert identity == hashlib.sha256(digest.encode()).hexdigest()


def test_suffixes_of_geoparquet_are_known_in_any_case(store: ObjectStore, tmp_path: Path) -> None:
    folder = tmp_path / "release"
    folder.mkdir()
    frame(box(0, 0, 1, 1)).to_parquet(folder / "A.PARQUET")
    frame(None, box(0, 0, 1, 1)).to_parquet(folder / "b.parquet")
    for path in folder.iterdir():
        store.upload(path, store.raw / "release" / path.name)
    for given in (folder, f"{store.raw}release/"):
        assert found(given, store, tmp_path).ids == ("a", "b")


@pytest.mark.parametrize("suffix", ["geojson", "gpkg", "parquet"])
def test_a_file_on_the_web_is_the_same_as_its_copy(store: ObjectStore, tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "web"
    folder.mkdir()
    path = folder / f"some squares.{suffix}"
    squares = frame(box(0, 0, 1, 1), box(2, 2, 3, 3))
    squares.to_parquet(path) if suffix == "parquet" else squares.to_file(path)
    with served(folder) as web:
        given = f"{web}/some%20squares.{suffix}?version=1"
        assert found(given, store, tmp_path).ids == ("a", "b")
        assert (
            find_shapes(given, "--footprints", store).identity == find_shapes(str(path), "--footprints", store).identity
        )
        assert find_area(given, store).bounds(store) == pytest.approx((0, 0, 3, 3))
        assert districts(given, store, tmp_path) == ("a", "b")
    assert not list(store.settings.cache.iterdir())


def test_a_file_on_the_web_that_cannot_be_had_says_why(store: ObjectStore, tmp_path: Path) -> None:
    path = geojson(tmp_path / "one.geojson", a=polygon(SQUARE))
    shapefile(tmp_path, "a")
    with served(tmp_path) as web:
        with pytest.raises(SiameseError, match=r"absent.geojson: .*the server answers 404 — check the address"):
            find_shapes(f"{web}/absent.geojson", "--footprints", store)
        with pytest.raises(SiameseError, match=r"squares.shp: is a shapefile, of which a web address names only one"):
            find_shapes(f"{web}/squares.shp", "--footprints", store)
        with pytest.raises(SiameseError, match=r"--aoi .*page is in no known format"):
            find_area(f"{web}/page?file=one.geojson", store)
        source = find_shapes(f"{web}/one.geojson", "--footprints", store)
        path.write_text(path.read_text().replace("[1, 1]", "[1, 2]"))
        with pytest.raises(SiameseError, match="has changed since it was found"):
            read_shapes(source, store, tmp_path / "copies")
        path.write_text(path.read_text() + " " * 10)
        with pytest.raises(SiameseError, match="has changed since it was found"):
            read_shapes(source, store, tmp_path / "copies")
    with pytest.raises(TransientError, match=r"one.geojson: its server does not answer"):
        find_shapes(f"{web}/one.geojson", "--footprints", store)
    with pytest.raises(SiameseError, match="is no address on the web"):
        find_shapes("https://host:port/one.geojson", "--footprints", store)


VRT = """<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>{other}</SrcDataSource><SrcLayer>other</SrcLayer>
<GeometryType>wkbPolygon</GeometryType><LayerSRS>WGS84</LayerSRS><GeometryField encoding="WKT" field="wkt"/>
</OGRVRTLayer></OGRVRTDataSource>"""
GDALG = '{{"type":"gdal_streamed_alg","command_line":"gdal vector pipeline ! read {other} ! write --of stream x"}}'


@pytest.mark.parametrize("suffix", [".geojson", ".json", ".gpkg", ".fgb", ".shp", ".osm", ".pbf"])
@pytest.mark.parametrize("content", [VRT, "<!-- <osm> -->" + VRT, GDALG])
def test_no_file_makes_gdal_read_another(content: str, suffix: str, store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text('wkt,id\n"POLYGON((0 0,0 1,1 1,1 0,0 0))",secret\n')
    path = tmp_path / f"given{suffix}"
    path.write_text(content.format(other=tmp_path / "other.csv"))
    for part in (".shx", ".dbf"):
        path.with_suffix(part).write_bytes(b"")
    with pytest.raises(SiameseError, match=r"does not begin as|cannot be read"):
        found(path, store, tmp_path)
