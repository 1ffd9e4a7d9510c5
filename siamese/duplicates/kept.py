"""Describes the images of a catalog once, and keeps the descriptions on the bucket."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from siamese.duplicates.fingerprint import Fingerprint, fingerprint
from siamese.duplicates.sources import MAX_SIDE_PX
from siamese.duplicates.stage import FINGERPRINTS
from siamese.duplicates.tables import read_fingerprints, write_fingerprints
from siamese.duplicates.twins import ImageName
from siamese.errors import NotPublishedError, SiameseError
from siamese.geo import decode_image
from siamese.ingest.catalog import ObjectRef, Scene, read_catalog
from siamese.manifests import Fingerprints, SceneCatalog, source_series
from siamese.parallel import ordered_map
from siamese.progress import progress
from siamese.store import Blob, ObjectStore, S3Uri, put_blob

_WORKERS: Final = 4
_BUDGET_PX: Final = 32 * 2**20
_SHARD: Final = 2048
"""Images in a shard, at most."""


def images_of_catalog(catalog: SceneCatalog, store: ObjectStore) -> Iterator[tuple[ImageName, ObjectRef, Scene]]:
    """Yields the images of a catalog's accepted and unlabelled scenes, in order of scene and date."""
    for scene in read_catalog(store, catalog):
        if scene.verdict == "quarantined":
            continue
        for date, ref in (("pre", scene.pre_image), ("post", scene.post_image)):
            if ref is not None:
                name = f"{scene.scene}_{date}"
                yield (
                    ImageName.model_validate({"name": name, "scene": scene.scene, "date": date, "sha256": ref.sha256}),
                    ref,
                    scene,
                )


def described(catalog: SceneCatalog, store: ObjectStore) -> tuple[Fingerprints, dict[str, Fingerprint]]:
    """Describes the images of a catalog, except those that were described for an earlier catalog of the same source.

    Args:
        catalog: The catalog.
        store: Holds the images and what was published.

    Returns:
        The manifest, and the fingerprint of each readable image by the sha256 of its bytes.

    Raises:
        SiameseError: An image has changed since it was ingested, or published fingerprints are missing or damaged.
        TransientError: Storage does not answer.
    """
    origin = FINGERPRINTS.plan(inputs={"catalog": catalog}, params={})
    if found := FINGERPRINTS.find(store, origin):
        return found, read_kept(found, store)
    earlier = _earlier(catalog, store)
    prints = read_kept(earlier, store) if earlier else {}
    wanted = {name.sha256: (name, ref, scene) for name, ref, scene in images_of_catalog(catalog, store)}
    missing = {sha256: held for sha256, held in wanted.items() if sha256 not in prints}
    shards: list[Blob] = list(earlier.shards) if earlier else []
    unreadable: dict[str, str] = {}
    fresh: dict[str, Fingerprint] = {}
    folder = Fingerprints.folder(store, origin.digest)

    def describe(held: tuple[ImageName, ObjectRef, Scene]) -> Fingerprint | str:
        _, ref, _ = held
        data = ref.read(store)
        try:
            return fingerprint(decode_image(data, ref.uri, max_side_px=MAX_SIDE_PX).pixels)
        except SiameseError as error:
            return error.what

    with ThreadPoolExecutor(_WORKERS, "fingerprint") as pool, progress("fingerprints", len(missing)) as advance:
        done = ordered_map(
            pool,
            describe,
            missing.values(),
            ahead=2 * _WORKERS,
            weight=lambda held: (held[2].width or 0) * (held[2].height or 0),
            budget=_BUDGET_PX,
        )
        for (sha256, (name, _, _)), one in zip(missing.items(), done, strict=True):
            if isinstance(one, str):
                unreadable[name.name] = one
            else:
                fresh[sha256] = one
            if len(fresh) == _SHARD:
                shards.append(_put(fresh, folder, store))
                prints |= fresh
                fresh = {}
            advance(note=name.name)
    if fresh:
        shards.append(_put(fresh, folder, store))
        prints |= fresh
    manifest = Fingerprints(origin=origin, source=catalog.source, shards=tuple(shards), unreadable=unreadable)
    manifest = manifest.publish(store)
    manifest.mark_latest(store)
    return manifest, prints


def read_kept(manifest: Fingerprints, store: ObjectStore) -> dict[str, Fingerprint]:
    """Reads published fingerprints, by the sha256 of their images' bytes."""
    prints: dict[str, Fingerprint] = {}
    for shard in manifest.shards:
        prints |= read_fingerprints(shard.read(store))
    return prints


def _earlier(catalog: SceneCatalog, store: ObjectStore) -> Fingerprints | None:
    try:
        found = Fingerprints.latest(store, source_series(catalog.source))
    except NotPublishedError:
        return None
    # What another version of the stage described is described anew.
    return found if found.origin.version == FINGERPRINTS.version else None


def _put(prints: dict[str, Fingerprint], folder: S3Uri, store: ObjectStore) -> Blob:
    return put_blob(store, folder, "fingerprints.parquet", write_fingerprints(prints))
