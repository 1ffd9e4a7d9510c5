"""Imagery on both sides of 180 degrees."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from affine import Affine
from builders.placed_scenes import (
    COUNTS,
    DEGREE,
    SIDE,
    Image,
    Map,
    across,
    both,
    place,
)

from siamese.store import ObjectStore


@pytest.mark.parametrize(
    "kind",
    ["±180", "0..360", "beyond -180", "one image", "one image, west", "Web Mercator", "zone 1", "zone 60"],
)
def test_a_map_across_it(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, store: ObjectStore, kind: str,
    classes: Callable[..., Any], features: Callable[..., Any],
) -> None:  # fmt: skip
    dates = [
        [place(tmp_path / f"{date}/{n}.tif", *tile) for n, tile in enumerate(across(image, kind))]
        for date, image in scene.items()
    ]
    made = map_files(*dates)
    assert made.crs in {"EPSG:32701", "EPSG:32760"}
    found, transform = classes(made)
    assert transform.a > 0 > transform.e
    assert found.size < 1.3 * SIDE**2
    assert made.counts == COUNTS
    rows = {name: np.argwhere(found == value).mean(0) for value, name in ((1, "no"), (3, "major"))}
    assert (rows["no"] < rows["major"]).all(), "upper left, and lower right"
    assert made.bounds
    west, south, east, north = made.bounds
    assert 179.9 < west <= 180
    assert -180 <= east < -179.9
    assert south < north
    told = features(made)
    shapes = {one["properties"]["damage_class"]: shapely.geometry.shape(one["geometry"]) for one in told["features"]}
    for shape in shapes.values():
        assert shape.is_valid
        for part in shapely.get_parts(shape):
            assert shapely.bounds(part)[2] - shapely.bounds(part)[0] < 0.01, "never drawn around the world"
    assert shapes["destroyed"].geom_type == "MultiPolygon"
    lngs = shapely.get_coordinates(shapes["destroyed"])[:, 0]
    assert (lngs.max(), lngs.min()) == (180, -180)
    geo = json.loads(pq.read_metadata(io.BytesIO(made.buildings.read(store))).metadata[b"geo"])
    box = geo["columns"]["geometry"]["bbox"]
    assert box == told["bbox"]
    assert west <= box[0] <= 180
    assert -180 <= box[2] <= east
    assert "MultiPolygon" in geo["columns"]["geometry"]["geometry_types"]


def test_tiles_in_both_zones(scene: dict[str, Image], tmp_path: Path, map_files: Map) -> None:
    one, two = (next(across(scene["pre"], kind)) for kind in ("zone 60", "zone 1"))
    half = SIDE // 2
    pre = [
        place(tmp_path / "a.tif", one[0][:, :half], *one[1:]),
        place(tmp_path / "b.tif", two[0][:, half:], two[1], two[2] @ Affine.translation(half, 0)),
    ]
    post = place(tmp_path / "post.tif", scene["post"], *next(across(scene["post"], "one image"))[1:])
    made = map_files(pre, post)
    assert made.crs == "EPSG:32760"
    assert sum(made.counts.values()) - made.counts["unknown"] >= 3


def test_beside_it_nothing_changes(scene: dict[str, Image], tmp_path: Path, map_files: Map) -> None:
    made = map_files(*both(tmp_path, scene, "EPSG:4326", Affine(DEGREE, 0, -180 + 0.001, 0, -DEGREE, 52)))
    assert made.crs == "EPSG:32601"
    assert made.bounds
    assert -180 < made.bounds[0] < made.bounds[2] < -179.99
