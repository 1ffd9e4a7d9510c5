"""Reads members of archives: in place from a plain tar or a zip, copied one by one to the lake from any other."""

from __future__ import annotations

import hashlib
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Final

from siamese.ingest.catalog import InventoryEntry
from siamese.ingest.listing import Archive
from siamese.ingest.names import Other, SceneFile, classify, printable, split_of_archive
from siamese.ingest.streams import LeapingStream, PartsSource, PiecedStream, gunzip, read_pieces
from siamese.ingest.tar import ArchiveError, Member, read_members
from siamese.ingest.zip import DEFLATED, Read, ZipMember, is_zip, read_directory, read_packed, unpack
from siamese.params import IngestParams
from siamese.store import ObjectStore, S3Uri

MEMBERS: Final = "catalog/members"
_GZIP: Final = b"\x1f\x8b"
_MAGIC_BYTES: Final = 4
_NOT_ZIPPED: Final = dict.fromkeys(("packed", "method", "crc32"))
_LEAST_RATIO_BYTES: Final = 2**20
"""A smaller archive may unpack to as much as an archive of this size."""
_MOST_BYTES_UNDER_WAY: Final = 128 * 2**20
_MEDIA: Final = {"png": "image/png", "json": "application/json", "tif": "image/tiff", "tiff": "image/tiff"}


def read_archive(
    store: ObjectStore, archive: Archive, params: IngestParams, pool: Executor
) -> Iterator[InventoryEntry]:
    """Lists every member of an archive.

    From a plain tar that is a single object only the headers are read, from a zip only its directory; members are byte
    ranges of it. From a compressed or split archive each image and label is copied to a separate object on the lake,
    named by its sha256. A truncated archive yields the members before the break, and an entry that reports it.

    Yields:
        One entry per member, and a quarantined one when the archive is damaged, truncated or a bomb.
    """
    found = 0
    try:
        for found, entry in enumerate(_members(store, archive, params, pool), 1):  # noqa: B007
            yield entry
    except ArchiveError as error:
        reason = f"archive: {error}" + ("; the members before are read, what follows is lost" if found else "")
        yield _entry(archive, archive.name, Other("quarantined", reason), 0, 0)


def _members(store: ObjectStore, archive: Archive, params: IngestParams, pool: Executor) -> Iterator[InventoryEntry]:
    first = archive.parts[0]
    magic = store.get(first.uri, version_id=first.version_id, length=min(first.size, _MAGIC_BYTES))
    packed = magic[:2] == _GZIP and first.size > len(_GZIP)
    if is_zip(magic) or (archive.name.lower().endswith(".zip") and not packed):
        yield from _zipped(store, archive, params, pool)
        return
    if archive.whole and not packed:
        yield from _stretches(store, archive, params)
        return
    pieces = read_pieces(store, archive.parts)
    if packed:
        pieces = gunzip(pieces, max_ratio=params.max_unpack_ratio)
    yield from _copies(store, params, pool, _streamed(archive, params, PiecedStream(pieces)))


def _stretches(store: ObjectStore, archive: Archive, params: IngestParams) -> Iterator[InventoryEntry]:
    stream = LeapingStream(store, archive.parts[0])
    for member in read_members(stream):
        if member.start + member.size > archive.parts[0].size:
            raise ArchiveError(f"tar is truncated within {printable(member.name)}")
        name = printable(member.name)
        yield _entry(archive, f"{archive.name}:{name}", _judge(member, name, params), member.start, member.size)


def _zipped(store: ObjectStore, archive: Archive, params: IngestParams, pool: Executor) -> Iterator[InventoryEntry]:
    source = PartsSource(store, archive.parts)
    found = _listed(archive, params, source)
    if archive.whole:
        yield from found
        return

    yield from _copies(store, params, pool, (_with_bytes(entry, source) for entry in found))


def _with_bytes(entry: InventoryEntry, source: PartsSource) -> tuple[InventoryEntry, bytes | None]:
    if entry.packed is None:
        return entry, None
    try:
        return entry, zipped_bytes(entry, source.read)[1]
    except ArchiveError as error:
        bad = {"scene": entry.name, "role": "quarantined", "reason": str(error), "split": None}
        return entry.model_copy(update=bad | _NOT_ZIPPED), None


def _listed(archive: Archive, params: IngestParams, source: PartsSource) -> Iterator[InventoryEntry]:
    """Lists the members in a zip's directory; entries of members to be read later state how they are packed."""
    wanted = 0
    for member in read_directory(source):
        name = printable(member.name)
        judged = _judge(member, name, params)
        if member.trouble and isinstance(judged, SceneFile):
            judged = Other("quarantined", member.trouble)
        entry = _entry(archive, f"{archive.name}:{name}", judged, member.header, member.size)
        if isinstance(judged, SceneFile):
            wanted += member.size
            if wanted > params.max_unpack_ratio * max(source.size, _LEAST_RATIO_BYTES):
                raise ArchiveError(f"zip unpacks to more than {params.max_unpack_ratio:g} times its size")
            how = {
                "packed": member.packed,
                "method": "deflated" if member.method == DEFLATED else "stored",
                "crc32": member.crc32,
            }
            entry = entry.model_copy(update=how)
        yield entry


def zipped_bytes(entry: InventoryEntry, read: Read) -> tuple[int, bytes]:
    """Returns where the packed bytes of a zip member begin, and its bytes, unpacked and checked.

    Args:
        entry: Entry of the member.
        read: Reads a range of the archive.

    Raises:
        ArchiveError: The member is damaged.
    """
    name, start, data = read_packed(read, entry.start, entry.packed or 0)
    if not entry.name.endswith(f":{printable(name)}"):
        raise ArchiveError(f"is damaged: where the zip's directory says lies {printable(name)}")
    data = unpack(data, entry.length) if entry.method == "deflated" else data
    if zlib.crc32(data) != entry.crc32:
        raise ArchiveError("is damaged: it has another checksum than the zip's directory says")
    return start, data


def _streamed(
    archive: Archive, params: IngestParams, stream: PiecedStream
) -> Iterator[tuple[InventoryEntry, bytes | None]]:
    for member in read_members(stream):
        name = printable(member.name)
        judged = _judge(member, name, params)
        entry = _entry(archive, f"{archive.name}:{name}", judged, 0, member.size)
        data = None if isinstance(judged, Other) else stream.read(member.size)
        if data is not None and len(data) < member.size:
            raise ArchiveError(f"tar is truncated within {name}")
        yield entry, data


def _copies(
    store: ObjectStore, params: IngestParams, pool: Executor, members: Iterable[tuple[InventoryEntry, bytes | None]]
) -> Iterator[InventoryEntry]:
    """Copies members to the lake, several at once; members without bytes are only listed."""
    under_way: deque[Future[InventoryEntry]] = deque()
    sizes: deque[int] = deque()
    try:
        for entry, data in members:
            if data is None:
                yield entry
                continue
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
        store.put(uri, data, content_type=_MEDIA.get(suffix, "text/plain"))
    own = {"uri": str(uri), "version_id": None, "etag": "", "sha256": digest, "start": 0}
    return entry.model_copy(update=own | _NOT_ZIPPED)


def _judge(member: Member | ZipMember, name: str, params: IngestParams) -> SceneFile | Other:
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
