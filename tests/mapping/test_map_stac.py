"""Imagery from STAC documents in the layouts of Maxar's and Planet's open data: on disk, in a bucket, on the web."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from builders.made_rasters import PLACE, SMALL, Colours, pair, write
from builders.made_web import served

from siamese.errors import SiameseError
from siamese.manifests import Checkpoint
from siamese.mapping import map_pair
from siamese.mapping.inputs import check_files, find_images
from siamese.mapping.stac import Wanted, find_stac
from siamese.store import ObjectStore

PRE, POST = "2011-05-01T17:00:00Z", "2011-05-24T17:00:00Z"
DISASTER = date(2011, 5, 22)


def item(name: str, taken: str, west: float, assets: dict[str, Any]) -> dict[str, Any]:
    """An item without the projection extension."""
    box = [west, 37.03, west + 0.001, 37.04]
    ring = [[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]], [box[0], box[1]]]
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "bbox": box, "properties": {"datetime": taken},
        "geometry": {"type": "Polygon", "coordinates": [ring]}, "links": [], "assets": assets,
    }  # fmt: skip


def catalog(kind: str, name: str, links: dict[str, list[str]]) -> dict[str, Any]:
    made: dict[str, Any] = {"type": kind, "stac_version": "1.0.0", "id": name, "description": name}
    if kind == "Collection":
        space = {"bbox": [[-94.2, 37.0, -94.0, 37.1], [-94.2, 37.0, -94.1, 37.1]]}
        made |= {"license": "CC-BY-NC-4.0", "extent": {"spatial": space, "temporal": {"interval": [[PRE, POST]]}}}
    return made | {"links": [{"rel": rel, "href": href} for rel, hrefs in links.items() for href in hrefs]}


@pytest.fixture
def maxar(tmp_path: Path) -> Path:
    """Catalog, event, acquisitions, and items by quadkey: two tiles a date, and a far one that is not there."""
    root = tmp_path / "maxar"
    pre, post = pair(128, 256, (20, 20, 30, 30, 1), (60, 180, 30, 30, 3))
    events = root / "events" / "storm"
    found: dict[str, list[str]] = {"pre": [], "post": []}
    for side in (0, 1):
        place = PLACE @ Affine.translation(128 * side, 0)
        for when, image in (("pre", pre), ("post", post)):
            folder = events / "ard" / "15" / f"0231{side}" / when
            half = image[:, 128 * side : 128 * side + 128]
            write(folder / "1-visual.tif", half, transform=place)
            write(folder / "1-pan.tif", half[..., :1], transform=place)
            assets = {
                "pan_analytic": {"href": "./1-pan.tif", "type": "image/tiff", "roles": ["data"]},
                "visual": {"href": "./1-visual.tif", "type": "image/vnd.stac.geotiff; cloud-optimized=true"},
                "data-mask": {"href": "./mask.gpkg", "roles": ["data-mask"]},
            }
            made = item(f"{side}-{when}", PRE if when == "pre" else POST, -94.1244 + 0.0007 * side, assets)
            (folder / "1.json").write_text(json.dumps(made))
            found[when].append(f"../15/0231{side}/{when}/1.json")
    far = item("far", PRE, 20.0, {"visual": {"href": "./absent.tif", "type": "image/tiff"}})
    (events / "ard" / "far.json").write_text(json.dumps(far))
    acquisitions = events / "ard" / "acquisition_collections"
    acquisitions.mkdir()
    for when, hrefs in found.items():
        links = {"item": hrefs + (["../far.json"] if when == "pre" else []), "parent": ["../../collection.json"]}
        (acquisitions / f"{when}.json").write_text(json.dumps(catalog("Collection", when, links)))
    children = [f"./ard/acquisition_collections/{when}.json" for when in found]
    links = {"child": [*children, *children], "root": ["../../catalog.json"]}
    (events / "collection.json").write_text(json.dumps(catalog("Collection", "storm", links)))
    links = {"child": ["./events/storm/collection.json"], "self": ["./catalog.json"]}
    (root / "catalog.json").write_text(json.dumps(catalog("Catalog", "open-data", links)))
    return root


AREA = "-94.13,37.02,-94.12,37.05"


def test_one_catalog_gives_both_dates_on_disk_in_a_bucket_and_on_the_web(
    store: ObjectStore, checkpoint: Checkpoint, maxar: Path
) -> None:
    for path in maxar.rglob("*"):
        if path.is_file():
            store.upload(path, store.raw / "open" / path.relative_to(maxar).as_posix())
    counts, told = [], []
    with served(maxar) as web:
        for root in (str(maxar), f"{store.raw}open", web):
            given = [f"{root}/catalog.json"]
            check_files(given, given, store)
            made = map_pair(
                given, given, checkpoint, SMALL, store, predictor=Colours(), aoi=AREA, disaster_date=DISASTER,
                event=root.rpartition("/")[2],
            )  # fmt: skip
            assert (len(made.pre), len(made.post)) == (2, 2)
            assert all(name.endswith("/pre/1-visual.tif") for name in made.pre)
            counts.append(made.counts)
            told.append(json.loads(made.products["stac_item"].read(store))["properties"])
    assert counts[0] == counts[1] == counts[2]
    assert all((one["start_datetime"], one["datetime"]) == (PRE, POST) for one in told), "when the images were taken"
    assert all("are not known" not in one["description"] for one in told)
    assert told[0]["siamese:km2_per_hour"] == pytest.approx(told[0]["siamese:km2"] / told[0]["siamese:seconds"] * 3600)
    assert told[1]["siamese:seconds"] == told[0]["siamese:seconds"], "the same images: predicted once"
    assert (counts[0]["minor_damage"], counts[0]["destroyed"]) == (1, 1)


def test_items_are_found_by_place_and_date_the_latest_first(store: ObjectStore, maxar: Path) -> None:
    names = {
        "all": (Wanted(), 5),
        "here": (Wanted(bounds=(-94.13, 37.02, -94.12, 37.05)), 4),
        "before": (Wanted(before=DISASTER), 3),
        "since": (Wanted(since=DISASTER), 2),
    }
    for name, (wanted, count) in names.items():
        found = find_stac(str(maxar / "catalog.json"), wanted, store)
        assert len(found) == count, name
        taken = [one.taken for one in found]
        assert taken == sorted(taken, reverse=True)
    with pytest.raises(SiameseError, match=r"holds no item in the area of interest"):
        find_stac(str(maxar / "catalog.json"), Wanted(bounds=(0, 0, 1, 1)), store)


def test_dates_that_stac_states_the_wrong_way_round_are_refused(
    store: ObjectStore, checkpoint: Checkpoint, maxar: Path
) -> None:
    pre, post = (str(maxar / "events/storm/ard/15/02310" / when / "1.json") for when in ("pre", "post"))
    with pytest.raises(SiameseError, match=r"the post images are of 2011-05-01, before the pre images of 2011-05-24"):
        map_pair([post], [pre], checkpoint, SMALL, store, predictor=Colours())
    assert map_pair([pre], [post], checkpoint, SMALL, store, predictor=Colours()).counts["minor_damage"] == 1


def test_planets_items_give_the_order_of_their_bands(
    store: ObjectStore, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    bands = [{"name": name, "eo:common_name": name} for name in ("blue", "green", "red", "nir")]
    for when, image in zip(("pre", "post"), pair(128, 128, (20, 20, 30, 30, 2)), strict=True):
        four = np.dstack([image[..., ::-1], image[..., 0]])
        write(tmp_path / f"{when}.tif", four, photometric="minisblack", alpha="unspecified")
        assets = {
            "thumbnail": {"href": f"{when}.png", "type": "image/png", "roles": ["thumbnail"]},
            "analytic": {"href": f"{when}.tif", "type": "image/tiff", "roles": ["data"], "bands": bands},
        }
        made = item(when, PRE if when == "pre" else POST, -94.1244, assets)
        (tmp_path / f"{when}.json").write_text(json.dumps(made))
    pair_given = [str(tmp_path / "pre.json")], [str(tmp_path / "post.json")]
    made = map_pair(*pair_given, checkpoint, SMALL, store, predictor=Colours())
    assert {name: count for name, count in made.counts.items() if count} == {"major_damage": 1}
    wrong = SMALL.model_copy(update={"asset": "visual"})
    with pytest.raises(SiameseError, match="STAC item pre: has no asset visual; its assets: thumbnail, analytic"):
        map_pair(*pair_given, checkpoint, wrong, store, predictor=Colours())
    plain = [str(tmp_path / "pre.tif")], [str(tmp_path / "post.tif")]
    chosen = SMALL.model_copy(update={"bands": (3, 2, 1)})
    assert map_pair(*plain, checkpoint, chosen, store, predictor=Colours(), event="x").counts == made.counts


def write_catalog(folder: Path, links: dict[str, list[str]]) -> str:
    """Writes a catalog with such links, and returns its path."""
    path = folder / "catalog.json"
    path.write_text(json.dumps(catalog("Catalog", "somebody", {"root": ["./catalog.json"], **links})))
    return str(path)


def test_items_without_an_image_are_left_out_with_one_warning(
    store: ObjectStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"{number}.json" for number in range(6)]
    for number, name in enumerate(names):
        image = {"visual": {"href": "./a.tif", "type": "image/tiff"}} if number == 3 else {}
        drawing = {"mask": {"href": "./mask.gpkg", "roles": ["data-mask"]}}
        (tmp_path / name).write_text(json.dumps(item(f"item-{number}", PRE, -94.1, drawing | image)))
    given = write_catalog(tmp_path, {"item": names})
    with caplog.at_level("WARNING", "siamese"):
        assert [one.item for one in find_stac(given, Wanted(), store)] == ["item-3"]
    (told,) = [one.getMessage() for one in caplog.records]
    assert "5 of 6 items are left out, as they have no image: item-0, item-1, item-2 and 2 more" in told
    names.remove("3.json")
    given = write_catalog(tmp_path, {"item": names})
    with pytest.raises(SiameseError, match="none of its 5 items has an image; assets of the first, item-0: mask"):
        find_stac(given, Wanted(), store)


def test_a_document_counts_as_what_it_is_whatever_the_link_to_it_says(store: ObjectStore, tmp_path: Path) -> None:
    assets = {"visual": {"href": "./a.tif", "type": "image/tiff"}}
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(json.dumps(item(name, PRE, -94.1, assets)))
    inner = catalog("Catalog", "inner", {"item": ["./one.json"], "child": ["./catalog.json"]})
    (tmp_path / "inner.json").write_text(json.dumps(inner))
    given = write_catalog(tmp_path, {"item": ["./inner.json"], "child": ["./two.json", "./one.json"]})
    assert {one.item for one in find_stac(given, Wanted(), store)} == {"one", "two"}
    assert len(find_stac(given, Wanted(), store)) == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "it is a JSON list, not an object"),
        ("3", "it is a JSON value, not an object"),
        ('{"type": "FeatureCollection", "features": []}', "FeatureCollection"),
        ('{"type": "Catalog", "stac_version": "1.0.0", "id": "x", "description": "x"}', "it lacks the field 'links'"),
        ('{"type": "Feature", "stac_version": "1.0.0", "id": "x", "geometry": null, "properties": [], "links": [], '
         '"assets": {}}', "one of its fields has a type that STAC does not allow"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("rel", ["item", "child"])
def test_a_linked_document_that_is_no_stac_is_named(
    store: ObjectStore, tmp_path: Path, rel: str, text: str, why: str
) -> None:
    (tmp_path / "other.json").write_text(text)
    given = write_catalog(tmp_path, {rel: ["./other.json"]})
    with pytest.raises(SiameseError, match=re.escape(why)) as raised:
        find_stac(given, Wanted(), store)
    assert str(raised.value).startswith(f"{tmp_path / 'other.json'}: cannot be read as STAC: ")


def test_a_linked_document_that_is_not_there_is_named(store: ObjectStore, tmp_path: Path) -> None:
    given = write_catalog(tmp_path, {"item": ["./absent.json"]})
    with pytest.raises(SiameseError, match=r"absent\.json: cannot be read as STAC: No such file"):
        find_stac(given, Wanted(), store)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "cannot be read as STAC: it is a JSON list, not an object"),
        ("{}", "cannot be read as STAC"),
        ("nothing", "cannot be read as STAC"),
        ('{"type": "Feature", "stac_version": "1.0.0", "id": "x", "geometry": null, "properties": {"datetime": '
         '"2011-05-01T17:00:00Z"}, "links": [], "assets": {}}', "STAC item x: has no image"),
        ('{"type": "FeatureCollection", "features": []}', "holds no item"),
    ],
)  # fmt: skip
def test_what_is_no_stac_document_is_told_in_one_line(store: ObjectStore, tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "item.json").write_text(text)
    with pytest.raises(SiameseError, match=why) as raised:
        find_images([str(tmp_path / "item.json")], "pre", store)
    assert "\n" not in str(raised.value)


def test_a_file_on_the_web_is_mapped_and_one_that_is_gone_is_told(
    store: ObjectStore, checkpoint: Checkpoint, tmp_path: Path, make_checkpoint: Callable[..., Checkpoint]
) -> None:
    del make_checkpoint
    pre, post = pair(128, 128, (20, 20, 30, 30, 1))
    write(tmp_path / "pre.tif", pre)
    write(tmp_path / "post.tif", post)
    with served(tmp_path) as web:
        made = map_pair([f"{web}/pre.tif"], [f"{web}/post.tif"], checkpoint, SMALL, store, predictor=Colours())
        assert made.counts["minor_damage"] == 1
        with pytest.raises(SiameseError, match=r"absent.tif: cannot be read: the server answers 404"):
            find_images([f"{web}/absent.tif"], "pre", store)
