"""Upload: everything arrives, once, and what was cut off goes on."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from builders.made_scenes import many
from waiting import until

from siamese.errors import SiameseError
from siamese.ingest import upload
from siamese.store import ObjectStore
from siamese.store.multipart import PART, part_size

PARTS = 5


class Calls:
    """Counts calls of one kind on the real client."""

    def __init__(self, store: ObjectStore, operation: str) -> None:
        self.made: list[dict[str, object]] = []
        store.client.meta.events.register(f"before-parameter-build.s3.{operation}", self._called)

    def _called(self, params: dict[str, object], **_: object) -> None:
        self.made.append(params)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in many(3).items():
        path = tmp_path / "scenes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "scenes" / "empty.txt").touch()
    return tmp_path / "scenes"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A sparse file whose parts all differ."""
    path = tmp_path / "large.tar"
    with path.open("wb") as file:
        for number in range(PARTS):
            file.seek(number * PART)
            file.write(b"part %d" % number)
        file.truncate(PARTS * PART - 5)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_folder_arrives_with_its_paths_and_checksums(store: ObjectStore, folder: Path) -> None:
    report = upload(folder, store.raw / "in", store)
    found = {one.uri.key: one for one in store.list(store.raw / "in")}
    paths = {f"in/{path.relative_to(folder)}": path for path in folder.rglob("*") if path.is_file()}
    assert set(found) == set(paths)
    assert (report.files, report.skipped, report.bytes) == (13, 0, sum(one.size for one in found.values()))
    assert report.sent_bytes == report.bytes
    for key, path in paths.items():
        assert store.get(found[key].uri) == path.read_bytes()
        described = store.head(found[key].uri)
        assert described is not None
        assert described.sha256 == sha256(path)


def test_what_is_there_already_is_not_sent_again(store: ObjectStore, folder: Path) -> None:
    upload(folder, store.raw / "in", store)
    changed = folder / "images" / "test-wind_00000001_pre_disaster.png"
    changed.write_bytes(changed.read_bytes()[:-1] + b"?")
    sent = Calls(store, "PutObject")
    report = upload(folder, store.raw / "in", store)
    assert [one["Key"] for one in sent.made] == ["in/images/test-wind_00000001_pre_disaster.png"]
    assert (report.files, report.skipped, report.sent_bytes) == (13, 12, changed.stat().st_size)


def test_an_archive_goes_below_the_prefix_by_its_name(store: ObjectStore, large: Path) -> None:
    report = upload(large, store.raw / "in", store)
    found = store.head(store.raw / "in/large.tar")
    assert found is not None
    assert (found.size, found.sha256) == (large.stat().st_size, sha256(large))
    assert hashlib.sha256(store.get(found.uri)).hexdigest() == found.sha256
    assert (report.files, report.skipped) == (1, 0)
    parts = Calls(store, "UploadPart")
    assert upload(large, store.raw / "in", store).skipped == 1
    assert parts.made == []


def test_after_a_kill_only_the_missing_parts_are_sent(store: ObjectStore, large: Path) -> None:
    target = store.raw / "in"
    code = (
        "import sys; from pathlib import Path; from siamese.ingest import upload; from siamese.store import *;"
        "upload(Path(sys.argv[1]), S3Uri.parse(sys.argv[2]), ObjectStore(), workers=1)"
    )
    victim = subprocess.Popen([sys.executable, "-c", code, str(large), str(target)], env=os.environ)

    def begun() -> list[dict[str, str]]:
        assert victim.poll() is None, "it ended before it could be killed"
        found = store.client.list_multipart_uploads(Bucket=target.bucket).get("Uploads", [])
        addresses = [{"Bucket": target.bucket, "Key": one["Key"], "UploadId": one["UploadId"]} for one in found]
        return [address for address in addresses if store.client.list_parts(**address).get("Parts", [])]

    (address,) = until(begun, "an upload with a part", every_s=0.002)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert store.head(target / "large.tar") is None
    there = len(store.client.list_parts(**address).get("Parts", []))
    sent = Calls(store, "UploadPart")
    upload(large, target, store)
    assert len(sent.made) == PARTS - there
    assert {one["UploadId"] for one in sent.made} == {address["UploadId"]}
    assert hashlib.sha256(store.get(target / "large.tar")).hexdigest() == sha256(large)
    assert not store.client.list_multipart_uploads(Bucket=target.bucket).get("Uploads")


def test_parts_of_a_file_that_changed_meanwhile_are_not_trusted(store: ObjectStore, large: Path) -> None:
    uri = store.raw / "in/large.tar"
    begun = store.client.create_multipart_upload(
        Bucket=uri.bucket, Key=uri.key, Metadata={"sha256": "of the old file"}, ChecksumAlgorithm="SHA256"
    )
    with large.open("rb") as file:
        old = file.read(PART)
    store.client.upload_part(
        Bucket=uri.bucket, Key=uri.key, UploadId=begun["UploadId"], PartNumber=1, Body=b"x" + old[1:],
        ChecksumAlgorithm="SHA256",
    )  # fmt: skip
    upload(large, store.raw / "in", store)
    found = store.head(uri)
    assert found is not None
    assert found.sha256 == sha256(large) == hashlib.sha256(store.get(uri)).hexdigest()


def test_two_uploads_of_one_file_at_once_agree(store: ObjectStore, large: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: upload(large, store.raw / "in", store, workers=2), range(2)))
    assert hashlib.sha256(store.get(store.raw / "in/large.tar")).hexdigest() == sha256(large)


def test_parts_never_become_too_many() -> None:
    assert part_size(100) == PART
    size = 5 * 2**40
    assert -(-size // part_size(size)) <= 10_000


def test_links_within_the_folder_are_followed(store: ObjectStore, folder: Path) -> None:
    (folder / "link.png").symlink_to(folder / "images" / "test-wind_00000001_pre_disaster.png")
    assert upload(folder, store.raw / "in", store).files == 14
    assert store.get(store.raw / "in/link.png").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("target", "word"),
    [("/etc/hostname", "leaves the folder"), ("../outside", "leaves the folder"), ("nowhere", "leads nowhere"),
     ("images", "link to a folder"), ("bad", "leads nowhere")],
)  # fmt: skip
def test_links_that_leave_or_mislead_are_refused(store: ObjectStore, folder: Path, target: str, word: str) -> None:
    (folder.parent / "outside").write_text("secret")
    (folder / "bad").symlink_to(target)
    with pytest.raises(SiameseError, match=word):
        upload(folder, store.raw / "in", store)
    assert list(store.list(store.raw / "in")) == []


def test_what_is_no_file_is_refused(store: ObjectStore, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(SiameseError, match="neither a file nor a folder"):
        upload(folder, store.raw / "in", store)


def test_nothing_to_upload_is_an_error(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SiameseError, match="holds no files"):
        upload(tmp_path / "empty", store.raw / "in", store)
    with pytest.raises(SiameseError, match="no such folder"):
        upload(tmp_path / "absent", store.raw / "in", store)


def test_a_missing_bucket_is_an_error_and_is_not_made(store: ObjectStore, folder: Path) -> None:
    with pytest.raises(SiameseError, match="no such bucket"):
        upload(folder, type(store.raw)("no-such-bucket", "in"), store)
    assert "no-such-bucket" not in {one["Name"] for one in store.client.list_buckets()["Buckets"]}


@pytest.mark.parametrize("name", [b"\xff.png", b"a\nb.png", b"a\\b.png"])
def test_names_that_no_object_may_have_are_refused(store: ObjectStore, folder: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).touch()
    with pytest.raises(SiameseError, match="name"):
        upload(folder, store.raw / "in", store)
