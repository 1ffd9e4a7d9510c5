"""Zip: read by its directory where it lies; as Macs and other tools make it; and no trust in any of its fields."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders.made_scenes import Reads, files, many, png, put, taken, tar, zipped
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese.ingest import ObjectRef, Scene, read_catalog
from siamese.ingest.archives import MEMBERS
from siamese.ingest.catalog import SCENE_SCHEMA
from siamese.ingest.tar import ArchiveError
from siamese.ingest.zip import DEFLATED, ZipMember, read_directory, read_packed, unpack
from siamese.manifests import SceneCatalog
from siamese.store import ObjectStore, put_file

SCENE = "test-wind_00000000"
PRE = f"images/{SCENE}_pre_disaster.png"
NAMES = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=180).filter(
    lambda name: not name.endswith("/") and "\\" not in name
)
STORED = zipfile.ZIP_STORED


class Bytes:
    """An archive in memory."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def read(self, start: int, count: int) -> bytes:
        """A range."""
        assert 0 <= start <= self.size
        return self.data[start : start + count]


def members(data: bytes) -> list[ZipMember]:
    return list(read_directory(Bytes(data)))


def content(archive: bytes, member: ZipMember) -> bytes:
    name, start, data = read_packed(Bytes(archive).read, member.header, member.packed)
    assert name == member.name
    assert archive[start : start + member.packed] == data
    return unpack(data, member.size) if member.method == DEFLATED else data


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(NAMES, st.binary(max_size=1500), st.sampled_from([STORED, zipfile.ZIP_DEFLATED]), st.booleans()),
        max_size=6,
        unique_by=lambda one: one[0],
    ),
    st.booleans(),
    st.binary(max_size=50).filter(lambda comment: b"PK" not in comment),
    st.sampled_from([b"", b"#!/bin/sh\nunpacks itself\n"]),
)
def test_members_are_those_of_the_standard_library(
    entries: list[tuple[str, bytes, int, bool]], streamed: bool, comment: bytes, before: bytes
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = comment
        for name, data, method, large in entries:
            with archive.open(_info(name, method), "w", force_zip64=large) as file:
                file.write(data)
    whole = before + buffer.getvalue()
    if streamed:
        whole = zipped([(_info(name, method), data) for name, data, method, _ in entries], streamed=True)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        expected = [(one.filename, one.file_size, one.compress_size, one.CRC) for one in archive.infolist()]
        unpacked = [archive.read(one) for one in archive.infolist()]
    found = members(whole)
    assert [(one.name, one.size, one.packed, one.crc32) for one in found] == expected
    assert [content(whole, one) for one in found] == unpacked
    assert not any(one.trouble for one in found)


def _info(name: str, method: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.compress_type = method
    return info


def as_a_mac_makes_it(scenes: dict[str, bytes]) -> bytes:
    """Finder's "Compress": folders as entries, streamed, and beside each file its attributes."""
    entries: list[tuple[str, bytes]] = [("my scenes/", b""), ("__MACOSX/", b""), ("my scenes/.DS_Store", b"\0\0Bud1")]
    for name, data in scenes.items():
        folder, _, file = name.rpartition("/")
        entries += [(f"my scenes/{name}", data), (f"__MACOSX/my scenes/{folder}/._{file}", b"\0\5\x16\7")]
    return zipped(entries, streamed=True)


def in_parts(data: bytes, name: str, count: int) -> dict[str, bytes]:
    step = -(-len(data) // count)
    return {f"{name}.{number + 1:03d}": data[step * number : step * (number + 1)] for number in range(count)}


def with_large_numbers(scenes: dict[str, bytes]) -> bytes:
    """As archives of more than 65,535 members or 4 GiB end."""
    whole = zipped(scenes)
    at = whole.rindex(b"PK\x05\x06")
    count, size, offset = struct.unpack("<H2L", whole[at + 10 : at + 20])
    large = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return whole[:at] + large + locator + end


THREE = many(3, folder="train/")
FORMS = {
    "deflated": {"x.zip": zipped(THREE)},
    "stored": {"x.zip": zipped(THREE, STORED)},
    "by another case": {"deep/x.ZIP": zipped(THREE)},
    "streamed": {"x.zip": zipped(THREE, streamed=True)},
    "from a Mac": {"x.zip": as_a_mac_makes_it(THREE)},
    "with large numbers": {"x.zip": with_large_numbers(THREE)},
    "that unpacks itself": {"x.zip": b"#!/bin/sh\n" + bytes(5000) + zipped(THREE)},
    "padded": {"x.zip": zipped(THREE) + bytes(700)},
    "by the name of a tar": {"x.tar": zipped(THREE)},
    "in parts": in_parts(zipped(THREE), "x.zip", 5),
    "stored in parts": in_parts(zipped(THREE, STORED), "x.zip", 3),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_scenes_that_folders_give(store: ObjectStore, form: str) -> None:
    _, plain = taken(store, put(store, THREE, "plain"))
    catalog, rows = taken(store, put(store, FORMS[form]))
    assert (catalog.accepted, catalog.quarantined) == (3, 0)
    assert set(rows) == set(plain)
    for scene, row in rows.items():
        assert row.official_split == "train"
        assert row.buildings == plain[scene].buildings
        for role in ("pre_image", "post_image", "pre_label", "post_label"):
            found, expected = getattr(row, role), getattr(plain[scene], role)
            assert (found.sha256, found.length) == (expected.sha256, expected.length)
            assert found.read(store) == expected.read(store)


def test_a_zip_is_not_copied_and_one_in_parts_only_once(store: ObjectStore) -> None:
    for number, form in enumerate(("stored", "deflated", "from a Mac")):
        taken(store, put(store, FORMS[form], f"whole-{number}"))
    assert not list(store.list(store.lake / MEMBERS))
    taken(store, put(store, FORMS["in parts"], "parts"))
    taken(store, put(store, FORMS["stored in parts"], "parts again"))
    versions = store.client.list_object_versions(Bucket=store.lake.bucket, Prefix=MEMBERS)["Versions"]
    assert len(versions) == len(set(THREE.values()))


def test_what_a_mac_adds_is_ignored(store: ObjectStore) -> None:
    catalog, _ = taken(store, put(store, FORMS["from a Mac"]))
    assert catalog.ignored == len(THREE) + len(("my scenes/", "__MACOSX/", ".DS_Store"))


@pytest.mark.parametrize("method", [STORED, zipfile.ZIP_DEFLATED])
def test_each_wanted_member_costs_one_read_and_the_others_none(store: ObjectStore, method: int) -> None:
    notes = {f"notes/{number}.txt": b"x" * 100 for number in range(5000)}
    source = put(store, {"x.zip": zipped(notes | THREE, method)})
    reads = Reads(store)
    catalog, _ = taken(store, source)
    assert (catalog.accepted, catalog.ignored) == (3, 5000)
    assert len(reads.below("in/")) <= len(THREE) + 4  # what it is, the end, the directory


def test_an_unchanged_zip_is_not_read_again(store: ObjectStore) -> None:
    source = put(store, FORMS["deflated"])
    _, before = taken(store, source)
    put(store, files("more-fire_00000001"))
    reads = Reads(store)
    catalog, rows = taken(store, source)
    assert catalog.accepted == 4
    assert {name: row for name, row in rows.items() if name in before} == before
    assert sorted(reads.below("in/")) == sorted(f"in/{name}" for name in files("more-fire_00000001"))


HOSTILE_NAMES = [
    "../images/x_00000001_pre_disaster.png",
    "/etc/passwd",
    "a/../../b.json",
    "images/a\nb.png",
    "C:/x.png",
]


@pytest.mark.parametrize("form", ["whole", "parts"])
def test_path_traversal_is_quarantined_and_written_nowhere(store: ObjectStore, form: str) -> None:
    archive = zipped(dict.fromkeys(HOSTILE_NAMES, b"evil") | many(1))
    catalog, rows = taken(store, put(store, in_parts(archive, "x.zip", 2) if form == "parts" else {"x.zip": archive}))
    assert (catalog.accepted, catalog.quarantined) == (1, len(HOSTILE_NAMES))
    for name in HOSTILE_NAMES:
        row = rows[f"x.zip:{name}"]
        assert row.verdict == "quarantined"
        assert "traversal" in row.reasons[0] or "control" in row.reasons[0]
    assert len(list(store.list(store.lake / MEMBERS))) == (4 if form == "parts" else 0)


def test_links_and_archives_within_are_quarantined(store: ObjectStore) -> None:
    link, device = zipfile.ZipInfo(PRE), zipfile.ZipInfo(PRE.replace("pre", "post"))
    link.create_system = device.create_system = 3
    link.external_attr, device.external_attr = 0o120777 << 16, 0o020666 << 16
    entries = [
        (link, b"/etc/passwd"),
        (device, b""),
        ("inner.zip", zipped({})),
        ("inner.tar", tar({})),
        ("README", b""),
    ]
    catalog, rows = taken(store, put(store, {"x.zip": zipped(entries)}))
    assert (catalog.quarantined, catalog.ignored) == (4, 1)
    assert "link" in rows[f"x.zip:{PRE}"].reasons[0]
    assert "special" in rows[f"x.zip:{device.filename}"].reasons[0]
    assert "within" in rows["x.zip:inner.zip"].reasons[0]
    assert "within" in rows["x.zip:inner.tar"].reasons[0]


@pytest.mark.parametrize("method", [STORED, zipfile.ZIP_DEFLATED])
def test_a_member_twice_is_one_when_alike_and_quarantined_when_not(store: ObjectStore, method: int) -> None:
    found = files(SCENE)
    for again, verdict in ((found[PRE], "accepted"), (png(77), "quarantined")):
        # The same bytes once packed and once not are alike.
        archive = zipped([*found.items(), (_info(PRE, STORED), again)], method)
        _, rows = taken(store, put(store, {"x.zip": archive}))
        assert rows[SCENE].verdict == verdict
        assert "is held 2 times" in (rows[SCENE].reasons + rows[SCENE].notes)[0]


def patched(archive: bytes, name: str, place: int, value: bytes, *, local: bool = False) -> bytes:
    """The archive with bytes of a member's directory entry, or of its local header, changed."""
    signature, fixed = (b"PK\x03\x04", 30) if local else (b"PK\x01\x02", 46)
    at = -1
    while (at := archive.index(signature, at + 1)) >= 0:
        if archive[at + fixed :].startswith(name.encode()):
            return archive[: at + place] + value + archive[at + place + len(value) :]
    raise AssertionError(name)


PLAIN = zipped(many(2))
BROKEN = {
    "encrypted": (patched(PLAIN, PRE, 8, b"\1\0"), "is encrypted"),
    "AES": (patched(PLAIN, PRE, 10, b"\x63\0"), "is encrypted"),
    "Deflate64": (patched(PLAIN, PRE, 10, b"\x09\0"), "is compressed by Deflate64 (9)"),
    "xz": (patched(PLAIN, PRE, 10, b"\x5f\0"), "is compressed by xz (95)"),
    "unknown method": (patched(PLAIN, PRE, 10, b"\x4d\4"), "is compressed by a method of its own (1101)"),
    "not compressed, by its word": (patched(PLAIN, PRE, 10, b"\0\0"), "although it is not compressed"),
    "another size": (patched(PLAIN, PRE, 24, b"\x10\0\0\0"), "does not unpack to the 16 bytes"),
    "a lie of a size": (patched(PLAIN, PRE, 24, b"\0\0\x80\0"), "does not unpack to the 8,388,608 bytes"),
    "another checksum": (patched(PLAIN, PRE, 16, b"\0\0\0\0"), "another checksum"),
    "another name within": (patched(PLAIN, PRE, 30, b"X", local=True), "lies Xmages/"),
    "no header within": (patched(PLAIN, PRE, 0, b"XXXX", local=True), "there is no member where its directory says"),
    "beyond the end": (patched(PLAIN, PRE, 42, b"\xff\xff\xff\x7f"), "beyond the end"),
    "damaged bytes": (patched(PLAIN, PRE, 30 + len(PRE) + 1, b"\xff" * 20, local=True), "deflated bytes are damaged"),
}


@pytest.mark.parametrize("form", ["whole", "parts"])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_member_that_cannot_be_read_spoils_its_own_scene_alone(store: ObjectStore, kind: str, form: str) -> None:
    archive, word = BROKEN[kind]
    catalog, rows = taken(store, put(store, in_parts(archive, "x.zip", 2) if form == "parts" else {"x.zip": archive}))
    assert catalog.accepted == 1
    assert rows[SCENE].verdict == "quarantined"
    said = " ".join(reason for row in rows.values() for reason in row.reasons)
    assert word in said
    assert PRE in f"{said} {' '.join(rows)}"


@pytest.mark.parametrize("kept", [0, 1, 4, 21, 100, len(PLAIN) // 2, len(PLAIN) - 30, len(PLAIN) - 1])
def test_a_zip_cut_short_says_so(store: ObjectStore, kept: int) -> None:
    catalog, rows = taken(store, put(store, {"x.zip": PLAIN[:kept]} | files("more-fire_00000001")))
    assert (catalog.accepted, catalog.quarantined) == (1, 1)
    assert rows["x.zip"].reasons == ("archive: zip is truncated: the directory at its end is missing",)


def test_a_zip_without_its_middle_says_how_much_is_missing() -> None:
    with pytest.raises(ArchiveError, match="truncated: 500 bytes are missing"):
        members(PLAIN[:1000] + PLAIN[1500:])


def test_a_directory_that_breaks_off_gives_the_members_before(store: ObjectStore) -> None:
    last = list(many(2))[-1]
    broken = patched(PLAIN, last, 0, b"XXXX")
    catalog, rows = taken(store, put(store, {"x.zip": broken}))
    assert (catalog.accepted, catalog.quarantined) == (1, 2)
    assert "no valid directory entry" in rows["x.zip"].reasons[0]
    assert "the members before are read" in rows["x.zip"].reasons[0]


def end(count: int = 0, size: int = 0, offset: int = 0, disk: int = 0) -> bytes:
    return struct.pack("<4s4H2LH", b"PK\x05\x06", disk, disk, count, count, size, offset, 0)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "truncated"),
        (b"PK\x03\x04", "truncated"),
        (b"no archive at all" * 100, "truncated"),
        (end(disk=3), "volumes"),
        (end(count=1), "holds 0 members, not 1"),
        (end(size=9999), "truncated: 9,999 bytes"),
        (end(offset=0xFFFFFFFE), "truncated"),
        (bytes(46) + end(1, 46), "no valid directory entry at byte 0"),
        (b"PK\x01\x02" + b"\xff" * 42 + end(1, 46), "does not end"),
        (bytes(100) + struct.pack("<4sLQL", b"PK\x06\x07", 0, 2**60, 1) + end(), "large numbers is missing"),
        (bytes(100) + struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 7) + end(), "volumes"),
        (patched(PLAIN, PRE, 8, b"\0\x20"), "encrypted directory"),
        (patched(PLAIN, PRE, 34, b"\2\0"), "volumes"),
        (patched(PLAIN, PRE, 20, b"\xff\xff\xff\xff"), "large number is missing"),
    ],
    # Archives hold the time, and workers of pytest-xdist must collect the same names.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile_directories_are_refused(data: bytes, word: str) -> None:
    with pytest.raises(ArchiveError, match=word):
        members(data)


def test_a_zip_of_nothing_has_no_members() -> None:
    assert members(end()) == []


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damage_is_an_error_and_never_other_bytes_under_a_right_checksum(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(PLAIN) - 1))
    broken = PLAIN[:at] + bytes([PLAIN[at] ^ data.draw(st.integers(1, 255))]) + PLAIN[at + 1 :]
    right = {one.crc32: content(PLAIN, one) for one in members(PLAIN)}
    with contextlib.suppress(ArchiveError):
        for one in members(broken):
            with contextlib.suppress(ArchiveError):
                _, _, found = read_packed(Bytes(broken).read, min(one.header, len(broken)), one.packed)
                found = unpack(found, one.size) if one.method == DEFLATED else found
                if zlib.crc32(found) == one.crc32 and one.crc32 in right:
                    assert found == right[one.crc32]


def test_members_that_overlap_are_a_bomb(store: ObjectStore) -> None:
    """Many entries of one member: a zip of some kilobytes that unpacks to as much as one likes."""
    kernel = zipped({PRE: bytes(2**20)})
    directory = kernel.index(b"PK\x01\x02")
    entry = kernel[directory : kernel.rindex(b"PK\x05\x06")]
    bomb = kernel[:directory] + entry * 3000 + end(3000, 3000 * len(entry), directory)
    catalog, rows = taken(store, put(store, {"x.zip": bomb} | files("more-fire_00000001")))
    assert catalog.accepted == 1
    assert "its members take more bytes than it has" in rows["x.zip"].reasons[0]


def test_a_zip_that_unpacks_to_very_much_is_a_bomb(store: ObjectStore) -> None:
    zeros = {f"images/test-wind_{number:08d}_pre_disaster.png": bytes(50 * 2**20) for number in range(3)}
    catalog, rows = taken(store, put(store, {"x.zip": zipped(zeros)} | files("more-fire_00000001")))
    assert catalog.accepted == 1
    assert "more than 100 times its size" in rows["x.zip"].reasons[0]


def test_a_member_never_takes_more_memory_than_it_says() -> None:
    with pytest.raises(ArchiveError, match="does not unpack to the 10 bytes"):
        unpack(zlib.compress(bytes(2**24), wbits=-15), 10)


def test_too_large_members_are_quarantined_unread(store: ObjectStore) -> None:
    name = f"labels/{SCENE}_pre_disaster.json"
    found = files(SCENE) | {name: b" " * (2**20 + 1)}
    catalog, rows = taken(store, put(store, {"x.zip": zipped(found)}), max_label_mib=1)
    assert catalog.quarantined == 2
    assert rows[f"x.zip:{name}"].reasons == ("is larger than 1 MiB",)
    assert rows[SCENE].reasons == ("pre label is missing",)


def named(raw: bytes, *, says_utf8: bool = False, extra: bytes = b"") -> str:
    """The name of a member whose directory holds these bytes."""
    info = zipfile.ZipInfo("x" * len(raw))
    info.extra = extra
    archive = patched(zipped([(info, b"")]), info.filename, 8, b"\0\x08" if says_utf8 else b"\0\0")
    (member,) = members(archive.replace(info.filename.encode(), raw))
    return member.name


def test_names_are_read_as_their_writers_meant_them() -> None:
    assert named("schön".encode("cp437")) == "schön"
    assert named("schön".encode()) == "schön"  # a Mac does not say that it is UTF-8
    assert named("被災.png".encode(), says_utf8=True) == "被災.png"
    assert named(b"a\xff", says_utf8=True) == "a\\xff"
    unicode = "šťastný".encode()
    extra = struct.pack("<2HBL", 0x7075, 5 + len(unicode), 1, zlib.crc32(b"stastny")) + unicode
    assert named(b"stastny", extra=extra) == "šťastný"
    assert named(b"stastnX", extra=extra) == "stastnX"  # renamed by a tool that did not know the field


def test_a_macs_archive_of_more_than_4_gib_is_read(tmp_path: Path) -> None:
    """Its offsets and counts begin again from 0, as if there were no numbers for more."""
    path, sizes = tmp_path / "x.zip", (3 * 2**30, 2**30 - 500, 1000, 2 * 2**30, 2**30, 2**31, 77)
    with path.open("wb") as file:
        directory, headers = b"", []
        for number, size in enumerate(sizes):
            name = b"m%d" % number
            headers.append(file.tell())
            common = struct.pack("<5HLLLHH", 20, 0, 0, 0, 0, 0, size, size, len(name), 0)
            file.write(b"PK\x03\x04" + common + name)
            file.seek(size, 1)  # holes take no room
            wrapped = struct.pack("<3HLL", 0, 0, 0, 0, headers[-1] & 0xFFFFFFFF)
            directory += b"PK\x01\x02\x14\x03" + common + wrapped + name
        start = file.tell()
        file.write(directory + end(len(sizes), len(directory), start & 0xFFFFFFFF))

    class File:
        size = path.stat().st_size

        @staticmethod
        def read(start: int, count: int) -> bytes:
            with path.open("rb") as file:
                file.seek(start)
                return file.read(count)

    found = list(read_directory(File()))
    assert [(one.header, one.size, one.trouble) for one in found] == [
        (at, size, None) for at, size in zip(headers, sizes, strict=True)
    ]
    assert read_packed(File.read, found[-1].header, 77)[::2] == ("m6", bytes(77))


def test_catalogs_from_before_zips_are_read(store: ObjectStore, tmp_path: Path) -> None:
    catalog, rows = taken(store, put(store, many(1)))
    old = pa.schema(
        [
            pa.field(field.name, pa.struct([part for part in field.type if part.name != "deflated"]))
            if field.name.endswith(("_image", "_label"))
            else field
            for field in SCENE_SCHEMA
        ]
    )
    dumped = [row.model_dump(exclude={"pre_image": {"deflated"}}) for row in rows.values()]
    pq.write_table(pa.Table.from_pylist(dumped, schema=old), tmp_path / "old.parquet")
    table = put_file(store, SceneCatalog.folder(store, catalog.digest), "old.parquet", tmp_path / "old.parquet")
    (row,) = read_catalog(store, catalog.model_copy(update={"table": table}))
    assert row == rows[SCENE]
    assert isinstance(row, Scene)
    assert isinstance(row.pre_image, ObjectRef)
    assert row.pre_image.deflated is None
