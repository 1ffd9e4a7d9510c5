"""Splits: neighbours are never parted, every split gets its share, and nothing depends on order."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese.errors import SiameseError
from siamese.ingest import parse_label
from siamese.ingest.georeference import from_label
from siamese.pairs.groups import Bounds, Candidate, neighbourhoods
from siamese.pairs.splits import SPLITS, assign_splits, learnable_unlabelled
from siamese.params import PairsParams

SIDE = 0.005


def tile(x: float, y: float = 0.0) -> Bounds:
    """Bounds of the tile at a place of the grid."""
    return (x * SIDE, y * SIDE, (x + 1) * SIDE, (y + 1) * SIDE)


def candidate(
    name: str,
    bounds: Bounds | None = None,
    *,
    official: str | None = None,
    images: tuple[str, ...] = (),
    buildings: tuple[int, ...] = (1, 0, 0, 0),
) -> Candidate:
    return Candidate(name, name.rsplit("_", 1)[0], official, bounds, images or (name,), buildings)


def scattered(count: int, event: str = "flood", **more: tuple[int, ...]) -> list[Candidate]:
    """Scenes two tiles apart from each other."""
    return [candidate(f"{event}_{n:04d}", tile(3 * n), **more) for n in range(count)]


def asked(**changes: object) -> PairsParams:
    """Params with shares that some dozens of scenes can fill."""
    return PairsParams.model_validate({"val_share": 0.15} | changes)


def groups_of(candidates: list[Candidate], gap: float = 0.5) -> list[set[str]]:
    return [{candidates[n].scene for n in group} for group in neighbourhoods(candidates, gap)]


def test_tiles_that_overlap_touch_or_almost_touch_are_one_group_in_a_chain() -> None:
    row = [candidate(f"a_{n}", tile(x)) for n, x in enumerate([0, 0.9, 1.9, 3.3, 4.9, 7])]
    assert groups_of(row) == [{"a_0", "a_1", "a_2", "a_3"}, {"a_4"}, {"a_5"}]
    assert groups_of(row, gap=0) == [{"a_0", "a_1", "a_2"}, {"a_3"}, {"a_4"}, {"a_5"}]


def test_a_corner_joins_and_so_does_a_neighbour_of_another_event() -> None:
    assert groups_of([candidate("fire_1", tile(0, 0)), candidate("flood_1", tile(1, 1))]) == [{"fire_1", "flood_1"}]


def test_the_antimeridian_parts_nobody() -> None:
    west, east = candidate("a_1", (179.996, 0, 179.9999, 0.004)), candidate("a_2", (-180, 0, -179.996, 0.004))
    across = candidate("a_3", (179.998, 0.003, -179.998, 0.007))
    assert groups_of([west, east]) == [{"a_1", "a_2"}]
    assert groups_of([west, across]) == [{"a_1", "a_3"}]
    assert groups_of([candidate("a_4", tile(0)), across]) == [{"a_4"}, {"a_3"}]


def test_the_very_same_image_joins_wherever_the_scenes_say_they_are() -> None:
    scenes = [candidate("a_1", tile(0), images=("x", "y")), candidate("b_1", None, images=("z", "y")), candidate("c_1")]
    assert groups_of(scenes) == [{"a_1", "b_1"}, {"c_1"}]


places = st.lists(st.tuples(st.floats(0, 12), st.floats(0, 12)), min_size=8, max_size=40)


@settings(max_examples=40, deadline=None)
@given(places, st.integers(0, 5))
def test_no_two_neighbours_are_ever_parted(where: list[tuple[float, float]], seed: int) -> None:
    scenes = [candidate(f"a_{n:02d}", tile(x, y)) for n, (x, y) in enumerate(where)]
    try:
        splits = assign_splits(scenes, asked(seed=seed))
    except SiameseError:
        assert len(groups_of(scenes)) < 3
        return
    for (one, (x, y)), (other, (u, v)) in combinations(zip(scenes, where, strict=True), 2):
        if max(abs(x - u), abs(y - v)) < 1.4999:
            assert splits[one.scene] == splits[other.scene]


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(["scene", "event", "official"]))
def test_the_order_of_the_catalog_does_not_matter(shuffle: random.Random, policy: str) -> None:
    folders = ["train", "tier3", "test", "hold"]
    scenes = [
        candidate(f"e{n % 7}_{n}", tile(3 * n), official=folders[n % 4], buildings=(n, n % 3, 0, 1)) for n in range(30)
    ]
    params = PairsParams.model_validate({"split": policy})
    shuffled = scenes.copy()
    shuffle.shuffle(shuffled)
    assert assign_splits(shuffled, params) == assign_splits(scenes, params)


def test_every_split_gets_its_share_of_scenes_and_of_every_class() -> None:
    rng = np.random.default_rng(3)
    amounts = rng.poisson(rng.gamma(0.3, 60, (400, 1)) * [0.75, 0.09, 0.08, 0.08])
    scenes = [candidate(f"a_{n:03d}", tile(3 * n), buildings=tuple(row)) for n, row in enumerate(amounts.tolist())]
    splits = assign_splits(scenes, asked(val_share=0.1, test_share=0.2))
    for split, share in zip(SPLITS, (0.7, 0.1, 0.2), strict=True):
        held = [n for n, scene in enumerate(scenes) if splits[scene.scene] == split]
        shares = [len(held) / 400, *(amounts[held].sum(axis=0) / amounts.sum(axis=0))]
        assert shares == pytest.approx([share] * 5, abs=0.01)


def test_a_class_that_few_scenes_hold_is_in_every_split_while_there_are_enough() -> None:
    rare = [candidate(f"b_{n}", tile(3 * n, 9), buildings=(0, 0, 1, 0)) for n in range(3)]
    for seed in range(5):
        splits = assign_splits(scattered(20) + rare, asked(seed=seed))
        assert {splits[scene.scene] for scene in rare} == set(SPLITS)
        two = assign_splits(scattered(20) + rare[:2], asked(seed=seed))
        assert {two[scene.scene] for scene in rare[:2]} == {"train", "test"}
        assert assign_splits(scattered(20) + rare[:1], asked(seed=seed))["b_0"] == "train"


def test_another_seed_is_another_split() -> None:
    scenes = scattered(40)
    assert len({tuple(assign_splits(scenes, asked(seed=seed)).values()) for seed in range(4)}) == 4


def test_scenes_of_unknown_place_are_trained_on_only_unless_asked_otherwise() -> None:
    lost = [candidate(f"lost_{n:02d}", None, buildings=(0, 0, 0, 0)) for n in range(20)]
    # This one shows the very same picture as a scene whose place is known, and goes where that one goes.
    twin = candidate("twin_1", None, images=("flood_0000",))
    splits = assign_splits([*scattered(20), *lost, twin], asked())
    assert {splits[scene.scene] for scene in lost} == {"train"}
    assert splits["twin_1"] == splits["flood_0000"]
    assert sum(split == "test" for split in splits.values()) == pytest.approx(3, abs=1)
    spread = assign_splits([*scattered(20), *lost], asked(unplaced="spread"))
    assert {spread[scene.scene] for scene in lost} == set(SPLITS)
    with pytest.raises(SiameseError, match=r"val and test would hold no scene.*unplaced"):
        assign_splits(lost, asked())


def test_official_folders_become_splits() -> None:
    scenes = [candidate(f"a_{folder}", official=folder) for folder in ("train", "tier3", "test", "hold")]
    splits = assign_splits(scenes, asked(split="official"))
    assert splits == {"a_train": "train", "a_tier3": "train", "a_test": "test", "a_hold": "val"}


def test_official_folders_that_are_missing_are_told() -> None:
    with pytest.raises(SiameseError, match="1 of 2 scenes lie in no official split, such as a_2"):
        assign_splits([candidate("a_1", official="train"), candidate("a_2")], asked(split="official"))
    only_two = [candidate(f"a_{folder}", official=folder) for folder in ("train", "test")]
    with pytest.raises(SiameseError, match="val would hold no scene"):
        assign_splits(only_two, asked(split="official"))
    assert set(assign_splits(only_two, asked(split="official", val_share=0)).values()) == {"train", "test"}


def test_named_events_are_held_out_whole_and_the_rest_is_chosen_by_share() -> None:
    scenes = [scene for event in ("fire", "flood", "quake", "wind") for scene in scattered(5, event)]
    params = asked(split="event", test_events=("wind",))
    splits = assign_splits(scenes, params)
    by_event = {
        scene.disaster: {splits[one.scene] for one in scenes if one.disaster == scene.disaster} for scene in scenes
    }
    assert all(len(held) == 1 for held in by_event.values())
    assert by_event.pop("wind") == {"test"}
    assert sorted(split for held in by_event.values() for split in held) == ["train", "train", "val"]


def test_unknown_or_too_few_events_are_told() -> None:
    scenes = scattered(3, "fire") + scattered(3, "wind")
    with pytest.raises(SiameseError, match=r"no such event: storm.*fire, wind"):
        assign_splits(scenes, asked(split="event", test_events=("storm", "wind")))
    with pytest.raises(SiameseError, match="val would hold no scene"):
        assign_splits(scenes, asked(split="event"))
    with pytest.raises(SiameseError, match="train and val would hold no scene"):
        assign_splits(scenes, asked(split="event", test_events=("fire", "wind")))


def test_one_block_of_neighbours_cannot_be_split_and_no_scenes_neither() -> None:
    row = [candidate(f"a_{n}", tile(n)) for n in range(9)]
    with pytest.raises(SiameseError, match=r"val and test would hold no scene.*neighbour_gap"):
        assign_splits(row, asked())
    with pytest.raises(SiameseError, match="holds no scene with labels of its own"):
        assign_splits([], asked())


def test_scenes_without_buildings_are_shared_out_too() -> None:
    empty = [candidate(f"empty_{n:02d}", tile(3 * n, 9), buildings=(0, 0, 0, 0)) for n in range(20)]
    splits = assign_splits(scattered(40) + empty, asked())
    held = Counter(splits[scene.scene] for scene in empty)
    assert held == {"train": 14, "val": 3, "test": 3}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_real_scenes_give_every_split_every_class_and_part_no_neighbours(real_data: Path, seed: int) -> None:
    scenes = [real_candidate(path) for path in sorted((real_data / "xbd" / "labels").glob("*_post_disaster.json"))]
    assert len(scenes) == 43
    together = [group for group in groups_of(scenes) if len(group) > 1]
    assert together == [
        {"hurricane-michael_00000022", "hurricane-michael_00000113"},
        {"hurricane-michael_00000368", "hurricane-michael_00000428"},
        {"santa-rosa-wildfire_00000145", "santa-rosa-wildfire_00000198"},
    ]
    splits = assign_splits(scenes, asked(seed=seed))
    assert all(len({splits[name] for name in group}) == 1 for group in together)
    assert splits["hurricane-michael_00000346"] == "train"
    every = np.sum([scene.buildings for scene in scenes], axis=0)
    for split, share in zip(SPLITS, (0.7, 0.15, 0.15), strict=True):
        held = [scene for scene in scenes if splits[scene.scene] == split]
        assert len(held) / 43 == pytest.approx(share, abs=0.03)
        assert np.sum([scene.buildings for scene in held], axis=0) / every == pytest.approx([share] * 4, abs=0.12)
    default = assign_splits(scenes, PairsParams(seed=seed))
    for split in SPLITS:
        assert all(np.sum([scene.buildings for scene in scenes if default[scene.scene] == split], axis=0) >= 5)


def test_folds_test_every_scene_once_and_part_no_neighbours() -> None:
    rng = np.random.default_rng(5)
    scenes = [
        candidate(
            f"{event}_{n:02d}", tile(n + 2 * (n // 2), place), buildings=tuple(rng.poisson([9, 1, 1, 2]).tolist())
        )
        for place, event in ((0, "flood"), (9, "fire"))
        for n in range(24)
    ]
    groups = groups_of(scenes)
    assert len(groups) == 24
    folds = [assign_splits(scenes, asked(split="fold", folds=4, fold=fold, seed=2)) for fold in range(4)]
    assert [sum(splits[one.scene] == "test" for splits in folds) for one in scenes] == [1] * 48
    for splits in folds:
        assert all(len({splits[name] for name in group}) == 1 for group in groups)
        held = Counter((splits[one.scene], one.disaster) for one in scenes)
        assert held["test", "flood"] == held["test", "fire"] == 6
        assert held["val", "flood"] + held["val", "fire"] == pytest.approx(0.15 * 36, abs=2)
    again = assign_splits(scenes[::-1], asked(split="fold", folds=4, fold=0, seed=2))
    assert again == folds[0]
    assert assign_splits(scenes, asked(split="fold", folds=4, fold=0, seed=3)) != folds[0]


def test_folds_share_out_anew_and_never_test_scenes_of_unknown_place_unless_asked() -> None:
    lost = [candidate(f"lost_{n:02d}", None) for n in range(4)]
    scenes = [*scattered(12), *lost]
    known = dict.fromkeys((one.scene for one in scenes), SPLITS[1])
    for fold in range(3):
        params = asked(split="fold", fold=fold)
        splits = assign_splits(scenes, params, known)
        assert splits == assign_splits(scenes, params)
        assert {splits[one.scene] for one in lost} == {"train"}
    spread = [assign_splits(scenes, asked(split="fold", fold=fold, unplaced="spread")) for fold in range(3)]
    assert [sum(splits[one.scene] == "test" for splits in spread) for one in scenes] == [1] * 16


def test_a_fold_of_named_events_validates_on_neighbourhoods_of_the_others() -> None:
    scenes = scattered(20, "fire") + [candidate(f"wind_{n}", tile(3 * n, 9)) for n in range(3)]
    # One shows the ground of a fire beside which it lies; it must not be trained on while that fire is tested.
    scenes += [candidate("wind_8", tile(3 * 4, 1)), candidate("wind_9", None)]
    splits = assign_splits(scenes, asked(split="fold", test_events=("wind",)))
    assert {one.scene for one in scenes} - set(splits) == {"fire_0004"}
    by_event = {event: Counter(splits[n] for n in splits if n.startswith(event)) for event in ("fire", "wind")}
    assert by_event["wind"] == {"test": 5}
    assert by_event["fire"] == {"train": 16, "val": 3}
    with pytest.raises(SiameseError, match=r"pairs.split: fold: no such event: storm"):
        assign_splits(scenes, asked(split="fold", test_events=("storm",)))


def test_too_few_groups_for_folds_are_told() -> None:
    for count in (1, 2):
        with pytest.raises(SiameseError, match=r"would hold no scene.*pairs.folds"):
            assign_splits(scattered(count), asked(split="fold", fold=2))


def test_real_scenes_give_folds_alike(real_data: Path) -> None:
    scenes = [real_candidate(path) for path in sorted((real_data / "xbd" / "labels").glob("*_post_disaster.json"))]
    folds = [assign_splits(scenes, asked(split="fold", fold=fold, unplaced="spread")) for fold in range(3)]
    assert [sum(splits[one.scene] == "test" for splits in folds) for one in scenes] == [1] * 43
    every = np.sum([scene.buildings for scene in scenes], axis=0)
    for splits in folds:
        held = [scene for scene in scenes if splits[scene.scene] == "test"]
        assert len(held) == pytest.approx(43 / 3, abs=2)
        assert np.sum([scene.buildings for scene in held], axis=0) / every == pytest.approx([1 / 3] * 4, abs=0.2)


def real_candidate(path: Path) -> Candidate:
    label = parse_label(path.read_bytes(), path.name, width=1024, height=1024, max_vertices=10**5)
    place = from_label(label, 1024, 1024)
    name = path.name.removesuffix("_post_disaster.json")
    return candidate(name, place and place.bounds(1024, 1024), buildings=tuple(label.counts().values())[:4])


@pytest.mark.parametrize(
    "wrong",
    [
        {"val_share": 0.6, "test_share": 0.4},
        {"val_events": ["a"], "test_events": ["a"]},
        {"block_px": 100},
        {"split": "x"},
        {"split": "fold", "folds": 3, "fold": 3},
    ],
)
def test_params_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        PairsParams.model_validate(wrong)


def test_scenes_without_labels_show_nothing_of_what_is_held_out() -> None:
    labelled = scattered(3)
    splits = {"flood_0000": "train", "flood_0001": "val", "flood_0002": "test", "gone_0000": "test"}
    bare = [
        candidate("flood_0010", tile(0.9)),  # beside train
        candidate("flood_0011", tile(3, 0.9)),  # beside val
        candidate("flood_0012", tile(7)),  # beside test
        candidate("flood_0013", tile(8)),  # beside that one
        candidate("flood_0014", None, images=("flood_0002",)),  # the same image as test
        candidate("flood_0015", tile(50)),
        candidate("fire_0000", None),
        candidate("fire_0001", tile(60), official="test"),
        candidate("gone_0000", tile(70)),  # held out when it had labels
    ]

    def learnable(**changes: object) -> set[str]:
        params = PairsParams.model_validate(changes)
        return set(learnable_unlabelled(bare, labelled, params, splits))  # type: ignore[arg-type]

    assert learnable() == {"flood_0010", "flood_0015", "fire_0000"}
    assert learnable(split="event") == {"fire_0000"}
    assert learnable(split="fold", test_events=("fire",)) == {"flood_0010", "flood_0015"}
