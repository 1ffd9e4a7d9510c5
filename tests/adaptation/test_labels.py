"""Labels as people hand them in: by id or by place, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from builders.labelled import feature, point, write_labels

from siamese.adaptation.buildings import MapBuildings
from siamese.adaptation.labels import Label, match_labels, read_label_file
from siamese.errors import SiameseError
from siamese.mapping.grid import Grid

GRID = Grid("EPSG:32615", Affine(0.5, 0, 400_000, 0, -0.5, 4_100_000), 400, 100)


def buildings(grid: Grid = GRID) -> MapBuildings:
    """Ten buildings in a row, 20 pixels wide and 40 apart."""
    outlines = np.array([shapely.box(40 * number + 5, 10, 40 * number + 25, 40) for number in range(10)], object)
    geometry = shapely.transform(outlines, grid.to_degrees) if grid.crs else outlines
    return MapBuildings(
        ids=tuple(f"b{number}" for number in range(10)),
        classes=np.zeros(10, np.int64),
        probabilities=np.full((10, 4), 0.25),
        geometry=geometry,
        outlines=outlines,
        grid=grid,
    )


def matched(path: Path, there: MapBuildings | None = None) -> tuple[Label, ...]:
    return match_labels(read_label_file(path), there or buildings(), iou=0.25, where=str(path))


def refused(path: Path, there: MapBuildings | None = None) -> str:
    with pytest.raises(SiameseError) as error:
        matched(path, there)
    assert "\n" not in str(error.value)
    return str(error.value)


def classes(labels: tuple[Label, ...]) -> dict[int, str]:
    return {one.place: one.damage_class for one in labels}


def test_a_label_means_the_building_of_its_id(tmp_path: Path) -> None:
    path = write_labels(
        tmp_path / "labels.geojson",
        [feature(None, "destroyed", id="b3"), feature(point((0, 0)), "no-damage", id="b1"), feature(None, None)],
    )
    assert classes(matched(path)) == {3: "destroyed", 1: "no_damage"}


def test_a_label_means_the_building_at_its_place(tmp_path: Path) -> None:
    there = buildings()
    middles = shapely.get_coordinates(shapely.centroid(there.geometry))
    roof = json.loads(shapely.to_geojson(shapely.affinity.scale(there.geometry[4], 1.2, 1.2)))
    path = write_labels(
        tmp_path / "labels.geojson",
        [feature(point(middles[2]), "Major Damage"), feature(roof, "minor_damage", id="of-qgis", author="Ana")],
    )
    found = matched(path)
    assert classes(found) == {2: "major_damage", 4: "minor_damage"}
    assert found[1].author == "Ana"


def test_labels_may_come_in_the_crs_of_the_map(tmp_path: Path) -> None:
    x, y = 400_000 + 0.5 * 95, 4_100_000 - 0.5 * 20
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32615"}}
    path = write_labels(tmp_path / "labels.geojson", [feature(point((x, y)), "destroyed")], crs=crs)
    assert classes(matched(path)) == {2: "destroyed"}
    assert pyproj.CRS("EPSG:32615").is_projected


def test_a_place_beyond_the_earth_is_no_geometry(tmp_path: Path) -> None:
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32615"}}
    path = write_labels(tmp_path / "labels.geojson", [feature(point((1e30, 1e30)), "destroyed")], crs=crs)
    assert "feature 1: has no usable geometry: it is empty, or a coordinate" in refused(path)


def test_a_map_without_georeference_is_labelled_in_pixels(tmp_path: Path) -> None:
    there = buildings(Grid(None, Affine.identity(), 400, 100))
    path = write_labels(tmp_path / "labels.geojson", [feature(point((55, 20)), "destroyed")])
    assert classes(matched(path, there)) == {1: "destroyed"}
    outside = write_labels(tmp_path / "outside.geojson", [feature(point((-95, 37)), "destroyed")])
    assert "outside the map: feature 1 — " in (told := refused(outside, there))
    assert "pixels" in told


def test_csv_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("\ufeffid,damage_class,author\nb0,destroyed,Bo\nb1,,\nb2,no_building,\n")
    found = matched(path)
    assert classes(found) == {0: "destroyed", 2: "no_building"}
    assert found[0].author == "Bo"


@pytest.mark.parametrize(
    ("features", "told"),
    [
        ([], "holds no label"),
        ([feature(None, "", id="b1")], "holds no label"),
        ([feature(None, "destroyed", id="b77")], "1 label names no building of the map: feature 1 (b77)"),
        (
            [feature(None, "wrecked", id="b1")],
            "feature 1: damage_class is 'wrecked' — damage_class is one of",
        ),
        ([feature(None, float("nan"), id="b1")], "feature 1: damage_class is NaN"),
        ([feature(point((float("nan"), 3)), "destroyed")], "feature 1: has no usable geometry"),
        ([feature({"type": "Point"}, "destroyed")], "feature 1: has no usable geometry"),
        ([feature(None, "destroyed")], "feature 1: has neither id nor geometry"),
        (
            [feature(point((10, 50)), "destroyed"), feature(None, "destroyed", id="b1")],
            "1 label lies outside the map",
        ),
        (
            [feature(None, "destroyed", id="b1"), feature(None, "no_damage", id="b1")],
            "1 building has contradicting labels: b1 (feature 1 destroyed, feature 2 no_damage)",
        ),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(tmp_path: Path, features: list[dict[str, Any]], told: str) -> None:
    path = write_labels(tmp_path / "labels.geojson", features)
    line = refused(path)
    assert told in line
    assert str(path) in line
    assert " — " in line


def test_labels_beside_buildings_are_named(tmp_path: Path) -> None:
    gaps = GRID.to_degrees(np.array([(40.0 * number, 80.0) for number in range(1, 10)]))
    path = write_labels(tmp_path / "labels.geojson", [feature(point(place), "destroyed") for place in gaps])
    assert "9 labels lie on no building of the map: feature 1, feature 2" in (line := refused(path))
    assert "and 1 more" in line


def test_the_same_label_twice_counts_once(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "labels.geojson", [feature(None, "destroyed", id="b1")] * 3)
    assert classes(matched(path)) == {1: "destroyed"}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("labels.geojson", "{", "not GeoJSON"),
        ("labels.geojson", "[1, 2]", "not GeoJSON"),
        ("labels.geojson", '{"type": "FeatureCollection", "features": [3]}', "not GeoJSON"),
        ("labels.csv", "", "has columns none"),
        ("labels.csv", "id,class\nb1,destroyed\n", "has columns class, id"),
        ("labels.csv", "id,damage_class\n", "holds no label"),
        ("labels.csv", "id,damage_class\nb1,gone\n", "line 2: damage_class is 'gone'"),
        ("labels.csv", 'id,damage_class,author\nb1,destroyed,"Bo\nb2,no_damage,Bo\n', "not a CSV table after line 1"),
        ("labels.geojson", '{"type": "Feature", "properties": [1], "geometry": null}', "properties are no object"),
        ("labels.geojson", '{"type": "Feature", "properties": "abc", "geometry": null}', "properties are no object"),
    ],
)
def test_files_that_are_no_labels_are_refused(tmp_path: Path, name: str, content: str, told: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert told in refused(path)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("labels.csv", "id,damage_class,note\nb1,destroyed," + "x" * 140_000, "after line 1: field larger than"),
        ("labels.geojson", '{"type": "FeatureCollection", "features": ' + "[" * 100_000, "not GeoJSON: maximum"),
        (
            "labels.geojson",
            '{"type": "Feature", "properties": {"damage_class": "destroyed"}, "geometry": '
            '{"type": "Point", "coordinates": [1' + "0" * 400 + ", 2]}}",
            "feature 1: has no usable geometry: int too large",
        ),
    ],
    ids=["long field", "deep nesting", "400 digits"],
)
def test_what_no_parser_takes_is_refused(tmp_path: Path, name: str, content: str, told: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert told in refused(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / "none.geojson")
