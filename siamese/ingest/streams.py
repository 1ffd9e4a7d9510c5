"""Forward streams over objects: skipping without fetching, reading parts as a whole, and unpacking gzip."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from siamese.ingest.tar import ArchiveError
from siamese.store import ObjectInfo, ObjectStore

LOOK_AHEAD: Final = 256 * 1024
CHUNK: Final = 8 * 2**20
_PIECE: Final = 2**20
_SLICE: Final = 64 * 1024
"""Small, because data after a gzip member is copied: many tiny members must not take quadratic time."""


class LeapingStream:
    """One object, read in small pieces; skipped bytes are not fetched."""

    def __init__(self, store: ObjectStore, found: ObjectInfo) -> None:
        self._store, self._found = store, found
        self._buffer, self._buffer_start = b"", 0
        self.position = 0

    def read(self, count: int) -> bytes:
        """Returns the next ``count`` bytes; fewer only at the end."""
        count = max(0, min(count, self._found.size - self.position))
        at = self.position - self._buffer_start
        if at < 0 or at + count > len(self._buffer):
            length = min(max(count, LOOK_AHEAD), self._found.size - self.position)
            self._buffer = self._store.get(
                self._found.uri, version_id=self._found.version_id, start=self.position, length=length
            )
            self._buffer_start, at = self.position, 0
        self.position += count
        return self._buffer[at : at + count]

    def skip(self, count: int) -> None:
        """Skips ``count`` bytes.

        Raises:
            ArchiveError: The object ends too early.
        """
        self.position += count
        if self.position > self._found.size:
            raise ArchiveError(f"tar is truncated: {self.position - self._found.size:,} bytes are missing")


class PartsSource:
    """One or several objects presented as contiguous bytes, read in ranges."""

    def __init__(self, store: ObjectStore, parts: Sequence[ObjectInfo]) -> None:
        self._store, self._parts = store, parts
        self.size = sum(part.size for part in parts)

    def read(self, start: int, count: int) -> bytes:
        """Returns ``count`` bytes from ``start``; fewer only at the end."""
        taken, first = bytearray(), 0
        for part in self._parts:
            at, end = max(start - first, 0), min(start + count - first, part.size)
            if at < end:
                taken += self._store.get(part.uri, version_id=part.version_id, start=at, length=end - at)
            first += part.size
        return bytes(taken)


class PiecedStream:
    """Pieces of any size read as one stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self.position = 0

    def read(self, count: int) -> bytes:
        """Returns the next ``count`` bytes; fewer only at the end."""
        taken = bytearray()
        while len(taken) < count and self._refill():
            part = self._rest[: count - len(taken)]
            taken += part
            self._rest = self._rest[len(part) :]
        self.position += len(taken)
        return bytes(taken)

    def skip(self, count: int) -> None:
        """Skips ``count`` bytes.

        Raises:
            ArchiveError: The stream ends too early.
        """
        while count and self._refill():
            step = min(count, len(self._rest))
            self._rest = self._rest[step:]
            self.position += step
            count -= step
        if count:
            raise ArchiveError(f"tar is truncated: {count:,} bytes are missing")

    def _refill(self) -> bool:
        while not len(self._rest):
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._rest = memoryview(piece)
        return True


def read_pieces(store: ObjectStore, parts: Sequence[ObjectInfo]) -> Iterator[bytes]:
    """Yields the bytes of several objects in sequence; the next piece is fetched while one is used."""
    ranges = ((part, start) for part in parts for start in range(0, part.size, CHUNK))

    def fetch(part: ObjectInfo, start: int) -> bytes:
        length = min(CHUNK, part.size - start)
        return store.get(part.uri, version_id=part.version_id, start=start, length=length)

    with ThreadPoolExecutor(1) as ahead:
        coming = None
        for part, start in ranges:
            current, coming = coming, ahead.submit(fetch, part, start)
            if current:
                yield current.result()
        if coming:
            yield coming.result()


def gunzip(pieces: Iterator[bytes], *, max_ratio: float) -> Iterator[bytes]:
    """Unpacks gzip, including files of several members, in pieces of at most 1 MiB.

    Args:
        pieces: Compressed data.
        max_ratio: Maximum ratio of unpacked to packed bytes; a higher one is treated as a bomb.

    Raises:
        ArchiveError: The data is not gzip, is damaged or truncated, or is a bomb.
    """
    unpack, begun, ended, read, made = zlib.decompressobj(wbits=31), False, False, 0, 0
    for rest in _sliced(pieces):
        read += len(rest)
        while rest or begun:
            if not begun:
                # Some writers pad with zeros after the last member.
                rest = rest.lstrip(b"\0") if ended else rest
                if not rest:
                    break
            begun = True
            try:
                out = unpack.decompress(rest, _PIECE)
            except zlib.error as error:
                raise ArchiveError(f"gzip is damaged: {error}") from error
            made += len(out)
            if made > max_ratio * max(read, _PIECE):
                raise ArchiveError(f"gzip unpacks to more than {max_ratio:g} times its size")
            if out:
                yield out
            rest = unpack.unconsumed_tail
            if unpack.eof:
                rest, unpack, begun, ended = unpack.unused_data, zlib.decompressobj(wbits=31), False, True
            elif not out:
                break
    if begun:
        raise ArchiveError("gzip is truncated")


def _sliced(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for start in range(0, len(piece), _SLICE):
            yield piece[start : start + _SLICE]
