"""Counts by class and area with intervals, and the report that prints them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from products.conftest import HOSTILE

from siamese.errors import SiameseError
from siamese.manifests import DamageMap
from siamese.params import MappingParams
from siamese.products.known_error import DAMAGED, KnownError, estimate_by_probabilities
from siamese.products.summary import OUTSIDE, Areas, summarise, summary_csv, write_areas
from siamese.store import ObjectStore

Bring = Callable[[DamageMap], dict[str, Path]]

TRUTH = np.array([[300, 60, 10, 30], [40, 90, 20, 5], [10, 30, 60, 10], [10, 5, 20, 200]])
"""Labelled buildings, rows true and columns mapped class."""
MISSED, FALSE = np.array([60, 20, 10, 5]), np.array([80, 20, 5, 10])


def known(events: int = 1, scale: int = 1) -> KnownError:
    counts = np.zeros((5, 5), np.int64)
    counts[1:, 1:], counts[1:, 0], counts[0, 1:] = TRUTH * scale, MISSED * scale, FALSE * scale
    return KnownError(np.stack([counts] * events), "made up")


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    counts = known(scale=20).events[0].astype(float)
    truth, mapped = [], []
    for _ in range(200):
        true = rng.multinomial(300, [0.5, 0.2, 0.1, 0.2])
        drawn = [rng.multinomial(n, counts[k + 1] / counts[k + 1].sum()) for k, n in enumerate(true)]
        # Of those mapped as a class, the share of false finds is as it was when the model was evaluated.
        found = np.sum(drawn, axis=0)[1:]
        false = np.array([rng.poisson(n * counts[0, k + 1] / counts[1:, k + 1].sum()) for k, n in enumerate(found)])
        truth.append(true)
        mapped.append(found + false)
    # The mix of classes is that of the evaluation, which is what the shares are conditional on.
    weights = counts[1:].sum(axis=1) / counts[1:].sum()
    assert weights == pytest.approx([0.46, 0.17, 0.12, 0.24], abs=0.1)
    estimates = known(scale=20).estimate(np.array(mapped), draws=200)
    names = list(estimates[0])
    for column, name in enumerate(names[:-1]):
        inside = [one[name].low <= true[column] <= one[name].high for one, true in zip(estimates, truth, strict=True)]
        assert np.mean(inside) > 0.75, name
    damaged = [one[DAMAGED] for one in estimates]
    inside = [one.low <= true[1:].sum() <= one.high for one, true in zip(damaged, truth, strict=True)]
    assert np.mean(inside) > 0.85


def test_fewer_labels_and_events_that_differ_make_intervals_wider() -> None:
    mapped = [[100, 40, 20, 60]]

    def width(error: KnownError) -> float:
        (found,) = error.estimate(mapped)
        return found["destroyed"].high - found["destroyed"].low

    differing = known(2, scale=20).events.copy()
    differing[0, 1:, 4], differing[0, 4, 1:4] = differing[0, 1:, 4] // 8, differing[0, 4, 1:4] * 4
    assert width(known(scale=20)) < width(known(scale=1))
    assert width(known(2, scale=20)) < width(KnownError(differing, "differing"))


def test_nothing_mapped_is_nothing_estimated_and_probabilities_stand_in() -> None:
    (empty,) = known().estimate([[0, 0, 0, 0]])
    assert all((one.estimate, one.low, one.high) == (0, 0, 0) for one in empty.values())
    (found,) = estimate_by_probabilities(np.array([[3.0, 1, 0, 1, 2]]), np.array([[0.25, 0.25, 0, 0.04, 0.25]]))
    assert found["no_damage"].low == pytest.approx(3 - 1.96 * 0.5)
    assert found["minor_damage"].low == pytest.approx(0.02, abs=0.001)
    (one,) = estimate_by_probabilities(np.array([[0.9, 0.1, 0, 0, 0.1]]), np.array([[0.09, 0.09, 0, 0, 0.09]]))
    assert one["no_damage"].high == pytest.approx(1), "one building was found"


def test_every_building_is_counted_once_in_the_whole_and_where_it_lies(damage_map: DamageMap, brought: Bring) -> None:
    files = brought(damage_map)
    table = gpd.read_parquet(files["buildings"])
    cells = gpd.read_parquet(files["summary_areas"])
    assert cells.buildings.sum() == len(table)
    assert cells[["no_damage", "minor_damage", "major_damage", "destroyed", "unknown"]].sum().to_dict() == {
        name: damage_map.counts[name] for name in damage_map.counts
    }
    placed = gpd.sjoin(table.set_geometry(table.representative_point()), cells[["area_name", "geometry"]])
    assert placed.groupby("area_name").size().to_dict() == dict(zip(cells.area_name, cells.buildings, strict=True))
    rows = list(csv.DictReader(io.StringIO(files["summary"].read_text())))
    assert {row["class"]: int(row["mapped"]) for row in rows} == damage_map.counts | {
        DAMAGED: sum(damage_map.counts[name] for name in ("minor_damage", "major_damage", "destroyed"))
    }
    unknown = next(row for row in rows if row["class"] == "unknown")
    assert unknown["estimate"] == ""
    assert json.loads(gpd.read_file(files["geopackage"], layer="areas").to_json())["features"]

    west, south, east, north = table.total_bounds
    middle = (west + east) / 2
    half = Areas(("=half", "whole"), np.array([shapely.box(west, south, middle, north),
                                               shapely.box(west, south, east, north)], object))  # fmt: skip
    summary = summarise(files["buildings"], placed=True, known=known(), areas=half)
    counted = {row.area: row.buildings for row in summary.areas}
    assert counted["whole"] == len(table)
    assert 0 < counted["=half"] < len(table)
    alone = summarise(files["buildings"], placed=True, known=None, areas=Areas(("=half",), half.polygons[:1]))
    assert {row.area for row in alone.areas} == {"=half", OUTSIDE}
    assert sum(row.buildings for row in alone.areas) == len(table)
    assert "'=half" in summary_csv(summary.areas, area=True)
    write_areas(alone, files["buildings"].parent / "alone.parquet")
    assert gpd.read_parquet(files["buildings"].parent / "alone.parquet").geometry.isna().sum() == 1


def test_districts_that_people_give_are_counted_by_name(
    make_map: Callable[..., DamageMap], brought: Bring, tmp_path: Path
) -> None:
    districts = tmp_path / "districts.geojson"
    shape = shapely.box(-95, 36, -93, 38)
    gpd.GeoDataFrame({"name": ["Nord", "Nord"]}, geometry=[shape, shape], crs="EPSG:4326").to_file(districts)
    params = MappingParams(tile_px=96, overlap_px=32, minimum_building_m2=0, areas=str(districts))
    made = make_map(params=params)
    table = gpd.read_parquet(brought(made)["summary_areas"])
    assert sorted(table.area_name) == ["Nord", "Nord (2)"]
    assert table.buildings.tolist() == [sum(made.counts.values())] * 2
    with pytest.raises(SiameseError, match="no such file"):
        make_map(params=params.model_copy(update={"areas": str(tmp_path / "absent.gpkg")}))


def test_the_report_prints_hostile_names_as_text_and_nothing_from_elsewhere(
    make_map: Callable[..., DamageMap], brought: Bring, store: ObjectStore
) -> None:
    made = make_map(event=HOSTILE)
    files = brought(made)
    page = files["report_html"].read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/jpeg") == 1 + 2 * 10
    assert "were not measured on labelled buildings" in page
    data = files["report_pdf"].read_bytes()
    assert data.startswith(b"%PDF")
    assert b"/Count 2" in data

    again = make_map(event=HOSTILE)
    assert again.products == made.products
