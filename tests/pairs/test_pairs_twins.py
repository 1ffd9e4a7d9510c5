"""Twins: changed copies of a scene share its split, whatever the split method, and models are told on by theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from builders.pictures import picture
from builders.tinyscenes import TinyScene, some_buildings

from siamese.duplicates import duplicates_of_catalog, known_twins
from siamese.manifests import Checkpoint, Duplicates, Fingerprints, SceneCatalog
from siamese.pairs import build_pairs, read_splits
from siamese.pairs.groups import Candidate
from siamese.pairs.splits import assign_splits, learnable_unlabelled
from siamese.params import PairsParams
from siamese.registry.fairness import seen_before
from siamese.store import ObjectStore

MakeCatalog = Callable[[Sequence[TinyScene]], SceneCatalog]
SIDE = 0.005


@dataclass(frozen=True)
class PictureScene(TinyScene):
    """A scene of drawn pictures; a copy shows another scene's post image, mirrored."""

    seed: int = 0
    copy_of: int | None = None

    def image(self, date: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        if date == "post" and self.copy_of is not None:
            return picture(2 * self.copy_of + 1, self.height, self.width)[:, ::-1]
        return picture(2 * self.seed + (date == "post"), self.height, self.width)


def scenes(count: int, copies: dict[int, int], events: Sequence[str] = ("flood",)) -> list[PictureScene]:
    """Scenes far apart; ``copies`` tells which show another one's post image."""
    return [
        PictureScene(
            f"{events[n % len(events)]}_{n:08d}", 3 * n, 160, 160, some_buildings(n), seed=n, copy_of=copies.get(n)
        )
        for n in range(count)
    ]


def candidate(name: str, place: float, *, official: str | None = None, twins: str | None = None) -> Candidate:
    bounds = (place * SIDE, 0.0, (place + 1) * SIDE, SIDE)
    return Candidate(name, name.rsplit("_", 1)[0], official, bounds, (name,), (1, 0, 0, 0), twins)


def asked(**changes: object) -> PairsParams:
    return PairsParams.model_validate({"block_px": 32, "val_share": 0.2, "test_share": 0.2} | changes)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("split", ["scene", "fold"])
def test_twins_share_a_split(split: str, seed: int) -> None:
    found = [candidate(f"flood_{n}", 3 * n, twins=f"pair {n % 6}" if n < 12 else None) for n in range(24)]
    splits = assign_splits(found, asked(split=split, seed=seed))
    assert len(splits) == 24
    assert all(splits[f"flood_{n}"] == splits[f"flood_{n + 6}"] for n in range(6))


def test_a_new_twin_joins_the_split_of_the_known_one() -> None:
    known = {f"flood_{n}": split for n, split in enumerate(["train"] * 6 + ["val"] * 2 + ["test"] * 2)}
    found = [candidate(f"flood_{n}", 3 * n) for n in range(8)] + [
        candidate("flood_8", 24, twins="t"), candidate("flood_9", 27), candidate("flood_new", 60, twins="t"),
    ]  # fmt: skip
    assert assign_splits(found, asked(), known)["flood_new"] == "test"


def test_of_twins_in_two_splits_the_held_out_one_is_left_out() -> None:
    folders = ["train", "train", "tier3", "hold", "hold", "test", "test"]
    twins = ["a", None, "b", "a", "c", "b", "c"]
    found = [
        candidate(f"flood_{n}", 3 * n, official=folder, twins=twin)
        for n, (folder, twin) in enumerate(zip(folders, twins, strict=True))
    ]
    splits = assign_splits(found, asked(split="official", val_share=0))
    assert splits == {"flood_0": "train", "flood_1": "train", "flood_2": "train", "flood_6": "test"}
    known = {"flood_0": "train", "flood_1": "test", "flood_2": "test", "flood_3": "val"}
    apart = [candidate(f"flood_{n}", 3 * n, twins="t" if n < 2 else None) for n in range(4)]
    kept = assign_splits(apart, asked(), known)
    assert kept == {"flood_0": "train", "flood_2": "test", "flood_3": "val"}


def test_an_unlabelled_twin_of_a_held_out_scene_is_not_learned_from() -> None:
    labelled = [candidate("flood_0", 0, twins="t"), candidate("flood_1", 9)]
    unlabelled = [candidate("flood_2", 30, twins="t"), candidate("flood_3", 60)]
    splits = {"flood_0": "test", "flood_1": "train"}
    assert learnable_unlabelled(unlabelled, labelled, asked(), splits) == ("flood_3",)


def test_pairs_looks_for_twins_once_and_keeps_them_together(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    catalog = make_catalog(scenes(8, {7: 0, 5: 2}))
    pair_set = build_pairs(catalog, asked(), store)
    splits = read_splits(store, pair_set)
    assert splits["flood_00000000"] == splits["flood_00000007"]
    assert splits["flood_00000002"] == splits["flood_00000005"]
    assert set(pair_set.origin.inputs) == {"catalog", "twins"}
    assert known_twins(catalog, store) == {
        "flood_00000000": "flood_00000000", "flood_00000007": "flood_00000000",
        "flood_00000002": "flood_00000002", "flood_00000005": "flood_00000002",
    }  # fmt: skip
    assert build_pairs(catalog, asked(), store) == pair_set
    ignored = build_pairs(catalog, asked(twins="ignore"), store)
    assert "twins" not in ignored.origin.inputs


def test_without_twins_nothing_changes_and_what_exists_stays(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    catalog = make_catalog(scenes(6, {}))
    first = build_pairs(catalog, asked(), store)
    assert set(first.origin.inputs) == {"catalog"}
    # As on a bucket of before twins were looked for, whose scenes are gone.
    for place in (store.raw, *(store.lake / kind for kind in (Duplicates.kind, Fingerprints.kind))):
        for found in list(store.list(place)):
            store.client.delete_object(Bucket=found.uri.bucket, Key=found.uri.key)
    assert build_pairs(catalog, asked(), store) == first


def test_only_new_images_of_a_source_are_described(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    first = duplicates_of_catalog(make_catalog(scenes(3, {})), store)
    assert (first.images, first.count, first.sheet) == (6, 0, None)
    before = Fingerprints.latest(store, _series(store))
    second = duplicates_of_catalog(make_catalog(scenes(5, {4: 1})), store)
    assert (second.images, second.count) == (10, 1)
    assert second.sheet is not None
    after = Fingerprints.latest(store, _series(store))
    assert len(after.shards) == len(before.shards) + 1
    assert after.shards[0] == before.shards[0]


def _series(store: ObjectStore) -> str:
    (found,) = list(store.list(store.lake / "latest" / "fingerprints-"))
    return found.uri.name.removeprefix("fingerprints-").removesuffix(".json")


def test_the_gate_is_told_of_twins_in_the_training_data(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    catalog = make_catalog(scenes(10, {9: 0, 8: 1}, events=("flood", "fire")))
    duplicates_of_catalog(catalog, store)
    parted = build_pairs(catalog, asked(split="event", test_events=("flood",), val_share=0, twins="ignore"), store)
    trained = Checkpoint.model_construct(pairs=parted.digest)
    (told,) = seen_before("candidate", trained, parted, "test", store)
    assert told == (
        "2 of 5 test scenes, such as flood_00000000, have twins in the candidate's training data: "
        "its score is optimistic"
    )
    fair = build_pairs(catalog, asked(split="event", test_events=("flood",), val_share=0), store)
    assert fair.left_out == ("flood_00000000", "flood_00000008")
    assert seen_before("candidate", Checkpoint.model_construct(pairs=fair.digest), fair, "test", store) == ()


def test_twins_in_another_source_are_told_of(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    small = make_catalog(scenes(4, {}))
    trained = build_pairs(small, asked(val_share=0, test_share=0), store)
    renamed = [
        PictureScene(f"storm_{n:08d}", 3 * n, 160, 160, some_buildings(n), seed=n + 100, copy_of=2 if n == 1 else None)
        for n in range(4)
    ]
    large = make_catalog([*scenes(4, {}), *renamed])
    scored = build_pairs(large, asked(split="event", test_events=("storm",), val_share=0, twins="ignore"), store)
    duplicates_of_catalog(large, store)
    (told,) = seen_before("champion", Checkpoint.model_construct(pairs=trained.digest), scored, "test", store)
    assert told.startswith("1 of 4 test scenes, storm_00000001, has a twin in the champion's training data")
