"""Members of archives: found by their headers in a plain tar, copied to the lake one by one from any other."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from typing import Final

from siamese.ingest.catalog import InventoryEntry
from siamese.ingest.listing import Archive
from siamese.ingest.names import Other, SceneFile, classify, printable, split_of_archive
from siamese.ingest.streams import LeapingStream, PiecedStream, gunzip, read_pieces
from siamese.ingest.tar import ArchiveError, Member, read_members
from siamese.params import IngestParams
from siamese.store import ObjectStore, S3Uri

MEMBERS: Final = "ingest/members"
_GZIP: Final = b"\x1f\x8b"
_MOST_BYTES_UNDER_WAY: Final = 128 * 2**20
_MEDIA: Final = {"png": "image/png", "json": "application/json", "tif": "image/tiff", "tiff": "image/tiff"}


def read_archive(
    store: ObjectStore, archive: Archive, params: IngestParams, pool: Executor
) -> Iterator[InventoryEntry]:
    """Names every member of an archive.

    Of a plain tar that is one object only the headers are read, and members are stretches of it. A compressed or
    split one is streamed once, and each image and label becomes an object of its own on the lake, named by its sha256.
    An archive that breaks off gives the members before the break, and an entry that says so.

    Yields:
        An entry a member, and a quarantined one when the archive is damaged, truncated or a bomb.
    """
    first = archive.parts[0]
    packed = first.size > len(_GZIP) and store.get(first.uri, version_id=first.version_id, length=2) == _GZIP
    try:
        if archive.whole and not packed:
            yield from _stretches(store, archive, params)
            return
        pieces = read_pieces(store, archive.parts)
        if packed:
            pieces = gunzip(pieces, max_ratio=params.max_unpack_ratio)
        yield from _copies(store, archive, params, pool, PiecedStream(pieces))
    except ArchiveError as error:
        reason = f"archive: {error}; the members before are read, what follows is lost"
        yield _entry(archive, archive.name, Other("quarantined", reason), 0, 0)


def _stretches(store: ObjectStore, archive: Archive, params: IngestParams) -> Iterator[InventoryEntry]:
    stream = LeapingStream(store, archive.parts[0])
    for member in read_members(stream):
        if member.start + member.size > archive.parts[0].size:
            raise ArchiveError(f"tar is truncated within {printable(member.name)}")
        name = printable(member.name)
        yield _entry(archive, f"{archive.name}:{name}", _judge(member, name, params), member.start, member.size)


def _copies(
    store: ObjectStore, archive: Archive, params: IngestParams, pool: Executor, stream: PiecedStream
) -> Iterator[InventoryEntry]:
    under_way: deque[Future[InventoryEntry]] = deque()
    sizes: deque[int] = deque()
    try:
        for member in read_members(stream):
            name = printable(member.name)
            judged = _judge(member, name, params)
            entry = _entry(archive, f"{archive.name}:{name}", judged, 0, member.size)
            if isinstance(judged, Other):
                yield entry
                continue
            data = stream.read(member.size)
            if len(data) < member.size:
                raise ArchiveError(f"tar is truncated within {name}")
            under_way.append(pool.submit(_copy, store, entry, data))
            sizes.append(len(data))
            while sum(sizes) > _MOST_BYTES_UNDER_WAY or len(sizes) > 4 * params.workers:
                sizes.popleft()
                yield under_way.popleft().result()
    except ArchiveError:
        yield from (future.result() for future in under_way)
        raise
    yield from (future.result() for future in under_way)


def _copy(store: ObjectStore, entry: InventoryEntry, data: bytes) -> InventoryEntry:
    digest = hashlib.sha256(data).hexdigest()
    suffix = entry.name.rsplit(".", 1)[-1].lower()
    uri = store.lake / MEMBERS / f"{digest}.{suffix}"
    found = store.head(uri)
    if found is None or (found.size, found.sha256) != (len(data), digest):
        store.put(uri, data, content_type=_MEDIA[suffix])
    return entry.model_copy(update={"uri": str(uri), "version_id": None, "etag": "", "sha256": digest})


def _judge(member: Member, name: str, params: IngestParams) -> SceneFile | Other:
    named = classify(name)
    if isinstance(named, Other):
        return named
    if member.kind != "file":
        if member.kind == "folder":
            return Other("ignored", "folder")
        return Other("quarantined", f"a {member.kind} in an archive is not followed")
    if not isinstance(named, SceneFile):
        return Other("quarantined", "an archive within an archive is not read")
    limit = params.max_label_mib if named.role.endswith("label") else params.max_image_mib
    if member.size > limit * 2**20:
        return Other("quarantined", f"is larger than {limit} MiB")
    return named


def _entry(archive: Archive, name: str, judged: SceneFile | Other, start: int, length: int) -> InventoryEntry:
    first = archive.parts[0]
    scene, split, reason = name, None, None
    if isinstance(judged, SceneFile):
        scene, split = judged.scene, judged.split or split_of_archive(archive.name)
    else:
        reason = judged.reason
    return InventoryEntry(
        name=name,
        scene=scene,
        role=judged.role,
        reason=reason,
        split=split,
        uri=str(S3Uri(first.uri.bucket, first.uri.key)),
        version_id=first.version_id,
        etag=first.etag,
        start=start,
        length=length,
        archive=archive.identity,
    )
