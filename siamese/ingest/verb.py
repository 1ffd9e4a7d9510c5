"""The verb ``ingest``: turns a prefix of raw storage into a scene catalog."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from siamese.classes import SUBTYPES
from siamese.errors import NotPublishedError
from siamese.ingest.archives import read_archive
from siamese.ingest.catalog import (
    INVENTORY_SCHEMA,
    ROW_GROUP,
    SCENE_SCHEMA,
    Scene,
    read_catalog,
    read_inventory,
    row_of,
)
from siamese.ingest.inventory import Group, Inventory
from siamese.ingest.listing import Archive, list_source
from siamese.ingest.scenes import Examiner, identity
from siamese.ingest.stage import CATALOG
from siamese.manifests import SceneCatalog
from siamese.parallel import ordered_map
from siamese.params import IngestParams
from siamese.parquet import TableWriter
from siamese.progress import progress
from siamese.store import ObjectStore, Origin, S3Uri, move_pointer, put_file, read_pointer

_AHEAD: Final = 4


def ingest(source: S3Uri, params: IngestParams, store: ObjectStore, *, reuse_older: bool = False) -> SceneCatalog:
    """Reads and validates every scene under a prefix, and publishes a catalog.

    Accepts the layouts in which xBD is distributed: flat ``images/ labels/ targets/``, the split folders, and tar
    archives, plain or gzip, whole or in parts. Scenes that have not changed since the last catalog of this prefix are
    not read again, and if nothing has changed, the published catalog is returned.

    Args:
        source: A prefix, or one archive.
        params: Rules of acceptance; their ``source`` is not used.
        store: Object storage with the prefix and the lake.
        reuse_older: Return the result of an earlier version of this stage, if there is one, instead of a new one.

    Returns:
        The catalog; its table has one row per scene, accepted or not.

    Raises:
        SiameseError: The bucket does not exist, nothing is under the prefix, or storage fails. Broken scenes do not
            raise; they are quarantined.
    """
    source = S3Uri(source.bucket, source.key.rstrip("/"))
    params = params.model_copy(update={"source": str(source)})
    with Inventory() as inventory:
        listing = list_source(store, source, inventory)
        origin = CATALOG.plan(inputs={"listing": listing.digest}, params={"ingest": params})
        catalog = CATALOG.find(store, origin, older=reuse_older)
        if catalog is None:
            previous = _previous(store, source, origin)
            with ThreadPoolExecutor(params.workers) as pool:
                _take_archives(store, listing.archives, params, pool, inventory, previous)
                rows = _rows(store, params, pool, inventory, previous)
                catalog = _publish(store, origin, source, inventory, rows)
    move_pointer(store, _pointer(store, source), lambda _: {"source": str(source), "digest": catalog.digest})
    return catalog


def _pointer(store: ObjectStore, source: S3Uri) -> S3Uri:
    name = hashlib.sha256(str(source).encode()).hexdigest()[:16]
    return store.lake / SceneCatalog.kind / "sources" / f"{name}.json"


def _previous(store: ObjectStore, source: S3Uri, origin: Origin) -> SceneCatalog | None:
    """Returns the last catalog of this prefix if the same version of the stage made it with the same params."""
    pointer = read_pointer(store, _pointer(store, source))
    if pointer is None:
        return None
    try:
        found = SceneCatalog.load(store, str(pointer["digest"]))
    except NotPublishedError:
        return None
    return found if (found.origin.version, found.origin.params) == (origin.version, origin.params) else None


def _take_archives(
    store: ObjectStore,
    archives: Iterable[Archive],
    params: IngestParams,
    pool: ThreadPoolExecutor,
    inventory: Inventory,
    previous: SceneCatalog | None,
) -> None:
    unread = {archive.identity: archive for archive in archives}
    if previous and unread:
        known = set(unread)
        inventory.add(entry for entry in read_inventory(store, previous) if entry.archive in known)
        for taken in inventory.archives():
            unread.pop(taken)
    for archive in unread.values():
        with progress(f"read {archive.name}") as advance:
            for entry in read_archive(store, archive, params, pool):
                inventory.add([entry])
                advance()


def _rows(
    store: ObjectStore,
    params: IngestParams,
    pool: ThreadPoolExecutor,
    inventory: Inventory,
    previous: SceneCatalog | None,
) -> Iterator[Scene]:
    examiner = Examiner(store, params)

    def row(work: tuple[Group, Scene | None]) -> Scene:
        group, old = work
        return old if old and old.identity == identity(group) else examiner.examine(group)

    old_rows = read_catalog(store, previous) if previous else iter(())
    with progress("ingest scenes", inventory.count_groups()) as advance:
        for scene in ordered_map(pool, row, _beside(inventory.groups(), old_rows), ahead=_AHEAD * params.workers):
            advance()
            yield scene


def _beside(groups: Iterable[Group], rows: Iterator[Scene]) -> Iterator[tuple[Group, Scene | None]]:
    """Yields each group with its row in the previous catalog, if any; both inputs are in order of scene."""
    row = next(rows, None)
    for group in groups:
        while row and row.scene < group.scene:
            row = next(rows, None)
        yield group, row if row and row.scene == group.scene else None


def _publish(
    store: ObjectStore, origin: Origin, source: S3Uri, inventory: Inventory, rows: Iterator[Scene]
) -> SceneCatalog:
    verdicts: Counter[str] = Counter()
    buildings = Counter(dict.fromkeys(SUBTYPES, 0))
    folder = SceneCatalog.folder(store, origin.digest)
    with tempfile.TemporaryDirectory(prefix="siamese-") as local:
        scenes, everything = Path(local) / "scenes.parquet", Path(local) / "inventory.parquet"
        with TableWriter(scenes, SCENE_SCHEMA, ROW_GROUP) as table:
            for row in rows:
                table.add([row_of(row, SCENE_SCHEMA)])
                verdicts[row.verdict] += 1
                if row.verdict == "accepted":
                    buildings.update(row.buildings)
        with TableWriter(everything, INVENTORY_SCHEMA, ROW_GROUP) as table_of_all:
            for entry in inventory.entries():
                table_of_all.add([row_of(entry, INVENTORY_SCHEMA)])
        return SceneCatalog(
            origin=origin,
            source=str(source),
            table=put_file(store, folder, scenes.name, scenes),
            inventory=put_file(store, folder, everything.name, everything),
            accepted=verdicts["accepted"],
            unlabelled=verdicts["unlabelled"],
            quarantined=verdicts["quarantined"],
            ignored=inventory.count("ignored"),
            buildings=dict(buildings),
        ).publish(store)
