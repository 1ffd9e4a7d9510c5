"""Shards: deterministic tar archives that WebDataset can read, with samples that can be read by byte range."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass

from siamese.errors import SiameseError

_END = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A byte range of a shard."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class PackedSample:
    """A sample's members as contiguous bytes, including headers and padding."""

    data: bytes
    members: tuple[ByteRange, ...]
    """Byte range of each member's data, from the sample's start."""

    @property
    def sha256(self) -> bytes:
        """Digest of all bytes of the sample, 32 bytes."""
        return hashlib.sha256(self.data).digest()


@dataclass(frozen=True, slots=True)
class Placed:
    """The location that a sample was written to."""

    shard: int
    offset: int


def pack_sample(key: str, members: dict[str, bytes]) -> PackedSample:
    """Makes one WebDataset sample: consecutive ustar members ``<key>.<extension>``, with reproducible bytes.

    Args:
        key: Name of the sample, without a dot.
        members: Data by extension, in the order in which they are stored.

    Raises:
        SiameseError: The name does not fit a ustar header.
    """
    parts, spans, at = [], [], 0
    for extension, data in members.items():
        header = _header(f"{key}.{extension}", len(data))
        padding = bytes(-len(data) % tarfile.BLOCKSIZE)
        spans.append(ByteRange(at + len(header), len(data)))
        parts += [header, data, padding]
        at += len(header) + len(data) + len(padding)
    return PackedSample(b"".join(parts), tuple(spans))


class ShardWriter:
    """Fills shards one after another and hands over each when it is full; only one is held in memory."""

    def __init__(self, limit: int, on_full: Callable[[int, bytes], None]) -> None:
        """Starts with an empty shard.

        Args:
            limit: Maximum size of a shard in bytes; a larger sample gets a shard of its own.
            on_full: Called with a shard's number and its bytes.
        """
        self._limit, self._on_full = limit, on_full
        self._buffer, self._number = io.BytesIO(), 0

    def add(self, sample: PackedSample) -> Placed:
        """Appends a sample, to the next shard if this one is full."""
        if self._buffer.tell() and self._buffer.tell() + len(sample.data) + len(_END) > self._limit:
            self.close()
        offset = self._buffer.tell()
        self._buffer.write(sample.data)
        return Placed(self._number, offset)

    def close(self) -> None:
        """Ends the current shard if it is not empty; the next sample starts another."""
        if not self._buffer.tell():
            return
        self._buffer.write(_END)
        full, self._buffer = self._buffer, io.BytesIO()
        self._on_full(self._number, full.getvalue())
        self._number += 1


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    except ValueError as error:
        fix = "rename the scene: ASCII, at most 80 characters"
        raise SiameseError("does not fit a tar header", where=name, fix=fix) from error
