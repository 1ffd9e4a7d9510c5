"""The flow ``index`` on a real store: every current map gets its index once, and one bad map holds up no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from builders.tinytraining import tiny_catalog
from prefect.artifacts import Artifact

import siamese.embedding
from flows.damage_map import damage_map
from flows.index import index
from siamese.embedding import read_vectors
from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, DamageMap, EmbeddingIndex
from siamese.params import EmbeddingParams
from siamese.store import ObjectStore

pytestmark = pytest.mark.usefixtures("prefect_server", "worker", "one_thread")

SCENES = [f"quake_{number:08d}" for number in range(2)]


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Events whose buildings were embedded, in order."""
    seen: list[str] = []
    embed_map = siamese.embedding.embed_map

    def noted(made: DamageMap, params: EmbeddingParams, store: ObjectStore) -> EmbeddingIndex:
        seen.append(made.event)
        return embed_map(made, params, store)

    monkeypatch.setattr(siamese.embedding, "embed_map", noted)
    return seen


def test_each_current_map_is_indexed_once(
    store: ObjectStore, crown: Callable[[int], Checkpoint], embedded: list[str]
) -> None:
    tiny_catalog(store, 2)
    crown(1)
    damage_map()
    ended = index(return_state=True)
    assert ended.message == "2 maps indexed, 0 had an index"
    made = ended.result()["indexes"]
    assert sorted(made) == embedded == SCENES
    for event, digest in made.items():
        found = EmbeddingIndex.load(store, digest)
        assert found.source == f"damage-map {DamageMap.current(store, event).digest}"
        assert found.count == len(read_vectors(found, store)) == sum(DamageMap.current(store, event).counts.values())
    again = index(return_state=True)
    assert again.message == "0 maps indexed, 2 had an index"
    assert embedded == SCENES, "nothing is embedded again"
    crown(2)
    damage_map()
    assert index(return_state=True).message == "2 maps indexed, 0 had an index"


def test_a_map_whose_images_are_gone_holds_up_no_other(store: ObjectStore, crown: Callable[[int], Checkpoint]) -> None:
    tiny_catalog(store, 2)
    crown(1)
    damage_map()
    for date in ("pre", "post"):
        gone = store.raw / "tiny" / "images" / f"{SCENES[0]}_{date}_disaster.png"
        for version in store.client.list_object_versions(Bucket=gone.bucket, Prefix=gone.key)["Versions"]:
            store.client.delete_object(Bucket=gone.bucket, Key=gone.key, VersionId=version["VersionId"])
    with pytest.raises(SiameseError, match=rf"1 maps have no index, the first: {SCENES[0]}: .*1 maps indexed"):
        index()
    artifact = Artifact.get("maps-without-index")
    assert artifact is not None
    assert SCENES[0] in str(artifact.data)


def test_an_event_without_a_map_is_named(store: ObjectStore, worker: Path) -> None:
    with pytest.raises(SiameseError, match="nowhere: has no damage map yet"):
        index(events=["nowhere"])
