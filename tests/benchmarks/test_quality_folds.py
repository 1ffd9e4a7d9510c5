"""The quality benchmark's folds and pair sets: neighbours together, every scene tested once, post as both dates."""

from __future__ import annotations

import importlib.util
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.smallscenes import write_scenes
from contest.contestants import CONTEST, ablation_table, ablations, chosen
from contest.scenes import collect, event_folds, folds, post_only

from siamese.errors import SiameseError
from siamese.ingest.catalog import Scene
from siamese.pairs import PairReader, build_pairs, read_splits
from siamese.pairs.groups import Candidate, neighbourhoods
from siamese.pairs.splits import assign_splits
from siamese.params import IngestParams, PairsParams, load_params
from siamese.store import ObjectStore

SIDE = 0.005
PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"


def candidates() -> list[Candidate]:
    """Pairs of neighbours of two events, and scenes that nobody can place."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(40):
        event, x = ("flood", "fire")[number % 2], (number // 4 * 3 + number // 2 % 2) * SIDE
        bounds = (x, 0.1 * (number % 2), x + SIDE, 0.1 * (number % 2) + SIDE)
        buildings = tuple(rng.poisson([9, 1, 1, 2]).tolist())
        found.append(Candidate(f"{event}_{number:02d}", event, None, bounds, (str(number),), buildings))
    return [*found, *(Candidate(f"flood_{n}", "flood", None, None, (str(n),), (0, 0, 0, 0)) for n in range(90, 94))]


def scene(event: str, number: int, **buildings: int) -> Scene:
    named = {name.replace("_", "-"): count for name, count in buildings.items()}
    name = f"{event}_{number}"
    return Scene(scene=name, disaster=event, verdict="accepted", buildings=named, identity=name)


def test_folds_never_part_neighbours_and_test_every_scene_once() -> None:
    scenes = candidates()
    parts = folds(PairsParams(seed=4, val_share=0.2))
    assert [part.name for part in parts] == ["fold-0", "fold-1", "fold-2"]
    splits = [assign_splits(scenes, part.params) for part in parts]
    assert [sum(found[one.scene] == "test" for found in splits) for one in scenes] == [1] * len(scenes)
    for found in splits:
        assert set(found.values()) == {"train", "val", "test"}
        for group in neighbourhoods(scenes, 0.5):
            assert len({found[scenes[position].scene] for position in group}) == 1
    assert len(folds(PairsParams(folds=5))) == 5


def test_events_are_held_out_where_they_hold_enough_of_every_class_and_the_others_are_told() -> None:
    scenes = [
        scene("flood", 1, no_damage=4, minor_damage=9, major_damage=5, destroyed=5),
        scene("flood", 2, no_damage=2, un_classified=1),
        scene("fire", 3, no_damage=90, destroyed=40, minor_damage=1),
    ]
    parts, left_out = event_folds(scenes, PairsParams())
    assert [(part.name, part.params.test_events) for part in parts] == [("event-flood", ("flood",))]
    assert left_out == {"fire": "fewer than 5 buildings of a class: 1 minor-damage, 0 major-damage"}


def test_a_folder_is_collected_once_and_known_by_what_it_holds_not_by_where_that_lies(
    store: ObjectStore, tmp_path: Path
) -> None:
    write_scenes(tmp_path, 3)
    first = collect(tmp_path, IngestParams(), store)
    assert [one.scene for one in first.scenes] == [f"quake_{n:08d}" for n in range(3)]
    assert collect(tmp_path, IngestParams(), store) == first
    one, two, three = first.scenes
    assert one.pre_image is not None
    moved = one.model_copy(update={"pre_image": one.pre_image.model_copy(update={"uri": "s3://else/x.png"})})
    assert replace(first, scenes=(three, moved, two)).fingerprint == first.fingerprint
    changed = one.model_copy(update={"pre_image": two.pre_image})
    assert len({replace(first, scenes=some).fingerprint for some in ((one, two), (changed, two), (one,))}) == 3


def test_post_only_shows_the_post_image_twice_and_changes_nothing_else(store: ObjectStore, tmp_path: Path) -> None:
    write_scenes(tmp_path, 6)
    catalog = collect(tmp_path, IngestParams(), store).catalog
    pairs = build_pairs(catalog, folds(PairsParams(block_px=32))[1].params, store)
    derived = post_only(pairs, store)
    assert derived == post_only(pairs, store) != pairs
    assert read_splits(store, derived) == read_splits(store, pairs)
    reader, theirs = (PairReader(store, one, cache=None) for one in (pairs, derived))
    for name in read_splits(store, pairs):
        pre, post, mask = reader.whole(name)
        assert not np.array_equal(pre, post)
        for expected, found in zip((post, post, mask), theirs.whole(name), strict=True):
            np.testing.assert_array_equal(expected, found)
        for expected, found in zip(reader.targets(name), theirs.targets(name), strict=True):
            np.testing.assert_array_equal(expected, found)


def test_a_folder_that_is_not_there_is_told(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(SiameseError, match="not a folder — pass --data"):
        collect(tmp_path / "none", IngestParams(), store)


def test_every_ablation_changes_params_that_there_are() -> None:
    base = load_params(PARAMS_FILE)
    table = ablation_table()
    assert len(table) > 5
    for overrides in table.values():
        changed = load_params(PARAMS_FILE, overrides)
        assert (changed.network, changed.training) != (base.network, base.training)
        assert changed.pairs == base.pairs


def test_ablations_come_by_name_after_the_default() -> None:
    assert [one.name for one in ablations(["no-zoom"])] == ["ours", "no-zoom"]
    assert [one.name for one in ablations(["all"])] == ["ours", *ablation_table()]
    with pytest.raises(SiameseError, match="no such ablation: no-luck"):
        ablations(["no-luck", "no-zoom"])


def test_references_need_their_libraries_and_ours_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec("numpy")
    monkeypatch.setattr("contest.contestants.find_spec", lambda _: None)
    assert [one.name for one in chosen(["ours", "post-only"])] == ["ours", "post-only"]
    with pytest.raises(SiameseError, match=r"not installed: torchgeo, segmentation_models_pytorch.*--only ours"):
        chosen([])
    monkeypatch.setattr("contest.contestants.find_spec", lambda _: there)
    assert chosen([]) == CONTEST
    assert Counter(one.is_reference for one in CONTEST) == {True: 2, False: 2}
