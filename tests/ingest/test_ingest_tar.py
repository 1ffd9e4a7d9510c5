"""Tar read forwards: the same members as the standard library finds, and no trust in any header."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator

import pytest
from builders.made_scenes import tar
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese.ingest.streams import LOOK_AHEAD, LeapingStream, PiecedStream, gunzip
from siamese.ingest.tar import ArchiveError, Member, read_members
from siamese.store import ObjectStore

NAMES = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=180).filter(
    lambda name: not name.endswith("/") and len(name.encode()) < 400
)


def stream(data: bytes, step: int = 700) -> PiecedStream:
    return PiecedStream(data[start : start + step] for start in range(0, len(data), step))


def members(data: bytes) -> list[Member]:
    return list(read_members(stream(data)))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(NAMES, st.binary(max_size=1500)), max_size=6),
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_members_are_those_of_the_standard_library(content: list[tuple[str, bytes]], form: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        kept = []
        for name, data in content:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            try:
                archive.addfile(info, io.BytesIO(data))
            except ValueError:
                continue  # ustar has no room for the name
            kept.append((name, data))
    whole = buffer.getvalue()
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        expected = archive.getmembers()
    found = members(whole)
    assert [(one.name.decode(), one.size, one.start) for one in found] == [
        (one.name, one.size, one.offset_data) for one in expected
    ]
    assert [whole[one.start : one.start + one.size] for one in found] == [data for _, data in kept]


def test_the_bytes_of_the_current_member_can_be_read_or_passed_over() -> None:
    source = stream(tar({"a": b"A" * 600, "b": b"B" * 10, "c": b"C" * 2000}))
    assert [source.read(one.size)[:1] for one in read_members(source) if one.name != b"b"] == [b"A", b"C"]


def test_kinds_other_than_files_have_no_bytes() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"x{kind!r}")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert [(one.kind, one.size) for one in members(buffer.getvalue())] == [
        ("folder", 0), ("link", 0), ("link", 0), ("special", 0),
    ]  # fmt: skip


def test_archives_put_one_after_the_other_are_all_read() -> None:
    assert [one.name for one in members(tar({"a": b"1"}) + tar({"b": b"2"}))] == [b"a", b"b"]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damage_is_an_error_or_changes_no_member_before_it(data: st.DataObject) -> None:
    whole = tar({"a.png": b"A" * 700, "b.json": b"B" * 10, "c.png": b"C" * 1200})
    at = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    right = {one.name: one for one in members(whole)}
    found = []
    try:
        for one in read_members(stream(broken)):
            found.append(one)
    except ArchiveError:
        assert len(found) < len(right) or at > right[b"c.png"].start
    else:
        assert len(found) == len(right)


@pytest.mark.parametrize("kept", [1, 511, 513, 1024, 2000])
def test_an_archive_that_ends_early_says_so(kept: int) -> None:
    with pytest.raises(ArchiveError, match="truncated"):
        members(tar({"a": b"A" * 700, "b": b"B" * 700})[:kept])


def test_an_archive_without_its_end_mark_says_so() -> None:
    with pytest.raises(ArchiveError, match="end mark"):
        members(tar({"a": b"A" * 512})[:1024])


def header(size: bytes, kind: bytes, name: bytes = b"x") -> bytes:
    block = bytearray(512)
    block[: len(name)], block[124:136], block[156:157] = name, size, kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (header(b"77777777777\0", b"x"), "name record of 8,589,934,591 bytes"),
        (header(b"77777777777\0", b"L"), "name record of 8,589,934,591 bytes"),
        (header(b"\xff" * 12, b"0"), "number"),
        (header(b"\x80" + b"\xff" * 11, b"0"), "truncated"),
        (header(b"9999\0" + b"\0" * 7, b"0"), "number"),
        (header(b"00000000010\0", b"x") + b"99 path=".ljust(512, b"1"), "extended"),
        (header(b"00000001000\0", b"x") + b"1" * 512, "extended"),
        (header(b"00000000017\0", b"x") + b"15 size=-99999\n".ljust(512, b"\0"), "extended"),
        (header(b"00000000010\0", b"S"), "sparse"),
        (b"\x1f\x8b" + b"\0" * 600, "no valid header at byte 0"),
    ],
)
def test_hostile_headers_are_refused(data: bytes, word: str) -> None:
    with pytest.raises(ArchiveError, match=word):
        members(data)


def test_leaping_fetches_headers_and_not_what_lies_between(store: ObjectStore) -> None:
    content = {f"{number}.png": bytes([number]) * 3_000_000 for number in range(4)}
    found = store.put(store.raw / "a.tar", tar(content))
    asked: list[str] = []
    store.client.meta.events.register(
        "before-parameter-build.s3.GetObject", lambda params, **_: asked.append(params["Range"])
    )
    assert [one.size for one in read_members(LeapingStream(store, found))] == [3_000_000] * 4
    lengths = [int(end) - int(start) + 1 for start, end in (one[6:].split("-") for one in asked)]
    assert len(lengths) == 5
    assert max(lengths) == LOOK_AHEAD


def pieces(data: bytes, step: int = 1000) -> Iterator[bytes]:
    return (data[start : start + step] for start in range(0, len(data), step))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=4), st.integers(1, 2000), st.integers(0, 600))
def test_gzip_of_several_members_is_unpacked(parts: list[bytes], step: int, padding: int) -> None:
    packed = b"".join(map(gzip.compress, parts)) + bytes(padding)
    assert b"".join(gunzip(pieces(packed, step), max_ratio=1000)) == b"".join(parts)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 500))
def test_gzip_cut_short_says_so(cut: int) -> None:
    packed = gzip.compress(bytes(range(256)) * 3)
    cut = min(cut, len(packed) - 1)
    with pytest.raises(ArchiveError, match="truncated"):
        list(gunzip(pieces(packed[:-cut]), max_ratio=1000))


def test_gzip_that_is_none_says_so() -> None:
    with pytest.raises(ArchiveError, match="damaged"):
        list(gunzip(pieces(b"not gzip at all"), max_ratio=1000))
    with pytest.raises(ArchiveError, match="damaged"):
        list(gunzip(pieces(gzip.compress(b"x") + b"and more"), max_ratio=1000))


def test_a_gzip_bomb_is_stopped_long_before_its_end() -> None:
    layer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(layer.compress(bytes(2**20)) for _ in range(400)) + layer.flush()
    seen = []
    with pytest.raises(ArchiveError, match="more than 100 times"):
        seen.extend(len(piece) for piece in gunzip(pieces(bomb, 10_000), max_ratio=100))
    assert sum(seen) <= 101 * 2**20
