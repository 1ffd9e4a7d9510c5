"""What other programs open of a map: rasters, GeoParquet, GeoPackage, STAC."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from affine import Affine
from builders.stac_schemas import check_stac
from jsonschema import ValidationError
from products.conftest import HOSTILE
from rio_cogeo import cog_validate

from siamese.classes import COLOURS
from siamese.manifests import DamageMap, Prediction
from siamese.params import NetworkParams
from siamese.products.geopackage import write_geopackage
from siamese.products.model_item import Network, describe_model
from siamese.store import Blob, ObjectStore, S3Uri

Bring = Callable[[DamageMap], dict[str, Path]]


def test_the_confidence_raster_says_what_the_table_says(damage_map: DamageMap, brought: Bring) -> None:
    files = brought(damage_map)
    assert cog_validate(str(files["confidence"]), strict=True) == (True, [], [])
    table = gpd.read_parquet(files["buildings"])
    with rasterio.open(files["confidence"]) as raster, rasterio.open(files["damage"]) as classes:
        percent, shown = raster.read(1), classes.read(1)
        assert (raster.nodata, raster.dtypes, raster.crs, raster.transform) == (
            255, ("uint8",), classes.crs, classes.transform,
        )  # fmt: skip
        assert raster.tags()["UNIT"] == "percent"
        np.testing.assert_array_equal(percent != 255, (shown > 0) & (shown != 255))
        for row in table.to_crs(raster.crs).itertuples():
            at = raster.index(*row.geometry.representative_point().coords[0])
            expected = 255 if row.damage_class == "unknown" else round(100 * row.confidence)
            assert percent[at] == expected
    assert {"unknown", "destroyed"} <= set(table.damage_class)


def test_geoparquet_has_a_column_of_boxes_that_readers_skip_by(damage_map: DamageMap, brought: Bring) -> None:
    path = brought(damage_map)["buildings"]
    geo = json.loads(pq.read_metadata(path).metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    assert geo["columns"]["geometry"]["covering"]["bbox"]["xmax"] == ["bbox", "xmax"]
    whole = gpd.read_parquet(path)
    one = whole.geometry.iloc[5]
    assert set(gpd.read_parquet(path, bbox=one.bounds)["id"]) == set(whole[whole.intersects(one)]["id"])


def test_the_geopackage_opens_in_the_colours_of_the_classes(damage_map: DamageMap, brought: Bring) -> None:
    files = brought(damage_map)
    layer = gpd.read_file(files["geopackage"], layer="buildings")
    table = gpd.read_parquet(files["buildings"])
    assert layer.crs.to_epsg() == 4326
    assert set(layer.geometry.geom_type) == {"MultiPolygon"}
    assert layer["id"].tolist() == table["id"].tolist()
    assert set(layer.columns) == set(table.columns) - {"bbox"}
    with closing(sqlite3.connect(files["geopackage"])) as database:
        (name, style, default) = database.execute(
            "SELECT f_table_name, styleQML, useAsDefault FROM layer_styles WHERE f_table_name = 'buildings'"
        ).fetchone()
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM rtree_buildings_geom").fetchone() == (len(table),)
    assert (name, default) == ("buildings", 1)
    document = ElementTree.fromstring(style.partition("\n")[2])  # noqa: S314 - it is our own
    shown = {one.get("value"): one.get("symbol") for one in document.iter("category")}
    assert list(shown) == list(COLOURS)
    fills = {one.get("name"): one.find(".//prop[@k='color']").get("v") for one in document.iter("symbol")}
    assert fills[shown["destroyed"]] == "{},{},{},140".format(*COLOURS["destroyed"])


@pytest.mark.parametrize("georeferenced", [True, False])
def test_the_shifts_are_published_with_the_map_as_files_and_as_layers(
    make_map: Callable[..., DamageMap], store: ObjectStore, brought: Bring, *, georeferenced: bool
) -> None:
    made = make_map(georeferenced=georeferenced)
    files = brought(made)
    prediction = Prediction.load(store, str(made.prediction))
    assert prediction.shifts is not None
    assert files["shifts"].read_bytes() == prediction.shifts.read(store)
    assert S3Uri.parse(made.products["shifts"].uri).bucket == store.maps.bucket, "people read no other bucket"
    assert "footprint_shifts" not in files, "none were given"
    told = [one["properties"] for one in json.loads(files["shifts"].read_bytes())["features"]]
    layer = gpd.read_file(files["geopackage"], layer="shifts")
    assert layer.drop(columns=["geometry", "length_m"]).to_dict("records") == [
        {name: value for name, value in one.items() if name != "length_m"} for one in told
    ]
    assert layer["length_m"].isna().all() == (not georeferenced)
    assert (layer.crs is not None) == georeferenced
    assert (layer.geometry.x[0], layer.geometry.y[0]) == pytest.approx(
        json.loads(files["shifts"].read_bytes())["features"][0]["geometry"]["coordinates"]
    )


def test_a_geopackage_has_the_same_bytes_whenever_it_is_made(
    damage_map: DamageMap, brought: Bring, tmp_path: Path
) -> None:
    table = brought(damage_map)["buildings"]
    for name in ("a", "b"):
        write_geopackage(table, tmp_path / name, placed=True, about={"EVENT": damage_map.event})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("georeferenced", [True, False])
def test_the_stac_item_is_valid_and_names_every_file(
    make_map: Callable[..., DamageMap], store: ObjectStore, *, georeferenced: bool
) -> None:
    made = make_map(georeferenced=georeferenced, event=HOSTILE)
    item, collection = (json.loads(made.products[f"stac_{name}"].read(store)) for name in ("item", "collection"))
    check_stac(item)
    check_stac(collection)
    place = S3Uri.parse(made.products["stac_item"].uri)
    folder = place.key.rsplit("/", 2)[0]
    blobs = {"damage": made.classes, "buildings": made.buildings, "geojson": made.geojson, "picture": made.picture}
    blobs |= {name: blob for name, blob in made.products.items() if not name.startswith("stac")}
    assert set(item["assets"]) == set(blobs)
    for name, asset in item["assets"].items():
        assert asset["href"].startswith("../")
        assert f"{folder}/{asset['href'][3:]}" == S3Uri.parse(blobs[name].uri).key
        assert (asset["file:size"], asset["file:checksum"]) == (blobs[name].size, "1220" + blobs[name].sha256)
    assert store.head(S3Uri(place.bucket, place.key.rsplit("/", 1)[0]) / "collection.json")
    properties = item["properties"]
    assert (properties["version"], properties["siamese:event"]) == (made.digest, HOSTILE)
    assert properties["siamese:counts"] == made.counts
    sources = [link["href"] for link in item["links"] if link["rel"] == "derived_from"]
    assert sources.pop() == "./model.json"
    assert len(sources) == 3
    assert all(store.head(S3Uri.parse(address)) for address in sources)
    assert (item["geometry"] is None) == (not georeferenced)
    if georeferenced:
        assert properties["proj:code"] == made.crs
        assert properties["proj:shape"] == [made.height, made.width]


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("properties.datetime", "yesterday"),
        ("properties.version", 3),
        ("properties.proj:shape", [224]),
        ("properties.proj:epsg", 32616),
        ("properties.processing:software", ["siamese"]),
        ("properties.processing:kind", "map"),
        ("assets.damage.file:checksum", "sha256:1220"),
        ("assets.damage.classification:classes", [{"name": "destroyed"}]),
        ("stac_extensions", []),
    ],
)
def test_an_item_that_breaks_a_rule_of_stac_or_of_an_extension_is_found(
    damage_map: DamageMap, store: ObjectStore, where: str, value: object
) -> None:
    item = json.loads(damage_map.products["stac_item"].read(store))
    *parents, last = where.split(".")
    target = item
    for name in parents:
        target = target[name]
    target[last] = value
    with pytest.raises(ValidationError):
        check_stac(item)


def test_a_map_across_the_antimeridian_has_a_valid_item(make_map: Callable[..., DamageMap], store: ObjectStore) -> None:
    made = make_map(crs="EPSG:32601", transform=Affine(0.5, 0, 165_990, 0, -0.5, 5_000))
    assert made.bounds
    assert made.bounds[0] > made.bounds[2]
    item = json.loads(made.products["stac_item"].read(store))
    check_stac(item)
    assert item["geometry"]["type"] == "MultiPolygon"
    assert item["bbox"][0] > item["bbox"][2]


def test_a_model_is_described_by_the_rules_of_mlm() -> None:
    blob = Blob(uri="s3://lake/checkpoint/1/weights.safetensors", size=3, sha256="0" * 64)
    params = NetworkParams(relation="asymmetric", post_bands=1)
    networks = [
        Network(digest, f"s3://lake/{digest}", datetime(2026, 1, 2, tzinfo=UTC), params, "ImageNet", blob)
        for digest in ("1" * 16, "2" * 16)
    ]
    item = describe_model("damage version 1 + checkpoint 22, adapted to 4 labels", networks)
    check_stac(item)
    told = item["properties"]
    assert [one["input"]["shape"] for one in told["mlm:input"]] == [[-1, 3, -1, -1], [-1, 1, -1, -1]]
    for one in (*told["mlm:input"], *told["mlm:output"]):
        structure = one.get("input") or one["result"]
        assert len(structure["shape"]) == len(structure["dim_order"])
    assert list(item["assets"]) == ["weights", "weights_2"]
    assert all("mlm:model" in one["roles"] for one in item["assets"].values())
    bare = {name: asset | {"roles": ["mlm:weights"]} for name, asset in item["assets"].items()}
    for broken in (
        {"properties": told | {"mlm:name": "2"}},
        {"properties": told | {"mlm:tasks": ["magic"]}},
        {"properties": told | {"mlm:pretrained": False}},
        {"properties": told | {"mlm:colour": "red"}},
        {"assets": bare},
    ):
        with pytest.raises(ValidationError):
            check_stac(item | broken)
