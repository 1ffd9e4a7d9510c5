"""What `siamese status` knows of results in use that an earlier version of a stage made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from siamese.manifests import Checkpoint, DamageMap, Manifest
from siamese.registry.ledger import LedgerEntry, RegisteredModel, append
from siamese.stack.in_use import VERSIONS, InUse, results_in_use
from siamese.stages import declared_versions
from siamese.store import ObjectStore

M = TypeVar("M", bound=Manifest)
GOLDEN = Path(__file__).parents[1] / "upgrade" / "manifests"


def kept(kind: type[M], name: str, store: ObjectStore) -> M:
    """Puts a manifest of an earlier version where it belongs."""
    data = (GOLDEN / f"{name}.json").read_bytes()
    made = kind.parse(data, name)
    store.put(made.uri(store), data)
    return made


def crown(checkpoint: Checkpoint, model: str, store: ObjectStore, sequence: int = 1) -> None:
    champion = RegisteredModel(version=sequence, checkpoint=checkpoint.digest, weights_sha256="0" * 64)
    append(
        store,
        LedgerEntry(
            sequence=sequence, kind="promote", model=model, candidate=champion, champion_before=None,
            champion_after=champion, comparison=None, reasons=(), revision="x", who="x",
        ),
    )  # fmt: skip


def test_maps_count_as_older_by_any_of_their_stages_as_far_as_their_pointer_says(store: ObjectStore) -> None:
    assert results_in_use(store) == InUse(0, 0, ())
    made = kept(DamageMap, "0.3.0/damage-map", store)
    now = made.origin.model_copy(update={"version": VERSIONS["damage-map"]})
    steps = {stage: VERSIONS[stage] for stage in ("prediction", "building-set")}
    made.model_copy(update={"origin": now, "steps": steps, "event": "new"}).mark_current(store)
    assert results_in_use(store) == InUse(1, 0, ())
    for stage in (*steps, "damage-map"):
        raised = {**VERSIONS, stage: VERSIONS[stage] + 1}
        assert results_in_use(store, raised) == InUse(1, 1, ()), stage
    assert results_in_use(store, {**VERSIONS, "checkpoint": 99, "adapted-buildings": 99}).older_maps == 0

    before_steps = {"digest": made.digest, "version": VERSIONS["damage-map"]}
    store.put(store.maps / "current" / "before.json", json.dumps(before_steps).encode())
    store.put(store.maps / "current" / "oldest.json", json.dumps({"digest": made.digest}).encode())
    assert results_in_use(store, {**VERSIONS, "prediction": 99}) == InUse(3, 2, ())


def test_a_champion_counts_as_older_by_the_stage_of_its_checkpoint(store: ObjectStore) -> None:
    crown(kept(Checkpoint, "training", store), "first", store)
    crown(kept(Checkpoint, "0.3.0/checkpoint", store), "second", store)
    assert results_in_use(store).older_champions == ("first version 1",)
    raised = {**VERSIONS, "checkpoint": VERSIONS["checkpoint"] + 1}
    assert results_in_use(store, raised).older_champions == ("first version 1", "second version 1")
    crown(kept(Checkpoint, "0.2.0/checkpoint", store), "first", store, sequence=2)
    assert results_in_use(store).older_champions == ()


def test_the_versions_are_those_declared() -> None:
    assert VERSIONS.items() <= declared_versions().items()
