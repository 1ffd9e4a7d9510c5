"""What a map and its steps left on storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from siamese.manifests import BuildingSet, DamageMap, Prediction
from siamese.settings import Settings
from siamese.store import ObjectStore, S3Uri


def records(store: ObjectStore) -> list[str]:
    """Keys of the blocks that are finished."""
    found = store.list(store.lake / "prediction" / "blocks")
    return [info.uri.key for info in found if info.uri.key.endswith("record.json")]


def bytes_of(store: ObjectStore, made: DamageMap) -> dict[str, str]:
    """The sha256 of every object of a map and of its steps, by key; each checked against its bytes."""
    prediction = Prediction.load(store, str(made.prediction))
    buildings = BuildingSet.load(store, str(made.building_set))
    blobs = [*made.blobs(), *prediction.blobs(), *buildings.blobs()]
    for blob in blobs:
        blob.read(store)
    # These say when the map was predicted, and where its sources lie.
    names = ("stac_item", "stac_collection", "stac_model", "report_pdf")
    timed = {made.products[name].uri for name in names if name in made.products}
    return {S3Uri.parse(blob.uri).key: blob.sha256 for blob in blobs if blob.uri not in timed}


def the_map(store: ObjectStore) -> DamageMap:
    """The only map that was published."""
    (found,) = store.list(store.lake / DamageMap.kind)
    return DamageMap.load(store, found.uri)


@contextmanager
def other_buckets(store: ObjectStore, tmp_path: Path) -> Iterator[ObjectStore]:
    """A store of three fresh buckets beside the first one's."""
    names = {f"{use}_bucket": f"{getattr(store.settings, f'{use}_bucket')}-2" for use in ("raw", "lake", "maps")}
    other = ObjectStore(Settings(home=tmp_path / "other", **names))
    for name in names.values():
        other.client.create_bucket(Bucket=name)
    try:
        yield other
    finally:
        for name in names.values():
            other.client.delete_bucket(Bucket=name)
