"""Shards: the same bytes at any time, closed at their limit, within reach of a byte range."""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest

from siamese.errors import SiameseError
from siamese.pairs.shards import Placed, ShardWriter, pack_sample


def test_a_sample_is_a_tar_of_its_members_and_each_lies_where_it_is_said_to() -> None:
    sample = pack_sample("scene_r0_c1", {"pre.png": b"before", "post.png": b"", "mask.png": b"m" * 513})
    with tarfile.open(fileobj=io.BytesIO(sample.data + bytes(1024))) as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == [
        "scene_r0_c1.pre.png",
        "scene_r0_c1.post.png",
        "scene_r0_c1.mask.png",
    ]
    assert {(member.mtime, member.uid, member.gid, member.mode) for member in members} == {(0, 0, 0, 0o644)}
    spans = [sample.data[span.offset : span.offset + span.length] for span in sample.members]
    assert spans == [b"before", b"", b"m" * 513]
    assert sample.sha256 == hashlib.sha256(sample.data).digest()
    assert pack_sample("scene_r0_c1", {"pre.png": b"before", "post.png": b"", "mask.png": b"m" * 513}) == sample


def test_a_shard_is_closed_before_it_would_pass_its_limit() -> None:
    shards: dict[int, bytes] = {}
    writer = ShardWriter(6 * 1024, shards.__setitem__)
    small, large = pack_sample("a", {"x": bytes(512)}), pack_sample("b", {"x": bytes(9000)})
    places = [writer.add(sample) for sample in (small, small, small, large, small)]
    assert places == [Placed(0, 0), Placed(0, 1024), Placed(0, 2048), Placed(1, 0), Placed(2, 0)]
    writer.close()
    writer.close()
    assert [len(shards[number]) for number in sorted(shards)] == [4096, len(large.data) + 1024, 2048]
    for data in shards.values():
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            assert tar.getnames()


def test_a_name_that_fits_no_header_is_refused_by_name() -> None:
    for key in ("x" * 120, "épicentre"):
        with pytest.raises(SiameseError, match=key):
            pack_sample(key, {"pre.png": b""})
