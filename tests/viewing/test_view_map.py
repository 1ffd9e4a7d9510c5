"""`siamese view` on a published map: what is in its folder, and labels that go back to the bucket."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.labelled import feature, write_labels
from embedding.conftest import checkpoint, images, make_checkpoint, make_map  # noqa: F401
from pmtiles.reader import MmapSource, Reader
from viewing.browsing import Browser, needs_browser, serving

from siamese.adaptation.assessment import assess_map, draw_sample
from siamese.adaptation.buildings import read_map_buildings
from siamese.adaptation.lineage import find_map, trace, vectors_of
from siamese.adaptation.model import adapt_along, decide_classes, directions_of
from siamese.adaptation.verb import adapt_map
from siamese.cli.common import check_handover
from siamese.errors import SiameseError
from siamese.manifests import DamageMap, LabelSet
from siamese.params import AdaptationParams, EmbeddingParams, MappingParams
from siamese.reporting.verb import find_assessment
from siamese.store import ObjectStore
from siamese.viewing.labels import PageLabels
from siamese.viewing.verb import ViewParams, kept_view, write_view

EMBEDDING = EmbeddingParams(window_px=128, margin_px=32)
PARAMS = ViewParams(AdaptationParams(), EMBEDDING)
PLAIN = replace(PARAMS, imagery=False, teach=False)
TYPES = {"u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "f32": np.float32, "f64": np.float64}


def columns(folder: Path, name: str, layout: dict[str, Any]) -> dict[str, np.ndarray]:
    data = (folder / name).read_bytes()
    return {key: np.frombuffer(data, TYPES[one["type"]], one["length"], one["offset"]) for key, one in layout.items()}


def about(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "map.json").read_text())
    return found


def test_the_folder_holds_the_map(store: ObjectStore, make_map: Callable[..., DamageMap], tmp_path: Path) -> None:  # noqa: F811
    made = make_map()
    folder = kept_view(made, PARAMS, store)
    assert kept_view(made, PARAMS, store) == folder
    told, buildings = about(folder), read_map_buildings(made, store)
    assert told["count"] == len(buildings) == 7
    assert told["map"]["counts"] == made.counts
    assert json.loads((folder / "texts.json").read_text())["ids"] == list(buildings.ids)
    found = columns(folder, "buildings.bin", told["columns"])
    np.testing.assert_array_equal(found["class"], buildings.classes)
    np.testing.assert_allclose(found["probabilities"].reshape(-1, 4), buildings.probabilities, atol=1e-7)
    teach = columns(folder, "teach.bin", told["teach"]["columns"])
    along = directions_of(vectors_of(trace(made, store), EMBEDDING, store), PARAMS.adaptation)
    np.testing.assert_array_equal(teach["along"].reshape(7, -1), along)
    np.testing.assert_array_equal(teach["prior"].reshape(7, 4), buildings.probabilities)
    with (folder / "post.pmtiles").open("rb") as file:
        header = Reader(MmapSource(file)).header()
    assert header["max_zoom"] == told["imagery"]["finest"]
    west, _, _, north = made.bounds or (0, 0, 0, 0)
    assert header["min_lon_e7"] == pytest.approx(west * 1e7, abs=2)
    assert header["max_lat_e7"] == pytest.approx(north * 1e7, abs=2)
    # Another folder only if it is new, empty, or a page.
    write_view(made, tmp_path / "out", PARAMS, store)
    write_view(made, tmp_path / "out", PARAMS, store)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").write_text("mine")
    with pytest.raises(SiameseError, match="holds other things than a page"):
        write_view(made, tmp_path / "full", PARAMS, store)
    assert (tmp_path / "full" / "thesis.doc").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == set()


def test_a_page_never_takes_the_place_of_other_files(
    store: ObjectStore,
    make_map: Callable[..., DamageMap],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, page = make_map(), tmp_path / "page"
    # A folder that a map was exported to has a map.json too, beside files that nobody may lose.
    exported = tmp_path / "exported"
    exported.mkdir()
    (exported / "map.json").write_text(made.model_dump_json())
    with pytest.raises(SiameseError, match=r"holds other things than a page, e.g. map.json"):
        write_view(made, exported, PLAIN, store)
    write_view(made, page, PLAIN, store)
    with pytest.raises(SiameseError, match="holds a page of `siamese view`"):
        check_handover(page)
    (page / "notes.txt").write_text("mine")
    with pytest.raises(SiameseError, match=r"holds other things than a page, e.g. notes.txt"):
        write_view(made, page, PLAIN, store)
    assert (page / "notes.txt").read_text() == "mine"
    # Wherever a person points it: at the current folder, through a link, over what a killed writer left.
    (tmp_path / "empty").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "link").symlink_to("linked")
    (tmp_path / "linked" / ".page-killed").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for folder in (Path(), tmp_path / "link"):
        write_view(made, folder, PLAIN, store)
        assert about(folder)["root"] == made.digest
    write_view(made, tmp_path / "link", replace(PLAIN, imagery=True), store)
    assert (tmp_path / "linked" / "pre.pmtiles").is_file()
    write_view(made, tmp_path / "link", PLAIN, store)
    assert not (tmp_path / "linked" / "pre.pmtiles").exists()


def test_a_map_is_named_by_its_event_before_its_folder_and_by_its_folder(
    store: ObjectStore,
    make_map: Callable[..., DamageMap],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = make_map()
    made.mark_current(store, new_place=True)
    monkeypatch.chdir(tmp_path)
    for name in (made.event, "handover"):
        Path(name).mkdir()
        (Path(name) / "map.json").write_text(made.model_dump_json() if name == "handover" else "{}")
        assert find_map(name, store) == made
    Path("empty").mkdir()
    with pytest.raises(SiameseError, match="is no map"):
        find_map("empty", store)


def test_a_map_whose_images_are_gone_says_so(
    store: ObjectStore,
    make_map: Callable[..., DamageMap],  # noqa: F811
    tmp_path: Path,
) -> None:
    made = make_map()
    for path in tmp_path.glob("storm_*.tif"):
        path.unlink()
    write_view(made, tmp_path / "out", PARAMS, store)
    told = about(tmp_path / "out")
    assert "missing or have changed" in told["imagery"]["absent"]
    assert "missing or have changed" in told["teach"]["absent"]
    assert told["teach"]["columns"].keys() == {"order", "position", "prior", "rootClass"}


@needs_browser()
def test_labels_go_back_to_the_bucket(
    store: ObjectStore,
    make_map: Callable[..., DamageMap],  # noqa: F811
    calm: Browser,
    tmp_path: Path,
) -> None:
    made = make_map()
    folder = kept_view(made, PARAMS, store)
    names = read_map_buildings(made, store).ids
    given = {names[0]: "destroyed", names[3]: "no_damage", names[6]: "minor_damage"}
    keys = {"no_damage": "1", "minor_damage": "2", "destroyed": "4"}
    with serving(folder, PageLabels(made, PARAMS.adaptation, store, "server")) as address:
        page = calm.open(address, "#tab=teach")
        for number, (name, damage) in enumerate(given.items(), start=1):
            page.evaluate("(name) => siamese.page.go(siamese.page.state.buildings.ids.indexOf(name))", name)
            page.keyboard.press(keys[damage])
            page.wait_for_function(
                "(n) => document.querySelector('#panel-teach').dataset.labels === String(n)", arg=number
            )
        shown = page.evaluate("[...siamese.page.state.classes]")
        page.fill("#adapt-author", "Ana")
        page.click("#adapt-keep")
        page.get_by_text("Kept as label set").wait_for()
        page.evaluate("siamese.page.go(5)")
        page.keyboard.press("5")
        page.locator("#teach-gone").wait_for()
        kept_there = page.evaluate("[...siamese.page.state.kept]")
        assert [place for place, one in enumerate(kept_there) if not one] == [5], "what is no building is left out"
    (kept,) = LabelSet.every(store)
    assert (kept.map, kept.author, kept.purpose, kept.source) == (made.digest, "Ana", "label", "page")
    assert kept.counts == {"no_damage": 1, "minor_damage": 1, "destroyed": 1}
    # What the page showed is what `siamese adapt` makes of the same labels.
    path = write_labels(tmp_path / "labels.geojson", [feature(None, one, id=name) for name, one in given.items()])
    adapted = adapt_map(made, path, PARAMS.adaptation, EMBEDDING, MappingParams(), store, author="Ana")
    assert read_map_buildings(adapted, store).classes.tolist() == shown
    # A page of the adapted map starts from its labels.
    again = about(kept_view(adapted, PARAMS, store))
    assert again["teach"]["labels"] == {str(names.index(name)): damage for name, damage in given.items()}
    assert again["map"]["labels"] == [kept.digest]
    along = directions_of(vectors_of(trace(made, store), EMBEDDING, store), PARAMS.adaptation)
    wanted = adapt_along(along, read_map_buildings(made, store).probabilities, {0: 3, 3: 0, 6: 1}, PARAMS.adaptation)
    assert decide_classes(wanted.probabilities, PARAMS.adaptation).tolist() == shown


@needs_browser()
@pytest.mark.parametrize(("asked", "there"), [(6, 6), (100, 7)])
def test_a_whole_sample_handed_in_assesses_the_map(
    store: ObjectStore,
    make_map: Callable[..., DamageMap],  # noqa: F811
    calm: Browser,
    tmp_path: Path,
    asked: int,
    there: int,
) -> None:
    made = make_map()
    names = read_map_buildings(made, store).ids
    with serving(kept_view(made, PARAMS, store), PageLabels(made, PARAMS.adaptation, store, "server")) as address:
        page = calm.open(address, "#tab=assess")
        page.fill("#assess-size", str(asked))
        page.click("#assess-start")
        page.wait_for_selector("#assess-progress")
        drawn = [names[place] for place in page.evaluate("siamese.sample()")]
        page.fill("#assess-author", "Ana")
        page.locator("#assess-author").blur()
        for _ in drawn[:4]:
            page.keyboard.press("4")
        page.click("#assess-keep")
        page.get_by_text(f"{there - 4} buildings of the sample have no label yet").wait_for()
        assert find_assessment(made, store) is None
        for _ in drawn[4:]:
            page.keyboard.press("1")
        page.click("#assess-keep")
        page.get_by_text("the map is assessed").wait_for()
    found = find_assessment(made, store)
    assert found is not None
    assert (found.sampled, found.buildings) == (there, 7)
    # It is what `siamese assess` makes of the same labels in a file.
    given = [
        feature(None, one, id=name)
        for name, one in zip(drawn, ["destroyed"] * 4 + ["no_damage"] * (there - 4), strict=True)
    ]
    path = write_labels(tmp_path / "labels.geojson", given)
    sample = draw_sample(made, asked, PARAMS.adaptation, store)
    assert assess_map(made, sample, path, PARAMS.adaptation, store, author="Ana") == found
    assert sorted(sum(one.counts.values()) for one in LabelSet.every(store)) == [4, there]


def test_labels_that_cannot_be_used_are_refused(store: ObjectStore, make_map: Callable[..., DamageMap]) -> None:  # noqa: F811
    made = make_map()
    keep = PageLabels(made, PARAMS.adaptation, store, "server")
    for body, what in (
        (b"<html>", "not GeoJSON"),
        (b'{"type": "FeatureCollection", "features": []}', "holds no label"),
        (b'{"type":"Feature","id":"nobody","properties":{"damage_class":"destroyed"},"geometry":null}', "no building"),
    ):
        with pytest.raises(SiameseError, match=what) as told:
            keep(body, "", "label", 0)
        assert "page.geojson" not in str(told.value)
    with pytest.raises(SiameseError, match="no such purpose"):
        keep(b"{}", "", "training", 0)
    assert LabelSet.every(store) == ()
