"""Archives as objects: whole and in parts, plain and packed; read without unpacking, hostile ones survived."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib

import pytest
from builders.made_scenes import Reads, files, many, png, put, taken, tar

from siamese.ingest import read_inventory
from siamese.ingest.archives import MEMBERS
from siamese.store import ObjectStore

SCENE = "test-wind_00000000"


def parts(data: bytes, name: str, endings: list[str]) -> dict[str, bytes]:
    step = -(-len(data) // len(endings))
    return {f"{name}{ending}": data[step * number : step * (number + 1)] for number, ending in enumerate(endings)}


MEMBERS_OF_THREE = many(3, folder="train/")
TAR = tar(MEMBERS_OF_THREE)
FORMS = {
    "tar": {"x.tar": TAR},
    "tar.gz": {"x.tar.gz": gzip.compress(TAR)},
    "tgz in a folder": {"deep/down/x.tgz": gzip.compress(TAR)},
    "gzip of several members": {"x.tgz": gzip.compress(TAR[:9999]) + gzip.compress(TAR[9999:])},
    "tar.gz by another name": {"x.tar": gzip.compress(TAR)},
    "tar in parts": parts(TAR, "x.tar", [".001", ".002", ".003"]),
    "tar.gz in parts": parts(gzip.compress(TAR), "x.tar.gz", [".part-aa", ".part-ab", ".part-ac"]),
    "tgz in other parts": parts(gzip.compress(TAR), "x.tgz", [".partaa", ".partab"]),
    "eleven parts": parts(TAR, "x.tar", [f".{number}" for number in range(11)]),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_scenes_that_folders_give(store: ObjectStore, form: str) -> None:
    _, plain = taken(store, put(store, MEMBERS_OF_THREE, "plain"))
    catalog, rows = taken(store, put(store, FORMS[form]))
    assert (catalog.accepted, catalog.quarantined, catalog.ignored) == (3, 0, 0)
    for scene, row in rows.items():
        assert row.official_split == "train"
        assert row.buildings == plain[scene].buildings
        for role in ("pre_image", "post_image", "pre_label", "post_label"):
            found, expected = getattr(row, role), getattr(plain[scene], role)
            assert found.sha256 == expected.sha256
            assert found.read(store) == expected.read(store)


def test_a_plain_tar_is_not_copied_and_a_packed_one_only_once(store: ObjectStore) -> None:
    taken(store, put(store, {"x.tar": TAR}))
    assert not list(store.list(store.lake / MEMBERS))
    taken(store, put(store, {"y.tar.gz": gzip.compress(TAR)}, "packed"))
    copies = [found.uri.key for found in store.list(store.lake / MEMBERS)]
    assert len(copies) == len(set(MEMBERS_OF_THREE.values()))
    taken(store, put(store, {"z.tgz": gzip.compress(TAR, 1)}, "packed again"))
    versions = store.client.list_object_versions(Bucket=store.lake.bucket, Prefix=MEMBERS)["Versions"]
    assert len(versions) == len(copies)


def test_an_archive_can_be_the_source_itself(store: ObjectStore) -> None:
    put(store, {"x.tar": TAR, "other.tar": tar(many(1, disaster="other-fire"))})
    catalog, rows = taken(store, store.raw / "in/x.tar")
    assert (catalog.accepted, SCENE in rows) == (3, True)


def test_the_name_of_an_archive_gives_the_split(store: ObjectStore) -> None:
    _, rows = taken(store, put(store, {"hold_images_labels_targets.tar.gz": gzip.compress(tar(many(1)))}))
    assert rows[SCENE].official_split == "hold"


def test_a_scene_may_lie_partly_in_an_archive_and_partly_beside_it(store: ObjectStore) -> None:
    found = files(SCENE)
    images = {name: data for name, data in found.items() if name.startswith("images")}
    rest = {name: data for name, data in found.items() if name not in images}
    catalog, _ = taken(store, put(store, {"images.tar": tar(images), **rest}))
    assert catalog.accepted == 1


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.gz in parts"])
def test_an_unchanged_archive_is_not_read_again(store: ObjectStore, form: str) -> None:
    source = put(store, FORMS[form])
    first, before = taken(store, source)
    put(store, files("more-fire_00000001"))
    reads = Reads(store)
    second, rows = taken(store, source)
    assert second.accepted == 4
    assert {name: row for name, row in rows.items() if name in before} == before
    assert sorted(reads.below("in/")) == sorted(f"in/{name}" for name in files("more-fire_00000001"))
    assert not reads.below(MEMBERS)
    assert first.accepted == 3


def test_many_small_members_cost_few_reads(store: ObjectStore) -> None:
    source = put(store, {"x.tar": tar({f"notes/{number}.txt": b"x" for number in range(5000)} | many(1))})
    reads = Reads(store)
    catalog, _ = taken(store, source)
    assert (catalog.accepted, catalog.ignored) == (1, 5000)
    assert len(reads.below("in/")) < 40


HOSTILE_NAMES = ["../images/x_00000001_pre_disaster.png", "/etc/passwd", "a/../../b.json", "images/a\nb.png"]


@pytest.mark.parametrize("packed", [False, True])
def test_path_traversal_is_quarantined_and_written_nowhere(store: ObjectStore, packed: bool) -> None:
    archive = tar(dict.fromkeys(HOSTILE_NAMES, b"evil") | many(1))
    catalog, rows = taken(store, put(store, {"x.tar": gzip.compress(archive) if packed else archive}))
    assert (catalog.accepted, catalog.quarantined) == (1, len(HOSTILE_NAMES))
    for name in HOSTILE_NAMES:
        row = rows[f"x.tar:{name}"]
        assert row.verdict == "quarantined"
        assert "traversal" in row.reasons[0] or "control" in row.reasons[0]
    assert len(list(store.list(store.lake / MEMBERS))) == (4 if packed else 0)


def test_links_and_archives_within_are_quarantined(store: ObjectStore) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo(f"images/{SCENE}_pre_disaster.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        inner = tarfile.TarInfo("inner.tar")
        archive.addfile(inner)
        archive.addfile(tarfile.TarInfo("README.md"))
    catalog, rows = taken(store, put(store, {"x.tar": buffer.getvalue()}))
    assert (catalog.quarantined, catalog.ignored) == (2, 1)
    assert "link" in rows[f"x.tar:images/{SCENE}_pre_disaster.png"].reasons[0]
    assert "within" in rows["x.tar:inner.tar"].reasons[0]


@pytest.mark.parametrize("packed", [False, True])
def test_a_member_twice_is_one_when_alike_and_quarantined_when_not(store: ObjectStore, packed: bool) -> None:
    found = files(SCENE)
    name = f"images/{SCENE}_pre_disaster.png"
    for again, verdict in ((found[name], "accepted"), (png(77), "quarantined")):
        archive = tar([*found.items(), (name, again)])
        _, rows = taken(store, put(store, {"x.tar": gzip.compress(archive) if packed else archive}))
        assert rows[SCENE].verdict == verdict
        assert "is held 2 times" in (rows[SCENE].reasons + rows[SCENE].notes)[0]


@pytest.mark.parametrize("packed", [False, True])
def test_an_archive_cut_short_gives_what_was_whole_and_says_so(store: ObjectStore, packed: bool) -> None:
    members = many(3)
    last = list(members)[-1]
    archive = tar(members)
    cut = archive[: archive.index(members[last]) + 100]
    catalog, rows = taken(store, put(store, {"x.tar": gzip.compress(cut) if packed else cut}))
    assert (catalog.accepted, catalog.quarantined) == (2, 2)
    assert "truncated" in rows["x.tar"].reasons[0]
    assert rows["test-wind_00000002"].reasons == ("post label is missing",)


def test_a_packed_archive_missing_its_last_byte_says_so(store: ObjectStore) -> None:
    catalog, rows = taken(store, put(store, {"x.tgz": gzip.compress(TAR)[:-1]}))
    assert (catalog.accepted, catalog.quarantined) == (3, 1)
    assert "gzip is truncated" in rows["x.tgz"].reasons[0]


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b", b"no archive at all" * 100, bytes(range(256)) * 8])
def test_what_is_no_archive_is_quarantined(store: ObjectStore, data: bytes) -> None:
    catalog, rows = taken(store, put(store, {"x.tar.gz": data} | files(SCENE)))
    assert (catalog.accepted, catalog.quarantined) == (1, 1)
    assert rows["x.tar.gz"].reasons[0].startswith("archive: ")


def test_a_gzip_bomb_is_quarantined(store: ObjectStore) -> None:
    packer = zlib.compressobj(9, wbits=31)
    start = tar(files(SCENE)).rstrip(b"\0")
    start += bytes(-len(start) % 512)
    bomb = packer.compress(start) + b"".join(packer.compress(bytes(2**20)) for _ in range(300)) + packer.flush()
    catalog, rows = taken(store, put(store, {"x.tgz": bomb}))
    assert (catalog.accepted, catalog.quarantined) == (1, 1)
    assert "more than 100 times its size" in rows["x.tgz"].reasons[0]


def test_a_missing_part_is_named(store: ObjectStore) -> None:
    found = parts(TAR, "x.tar", [".part-aa", ".part-ab", ".part-ac"])
    del found["x.tar.part-ab"]
    catalog, rows = taken(store, put(store, found | files(SCENE)))
    assert (catalog.accepted, catalog.quarantined) == (1, 1)
    assert "number 2" in rows["x.tar"].reasons[0]
    assert {entry.role for entry in read_inventory(store, catalog) if "part-a" in entry.name} == {"archive"}


def test_a_missing_last_part_shows_in_the_stream(store: ObjectStore) -> None:
    found = parts(gzip.compress(TAR), "x.tar.gz", [".001", ".002", ".003"])
    del found["x.tar.gz.003"]
    _, rows = taken(store, put(store, found))
    assert "gzip is truncated" in rows["x.tar.gz"].reasons[0]


def test_too_large_members_are_quarantined_unread(store: ObjectStore) -> None:
    found = files(SCENE) | {f"labels/{SCENE}_pre_disaster.json": b" " * (2**20 + 1)}
    catalog, rows = taken(
        store, put(store, {"x.tgz": gzip.compress(tar(found))}), max_label_mib=1, max_unpack_ratio=1e4
    )
    assert catalog.quarantined == 2
    assert rows[f"x.tgz:labels/{SCENE}_pre_disaster.json"].reasons == ("is larger than 1 MiB",)
    assert rows[SCENE].reasons == ("pre label is missing",)


def test_archive_names_of_any_bytes_are_survived(store: ObjectStore) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("images/\xe9\xff_00000001_pre_disaster.png"))
    catalog, rows = taken(store, put(store, {"x.tar": buffer.getvalue()}))
    assert catalog.quarantined == 1
    assert "\\xe9\\xff" in next(iter(rows))
