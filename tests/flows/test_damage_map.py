"""The flow ``damage_map`` on a real store: one model a run, new scenes first, no network for nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from builders.tinytraining import tiny_catalog
from prefect.artifacts import Artifact

import flows.damage_map as flow_module
import siamese.mapping
from flows.damage_map import damage_map
from siamese.errors import SiameseError
from siamese.ingest.catalog import Scene
from siamese.manifests import Checkpoint, DamageMap
from siamese.model import Predictor
from siamese.store import ObjectStore

pytestmark = pytest.mark.usefixtures("prefect_server", "worker", "one_thread")

SCENES = [f"quake_{number:08d}" for number in range(3)]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The checkpoints whose networks were loaded, in order."""
    seen: list[str] = []
    load = Predictor.load

    def counted(store: ObjectStore, *checkpoints: Checkpoint, **how: object) -> Predictor:
        seen.extend(one.digest for one in checkpoints)
        return load(store, *checkpoints, **how)

    monkeypatch.setattr(Predictor, "load", counted)
    return seen


def test_a_promotion_in_the_middle_of_a_run_changes_no_later_map(
    store: ObjectStore, crown: Callable[[int], Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_catalog(store, 3)
    first = crown(1)
    promoted: list[Checkpoint] = []
    map_scene = siamese.mapping.map_scene

    def promote_after_the_first_map(*given: object, **more: object) -> DamageMap:
        made = map_scene(*given, **more)
        if not promoted:
            promoted.append(crown(2))
        return made

    monkeypatch.setattr(flow_module, "BATCH", 1)
    monkeypatch.setattr(siamese.mapping, "map_scene", promote_after_the_first_map)
    damage_map()
    maps = [DamageMap.current(store, scene) for scene in SCENES]
    assert {made.checkpoint for made in maps} == {first.digest}
    assert {made.model for made in maps} == {"siamese-damage version 1"}
    damage_map()
    assert {DamageMap.current(store, scene).checkpoint for scene in SCENES} == {promoted[0].digest}


def test_nothing_to_map_loads_no_network(
    store: ObjectStore, crown: Callable[[int], Checkpoint], loads: list[str]
) -> None:
    tiny_catalog(store, 3)
    checkpoint = crown(1)
    damage_map()
    assert loads == [checkpoint.digest], "once for the whole batch"
    damage_map()
    assert loads == [checkpoint.digest]


def test_new_scenes_come_before_the_archive_and_the_newest_first(
    store: ObjectStore, crown: Callable[[int], Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_catalog(store, 1)
    crown(1)
    damage_map()
    tiny_catalog(store, 3)
    for date in ("pre", "post"):
        image = store.raw / "tiny" / "images" / f"quake_00000001_{date}_disaster.png"
        store.put(image, store.get(image))
    crown(2)
    order: list[str] = []
    map_scene = siamese.mapping.map_scene

    def noted(scene: Scene, *given: object, **more: object) -> DamageMap:
        order.append(scene.scene)
        return map_scene(scene, *given, **more)

    monkeypatch.setattr(siamese.mapping, "map_scene", noted)
    damage_map()
    assert order == [SCENES[1], SCENES[2], SCENES[0]]


def test_small_scenes_are_mapped_two_at_a_time(
    store: ObjectStore, crown: Callable[[int], Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_catalog(store, 2)
    crown(1)
    map_scene, both = siamese.mapping.map_scene, threading.Barrier(2)

    def together(scene: Scene, *given: object, **more: object) -> DamageMap:
        both.wait(60)
        return map_scene(scene, *given, **more)

    monkeypatch.setattr(siamese.mapping, "map_scene", together)
    assert len(damage_map()["maps"]) == 2


def test_quarantined_scenes_stand_in_artifact_and_end_state(
    store: ObjectStore, crown: Callable[[int], Checkpoint]
) -> None:
    tiny_catalog(store, 2)
    lonely = store.raw / "tiny" / "images" / "storm_00000007_pre_disaster.png"
    store.put(lonely, store.get(store.raw / "tiny" / "images" / "quake_00000001_pre_disaster.png"))
    crown(1)
    ended = damage_map(return_state=True)
    assert ended.message == "2 maps by siamese-damage version 1; 1 scenes quarantined"
    result = ended.result()
    assert list(result["quarantined"]) == ["storm_00000007"]
    assert len(result["maps"]) == 2
    artifact = Artifact.get("scenes-quarantined")
    assert artifact is not None
    assert "storm_00000007" in str(artifact.data)
    with pytest.raises(SiameseError, match=r"storm_00000007: quarantined: .*; 0 maps by"):
        damage_map(scenes=["storm_00000007"])
    with pytest.raises(SiameseError, match="nowhere_1: there is no such scene under s3://"):
        damage_map(scenes=["nowhere_1"])


def test_without_a_champion_the_run_ends_before_it_reads_anything(store: ObjectStore, worker: Path) -> None:
    with pytest.raises(SiameseError, match="there is no champion yet"):
        damage_map()
