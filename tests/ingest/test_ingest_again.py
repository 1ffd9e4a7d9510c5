"""Ingesting again: what has not changed is not read, and nothing is published twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from builders.made_scenes import Reads, files, many, png, put, taken

from siamese.ingest import ingest, read_catalog
from siamese.manifests import SceneCatalog
from siamese.params import IngestParams
from siamese.store import ObjectStore


def raw_reads(reads: Reads) -> list[str]:
    return sorted(key.removeprefix("in/") for key in reads.below("in/"))


def test_every_object_is_read_once(store: ObjectStore) -> None:
    objects = many(5) | {"README.md": b"#", "images/stray.png": png()}
    source = put(store, objects)
    reads = Reads(store)
    taken(store, source)
    assert raw_reads(reads) == sorted(set(objects) - {"README.md", "images/stray.png"})


def test_an_unchanged_prefix_is_not_read_at_all(store: ObjectStore) -> None:
    source = put(store, many(4))
    first = ingest(source, IngestParams(), store)
    reads = Reads(store)
    assert ingest(source, IngestParams(), store) == first
    assert reads.below("in/") == []
    assert len(reads.keys) <= 2


def test_only_what_changed_is_read_again(store: ObjectStore) -> None:
    source = put(store, many(6))
    _, before = taken(store, source)
    reads = Reads(store)
    changed = f"images/{'test-wind_00000002'}_post_disaster.png"
    added = files("test-wind_00000009", seed=9)
    gone = "test-wind_00000004"
    put(store, added | {changed: png(1234)})
    for name in files(gone):
        store.client.delete_object(Bucket=source.bucket, Key=(source / name).key)
    catalog, rows = taken(store, source)
    assert raw_reads(reads) == sorted({*added, *files("test-wind_00000002")})
    assert catalog.accepted == 6
    assert gone not in rows
    for scene in ("test-wind_00000000", "test-wind_00000001", "test-wind_00000003", "test-wind_00000005"):
        assert rows[scene] == before[scene]
    assert rows["test-wind_00000002"].post_image != before["test-wind_00000002"].post_image


def test_a_new_version_with_the_same_bytes_is_read_and_named(store: ObjectStore) -> None:
    source = put(store, many(1))
    _, before = taken(store, source)
    put(store, many(1))
    _, after = taken(store, source)
    old, new = before["test-wind_00000000"].pre_image, after["test-wind_00000000"].pre_image
    assert old is not None
    assert new is not None
    assert old.sha256 == new.sha256
    assert old.version_id != new.version_id


def test_quarantined_scenes_are_not_read_again_either(store: ObjectStore) -> None:
    source = put(store, many(2) | {"images/test-wind_00000001_pre_disaster.png": png()[:-1]})
    first, _ = taken(store, source)
    put(store, files("test-wind_00000002"))
    reads = Reads(store)
    second, rows = taken(store, source)
    assert raw_reads(reads) == sorted(files("test-wind_00000002"))
    assert (first.quarantined, second.quarantined) == (1, 1)
    assert "truncated" in rows["test-wind_00000001"].reasons[0]


def test_other_params_read_everything_anew(store: ObjectStore) -> None:
    source = put(store, many(2))
    taken(store, source)
    reads = Reads(store)
    catalog, _ = taken(store, source, max_side_px=63)
    assert catalog.quarantined == 2
    assert len(raw_reads(reads)) > 0


def test_two_at_once_publish_one_catalog(store: ObjectStore) -> None:
    source = put(store, many(6))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: ingest(source, IngestParams(), store), range(4)))
    assert len({catalog.model_dump_json() for catalog in found}) == 1
    versions = store.client.list_object_versions(Bucket=store.lake.bucket, Prefix=found[0].uri(store).key)["Versions"]
    assert len(versions) == 1
    assert len(list(read_catalog(store, found[0]))) == 6


def test_a_run_broken_before_its_manifest_is_done_again(store: ObjectStore) -> None:
    source = put(store, many(3))
    first, rows = taken(store, source)
    store.client.delete_object(Bucket=store.lake.bucket, Key=first.uri(store).key)
    second, again = taken(store, source)
    assert second.digest == first.digest
    assert again == rows
    assert SceneCatalog.find(store, first.digest) == second
