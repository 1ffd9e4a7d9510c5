"""What version e7338bf made is read for ever: its manifests, its champion, its ledger, its splits."""

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
    Checkpoint,
    DamageMap,
    Evaluation,
    ModelVersion,
    PairSet,
    Pretraining,
    SceneCatalog,
)
from siamese.mapping import map_pair
from siamese.pairs import build_pairs
from siamese.pairs.lines import read_assignments
from siamese.params import IngestParams, MappingParams, PairsParams, Params, PromotionParams
from siamese.registry import read_ledger, resolve_model, rollback
from siamese.store import Manifest, ObjectStore, S3Uri
from siamese.store.manifest import SCHEMA
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
