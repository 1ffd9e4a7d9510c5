"""Publication: one winner, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from siamese import manifests
from siamese.errors import SiameseError
from siamese.ingest.stage import CATALOG
from siamese.manifests import BuildingSet, SceneCatalog
from siamese.params import IngestParams
from siamese.store import Blob, Manifest, ObjectStore, RaceLostError, S3Uri, Stored, move_pointer, put_blob

GOLDEN = Path(__file__).parents[1] / "upgrade" / "manifests"


def catalog(store: ObjectStore, table: bytes = b"rows", accepted: int = 1) -> SceneCatalog:
    origin = CATALOG.plan(inputs={"source": "abc"}, params={"ingest": IngestParams()})
    blob = put_blob(store, SceneCatalog.folder(store, origin.digest), "scenes.parquet", table)
    return SceneCatalog(
        origin=origin, source="s3://raw/x", table=blob, inventory=blob, accepted=accepted,
        unlabelled=0, quarantined=0, ignored=0, buildings={},
    )  # fmt: skip


def test_the_first_to_publish_wins_and_everyone_reads_it(store: ObjectStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        published = list(pool.map(lambda n: catalog(store, f"rows {n}".encode(), n).publish(store), range(8)))
    assert len({manifest.accepted for manifest in published}) == 1
    assert SceneCatalog.find(store, published[0].digest) == published[0]
    assert published[0].table.read(store) == f"rows {published[0].accepted}".encode()


def test_a_manifest_that_names_a_missing_object_is_not_published(store: ObjectStore) -> None:
    whole = catalog(store)
    broken = whole.model_copy(update={"table": Blob(uri=f"{store.lake}nowhere", size=1, sha256="0" * 64)})
    with pytest.raises(SiameseError, match="nowhere"):
        broken.publish(store)
    assert SceneCatalog.find(store, whole.digest) is None


def test_a_manifest_and_what_is_read_of_it_have_one_content_and_defaults_count(store: ObjectStore) -> None:
    old = json.loads((GOLDEN / "0.2.0" / "building-set.json").read_bytes())
    blob = put_blob(store, BuildingSet.folder(store, old["origin"]["digest"]), "classes.tif", b"classes")
    blobs = dict.fromkeys(("classes", "table"), blob.model_dump())
    before = BuildingSet.parse(json.dumps(old | blobs).encode(), "old")
    copied = before.model_copy(update={"origin": before.origin.model_copy(update={"digest": "1" * 16})})
    made = BuildingSet(**dict(copied) | {"origin": before.origin})
    assert made.content != copied.content == before.content
    for one in (copied, made):
        one.publish(store)
        assert BuildingSet.load(store, one.digest).content == one.content


def test_every_part_of_a_manifest_keeps_track_of_its_fields() -> None:
    kinds = [kind for kind in vars(manifests).values() if isinstance(kind, type) and issubclass(kind, Manifest)]
    assert len(kinds) > 20
    assert [part for kind in kinds for part in _parts(kind) if not issubclass(part, Stored)] == []


def _parts(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from _parts(field.annotation)
    for inner in get_args(annotation):
        yield from _parts(inner)


def test_params_that_only_say_how_fast_do_not_change_the_digest() -> None:
    def digest(params: IngestParams) -> str:
        return CATALOG.plan(inputs={}, params={"ingest": params}).digest

    assert digest(IngestParams(workers=1)) == digest(IngestParams(workers=2))
    assert digest(IngestParams(max_side_px=1)) != digest(IngestParams())


def test_no_change_of_a_pointer_is_lost(store: ObjectStore) -> None:
    uri = store.lake / "latest" / "count.json"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: move_pointer(store, uri, lambda old: {"n": (old or {"n": 0})["n"] + 1}), range(8)))
    assert move_pointer(store, uri, lambda _: None) == {"n": 8}


def test_objects_can_be_read_in_part_listed_and_written_only_when_absent(store: ObjectStore) -> None:
    uri = store.raw / "a" / "b.bin"
    store.put(uri, b"0123456789", if_absent=True)
    with pytest.raises(RaceLostError):
        store.put(uri, b"x", if_absent=True)
    store.put(uri, b"9876543210")
    assert store.get(uri, start=2, length=3) == b"765"
    listed = list(store.list(S3Uri(uri.bucket, "a/")))
    assert [(found.uri, found.size) for found in listed] == [(uri, 10)]
    assert listed[0].version_id
    assert store.head(uri / "none") is None
