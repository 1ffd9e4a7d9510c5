"""Files of a published map in a folder: made again for older maps and after an assessment, never without need."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders.stac_schemas import check_stac
from products.conftest import brought, checkpoint, damage_map, make_checkpoint, make_map  # noqa: F401

from siamese.adaptation.assessment import assess_map, draw_sample
from siamese.cli.app import main
from siamese.errors import SiameseError
from siamese.manifests import DamageMap, MapProducts
from siamese.params import AdaptationParams, PublishParams
from siamese.products.stac import ASSETS
from siamese.reporting import current_products, find_assessment, make_again
from siamese.store import ObjectStore, S3Uri


@pytest.fixture
def older(damage_map: DamageMap, store: ObjectStore) -> DamageMap:  # noqa: F811
    """The same map as a version without products published it."""
    origin = damage_map.origin.model_copy(update={"digest": "0123456789abcdef", "version": 2})
    return damage_map.model_copy(update={"products": {}, "origin": origin, "trust": None}).publish(store)


def test_an_older_map_gets_its_products_once(older: DamageMap, damage_map: DamageMap, store: ObjectStore) -> None:  # noqa: F811
    params = PublishParams()
    files = current_products(older, params, store)
    assert {name for name in files if not name.startswith("stac")} == {
        *("damage", "confidence", "reasons", "buildings", "geojson", "geopackage", "summary", "summary_areas"),
        *("summary_areas_csv", "picture", "report_html", "report_pdf", "tiles", "shifts"),
    }
    for name in ("confidence", "reasons", "geopackage", "summary", "summary_areas", "tiles", "shifts"):
        assert files[name].sha256 == damage_map.products[name].sha256, name
    item = json.loads(files["stac_item"].read(store))
    place = S3Uri.parse(files["stac_item"].uri)
    for name, asset in item["assets"].items():
        whole = Path("/", place.key).parent.joinpath(asset["href"]).resolve()
        assert str(whole)[1:] == S3Uri.parse(files[name].uri).key
    before = len(list(store.list(store.lake / MapProducts.kind / "")))
    assert current_products(older, params, store) == files
    assert len(list(store.list(store.lake / MapProducts.kind / ""))) == before == 1
    current_products(damage_map, params, store)
    assert len(list(store.list(store.lake / MapProducts.kind / ""))) == 1, "it has its own"
    report = files["report_html"].read(store).decode()
    assert report.count("data:image/jpeg") == 21, "the images are still there"
    for path in (older.pre[0], older.post[0]):
        Path(path).unlink()
    without = make_again(older, params.model_copy(update={"h3_resolution": 8}), store)
    assert without.products["report_html"].read(store).decode().count("data:image/jpeg") == 1


def test_a_report_shows_the_newest_assessment(
    damage_map: DamageMap,  # noqa: F811
    store: ObjectStore,
    tmp_path: Path,
) -> None:
    params = AdaptationParams()
    sample = draw_sample(damage_map, 12, params, store)
    collection = json.loads(sample.geojson.read(store))
    for feature in collection["features"]:
        feature["properties"]["damage_class"] = "destroyed"
    labels = tmp_path / "labels.geojson"
    labels.write_text(json.dumps(collection))
    made = assess_map(damage_map, sample, labels, params, store, author="a person")
    assert find_assessment(damage_map, store) == made
    files = current_products(damage_map, PublishParams(), store, assessment=made)
    damaged = made.damaged.buildings
    assert f"{damaged.low:,.0f} to {damaged.high:,.0f}" in files["report_html"].read(store).decode()
    assert "Assessment by a person" in files["report_html"].read(store).decode()
    assert files["geopackage"].sha256 == damage_map.products["geopackage"].sha256
    other = damage_map.model_copy(update={"origin": damage_map.origin.model_copy(update={"digest": "f" * 16})})
    with pytest.raises(SiameseError, match="is of the map"):
        make_again(other, PublishParams(), store, assessment=made)


def test_files_are_copied_by_format_and_the_item_names_those_beside_it(
    damage_map: DamageMap,  # noqa: F811
    store: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    damage_map.mark_current(store)
    for name in ("raw", "lake", "maps"):
        monkeypatch.setenv(f"SIAMESE_{name.upper()}_BUCKET", getattr(store.settings, f"{name}_bucket"))
    params = tmp_path / "params.yaml"
    params.write_text("{}\n")

    def run(*words: str) -> int:
        try:
            main([*words, "--params", str(params)])
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    out = tmp_path / "all"
    assert run("export", damage_map.event, "--out", str(out)) == 0
    names = {path.name for path in out.iterdir()}
    assert {"map.gpkg", "confidence.tif", "report.pdf", "item.json", "collection.json", "map.json"} <= names
    assert {"buildings.pmtiles", "page.html", "shifts.geojson"} <= names
    item = json.loads((out / "item.json").read_text())
    for document in ("item", "collection", "model"):
        check_stac(json.loads((out / f"{document}.json").read_text()))
    assert {asset["href"] for asset in item["assets"].values()} == {
        f"./{name}" for name in names - {"item.json", "collection.json", "model.json", "map.json"}
    }
    few = tmp_path / "few"
    assert run("export", damage_map.digest, "--out", str(few), "--format", "gpkg", "--format", "stac") == 0
    assert {path.name for path in few.iterdir()} == {
        "map.gpkg", "item.json", "collection.json", "model.json", "map.json",
    }  # fmt: skip
    less = json.loads((few / "item.json").read_text())
    check_stac(less)
    assert set(less["assets"]) == {"geopackage"}
    assert run("report", str(few / "map.json"), "--out", str(tmp_path / "report")) == 0
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "report.html", "report.pdf", "summary.csv", "areas.csv", "map.json",
    }  # fmt: skip
    capfd.readouterr()
    assert run("export", damage_map.event, "--out", str(out), "--format", "shapefile") == 1
    told = capfd.readouterr().err
    assert "shapefile" in told
    assert "gpkg" in told
    assert all(kind.file for kind in ASSETS.values())
