"""Labels of people: a scene without labels of its own is trained on with what they said, and the rest is ignored."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from builders.tinyscenes import TinyScene, tiny_scenes
from shapely import Polygon, box

from siamese.adaptation.stage import LABEL_SET
from siamese.ingest import ingest
from siamese.manifests import DamageMap, LabelSet, SceneCatalog
from siamese.mapping.stage import DAMAGE_MAP
from siamese.pairs import PairReader, build_pairs, read_splits
from siamese.pairs.people import LabelledBuilding, PartialLabels
from siamese.params import IngestParams, PairsParams
from siamese.store import ObjectStore, put_blob

BARE = TinyScene("storm-one_00000077", 90, width=160, height=96)
ROOFS = {"b-1": box(10, 10, 30, 30), "b-2": box(60, 10, 80, 30), "b-3": box(110, 50, 140, 80)}


def ingested(store: ObjectStore, *, labelled: bool = False) -> SceneCatalog:
    """Ten scenes with labels, and one with none unless it is asked for."""
    for scene in (*tiny_scenes(10), BARE):
        for date in ("pre", "post"):
            name = f"{scene.name}_{date}_disaster"
            _, png = cv2.imencode(".png", scene.image(date)[..., ::-1])
            store.put(store.raw / "scenes" / "images" / f"{name}.png", png.tobytes())
            if labelled or scene is not BARE:
                store.put(store.raw / "scenes" / "labels" / f"{name}.json", scene.label(date))
    return ingest(store.raw / "scenes", IngestParams(), store)


def mapped(store: ObjectStore, scene: TinyScene, roofs: dict[str, Polygon]) -> DamageMap:
    """Publishes a map of a scene with these buildings, in pixels."""
    origin = DAMAGE_MAP.plan(inputs={"scene": scene.name}, params={})
    folder = DamageMap.folder(store, origin.digest)
    table = io.BytesIO()
    shapes = shapely.to_wkb(np.array(list(roofs.values()), object)).tolist()
    pq.write_table(pa.table({"id": list(roofs), "geometry": shapes}), table)
    other = put_blob(store, folder, "other.bin", b"-")
    return DamageMap(
        origin=origin,
        event=scene.name,
        model="m",
        checkpoint="0" * 16,
        pre=(f"{scene.name}_pre_disaster.png",),
        post=(f"{scene.name}_post_disaster.png",),
        crs=None,
        bounds=None,
        width=scene.width,
        height=scene.height,
        unknown_share=0,
        classes=other,
        buildings=put_blob(store, folder, "buildings.parquet", table.getvalue()),
        geojson=other,
        picture=other,
        counts={},
    ).publish(store)


def labelled(
    store: ObjectStore,
    damage_map: DamageMap,
    classes: dict[str, str],
    minute: int = 0,
    scene: str = BARE.name,
    crs: str | None = None,
) -> LabelSet:
    """Publishes labels of buildings of a map."""
    origin = LABEL_SET.plan(inputs={"map": damage_map, "labels": repr(classes), "author": "ana"}, params={})
    table = io.BytesIO()
    columns = {
        "building": list(classes),
        "damage_class": list(classes.values()),
        "author": ["ana"] * len(classes),
        "scene": [scene] * len(classes),
        "geometry": shapely.to_wkb(np.array([ROOFS[name] for name in classes], object)).tolist(),
    }
    pq.write_table(pa.table(columns), table)
    return LabelSet(
        origin=origin,
        event=damage_map.event,
        scene=scene,
        map=damage_map.digest,
        author="ana",
        made=datetime(2026, 1, 1, 12, minute, tzinfo=UTC),
        purpose="label",
        source="labels.geojson",
        crs=crs,
        pre=damage_map.pre,
        post=damage_map.post,
        table=put_blob(store, LabelSet.folder(store, origin.digest), "labels.parquet", table.getvalue()),
        counts={},
    ).publish(store)


def asked(**changes: object) -> PairsParams:
    return PairsParams.model_validate({"block_px": 32, "val_share": 0.25, "test_share": 0.25} | changes)


@pytest.fixture
def damage_map(store: ObjectStore) -> DamageMap:
    return mapped(store, BARE, ROOFS)


def test_labelled_buildings_have_their_class_and_others_are_ignored(store: ObjectStore, damage_map: DamageMap) -> None:
    catalog = ingested(store)
    without = build_pairs(catalog, asked(), store)
    assert BARE.name not in read_splits(store, without)
    assert set(without.origin.inputs) == {"catalog"}
    labelled(store, damage_map, {"b-1": "destroyed", "b-2": "no_building"})
    pair_set = build_pairs(catalog, asked(), store)
    assert read_splits(store, pair_set)[BARE.name] == "train"
    assert "labels" in pair_set.origin.inputs
    mask = PairReader(store, pair_set, cache=None).whole(BARE.name)[2]
    assert (mask[10:30, 10:30] == 4).all()
    assert (mask[10:30, 60:80] == 0).all()
    assert (mask[50:80, 110:140] == 255).all()
    assert mask[46, 106] == 255
    assert mask[38, 100] == 0
    assert (mask == 4).sum() == 400
    assert build_pairs(catalog, asked(), store) == pair_set
    assert pair_set.splits["train"].buildings["destroyed"] == without.splits["train"].buildings["destroyed"] + 1


def test_the_later_label_of_a_building_counts(store: ObjectStore, damage_map: DamageMap) -> None:
    catalog = ingested(store)
    labelled(store, damage_map, {"b-1": "destroyed", "b-3": "minor_damage"}, minute=1)
    labelled(store, damage_map, {"b-1": "no_damage"}, minute=2)
    mask = PairReader(store, build_pairs(catalog, asked(), store), cache=None).whole(BARE.name)[2]
    assert (mask[10:30, 10:30] == 1).all()
    assert (mask[50:80, 110:140] == 2).all()
    assert (mask[10:30, 60:80] == 255).all()


def test_label_sets_can_be_chosen_or_left_alone(store: ObjectStore, damage_map: DamageMap) -> None:
    catalog = ingested(store)
    one = labelled(store, damage_map, {"b-1": "destroyed"}, minute=1)
    labelled(store, damage_map, {"b-2": "destroyed"}, minute=2)
    none = build_pairs(catalog, asked(label_sets="none"), store)
    assert set(none.origin.inputs) == {"catalog"}
    chosen = build_pairs(catalog, asked(label_sets=(one.digest,), keep_splits=False), store)
    mask = PairReader(store, chosen, cache=None).whole(BARE.name)[2]
    assert (mask[10:30, 10:30] == 4).all()
    assert (mask[10:30, 60:80] == 255).all()


def test_labels_of_other_places_change_nothing(store: ObjectStore, damage_map: DamageMap) -> None:
    catalog = ingested(store)
    labelled(store, damage_map, {"b-1": "destroyed"}, scene="flood_00000999")
    assert set(build_pairs(catalog, asked(), store).origin.inputs) == {"catalog"}


def test_labels_that_cannot_be_placed_on_their_own_scene_are_told(
    store: ObjectStore, damage_map: DamageMap, caplog: pytest.LogCaptureFixture
) -> None:
    one = labelled(store, damage_map, {"b-1": "destroyed"}, crs="EPSG:32614")
    with caplog.at_level("WARNING", "siamese"):
        assert set(build_pairs(ingested(store), asked(), store).origin.inputs) == {"catalog"}
    (told,) = [line for line in caplog.messages if line.startswith(f"label set {one.digest}")]
    assert f"is of scene {BARE.name} but is not used" in told


def test_labels_of_the_data_set_win_over_those_of_people(store: ObjectStore, damage_map: DamageMap) -> None:
    labelled(store, damage_map, {"b-1": "destroyed"})
    pair_set = build_pairs(ingested(store, labelled=True), asked(), store)
    assert set(pair_set.origin.inputs) == {"catalog"}
    assert (PairReader(store, pair_set, cache=None).whole(BARE.name)[2] == 0).all()


def test_overlapping_outlines_of_other_maps_are_the_labelled_building() -> None:
    labels = PartialLabels((LabelledBuilding("a", "major_damage", box(10, 10, 20, 20)),), (box(30, 30, 40, 40),))
    mask = labels.mask(64, 64)
    assert (mask[10:20, 10:20] == 3).all()
    assert set(np.unique(mask)) == {0, 3, 255}
    assert (mask[22:48, 22:48] == 255).all()
