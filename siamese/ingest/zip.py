"""Reads zip archives by the directory at their end, in ranges, with bounded memory.

The standard library's reader keeps the whole directory in memory and trusts it; neither is safe for untrusted archives.
Macs write archives of more than 4 GiB without the fields for large numbers: offsets wrap around to 0.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from siamese.ingest.tar import ArchiveError

STORED: Final = 0
DEFLATED: Final = 8
_END: Final = struct.Struct("<4s4H2LH")
_LOCATOR: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_ENTRY: Final = struct.Struct("<4s4B4HL2L5H2L")
_LOCAL: Final = struct.Struct("<4s2B4HL2L2H")
_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_MAX_COMMENT: Final = 0xFFFF
_WINDOW: Final = 2**20
_HEADER_ROOM: Final = 4096
"""Bytes read with a member's data, so that its local header usually needs no separate request."""
_MAX16: Final = 0xFFFF
_MAX32: Final = 0xFFFFFFFF
_ENCRYPTED: Final = 1 << 0
_UTF8: Final = 1 << 11
_ENCRYPTED_DIRECTORY: Final = 1 << 13
_AES: Final = 99
_UNIX_LIKE: Final = {3, 19}
_METHODS: Final = {
    1: "Shrink", 6: "Implode", 9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 98: "PPMd",
}  # fmt: skip

Read = Callable[[int, int], bytes]
"""Returns a number of bytes from a start; fewer only at the end of the archive."""


class RangeSource(Protocol):
    """Protocol for an archive of known size that is read in ranges."""

    size: int

    def read(self, start: int, count: int) -> bytes:
        """Returns ``count`` bytes from ``start``; fewer only at the end."""


@dataclass(frozen=True)
class ZipMember:
    """One entry of a zip's directory."""

    name: str
    kind: Literal["file", "folder", "link", "special"]
    header: int
    """Offset of its local header, which its bytes follow."""
    size: int
    """Unpacked size in bytes."""
    packed: int
    """Packed size in the archive in bytes."""
    method: int
    crc32: int
    trouble: str | None
    """Why its bytes cannot be read, whatever their content."""


@dataclass(frozen=True)
class _Directory:
    start: int
    size: int
    count: int
    count_wraps: bool
    shift: int
    """Number to add to offsets: bytes before the archive, such as a self-extracting program."""
    offsets_wrap: bool


def is_zip(first: bytes) -> bool:
    """Returns whether an archive that begins with these bytes is a zip."""
    return first[:4] in _MAGIC


def read_directory(source: RangeSource) -> Iterator[ZipMember]:
    """Yields every member in the order of the directory.

    Raises:
        ArchiveError: The directory is missing, damaged or encrypted, members overlap, or it is one of several volumes.
    """
    directory = _find_directory(source)
    window = _Window(source)
    at, end = directory.start, directory.start + directory.size
    found = taken = last = 0
    while at < end:
        header = window.read(at, min(_ENTRY.size, end - at))
        if len(header) < _ENTRY.size or header[:4] != b"PK\x01\x02":
            raise ArchiveError(f"zip is damaged: no valid directory entry at byte {at:,}")
        fields = _ENTRY.unpack(header)
        name_length, extra_length, comment_length = fields[12:15]
        length = name_length + extra_length
        if at + _ENTRY.size + length + comment_length > end:
            raise ArchiveError(f"zip is damaged: the directory entry at byte {at:,} does not end")
        rest = window.read(at + _ENTRY.size, length)
        member = _member(fields, rest[:name_length], rest[name_length:], directory, last)
        last = member.header
        taken += _LOCAL.size + name_length + member.packed
        if taken > directory.start:
            raise ArchiveError("zip is damaged or a bomb: its members take more bytes than it has")
        at += _ENTRY.size + length + comment_length
        found += 1
        yield member
    if found != directory.count and not (directory.count_wraps and found & _MAX16 == directory.count):
        raise ArchiveError(f"zip is damaged: its directory holds {found:,} members, not {directory.count:,}")


def read_packed(read: Read, header: int, packed: int) -> tuple[str, int, bytes]:
    """Reads a member by its local header: its name there, where its bytes begin, and the packed bytes.

    Args:
        read: Reads a range of the archive.
        header: Offset of the local header.
        packed: Packed size of the member in bytes.

    Raises:
        ArchiveError: The local header is missing, or the archive ends too early.
    """
    data = read(header, _HEADER_ROOM + packed)
    if len(data) < _LOCAL.size or data[:4] != b"PK\x03\x04":
        raise ArchiveError("zip is damaged: there is no member where its directory says")
    fields = _LOCAL.unpack_from(data)
    flags, name_length, extra_length = fields[3], fields[10], fields[11]
    begins = _LOCAL.size + name_length + extra_length
    if begins > _HEADER_ROOM:
        data = read(header, begins + packed)
    extra = _LOCAL.size + name_length
    name = _decoded(data[_LOCAL.size : extra], flags, data[extra:begins])
    stored = data[begins : begins + packed]
    if len(stored) < packed:
        raise ArchiveError("zip is truncated within the member")
    return name, header + begins, stored


def unpack(data: bytes, size: int) -> bytes:
    """Unpacks one deflated member; never takes more memory than the member's size.

    Raises:
        ArchiveError: The bytes are damaged, or unpack to a different size.
    """
    unpacker = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        out = unpacker.decompress(data, size + 1)
    except zlib.error as error:
        raise ArchiveError(f"deflated bytes are damaged: {error}") from error
    if len(out) != size or not unpacker.eof:
        raise ArchiveError(f"does not unpack to the {size:,} bytes that the zip's directory says")
    return out


class _Window:
    """Reads consecutive ranges of a source, with one request for many of them."""

    def __init__(self, source: RangeSource) -> None:
        self._source = source
        self._start, self._data = 0, b""

    def read(self, start: int, count: int) -> bytes:
        at = start - self._start
        if at < 0 or at + count > len(self._data):
            length = min(max(count, _WINDOW), self._source.size - start)
            self._start, self._data, at = start, self._source.read(start, length), 0
        return self._data[at : at + count]


def _find_directory(source: RangeSource) -> _Directory:
    tail_start = max(0, source.size - _MAX_COMMENT - _END.size - _LOCATOR.size - _END64.size)
    tail = source.read(tail_start, source.size - tail_start)
    at = _find_end(tail)
    _, disk, directory_disk, _, count, size, offset, _ = _END.unpack_from(tail, at)
    end, large = tail_start + at, False
    if at >= _LOCATOR.size and tail[at - _LOCATOR.size :][:4] == b"PK\x06\x07":
        _, locator_disk, locator_offset, disks = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
        if disks > 1 or locator_disk:
            raise _volume()
        end, record = _large_end(source, locator_offset, end - _LOCATOR.size)
        disk, directory_disk, count, size, offset = *record[4:6], *record[7:10]
        large = True
    if disk not in (0, _MAX16) or directory_disk not in (0, _MAX16):
        raise _volume()
    start = end - size
    shift = start - offset
    if start < 0 or shift < 0:
        missing = max(-shift, -start)
        raise ArchiveError(f"zip is truncated: {missing:,} bytes are missing within")
    wraps = not large and shift > 0 and shift & _MAX32 == 0
    return _Directory(start, size, count, not large, 0 if wraps else shift, wraps)


def _find_end(tail: bytes) -> int:
    """Returns where the last record begins; only its comment and possibly padding follow it."""
    at = len(tail)
    while (at := tail.rfind(b"PK\x05\x06", 0, at)) >= 0:
        if at + _END.size <= len(tail):
            comment = _END.unpack_from(tail, at)[-1]
            behind = tail[at + _END.size + comment :]
            if at + _END.size + comment <= len(tail) and not behind.strip(b"\0"):
                return at
    raise ArchiveError("zip is truncated: the directory at its end is missing")


def _large_end(source: RangeSource, offset: int, locator: int) -> tuple[int, tuple[Any, ...]]:
    """Returns where the last record of an archive with large numbers begins, and the record."""
    for at in (offset, locator - _END64.size):
        data = source.read(at, _END64.size) if 0 <= at <= locator - _END64.size else b""
        if data[:4] == b"PK\x06\x06":
            return at, _END64.unpack(data)
    raise ArchiveError("zip is damaged: its record of large numbers is missing")


def _volume() -> ArchiveError:
    return ArchiveError("zip is one of several volumes; join them into one with `zip -s 0`")


def _member(fields: tuple[Any, ...], raw: bytes, extra: bytes, directory: _Directory, last: int) -> ZipMember:
    system, flags, method, crc, packed, size = fields[2], fields[5], fields[6], fields[9], fields[10], fields[11]
    disk, attributes, header = fields[15], fields[17], fields[18]
    if flags & _ENCRYPTED_DIRECTORY:
        raise ArchiveError("zip has an encrypted directory")
    if _MAX32 in (packed, size, header):
        size, packed, header = _large(extra, size, packed, header)
    if directory.offsets_wrap:
        while header < last:
            header += _MAX32 + 1
    header += directory.shift
    if disk not in (0, _MAX16):
        raise _volume()
    trouble = None
    if flags & _ENCRYPTED or method == _AES:
        trouble = "is encrypted"
    elif method not in (STORED, DEFLATED):
        name = _METHODS.get(method, "a method of its own")
        trouble = f"is compressed by {name} ({method}), which is not read; repack it as a plain zip"
    elif method == STORED and packed != size:
        trouble = f"takes {packed:,} bytes for {size:,} although it is not compressed"
    elif header + _LOCAL.size + packed > directory.start:
        trouble = "lies beyond the end of the archive"
    kind = _kind(system, attributes, raw)
    return ZipMember(_decoded(raw, flags, extra), kind, header, size, packed, method, crc, trouble)


def _large(extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """Returns sizes and offset, taking those that do not fit their fields from the field for large numbers."""
    numbers = _extra(extra, 0x0001)
    values, at = [size, packed, header], 0
    for place, value in enumerate(values):
        if value == _MAX32:
            if at + 8 > len(numbers):
                raise ArchiveError("zip is damaged: a large number is missing in its directory")
            values[place] = int.from_bytes(numbers[at : at + 8], "little")
            at += 8
    return values[0], values[1], values[2]


def _extra(extra: bytes, wanted: int) -> bytes:
    at = 0
    while at + 4 <= len(extra):
        key, length = struct.unpack_from("<2H", extra, at)
        if key == wanted:
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return b""


def _kind(system: int, attributes: int, raw: bytes) -> Literal["file", "folder", "link", "special"]:
    if raw.endswith(b"/"):
        return "folder"
    match stat.S_IFMT(attributes >> 16) if system in _UNIX_LIKE else 0:
        case stat.S_IFLNK:
            return "link"
        case stat.S_IFDIR:
            return "folder"
        case 0 | stat.S_IFREG:
            return "file"
    return "special"


def _decoded(raw: bytes, flags: int, extra: bytes) -> str:
    """Decodes a member's name as UTF-8 if flagged or valid, since many writers omit the flag; else as DOS code page."""
    unicode = _extra(extra, 0x7075)
    if unicode[:1] == b"\x01" and int.from_bytes(unicode[1:5], "little") == zlib.crc32(raw):
        raw, flags = unicode[5:], flags | _UTF8
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("utf-8", "backslashreplace") if flags & _UTF8 else raw.decode("cp437")
