"""Tar archives read forwards, header by header, with bounded memory.

The standard library's reader loads name records of any size into memory and follows offsets backwards; neither is
safe for untrusted archives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

BLOCK: Final = 512
_MAX_RECORD: Final = 64 * 1024
_ZERO: Final = bytes(BLOCK)


class ArchiveError(Exception):
    """Raised when an archive cannot be read any further."""


class ForwardStream(Protocol):
    """Protocol for bytes that are read once, from front to back."""

    position: int

    def read(self, count: int) -> bytes:
        """Returns the next ``count`` bytes; fewer only at the end."""

    def skip(self, count: int) -> None:
        """Skips ``count`` bytes."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive; while it is the current one, the stream is positioned at its first byte."""

    name: bytes
    kind: Literal["file", "folder", "link", "special"]
    start: int
    size: int


def read_members(stream: ForwardStream) -> Iterator[Member]:
    """Yields every member in order; between two of them the caller may read the member's bytes from the stream.

    Concatenated archives are read as one.

    Raises:
        ArchiveError: A header is damaged, or the archive ends before its end mark.
    """
    override = _Override()
    ended = False
    while block := stream.read(BLOCK):
        if block == _ZERO:
            ended = True
            continue
        if len(block) < BLOCK:
            raise ArchiveError(f"tar is truncated at byte {stream.position:,}")
        ended = False
        kind, size = _check(block, stream.position - BLOCK), _number(block[124:136])
        match kind:
            case b"L" | b"x":
                record = _record(stream, size)
                override = override.with_name(record) if kind == b"L" else override.with_pax(record)
                continue
            case b"K" | b"g":
                stream.skip(_padded(size))
                continue
            case b"S":
                raise ArchiveError("tar holds a sparse file; repack it without --sparse")
        size = size if override.size is None else override.size
        size = 0 if kind in _WITHOUT_DATA else size
        member = Member(override.name or _name(block), _KINDS.get(kind, "special"), stream.position, size)
        override = _Override()
        yield member
        stream.skip(member.start + _padded(size) - stream.position)
    if not ended:
        raise ArchiveError("tar is truncated: its end mark is missing")


_KINDS: Final[dict[bytes, Literal["file", "folder", "link", "special"]]] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "link",
    b"2": "link",
    b"5": "folder",
}
_WITHOUT_DATA: Final = {b"1", b"2", b"3", b"4", b"5", b"6"}


@dataclass(frozen=True)
class _Override:
    """Values from records before a header that override its own."""

    name: bytes | None = None
    size: int | None = None

    def with_name(self, record: bytes) -> _Override:
        return _Override(record.rstrip(b"\0"), self.size)

    def with_pax(self, record: bytes) -> _Override:
        name, size, at = self.name, self.size, 0
        while at < len(record):
            digits, _, _ = record[at : at + 8].partition(b" ")
            length = int(digits) if digits.isdigit() else 0
            if not len(digits) < length <= len(record) - at:
                raise ArchiveError("tar holds a damaged extended header")
            key, _, value = record[at + len(digits) + 1 : at + length - 1].partition(b"=")
            if key == b"path":
                name = value
            elif key == b"size":
                if not (value.isdigit() and len(value) < 16):
                    raise ArchiveError("tar holds a damaged extended header")
                size = int(value)
            at += length
        return _Override(name, size)


def _check(block: bytes, at: int) -> bytes:
    said = _number(block[148:156])
    if said != sum(block[:148]) + 8 * 32 + sum(block[156:]):
        raise ArchiveError(f"tar is damaged: no valid header at byte {at:,}")
    return block[156:157]


def _number(field: bytes) -> int:
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    text = field.strip(b" \0")
    if field[0] & 0x80 or not all(digit in b"01234567" for digit in text):
        raise ArchiveError("tar is damaged: a number in a header is none")
    return int(text or b"0", 8)


def _name(block: bytes) -> bytes:
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _record(stream: ForwardStream, size: int) -> bytes:
    if size > _MAX_RECORD:
        raise ArchiveError(f"tar holds a name record of {size:,} bytes")
    record = stream.read(_padded(size))[:size]
    if len(record) < size:
        raise ArchiveError(f"tar is truncated at byte {stream.position:,}")
    return record


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
