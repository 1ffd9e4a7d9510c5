"""The reader: right pixels at any place, no more bytes than needed, sound whatever happens to the cache."""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from builders.tinyscenes import TinyScene, some_buildings, tiny_scenes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siamese.errors import SiameseError
from siamese.manifests import PairSet, SceneCatalog
from siamese.pairs import PairReader, build_pairs, official_targets, training_mask
from siamese.pairs.blocks import cut_blocks, decode_png
from siamese.pairs.decoded import DecodedBlocks
from siamese.params import PairsParams
from siamese.settings import Settings
from siamese.store import ObjectStore, S3Uri

MakeCatalog = Callable[[Sequence[TinyScene]], SceneCatalog]
SMALL = PairsParams(block_px=32, val_share=0.25, test_share=0.25)


class CountingStore(ObjectStore):
    """Remembers what was read."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self.reads: list[tuple[str, int, int | None]] = []

    def get(self, uri: S3Uri, *, version_id: str | None = None, start: int = 0, length: int | None = None) -> bytes:
        """Reads, and remembers."""
        self.reads.append((str(uri), start, length))
        return super().get(uri, version_id=version_id, start=start, length=length)


@pytest.fixture
def scenes() -> dict[str, TinyScene]:
    return {scene.name: scene for scene in tiny_scenes(6)}


@pytest.fixture
def pair_set(store: ObjectStore, make_catalog: MakeCatalog, scenes: dict[str, TinyScene]) -> PairSet:
    return build_pairs(make_catalog(list(scenes.values())), SMALL, store)


@pytest.fixture
def counting(store: ObjectStore) -> CountingStore:
    return CountingStore(store.settings)


def mask_of(scene: TinyScene) -> np.ndarray:
    return training_mask([(post, subtype) for _, post, subtype in scene.buildings], scene.height, scene.width)


def test_whole_scenes_come_back_as_they_were(
    store: ObjectStore, pair_set: PairSet, scenes: dict[str, TinyScene]
) -> None:
    reader = PairReader(store, pair_set, cache=None)
    entries = [entry for split in ("train", "val", "test") for entry in reader.scenes(split)]
    assert {entry.scene for entry in entries} == set(scenes)
    assert all(reader.scenes(split) for split in ("train", "val", "test"))
    for entry in entries:
        scene = scenes[entry.scene]
        pre, post, mask = reader.whole(entry.scene)
        assert (pre == scene.image("pre")).all()
        assert (post == scene.image("post")).all()
        assert (mask == mask_of(scene)).all()
        assert (entry.width, entry.height, entry.disaster) == (80, 56, entry.scene.rsplit("_", 1)[0])
        assert entry.pixels.shape == (2, 3, 6)
        assert entry.pixels.sum(axis=(0, 1)).tolist() == [(mask == value).sum() for value in (0, 1, 2, 3, 4, 255)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(-90, 90), st.integers(-90, 110), st.integers(1, 90))
def test_a_crop_is_a_window_of_the_scene_padded_outside(
    store: ObjectStore, pair_set: PairSet, scenes: dict[str, TinyScene], row: int, col: int, size: int
) -> None:
    reader = PairReader(store, pair_set, cache=store.settings.cache)
    scene = scenes["storm-one_00000002"]
    margin, window = 200, np.s_[row + 200 : row + 200 + size, col + 200 : col + 200 + size]
    room = ((margin, margin), (margin, margin))
    pre, post, mask = reader.crop(scene.name, row, col, size)
    assert (pre == np.pad(scene.image("pre"), (*room, (0, 0)))[window]).all()
    assert (post == np.pad(scene.image("post"), (*room, (0, 0)))[window]).all()
    assert (mask == np.pad(mask_of(scene), room, constant_values=255)[window]).all()


def test_a_crop_reads_the_blocks_that_it_overlaps_and_no_other_byte(counting: CountingStore, pair_set: PairSet) -> None:
    reader = PairReader(counting, pair_set, cache=None)
    counting.reads.clear()
    reader.crop("flood_00000003", 0, 0, 32)
    ((_, _, one_block),) = counting.reads
    counting.reads.clear()
    reader.crop("flood_00000003", 10, 5, 40)
    # Two rows of two blocks; neighbours in a row are one request.
    assert len(counting.reads) == 2
    assert all(one_block < length < 3 * one_block for _, _, length in counting.reads if one_block and length)
    counting.reads.clear()
    reader.whole("flood_00000003")
    assert len(counting.reads) == 1
    counting.reads.clear()
    reader.crop("flood_00000003", 500, 500, 16)
    assert counting.reads == []


def test_what_was_read_once_comes_from_the_cache_until_the_cache_vanishes(
    counting: CountingStore, pair_set: PairSet, tmp_path: Path
) -> None:
    first = PairReader(counting, pair_set, cache=tmp_path / "cache").crop("flood_00000001", 3, 4, 40)
    counting.reads.clear()
    reader = PairReader(counting, pair_set, cache=tmp_path / "cache")
    again = reader.crop("flood_00000001", 3, 4, 40)
    assert counting.reads == []
    shutil.rmtree(tmp_path / "cache")
    third = reader.crop("flood_00000001", 3, 4, 40)
    assert len(counting.reads) == 2
    assert all((a == b).all() and (a == c).all() for a, b, c in zip(first, again, third, strict=True))


def test_a_damaged_or_unwritable_cache_does_no_harm(counting: CountingStore, pair_set: PairSet, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    reader = PairReader(counting, pair_set, cache=cache)
    whole = reader.whole("flood_00000001")
    damaged = [path for path in (cache / "blocks").rglob("*") if path.is_file()]
    assert len(damaged) == 6
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    counting.reads.clear()
    assert all((a == b).all() for a, b in zip(whole, reader.whole("flood_00000001"), strict=True))
    assert len(counting.reads) == 1
    (tmp_path / "file").write_bytes(b"in the way")
    reader = PairReader(counting, pair_set, cache=tmp_path / "file")
    assert all((a == b).all() for a, b in zip(whole, reader.whole("flood_00000001"), strict=True))


def overwrite(store: ObjectStore, pair_set: PairSet, scene: str) -> None:
    """Changes one byte of every block of a scene on storage."""
    reader = PairReader(store, pair_set, cache=None)
    entry = reader.scene(scene)
    for number in range(entry.first, entry.first + 6):
        address = reader._index.address(number)
        uri = S3Uri.parse(pair_set.shards[address.shard].uri)
        data = bytearray(store.get(uri))
        data[address.offset + address.pre.offset + 60] ^= 1
        store.put(uri, bytes(data))


def test_a_block_that_is_not_what_was_published_is_an_error_that_names_it_after_a_second_try(
    counting: CountingStore, pair_set: PairSet, tmp_path: Path
) -> None:
    overwrite(counting, pair_set, "flood_00000005")
    reader = PairReader(counting, pair_set, cache=tmp_path)
    counting.reads.clear()
    with pytest.raises(SiameseError, match=r"shard-0000\d-\w+\.tar bytes \d+-\d+: is not what was published"):
        reader.crop("flood_00000005", 0, 0, 16)
    assert len(counting.reads) == 2
    assert not [path for path in (tmp_path / "blocks").rglob("*") if path.is_file()]


def test_targets_and_buildings(store: ObjectStore, pair_set: PairSet, scenes: dict[str, TinyScene]) -> None:
    reader = PairReader(store, pair_set, cache=None)
    for name, scene in scenes.items():
        for one, (pre, post, subtype) in zip(reader.buildings(name), scene.buildings, strict=True):
            assert one.pre.equals(pre)
            assert one.post.equals(post)
            assert one.subtype == subtype
        pre_polygons = [pre for pre, _, _ in scene.buildings]
        post_polygons = [(post, subtype) for _, post, subtype in scene.buildings]
        expected = official_targets(pre_polygons, post_polygons, 56, 80)
        assert all((a == b).all() for a, b in zip(reader.targets(name), expected, strict=True))


def test_unknown_scenes_and_empty_crops_are_told(store: ObjectStore, pair_set: PairSet) -> None:
    reader = PairReader(store, pair_set, cache=None)
    with pytest.raises(SiameseError, match="atlantis_1: is not in this pair set"):
        reader.crop("atlantis_1", 0, 0, 8)
    with pytest.raises(SiameseError, match="crop of 0 x 0 px"):
        reader.crop("flood_00000001", 0, 0, 0)


Answers: TypeAlias = "multiprocessing.Queue[list[list[int]]]"


def sums(reader: PairReader, names: list[str]) -> list[int]:
    return [int(sum(part.sum(dtype=np.int64) for part in reader.whole(name))) for name in names]


def read_in_child(reader: PairReader, names: list[str], answers: multiprocessing.Queue[list[int]]) -> None:
    answers.put(sums(reader, names))


def read_in_children(reader: PairReader, names: list[str], method: str, answers: Answers) -> None:
    context = multiprocessing.get_context(method)
    each: multiprocessing.Queue[list[int]] = context.Queue()
    children = [context.Process(target=read_in_child, args=(reader, names, each)) for _ in range(2)]
    for child in children:
        child.start()
    told = [each.get(timeout=60) for _ in children]
    for child in children:
        child.join()
    answers.put([*told, [child.exitcode or 0 for child in children]])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_may_share_a_reader(store: ObjectStore, pair_set: PairSet, tmp_path: Path, method: str) -> None:
    reader = PairReader(store, pair_set, cache=tmp_path)
    names = [entry.scene for entry in reader.scenes("train")]
    expected = sums(reader, names)
    shutil.rmtree(tmp_path)
    # A process of its own: what else runs in the tests' process, e.g. Prefect's threads, does not survive a fork.
    context = multiprocessing.get_context("spawn")
    answers: Answers = context.Queue()
    parent = context.Process(target=read_in_children, args=(reader, names, method, answers))
    parent.start()
    assert answers.get(timeout=120) == [expected, expected, [0, 0]]
    parent.join()


def test_threads_may_share_a_reader_and_it_may_be_pickled(
    store: ObjectStore, pair_set: PairSet, tmp_path: Path
) -> None:
    reader: PairReader = pickle.loads(pickle.dumps(PairReader(store, pair_set, cache=tmp_path)))  # noqa: S301
    with ThreadPoolExecutor(8) as pool:
        crops = list(pool.map(lambda n: reader.crop("flood_00000001", n % 5, n % 3, 40), range(60)))
    for n, crop in enumerate(crops):
        assert all((a == b).all() for a, b in zip(crop, reader.crop("flood_00000001", n % 5, n % 3, 40), strict=True))


def test_images_of_one_band_work(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    scene = TinyScene("radar_00000001", bands=1, buildings=some_buildings(1))
    pair_set = build_pairs(make_catalog([scene]), PairsParams(block_px=32, val_share=0, test_share=0), store)
    reader = PairReader(store, pair_set, cache=None)
    pre, post, _ = reader.crop(scene.name, -4, -4, 16)
    assert pre.shape == post.shape == (16, 16, 1)
    assert (reader.whole(scene.name)[0] == scene.image("pre")).all()


def test_both_dates_may_have_other_bands_and_a_number_that_no_png_holds_is_refused_by_name() -> None:
    rng = np.random.default_rng(0)
    images = {bands: rng.integers(0, 256, (9, 7, bands), np.uint8) for bands in (1, 2, 3, 4, 5)}
    mask = np.zeros((9, 7), np.uint8)
    for pre, post in ((3, 1), (4, 3)):
        (block,) = cut_blocks("mixed_1", images[pre], images[post], mask, 16)
        for bands, span in ((pre, block.sample.members[0]), (post, block.sample.members[1])):
            data = block.sample.data[span.offset : span.offset + span.length]
            assert (decode_png(data, bands) == images[bands]).all()
    for bands in (2, 5):
        with pytest.raises(SiameseError, match=f"mixed_1: has {bands} bands"):
            list(cut_blocks("mixed_1", images[3], images[bands], mask, 16))
    with pytest.raises(SiameseError, match="mixed_1: its images differ in size"):
        list(cut_blocks("mixed_1", images[3], images[3][:8], mask, 16))


def test_decoded_blocks_are_held_up_to_a_limit_and_are_the_same_pixels(
    counting: CountingStore, pair_set: PairSet, scenes: dict[str, TinyScene]
) -> None:
    plain = PairReader(counting, pair_set, cache=None)
    held = PairReader(counting, pair_set, cache=None, memory_limit=2**20)
    name = min(scenes)
    for _ in range(2):
        for ours, theirs in zip(held.crop(name, -5, 3, 50), plain.crop(name, -5, 3, 50), strict=True):
            assert np.array_equal(ours, theirs)
            ours[:] = 7
    counting.reads.clear()
    held.crop(name, 0, 10, 40)
    assert counting.reads == []
    assert pickle.loads(pickle.dumps(held))._decoded._limit == 2**20  # noqa: S301


def test_decoded_blocks_never_take_more_than_the_limit() -> None:
    held = DecodedBlocks(1000)
    for number in range(50):
        image = np.full((10, 10, 1), number, np.uint8)
        held.put(bytes([number]), (image, image, image))
        assert held.get(bytes([number])) is not None
    kept = [number for number in range(50) if held.get(bytes([number])) is not None]
    assert len(kept) == 3
    assert all((held.get(bytes([number]))[0] == number).all() for number in kept)
    huge = np.zeros((100, 100, 1), np.uint8)
    held.put(b"huge", (huge, huge, huge))
    assert held.get(b"huge") is None
