"""A published map that learns from labels: what changes, what is kept, and that no network runs."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from builders.labelled import feature, point, write_labels
from builders.made_rasters import Colours

from siamese.adaptation.assessment import draw_sample
from siamese.adaptation.buildings import read_map_buildings
from siamese.adaptation.verb import adapt_map, select_buildings
from siamese.classes import DAMAGE_CLASSES
from siamese.embedding import embed_map
from siamese.embedding.featuring import DamageFeatures
from siamese.errors import SiameseError
from siamese.manifests import DamageMap, LabelSet
from siamese.params import AdaptationParams, EmbeddingParams, MappingParams
from siamese.store import ObjectStore, S3Uri

PARAMS = AdaptationParams()
EMBEDDING = EmbeddingParams(window_px=128, margin_px=32)

Adapt = Callable[..., DamageMap]


@pytest.fixture
def adapt(store: ObjectStore, tmp_path: Path) -> Adapt:
    """Adapts a map to classes given by the id of a building."""

    def run(made: DamageMap, labels: dict[str, str], **more: Any) -> DamageMap:  # noqa: ANN401
        path = write_labels(tmp_path / "labels.geojson", [feature(None, one, id=name) for name, one in labels.items()])
        return adapt_map(made, path, PARAMS, EMBEDDING, MappingParams(), store, author="Ana", **more)

    return run


def published(made: DamageMap, store: ObjectStore) -> dict[str, dict[str, Any]]:
    rows = pq.read_table(io.BytesIO(made.buildings.read(store))).to_pylist()
    return {row["id"]: row for row in rows}


def raster(made: DamageMap, store: ObjectStore, tmp_path: Path) -> Any:  # noqa: ANN401
    path = tmp_path / f"{made.digest}.tif"
    store.download(S3Uri.parse(made.classes.uri), path)
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def test_a_map_is_decided_anew_without_a_network(
    store: ObjectStore, make_map: Adapt, adapt: Adapt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Colours()
    damage_map = make_map(predictor=network)
    embed_map(damage_map, EMBEDDING, store)
    asked, loaded = network.asked, []
    monkeypatch.setattr(DamageFeatures, "vectors", lambda *_: loaded.append(1))
    before = published(damage_map, store)
    names = list(before)
    wrong = dict.fromkeys(names[:3], "destroyed") | {names[8]: "no_damage", names[9]: "minor_damage"}
    adapted = adapt(damage_map, wrong)
    assert network.asked == asked
    assert not loaded

    after = published(adapted, store)
    assert list(after) == names, "the same buildings under the same ids"
    assert all(after[name]["damage_class"] == damage for name, damage in wrong.items())
    assert all(after[name]["confidence"] == pytest.approx(after[name]["probability_building"]) for name in wrong)
    assert sum(adapted.counts.values()) == len(names)
    for damage in DAMAGE_CLASSES:
        assert adapted.counts[damage] == sum(row["damage_class"] == damage for row in after.values())

    old, new = (raster(one, store, tmp_path) for one in (damage_map, adapted))
    np.testing.assert_array_equal(old > 0, new > 0)
    outlines = read_map_buildings(adapted, store)
    for name, outline in zip(outlines.ids, outlines.outlines, strict=True):
        x, y = map(int, shapely.get_coordinates(shapely.centroid(outline))[0])
        assert DAMAGE_CLASSES[new[y, x] - 1] == after[name]["damage_class"]
    assert adapted.parent == damage_map.digest
    assert adapted.model.endswith("adapted to 5 labels")
    assert adapted.event == damage_map.event
    assert adapted.picture.read(store)[:4] == b"\x89PNG"


def test_the_labels_are_kept_for_ever(store: ObjectStore, damage_map: DamageMap, adapt: Adapt) -> None:
    names = list(published(damage_map, store))
    adapted = adapt(damage_map, {names[0]: "destroyed", names[1]: "no_damage"})
    (kept,) = LabelSet.every(store)
    assert adapted.labels == (kept.digest,)
    assert (kept.event, kept.map, kept.author, kept.purpose) == ("storm", damage_map.digest, "Ana", "label")
    assert kept.crs == damage_map.crs
    assert kept.counts == {"no_damage": 1, "destroyed": 1}
    rows = pq.read_table(io.BytesIO(kept.table.read(store))).to_pylist()
    assert {row["building"]: row["damage_class"] for row in rows} == {names[0]: "destroyed", names[1]: "no_damage"}
    assert all(row["author"] == "Ana" for row in rows)
    corner = shapely.get_coordinates(shapely.from_wkb(rows[0]["geometry"]))[0]
    assert 399_999 < corner[0] < 400_200, "in the map's CRS"
    assert adapt(damage_map, {names[0]: "destroyed", names[1]: "no_damage"}) == adapted, "made once"
    assert len(LabelSet.every(store)) == 1
    assert LabelSet.every(store, "another event") == ()


def test_labels_add_up_and_the_newest_counts(store: ObjectStore, damage_map: DamageMap, adapt: Adapt) -> None:
    names = list(published(damage_map, store))
    first = adapt(damage_map, {names[0]: "destroyed", names[1]: "no_damage"})
    second = adapt(first, {names[1]: "major_damage", names[2]: "minor_damage"})
    found = published(second, store)
    assert [found[name]["damage_class"] for name in names[:3]] == ["destroyed", "major_damage", "minor_damage"]
    assert second.parent == first.digest
    assert len(second.labels) == 2
    assert any("contradict earlier ones" in one and names[1] in one for one in second.warnings)
    at_once = adapt(damage_map, {names[0]: "destroyed", names[1]: "major_damage", names[2]: "minor_damage"})
    assert at_once.classes.sha256 == second.classes.sha256 or at_once.counts == second.counts


def test_one_class_alone_and_labels_of_no_building_are_told(
    store: ObjectStore, damage_map: DamageMap, adapt: Adapt
) -> None:
    before = published(damage_map, store)
    names = list(before)
    adapted = adapt(damage_map, {names[0]: "destroyed", names[4]: "destroyed", names[7]: "no_building"})
    assert any("all 2 labels are destroyed" in one for one in adapted.warnings)
    assert any(
        one == f"1 building was taken out of the map by labels that say no_building: {names[7]}"
        for one in adapted.warnings
    )
    after = published(adapted, store)
    moved = sum(after[name]["damage_class"] != before[name]["damage_class"] for name in names[8:])
    assert moved <= len(names) // 4
    with pytest.raises(SiameseError, match="no label is a damage class"):
        adapt(damage_map, {names[0]: "unclear"})


def test_what_is_no_building_leaves_the_map_and_comes_back(
    store: ObjectStore, damage_map: DamageMap, adapt: Adapt, tmp_path: Path
) -> None:
    buildings = read_map_buildings(damage_map, store)
    names = list(buildings.ids)
    # Nothing is learned from it, so the others stay as they are, and no vectors are needed.
    bare = adapt(damage_map, {names[7]: "no_building"})
    left = published(bare, store)
    assert list(left) == [*names[:7], *names[8:]]
    was = published(damage_map, store)
    assert all(left[name]["damage_class"] == was[name]["damage_class"] for name in left)
    assert sum(bare.counts.values()) == len(names) - 1
    before, after = (raster(one, store, tmp_path) for one in (damage_map, bare))
    changed = before != after
    assert changed.any()
    assert not after[changed].any(), "its pixels are background"
    x, y = map(int, shapely.get_coordinates(shapely.centroid(buildings.outlines[7]))[0])
    assert changed[y, x]

    # Positions after it are those of the smaller map: for what is picked, drawn and learned next.
    labels = {names[0]: "no_damage", names[20]: "destroyed"}
    taught = adapt(bare, labels)
    found = published(taught, store)
    assert list(found) == list(left)
    assert {name: found[name]["damage_class"] for name in labels} == labels
    current, picks = select_buildings(taught, 40, PARAMS, EMBEDDING, store)
    assert {pick.building for pick in picks} <= set(left) - set(labels)
    assert all(current.ids[pick.place] == pick.building for pick in picks)
    sample = draw_sample(taught, 5, PARAMS, store)
    assert (sample.known, sum(there for there, _ in sample.strata.values())) == (2, len(names) - 3)

    back = adapt(taught, {names[7]: "major_damage"})
    assert list(published(back, store)) == names
    assert published(back, store)[names[7]]["damage_class"] == "major_damage"
    assert not any("taken out" in one for one in back.warnings)


def test_labels_that_cannot_be_used_change_nothing(store: ObjectStore, damage_map: DamageMap, tmp_path: Path) -> None:
    path = write_labels(tmp_path / "labels.geojson", [feature(point((0, 0)), "destroyed")])
    with pytest.raises(SiameseError, match="1 label lies outside the map: feature 1"):
        adapt_map(damage_map, path, PARAMS, EMBEDDING, MappingParams(), store, author="Ana")
    assert LabelSet.every(store) == ()


def test_a_map_in_pixels_learns_too(store: ObjectStore, make_map: Adapt, tmp_path: Path) -> None:
    damage_map = make_map(georeferenced=False)
    assert damage_map.crs is None
    path = write_labels(
        tmp_path / "labels.geojson", [feature(point((14, 15)), "destroyed"), feature(point((45, 15)), "no_damage")]
    )
    adapted = adapt_map(damage_map, path, PARAMS, EMBEDDING, MappingParams(), store, author="Ana")
    found = list(published(adapted, store).values())
    assert [row["damage_class"] for row in found[:2]] == ["destroyed", "no_damage"]
    (kept,) = LabelSet.every(store)
    assert kept.crs is None


def test_an_index_of_another_model_or_map_is_refused(store: ObjectStore, damage_map: DamageMap, adapt: Adapt) -> None:
    index = embed_map(damage_map, EMBEDDING, store)
    names = list(published(damage_map, store))
    other = index.model_copy(update={"encoder": "checkpoint 0123456789abcdef"})
    with pytest.raises(SiameseError, match="made by another model than the map"):
        adapt(damage_map, {names[0]: "destroyed"}, index=other)
    folder = index.model_copy(update={"source": "pictures"})
    with pytest.raises(SiameseError, match="is of pictures, not of a map"):
        adapt(damage_map, {names[0]: "destroyed"}, index=folder)


def test_a_map_whose_images_are_gone_learns_from_its_vectors(
    store: ObjectStore, damage_map: DamageMap, adapt: Adapt, tmp_path: Path
) -> None:
    embed_map(damage_map, EMBEDDING, store)
    for path in tmp_path.glob("storm_*.tif"):
        path.unlink()
    names = list(published(damage_map, store))
    adapted = adapt(damage_map, {names[0]: "destroyed", names[1]: "no_damage"})
    assert any(one.startswith("the picture shows no image") for one in adapted.warnings)


def test_buildings_to_label_are_picked_once(store: ObjectStore, damage_map: DamageMap, adapt: Adapt) -> None:
    buildings, picks = select_buildings(damage_map, 6, PARAMS, EMBEDDING, store)
    assert len({pick.building for pick in picks}) == 6
    assert all(buildings.ids[pick.place] == pick.building for pick in picks)
    _, again = select_buildings(damage_map, 6, PARAMS, EMBEDDING, store)
    assert picks == again
    adapted = adapt(damage_map, {pick.building: "no_damage" for pick in picks[:5]} | {picks[5].building: "destroyed"})
    _, more = select_buildings(adapted, 6, PARAMS, EMBEDDING, store)
    assert not {pick.building for pick in more} & {pick.building for pick in picks}
    with pytest.raises(SiameseError, match="0 buildings were asked for"):
        select_buildings(damage_map, 0, PARAMS, EMBEDDING, store)
