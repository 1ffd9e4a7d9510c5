"""Scenes under a prefix: each ends accepted, unlabelled or quarantined, with the right reason, whatever it holds."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from builders.made_scenes import PLACE, SIDE, files, label, many, png, put, taken, tiff

from siamese.errors import SiameseError
from siamese.ingest import read_inventory
from siamese.params import IngestParams
from siamese.store import ObjectStore


def png_that_says(side: int) -> bytes:
    """A small PNG whose header says another size, checksum and all."""
    header = b"IHDR" + side.to_bytes(4, "big") * 2 + png()[24:29]
    return png()[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png()[33:]


GOOD, BAD = "test-wind_00000001", "test-wind_00000002"


def image(date: str, scene: str = BAD) -> str:
    return f"images/{scene}_{date}_disaster.png"


def text(date: str, scene: str = BAD) -> str:
    return f"labels/{scene}_{date}_disaster.json"


def test_a_scene_is_accepted_with_all_that_is_known_of_it(store: ObjectStore) -> None:
    found = files(GOOD)
    catalog, rows = taken(store, put(store, found))
    scene = rows[GOOD]
    assert (scene.verdict, scene.reasons, scene.disaster, scene.disaster_type) == ("accepted", (), "test-wind", "wind")
    assert (scene.width, scene.height, scene.bands, scene.post_bands) == (SIDE, SIDE, 3, 3)
    assert scene.gsd_m == 2.0
    assert (scene.pre_date, scene.post_date) == ("2018-10-10T16:48:15.000Z", "2018-10-13T16:48:15.000Z")
    assert scene.pre_sensor == "GEOEYE01"
    assert scene.georeference == "label"
    assert scene.affine is not None
    assert scene.affine.almost_equals(PLACE, precision=1e-12)
    assert scene.residual_px == pytest.approx(0, abs=1e-6)
    assert scene.bounds == pytest.approx((-94.5, 37 - SIDE * 4e-6, -94.5 + SIDE * 5e-6, 37))
    assert scene.pixel_m == pytest.approx(0.445, abs=0.001)
    assert scene.buildings == {
        "no-damage": 1, "minor-damage": 0, "major-damage": 0, "destroyed": 1, "un-classified": 0,
    }  # fmt: skip
    assert catalog.buildings == scene.buildings
    for reference, name in (
        (scene.pre_image, image("pre", GOOD)),
        (scene.post_image, image("post", GOOD)),
        (scene.pre_label, text("pre", GOOD)),
        (scene.post_label, text("post", GOOD)),
    ):
        assert reference is not None
        assert reference.read(store) == found[name]


def test_a_reference_to_bytes_that_changed_is_refused(store: ObjectStore) -> None:
    _, rows = taken(store, put(store, files(GOOD)))
    reference = rows[GOOD].pre_image
    assert reference is not None
    put(store, {image("pre", GOOD): png(99)})
    assert reference.read(store) == files(GOOD)[image("pre", GOOD)]
    with pytest.raises(SiameseError, match="no longer"):
        reference.model_copy(update={"version_id": None}).read(store)


Change = Callable[[dict[str, bytes]], object]
PRE, POST = "images/{}_pre_disaster.png", "images/{}_post_disaster.png"
PRE_LABEL, POST_LABEL = "labels/{}_pre_disaster.json", "labels/{}_post_disaster.json"
MILLION = "POLYGON ((" + "1 1, " * 1_000_000 + "1 1))"


def becomes(path: str, data: bytes) -> Change:
    return lambda found: found.update({path: data})


def lacks(path: str) -> Change:
    return lambda found: found.pop(path)


def with_tree(path: str, change: Callable[[dict], object]) -> Change:
    def apply(found: dict[str, bytes]) -> None:
        tree = json.loads(found[path])
        change(tree)
        found[path] = json.dumps(tree).encode()

    return apply


def with_wkt(path: str, wkt: str) -> Change:
    return with_tree(path, lambda tree: tree["features"]["xy"][0].update(wkt=wkt))


def with_other_uid(tree: dict) -> None:
    for way in ("xy", "lng_lat"):
        tree["features"][way][0]["properties"]["uid"] = "z"


def exchange_labels(found: dict[str, bytes]) -> None:
    found[PRE_LABEL], found[POST_LABEL] = found[POST_LABEL], found[PRE_LABEL]


def say_a_key_twice(found: dict[str, bytes]) -> None:
    found[PRE_LABEL] = b'{"metadata": 1, ' + found[PRE_LABEL][1:]


def lie_in_two_splits(found: dict[str, bytes]) -> None:
    found |= {f"{split}/{PRE}": found[PRE] for split in ("train", "hold")}


CASES: dict[str, tuple[Change, str]] = {
    "pre image missing": (lacks(PRE), "pre image is missing"),
    "post image missing": (lacks(POST), "post image is missing"),
    "pre label missing": (lacks(PRE_LABEL), "pre label is missing"),
    "post label missing": (lacks(POST_LABEL), "post label is missing"),
    "png cut at its end": (becomes(PRE, png()[:-1]), "pre image * truncated"),
    "png cut in the middle": (becomes(POST, png()[:900] + png()[901:]), "post image * damaged"),
    "png empty": (becomes(POST, b""), "post image * is empty"),
    "png is text": (becomes(POST, b"<html>"), "post image * neither PNG nor GeoTIFF"),
    "label cut": (with_tree(PRE_LABEL, lambda tree: tree.pop("metadata")), "pre label * metadata is missing"),
    "label is text": (becomes(PRE_LABEL, b"{"), "pre label * not JSON"),
    "one band": (becomes(PRE, png(bands=1)), "pre image * has 1 bands, not 3"),
    "post larger": (becomes(POST, png(side=70)), "post label * the image is 70 x 70 px"),
    "decompression bomb": (becomes(PRE, png_that_says(60_000)), "pre image * 60000 x 60000 px, more than"),
    "million vertices": (with_wkt(POST_LABEL, MILLION), "post label * 1,000,001 vertices"),
    "nan": (with_wkt(PRE_LABEL, "POLYGON ((1 1, nan 2, 3 3, 1 1))"), "pre label * not finite"),
    "uids differ": (with_tree(PRE_LABEL, with_other_uid), "1 only in the pre label, 1 only in the post label"),
    "label of another": (becomes(POST_LABEL, json.dumps(label(GOOD, "post")).encode()), "post label * another image"),
    "labels exchanged": (exchange_labels, "post label * subtype is missing"),
    "key twice": (say_a_key_twice, "pre label * 'metadata' twice"),
    "other bytes elsewhere": (becomes(f"more/{PRE}", png(55)), "pre image is held 2 times with different bytes"),
    "two splits": (lie_in_two_splits, "more than one official split: hold, train"),
    "no end of copies": (lambda found: found.update({f"{n}/{PRE}": b"" for n in range(70)}), "holds 74 files"),
}


def test_broken_scenes_are_quarantined_each_for_its_reason_and_the_whole_ones_accepted(store: ObjectStore) -> None:
    objects = files(GOOD)
    names = {f"broken-wind_{number:08d}": case for number, case in enumerate(CASES)}
    for name, case in names.items():
        found = {path.replace(name, "{}"): data for path, data in files(name, seed=1).items()}
        CASES[case][0](found)
        objects |= {path.replace("{}", name): data for path, data in found.items()}
    catalog, rows = taken(store, put(store, objects))
    assert (catalog.accepted, catalog.quarantined) == (1, len(CASES))
    assert set(rows) == {GOOD, *names}
    for name, case in names.items():
        first, _, then = CASES[case][1].partition(" * ")
        assert rows[name].verdict == "quarantined", case
        assert any(first in reason and then in reason for reason in rows[name].reasons), (case, rows[name].reasons)


def test_pre_and_post_of_different_sizes_are_quarantined(store: ObjectStore) -> None:
    found = files(BAD, labels=False) | {image("post"): png(side=70)}
    _, rows = taken(store, put(store, found))
    assert rows[BAD].reasons == ("pre image is 64 x 64 px, post image 70 x 70 px",)


def test_the_dates_may_have_other_bands_where_each_number_is_allowed(store: ObjectStore) -> None:
    radar = tiff(np.full((SIDE, SIDE, 1), 9, np.uint8))
    objects = files(GOOD) | files(BAD) | {image("post"): png(bands=1)}
    objects[image("post", GOOD).replace(".png", ".tif")] = radar
    del objects[image("post", GOOD)]
    source = put(store, objects)
    _, rows = taken(store, source, bands=(3, 1))
    assert {(row.verdict, row.bands, row.post_bands) for row in rows.values()} == {("accepted", 3, 1)}
    assert {row.georeference for row in rows.values()} == {"geotiff", "label"}
    _, rows = taken(store, source)
    assert {row.verdict for row in rows.values()} == {"quarantined"}
    assert all("post image" in row.reasons[0] and "has 1 bands, not 3" in row.reasons[0] for row in rows.values())


def test_every_reason_of_a_scene_is_told(store: ObjectStore) -> None:
    found = files(BAD) | {image("pre"): png()[:-1], text("post"): b"{}"}
    _, rows = taken(store, put(store, found))
    assert len(rows[BAD].reasons) == 2
    assert "pre image" in rows[BAD].reasons[0]
    assert "metadata is missing" in rows[BAD].reasons[1]


def test_images_alone_are_unlabelled(store: ObjectStore) -> None:
    catalog, rows = taken(store, put(store, files(GOOD, labels=False)))
    assert (rows[GOOD].verdict, rows[GOOD].reasons, rows[GOOD].buildings) == ("unlabelled", (), {})
    assert (catalog.accepted, catalog.unlabelled, catalog.quarantined) == (0, 1, 0)


def test_the_same_bytes_twice_are_one_scene_with_a_note(store: ObjectStore) -> None:
    found = files(GOOD)
    catalog, rows = taken(store, put(store, found | {f"train/{name}": data for name, data in found.items()}))
    assert (catalog.accepted, catalog.quarantined) == (1, 0)
    assert rows[GOOD].official_split == "train"
    assert len(rows[GOOD].notes) == 4
    assert "byte for byte" in rows[GOOD].notes[0]


def test_scene_numbers_repeat_across_disasters(store: ObjectStore) -> None:
    names = ["a-fire_00000001", "b-flood_00000001"]
    catalog, rows = taken(store, put(store, files(names[0]) | files(names[1])))
    assert catalog.accepted == 2
    assert list(rows) == names


def test_split_folders_give_the_official_split(store: ObjectStore) -> None:
    found = {}
    for number, split in enumerate(("train", "tier3", "test", "hold")):
        found |= files(f"test-wind_{number:08d}", folder=f"xbd/{split}/")
    _, rows = taken(store, put(store, found))
    assert [row.official_split for row in rows.values()] == ["train", "tier3", "test", "hold"]
    _, rows = taken(store, store.raw / "in/xbd/hold")
    assert [(name, row.official_split) for name, row in rows.items()] == [("test-wind_00000003", "hold")]


def test_geotiff_scenes_are_accepted_and_place_themselves(store: ObjectStore) -> None:
    found = files(GOOD)
    for seed, date in enumerate(("pre", "post")):
        pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3)).astype(np.int16)
        found[f"images/{GOOD}_{date}_disaster.tif"] = tiff(pixels)
        del found[image(date, GOOD)]
    _, rows = taken(store, put(store, found))
    scene = rows[GOOD]
    assert (scene.verdict, scene.georeference, scene.crs) == ("accepted", "geotiff", "EPSG:4326")
    assert scene.affine == PLACE
    assert scene.residual_px is None


def test_a_label_whose_degrees_do_not_fit_its_pixels_gives_no_place(store: ObjectStore) -> None:
    found = files(BAD)
    for date in ("pre", "post"):
        tree = json.loads(found[text(date)])
        one, two = tree["features"]["lng_lat"]
        one["wkt"], two["wkt"] = two["wkt"], one["wkt"]
        found[text(date)] = json.dumps(tree).encode()
    _, rows = taken(store, put(store, found))
    scene = rows[BAD]
    assert (scene.verdict, scene.georeference, scene.bounds) == ("accepted", None, None)
    assert scene.residual_px is not None
    assert scene.residual_px > 1
    assert "disagree" in scene.notes[0]


def test_everything_under_the_prefix_is_in_the_catalog_or_the_inventory(store: ObjectStore) -> None:
    strays = {
        "README.md": b"#", "manifest.csv": b"a,b", "images/tile_7.png": png(),
        f"images/{GOOD}_during_disaster.png": png(), "labels/index.json": b"{}", "old.zip": b"PK",
        f"targets/{GOOD}_pre_disaster_target.png": png(), f"images/{BAD}_pre_disaster.png": png(),
        "images/héllo wörld_00000001_pre_disaster.png": png(),
    }  # fmt: skip
    objects = files(GOOD) | strays
    catalog, rows = taken(store, put(store, objects))
    inventory = {entry.name: entry for entry in read_inventory(store, catalog)}
    assert set(inventory) == set(objects)
    ignored = {name for name, entry in inventory.items() if entry.role == "ignored"}
    assert ignored == {"README.md", "manifest.csv", f"targets/{GOOD}_pre_disaster_target.png"}
    assert catalog.ignored == len(ignored)
    assert all(inventory[name].reason for name in ignored)
    for entry in inventory.values():
        assert entry.role == "ignored" or entry.scene in rows
    quarantined = {name for name, row in rows.items() if row.verdict == "quarantined"}
    assert quarantined == {
        "images/tile_7.png", f"images/{GOOD}_during_disaster.png", "labels/index.json", "old.zip", BAD,
        "images/héllo wörld_00000001_pre_disaster.png",
    }  # fmt: skip
    assert catalog.quarantined == len(quarantined)


def test_a_prefix_is_a_folder_and_not_the_beginning_of_a_name(store: ObjectStore) -> None:
    put(store, files(GOOD), "in")
    put(store, files(BAD), "in2")
    _, rows = taken(store, store.raw / "in")
    assert set(rows) == {GOOD}
    first, _ = taken(store, store.raw / "in/")
    assert first == taken(store, store.raw / "in")[0]


def test_only_the_latest_versions_count(store: ObjectStore) -> None:
    source = put(store, many(2))
    for name in files("test-wind_00000001"):
        store.client.delete_object(Bucket=source.bucket, Key=(source / name).key)
    catalog, rows = taken(store, source)
    assert (catalog.accepted, set(rows)) == (1, {"test-wind_00000000"})


def test_nothing_there_is_a_clear_error(store: ObjectStore) -> None:
    with pytest.raises(SiameseError, match=r"in/nothing: holds no objects.*siamese upload"):
        taken(store, store.raw / "in/nothing")
    with pytest.raises(SiameseError, match="no such bucket"):
        taken(store, type(store.raw)("no-such-bucket", "in"))


def test_large_files_are_not_even_read(store: ObjectStore) -> None:
    found = files(BAD) | {text("pre"): b" " * (2**20 + 1)}
    _, rows = taken(store, put(store, found), max_label_mib=1)
    assert "is larger than 1 MiB" in rows[BAD].reasons[0]


def test_the_table_is_plain_parquet(store: ObjectStore) -> None:
    import pandas as pd

    catalog, _ = taken(store, put(store, many(3)))
    frame = pd.read_parquet(io.BytesIO(catalog.table.read(store)))
    assert frame.scene.tolist() == [f"test-wind_{number:08d}" for number in range(3)]
    assert set(frame.verdict) == {"accepted"}


def test_params_that_only_say_how_fast_change_nothing(store: ObjectStore) -> None:
    source = put(store, many(2))
    assert taken(store, source, workers=1)[0] == taken(store, source, workers=3)[0]
    assert taken(store, source)[0] != taken(store, source, max_side_px=IngestParams().max_side_px - 1)[0]
