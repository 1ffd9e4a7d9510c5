"""What older versions made is read and reused for ever: their manifests, champions, ledgers, splits and maps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from upgrade.old_version import PARAMS, OldVersion, checkout

from siamese.errors import SiameseError
from siamese.ingest import ingest
from siamese.manifests import (
    BuildingSet,
    Checkpoint,
    DamageMap,
    Evaluation,
    ModelVersion,
    PairSet,
    PredictedBlock,
    Prediction,
    Pretraining,
    SceneCatalog,
)
from siamese.mapping import map_pair
from siamese.pairs import build_pairs
from siamese.pairs.lines import read_assignments
from siamese.params import IngestParams, MappingParams, PairsParams, Params, PromotionParams
from siamese.registry import read_ledger, resolve_model, rollback
from siamese.store import Blob, Manifest, ObjectStore, S3Uri
from siamese.store.manifest import MANIFEST, SCHEMA, upgraded
from siamese.training import train

OLD = "e7338bf"
KINDS: dict[str, type[Manifest]] = {
    "ingest": SceneCatalog,
    "pairs": PairSet,
    "pretraining": Pretraining,
    "training": Checkpoint,
    "quantized": Checkpoint,
    "evaluation": Evaluation,
    "registry": ModelVersion,
    "mapping": DamageMap,
}
GOLDEN = Path(__file__).parent / "manifests"
PAIR = Path(__file__).parent / "pair"
CONTENTS: dict[str, tuple[type[Manifest], str]] = {
    # Version 0.1.0 knew no contents; these are what 0.2.0 took from its manifests.
    "ingest": (SceneCatalog, "b78f0c8b4d52a9ff"),
    "pairs": (PairSet, "9d587201f8dbb945"),
    "pretraining": (Pretraining, "73912611533eeb2e"),
    "training": (Checkpoint, "beab4e44f8cbeb0d"),
    "quantized": (Checkpoint, "7b98dad82cdc9006"),
    "evaluation": (Evaluation, "9d7f03a873fe3f0c"),
    "registry": (ModelVersion, "38d08f324a76ac90"),
    "mapping": (DamageMap, "ac81a2407e1ff21d"),
    "0.2.0/pair-set": (PairSet, "9d587201f8dbb945"),
    "0.2.0/checkpoint": (Checkpoint, "2154867046ad0d6f"),
    "0.2.0/prediction": (Prediction, "b7254fef3a2b40a8"),
    "0.2.0/building-set": (BuildingSet, "759c7abccceb5081"),
    "0.2.0/damage-map": (DamageMap, "26f9945a3a51f1fd"),
    "0.3.0/pair-set": (PairSet, "9d587201f8dbb945"),
    "0.3.0/checkpoint": (Checkpoint, "2154867046ad0d6f"),
    "0.3.0/prediction": (Prediction, "5c47ab88d9923451"),
    "0.3.0/building-set": (BuildingSet, "aa53019c3eed1eb8"),
    "0.3.0/damage-map": (DamageMap, "5185b7b123adae7f"),
}
"""The content of each manifest in the version that wrote it."""


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_a_manifest_of_the_old_version_is_brought_up_to_date(name: str, kind: type[Manifest]) -> None:
    data = (GOLDEN / f"{name}.json").read_bytes()
    read = kind.parse(data, name)
    raw = json.loads(data)
    assert (read.schema_number, read.origin.version, read.surroundings) == (SCHEMA, 0, None)
    assert (read.digest, read.origin.sources, read.revision) == (
        raw["origin"]["digest"], raw["origin"]["inputs"], raw["revision"],
    )  # fmt: skip
    assert kind.parse(read.model_dump_json().encode(), name) == read


@pytest.mark.parametrize("name", CONTENTS)
def test_the_content_of_an_older_manifest_is_what_its_own_version_took_it_for(name: str) -> None:
    kind, content = CONTENTS[name]
    read = kind.parse((GOLDEN / f"{name}.json").read_bytes(), name)
    assert read.content == content
    assert kind.parse(read.model_dump_json(exclude_unset=True).encode(), name).content == content


def test_a_field_that_a_class_gains_counts_only_in_manifests_that_have_it() -> None:
    class LaterBlock(PredictedBlock):
        cloud: float = 0

    class Later(Prediction):
        blocks: tuple[LaterBlock, ...]
        clouds: Blob | None = None

    data = (GOLDEN / "0.3.0" / "prediction.json").read_bytes()
    old, raw = Prediction.parse(data, "old"), json.loads(data)
    read = Later.parse(data, "old")
    assert read.content == old.content
    with_field = Later.parse(json.dumps(raw | {"clouds": None}).encode(), "new")
    with_part = Later.parse(json.dumps(raw | {"blocks": [raw["blocks"][0] | {"cloud": 0}]}).encode(), "new")
    made = Later(**dict(old) | {"blocks": [LaterBlock(**dict(block)) for block in old.blocks]})
    assert len({one.content for one in (old, with_field, with_part, made)}) == 4
    assert Later.parse(made.model_dump_json(exclude_unset=True).encode(), "again").content == made.content
    assert read.content == old.content, "what was made from parts of it left it alone"


@pytest.mark.parametrize("name", KINDS)
def test_an_upgrade_leaves_what_counts_in_a_content_alone(name: str) -> None:
    raw = json.loads((GOLDEN / f"{name}.json").read_bytes())
    new = upgraded(raw, 1)
    assert {key for key in new if key not in raw or raw[key] != new[key]} <= {"schema", "origin", "surroundings"}


def test_a_map_that_version_0_2_0_made_in_steps_is_reused_step_by_step(store: ObjectStore) -> None:
    made: list[Manifest] = []
    for kind in (Checkpoint, Prediction, BuildingSet, DamageMap):
        data = (GOLDEN / "0.2.0" / f"{kind.kind}.json").read_bytes()
        made.append(kind.parse(data, kind.kind))
        store.put(made[-1].uri(store), data)
    checkpoint, found = made[0], made[-1]
    assert isinstance(checkpoint, Checkpoint)
    before = _manifests(store)
    pair = [str(PAIR / "before.png")], [str(PAIR / "after.png")]
    assert map_pair(*pair, checkpoint, MappingParams(), store, event="kept") == found
    assert _manifests(store) == before


def _manifests(store: ObjectStore) -> set[S3Uri]:
    return {info.uri for info in store.list(store.lake) if info.uri.name == MANIFEST}


def test_what_a_newer_version_added_is_ignored_and_what_it_changed_is_refused_in_one_line() -> None:
    raw = json.loads((GOLDEN / "pairs.json").read_bytes())
    assert PairSet.parse(json.dumps(raw | {"new_field": 1}).encode(), "x").block_px == raw["block_px"]
    with pytest.raises(SiameseError, match=r"x: a pair-set of schema 99; this version reads up to \d+ — use the newer"):
        PairSet.parse(json.dumps(raw | {"schema": 99}).encode(), "x")
    with pytest.raises(SiameseError, match="x: not a pair-set manifest"):
        PairSet.parse(b"[]", "x")


@pytest.fixture
def old_bucket(
    store: ObjectStore, mlflow_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Path]:
    """The store's buckets, filled by the old version; gives the folder that holds its scenes."""
    code, work = tmp_path / "code", tmp_path / "work"
    if not checkout(OLD, code):
        pytest.skip(f"this checkout's history does not reach back to {OLD}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    settings = store.settings
    buckets = {f"SIAMESE_{use}_BUCKET": getattr(settings, f"{use.lower()}_bucket") for use in ("RAW", "LAKE", "MAPS")}
    OldVersion(code, work, {**buckets, "SIAMESE_HOME": str(settings.home)}).fill(settings.raw_bucket)
    yield work
    shutil.rmtree(work)


@pytest.mark.timeout(900)
def test_a_bucket_of_the_old_version_goes_on(old_bucket: Path, store: ObjectStore) -> None:
    read = [_read(info.uri, store) for info in store.list(store.lake) if info.uri.key.endswith("manifest.json")]
    assert {type(one) for one in read} == set(KINDS.values())
    old = PairSet.latest(store)
    assert (Checkpoint.latest(store).quantized is not None, SceneCatalog.latest(store).accepted > 0) == (True, True)

    champion = resolve_model("models:/siamese-damage@champion", store)
    before = sorted((old_bucket / "scenes" / "images").glob("*_pre_disaster.png"))[-1]
    after = before.with_name(before.name.replace("_pre_", "_post_"))
    made = map_pair([str(before)], [str(after)], champion, MappingParams(), store)
    assert (made.checkpoint, made.origin.version > 0) == (champion.digest, True)

    assert rollback(None, PromotionParams(), store).champion == 1
    assert [entry.kind for entry in read_ledger(store, "siamese-damage").entries] == ["promote", "promote", "rollback"]
    assert resolve_model("models:/siamese-damage@champion", store).digest != champion.digest

    scenes, params = S3Uri(store.settings.raw_bucket, "scenes"), Params.model_validate(PARAMS)
    assert ingest(scenes, params.ingest, store, reuse_older=True) == SceneCatalog.latest(store)
    assert build_pairs(SceneCatalog.latest(store), params.pairs, store, reuse_older=True) == old
    training = params.training.model_copy(update={"seed": 2})
    assert train(old, params.network, training, store, reuse_older=True).digest == champion.digest

    catalog = ingest(scenes, IngestParams(), store)
    new = build_pairs(catalog, PairsParams(val_share=0.2, test_share=0.2), store)
    assert new.digest != old.digest
    assert read_assignments(store, new) == read_assignments(store, old), "no scene changes its split over an upgrade"


def _read(uri: S3Uri, store: ObjectStore) -> Manifest:
    folder = uri.key.split("/")[0]
    kind = next(kind for kind in KINDS.values() if folder in (kind.kind, kind.former))
    return kind.load(store, uri)
