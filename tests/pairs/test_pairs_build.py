"""The verb: what is stored, that it is the same at any time, and that it is stored once."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
import webdataset as wds
from builders.tinyscenes import TinyScene, tiny_scenes

from siamese.classes import UNCLASSIFIED
from siamese.errors import SiameseError
from siamese.manifests import PairSet, SceneCatalog
from siamese.pairs import PIXEL_CLASSES, PairReader, build_pairs, training_mask
from siamese.pairs.statistics import read_csv
from siamese.params import PairsParams
from siamese.store import ObjectStore, S3Uri

MakeCatalog = Callable[[Sequence[TinyScene]], SceneCatalog]
SMALL = PairsParams(block_px=32, val_share=0.25, test_share=0.25)


def rows_of(store: ObjectStore, pair_set: PairSet, table: str = "index") -> list[dict[str, object]]:
    return pq.read_table(io.BytesIO(getattr(pair_set, table).read(store))).to_pylist()


def test_every_row_of_the_index_leads_to_its_block(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    scenes = {scene.name: scene for scene in tiny_scenes()}
    pair_set = build_pairs(make_catalog(list(scenes.values())), SMALL, store)
    rows = rows_of(store, pair_set)
    assert len(rows) == 9 * 3 * 2
    for row in rows:
        scene = scenes[str(row["scene"])]
        top, left = row["row"] * 32, row["col"] * 32
        mask = training_mask([(post, subtype) for _, post, subtype in scene.buildings], 56, 80)
        window = np.s_[top : top + 32, left : left + 32]
        uri = S3Uri.parse(pair_set.shards[row["shard"]].uri)
        for member, expected in (("pre", scene.image("pre")), ("post", scene.image("post")), ("mask", mask)):
            data = store.get(uri, start=row["offset"] + row[f"{member}_offset"], length=row[f"{member}_length"])
            stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
            stored = stored[..., ::-1] if stored.ndim == 3 else stored
            assert (stored == expected[window]).all()
        assert (row["height"], row["width"]) == mask[window].shape
        counts = [int((mask[window] == value).sum()) for value in (0, 1, 2, 3, 4, 255)]
        assert [row[f"pixels_{name}"] for name in PIXEL_CLASSES] == counts


def test_the_bytes_do_not_depend_on_the_number_of_workers(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    catalog = make_catalog(tiny_scenes())
    one = build_pairs(catalog, SMALL.model_copy(update={"workers": 1}), store)
    store.client.delete_object(Bucket=store.lake.bucket, Key=one.uri(store).key)
    many = build_pairs(catalog, SMALL.model_copy(update={"workers": 8}), store)
    assert many.created > one.created
    assert many.model_dump(exclude={"created", "origin"}) == one.model_dump(exclude={"created", "origin"})


def test_work_that_is_done_is_not_done_again(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    catalog = make_catalog(tiny_scenes(6))
    first = build_pairs(catalog, SMALL, store)
    for found in list(store.list(store.raw)):
        store.client.delete_object(Bucket=found.uri.bucket, Key=found.uri.key)
    assert build_pairs(catalog, SMALL, store) == first


def test_two_builds_at_once_publish_one_pair_set(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    catalog = make_catalog(tiny_scenes(6))
    with ThreadPoolExecutor(2) as pool:
        params = [SMALL.model_copy(update={"workers": workers}) for workers in (1, 4)]
        one, other = pool.map(lambda one: build_pairs(catalog, one, store), params)
    assert one == other
    assert len(list(store.list(PairSet.folder(store, one.digest)))) == len(one.shards) + 5


def test_webdataset_reads_the_shards_and_none_holds_two_splits(
    store: ObjectStore, make_catalog: MakeCatalog, tmp_path: Path
) -> None:
    pair_set = build_pairs(make_catalog(tiny_scenes()), SMALL, store)
    rows = rows_of(store, pair_set)
    assert len(pair_set.shards) == 3
    splits = {(row["shard"], row["split"]) for row in rows}
    assert len(splits) == 3
    paths = []
    for number, shard in enumerate(pair_set.shards):
        path = tmp_path / f"{number}.tar"
        path.write_bytes(shard.read(store))
        paths.append(str(path))
    samples = list(wds.WebDataset(paths, shardshuffle=False).decode("rgb8"))
    assert [sample["__key__"] for sample in samples] == [f"{row['scene']}_r{row['row']}_c{row['col']}" for row in rows]
    assert all({"pre.png", "post.png", "mask.png"} <= sample.keys() for sample in samples)
    assert samples[0]["pre.png"].shape == (32, 32, 3)


def test_shards_are_closed_at_their_size_and_hold_whole_samples(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    scene = TinyScene("storm_00000001", width=700, height=700)
    params = PairsParams(block_px=128, shard_mib=1, val_share=0, test_share=0)
    pair_set = build_pairs(make_catalog([scene]), params, store)
    assert len(pair_set.shards) > 1
    assert all(shard.size <= 2**20 for shard in pair_set.shards)
    for shard in pair_set.shards:
        with tarfile.open(fileobj=io.BytesIO(shard.read(store))) as tar:
            assert len(tar.getnames()) % 3 == 0


def test_statistics_add_up(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    scenes = tiny_scenes()
    pair_set = build_pairs(make_catalog(scenes), SMALL, store)
    assert sum(split.scenes for split in pair_set.splits.values()) == len(scenes)
    assert sum(sum(split.pixels.values()) for split in pair_set.splits.values()) == len(scenes) * 80 * 56
    assert sum(sum(split.buildings.values()) for split in pair_set.splits.values()) == 8 * 5
    events = read_csv(pair_set.statistics.read(store))
    assert {event.disaster for event in events} == {"flood", "storm-one"}
    assert sum(event.scenes_without_buildings for event in events) == 1
    for split, held in pair_set.splits.items():
        assert held.events == {event.disaster: event.scenes for event in events if event.split == split}
        for subtype, count in held.buildings.items():
            assert count == sum(event.buildings[subtype] for event in events if event.split == split)


def test_buildings_keep_both_footprints(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    scenes = {scene.name: scene for scene in tiny_scenes(4)}
    pair_set = build_pairs(make_catalog(list(scenes.values())), SMALL, store)
    rows = rows_of(store, pair_set, "buildings")
    assert len(rows) == 3 * 5
    for row in rows:
        pre, post, subtype = scenes[str(row["scene"])].buildings[int(str(row["uid"]).rsplit("-", 1)[1])]
        assert row["subtype"] == subtype
        assert shapely.from_wkb(row["pre_polygon"]).equals(pre)
        assert shapely.from_wkb(row["post_polygon"]).equals(post)


def test_only_accepted_scenes_are_taken(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    scenes = tiny_scenes(6)
    for scene in scenes[:2]:
        make_catalog([scene])
    labels = store.raw / "scenes" / "labels"
    store.put(labels / f"{scenes[0].name}_post_disaster.json", b"{}")
    for date in ("pre", "post"):
        store.client.delete_object(Bucket=labels.bucket, Key=f"{labels.key}/{scenes[1].name}_{date}_disaster.json")
    catalog = make_catalog(scenes[2:])
    assert (catalog.accepted, catalog.unlabelled, catalog.quarantined) == (4, 1, 1)
    pair_set = build_pairs(catalog, SMALL, store)
    assert {row["scene"] for row in rows_of(store, pair_set)} == {scene.name for scene in scenes[2:]}


def test_scenes_without_labels_come_if_asked_for_and_are_never_held_out_later(
    store: ObjectStore, make_catalog: MakeCatalog
) -> None:
    scenes, labels = tiny_scenes(8), store.raw / "scenes" / "labels"
    make_catalog(scenes)
    for scene in scenes[:3]:
        for date in ("pre", "post"):
            store.client.delete_object(Bucket=labels.bucket, Key=f"{labels.key}/{scene.name}_{date}_disaster.json")
    bare = make_catalog(scenes[3:])
    params = SMALL.model_copy(update={"unlabelled": True})
    pair_set = build_pairs(bare, params, store)
    names = {scene.name for scene in scenes[:3]}
    assert pair_set.splits["unlabelled"].scenes == 3
    assert sum(held.scenes for held in pair_set.splits.values()) == 8
    reader = PairReader(store, pair_set, cache=None)
    assert {entry.scene for entry in reader.scenes("unlabelled")} == names
    for entry in reader.scenes("unlabelled"):
        pre, post, mask = reader.whole(entry.scene)
        assert pre.shape == post.shape == (*mask.shape, 3)
        assert pre.any()
        assert (mask == UNCLASSIFIED).all()
    assert not names & {entry.scene for split in ("train", "val", "test") for entry in reader.scenes(split)}
    grown = build_pairs(make_catalog(scenes), params, store)
    assert "unlabelled" not in grown.splits
    assert names <= {entry.scene for entry in PairReader(store, grown, cache=None).scenes("train")}


def test_a_scene_that_changed_after_ingest_is_told(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    catalog = make_catalog(tiny_scenes(6))
    name = f"scenes/images/{tiny_scenes(6)[3].name}_post_disaster.png"
    for version in store.client.list_object_versions(Bucket=store.raw.bucket, Prefix=name)["Versions"]:
        store.client.delete_object(Bucket=store.raw.bucket, Key=name, VersionId=version["VersionId"])
    with pytest.raises(SiameseError, match="flood_00000003_post_disaster"):
        build_pairs(catalog, SMALL, store)
    assert not [found for found in store.list(PairSet.folder(store, "")) if found.uri.name == "manifest.json"]


def test_official_splits_come_from_the_folders(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    folders = ["train", "tier3", "test", "hold"]
    scenes = [TinyScene(f"flood_{n:08d}", folder=folder) for n, folder in enumerate(folders)]
    pair_set = build_pairs(make_catalog(scenes), PairsParams(split="official", block_px=32), store)
    assert {name: split.scenes for name, split in pair_set.splits.items()} == {"train": 2, "val": 1, "test": 1}
