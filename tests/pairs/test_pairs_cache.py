"""The cache: bounded, and of use only while it tells the truth."""

from __future__ import annotations

import hashlib
from pathlib import Path

from siamese.pairs.cache import ContentCache


def blobs(count: int, size: int = 1000) -> dict[bytes, bytes]:
    made = (number.to_bytes(4, "big") * (size // 4) for number in range(count))
    return {hashlib.sha256(data).digest(): data for data in made}


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_it_keeps_what_fits_and_is_cut_back_to_its_limit(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path, 64_000, folders=4)
    data = blobs(400)
    for number, (digest, blob) in enumerate(data.items()):
        cache.put(digest, blob)
        assert size_of(tmp_path) <= 64_000 + 4 * 2_000, number
    held = [cache.get(digest) == blob for digest, blob in data.items()]
    assert sum(held) >= 60
    # What is dropped is not always the oldest: of the first half, some is still there.
    assert any(held[:200])


def test_copies_of_another_limit_and_half_written_ones_are_cut_back_too(tmp_path: Path) -> None:
    wide = ContentCache(tmp_path, 10**9, folders=4)
    for digest, blob in blobs(200).items():
        wide.put(digest, blob)
    for number in range(4):
        (tmp_path / f"{number:02x}" / f".{number}.part").write_bytes(bytes(5_000))
    assert size_of(tmp_path) == 220_000
    tight = ContentCache(tmp_path, 40_000, folders=4)
    for digest, blob in blobs(230, 996).items():
        tight.put(digest, blob)
    assert size_of(tmp_path) <= 40_000 + 4 * 2_000


def test_what_is_larger_than_its_share_is_not_kept(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path, 4_000, folders=4)
    ((digest, blob),) = blobs(1, 1004).items()
    cache.put(digest, blob)
    assert cache.get(digest) is None
    assert size_of(tmp_path) == 0


def test_a_copy_that_is_not_what_it_is_named_by_is_dropped(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path, 10**6)
    ((digest, blob),) = blobs(1).items()
    cache.put(digest, blob)
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    path.write_bytes(blob[:-1])
    assert cache.get(digest) is None
    assert not path.exists()
    cache.put(digest, blob)
    assert cache.get(digest) == blob
