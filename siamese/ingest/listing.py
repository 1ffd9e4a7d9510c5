"""Lists a prefix: classifies every object, and assembles archives from their parts."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from siamese.errors import SiameseError
from siamese.ingest.catalog import InventoryEntry
from siamese.ingest.inventory import Inventory
from siamese.ingest.names import ArchivePart, Other, SceneFile, classify, printable
from siamese.store import ObjectInfo, ObjectStore, S3Uri


@dataclass(frozen=True)
class Archive:
    """A tar or zip archive: one object, or parts that are read as one stream."""

    name: str
    """Name below the prefix, without the suffix of any part."""
    parts: tuple[ObjectInfo, ...]
    whole: bool
    """Whether it is one object, not split."""
    identity: str
    """Equal identities mean equal members."""


@dataclass
class Listing:
    """Result of listing a prefix, apart from the entries added to the inventory."""

    digest: str = ""
    """Hash over every key, version id, etag and size: equal digests mean that nothing has changed."""
    archives: list[Archive] = field(default_factory=list)


def list_source(store: ObjectStore, source: S3Uri, inventory: Inventory) -> Listing:
    """Lists a prefix, or one archive, and adds everything in it to the inventory.

    Args:
        store: Object storage that holds the prefix.
        source: Prefix without a final slash; it is treated as a folder: ``…/xbd`` does not include ``…/xbd2``.
        inventory: Receives an entry for each object.

    Raises:
        SiameseError: The bucket does not exist, or there is no object under the prefix.
    """
    whole, listing = hashlib.sha256(), Listing()
    parts: dict[tuple[str, bool], list[tuple[str, ObjectInfo]]] = defaultdict(list)

    def entries() -> Iterator[InventoryEntry]:
        for found in _objects(store, source):
            whole.update("\0".join([str(found.uri), found.version_id or "", found.etag, str(found.size)]).encode())
            whole.update(b"\n")
            name = found.uri.key.removeprefix(f"{source.key}/") if found.uri != source else source.name
            within = found.uri.key.removesuffix(name)
            match named := classify(name, within=within):
                case ArchivePart():
                    parts[named.archive, named.part is None].append((named.part or "", found))
                    yield _entry(found, name, name, "archive")
                case SceneFile():
                    yield _entry(found, name, named.scene, named.role, split=named.split)
                case Other():
                    yield _entry(found, name, printable(name), named.role, reason=named.reason)

    inventory.add(entries())
    if not inventory.count():
        fix = "check the address, or bring scenes there with `siamese upload`"
        raise SiameseError("holds no objects", where=str(source), fix=fix)
    for (name, is_whole), found_parts in sorted(parts.items()):
        missing = None if is_whole else _gap([part for part, _ in found_parts])
        if missing:
            inventory.add([_entry(found_parts[0][1], name, name, "quarantined", reason=missing)])
            continue
        listing.archives.append(_archive(name, is_whole, found_parts))
    listing.digest = whole.hexdigest()
    return listing


def _objects(store: ObjectStore, source: S3Uri) -> Iterator[ObjectInfo]:
    exact = store.head(source) if source.key else None
    if exact:
        yield exact
    yield from store.list(S3Uri(source.bucket, f"{source.key}/" if source.key else ""))


def _entry(
    found: ObjectInfo,
    name: str,
    scene: str,
    role: str,
    *,
    reason: str | None = None,
    split: str | None = None,
) -> InventoryEntry:
    return InventoryEntry.model_validate(
        {
            "name": printable(name),
            "scene": scene,
            "role": role,
            "reason": reason,
            "split": split,
            "uri": printable(str(found.uri)),
            "version_id": found.version_id,
            "etag": found.etag,
            "length": found.size,
        }
    )


def _archive(name: str, whole: bool, parts: list[tuple[str, ObjectInfo]]) -> Archive:
    in_order = tuple(found for _, found in sorted(parts, key=lambda part: _number(part[0])))
    said = "\n".join(f"{found.uri}\0{found.version_id}\0{found.etag}\0{found.size}" for found in in_order)
    return Archive(name, in_order, whole, hashlib.sha256(said.encode()).hexdigest())


def _gap(names: list[str]) -> str | None:
    """Describes what is missing in a set of part names; None when they are consecutive from the first."""
    numbers = sorted(_number(name) for name in names)
    if len({name.isdigit() for name in names}) > 1 or len(set(numbers)) < len(numbers):
        return "parts of an archive: named in two ways at once"
    first = numbers[0] if names[0].isdigit() and numbers[0] in (0, 1) else 0
    missing = next((number for number, found in enumerate(numbers, first) if number != found), None)
    if missing is None:
        return None
    return f"parts of an archive: number {missing - first + 1} in order is missing, of those before {max(names)}"


def _number(part: str) -> int:
    if part.isdigit() or not part:
        return int(part or 0)
    number = 0
    for letter in part:
        number = number * 26 + ord(letter) - ord("a")
    return number
