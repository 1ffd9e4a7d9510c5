"""Fetches blocks by byte range, adjacent ones in one request, and checks every byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from siamese.errors import SiameseError
from siamese.pairs.cache import ContentCache
from siamese.pairs.index import BlockAddress
from siamese.store import Blob, ObjectStore, S3Uri

_REQUEST_BYTES = 16 * 2**20
_REQUESTS_AT_ONCE = 8


def fetch_blocks(
    blocks: Iterable[BlockAddress], shards: tuple[Blob, ...], store: ObjectStore, cache: ContentCache | None
) -> dict[bytes, bytes]:
    """Returns the samples of blocks, by their sha256, from the cache or else from storage.

    Raises:
        SiameseError: A sample differs from what was published, even when fetched a second time.
    """
    found: dict[bytes, bytes] = {}
    missing = []
    for block in blocks:
        held = cache.get(block.sha256) if cache else None
        if held is None:
            missing.append(block)
        else:
            found[block.sha256] = held
    for block, data in _from_storage(missing, shards, store):
        found[block.sha256] = data
        if cache:
            cache.put(block.sha256, data)
    return found


def runs(blocks: Iterable[BlockAddress]) -> list[list[BlockAddress]]:
    """Joins contiguous blocks into runs, up to a reasonable request size."""
    joined: list[list[BlockAddress]] = []
    for block in sorted(set(blocks), key=lambda block: (block.shard, block.offset)):
        if joined and _follows(joined[-1], block):
            joined[-1].append(block)
        else:
            joined.append([block])
    return joined


def _follows(run: list[BlockAddress], block: BlockAddress) -> bool:
    last = run[-1]
    near = (last.shard, last.offset + last.length) == (block.shard, block.offset)
    return near and block.offset + block.length - run[0].offset <= _REQUEST_BYTES


def _from_storage(
    blocks: list[BlockAddress], shards: tuple[Blob, ...], store: ObjectStore
) -> Iterator[tuple[BlockAddress, bytes]]:
    requests = runs(blocks)
    if len(requests) < 2:
        for run in requests:
            yield from _read_run(run, shards, store)
        return
    with ThreadPoolExecutor(min(len(requests), _REQUESTS_AT_ONCE)) as pool:
        for answers in pool.map(lambda run: _read_run(run, shards, store), requests):
            yield from answers


def _read_run(
    run: list[BlockAddress], shards: tuple[Blob, ...], store: ObjectStore
) -> list[tuple[BlockAddress, bytes]]:
    uri, start = S3Uri.parse(shards[run[0].shard].uri), run[0].offset
    data = store.get(uri, start=start, length=run[-1].offset + run[-1].length - start)
    answers = []
    for block in run:
        sample = data[block.offset - start : block.offset - start + block.length]
        if not _sound(sample, block):
            sample = store.get(uri, start=block.offset, length=block.length)
        if not _sound(sample, block):
            where = f"{uri} bytes {block.offset}-{block.offset + block.length - 1}"
            raise SiameseError("is not what was published", where=where, fix="restore the version with its sha256")
        answers.append((block, sample))
    return answers


def _sound(sample: bytes, block: BlockAddress) -> bool:
    return hashlib.sha256(sample).digest() == block.sha256
