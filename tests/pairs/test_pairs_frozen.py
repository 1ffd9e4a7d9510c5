"""Splits are kept: a scene that has one keeps it when new scenes come, and no newcomer leaks across."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from builders.tinyscenes import TinyScene, some_buildings, tiny_scenes
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from siamese.cli import main
from siamese.errors import SiameseError
from siamese.manifests import SceneCatalog, Split
from siamese.pairs import build_pairs, read_splits
from siamese.pairs.groups import Candidate
from siamese.pairs.growth import grow
from siamese.pairs.splits import assign_splits
from siamese.params import PairsParams
from siamese.store import ObjectStore

MakeCatalog = Callable[[Sequence[TinyScene]], SceneCatalog]
SMALL = PairsParams(block_px=32, val_share=0.25, test_share=0.25)
SIDE = 0.005


def scene(name: str, place: float) -> TinyScene:
    return TinyScene(name, place, buildings=some_buildings(len(name)))


def changed(**params: object) -> PairsParams:
    return SMALL.model_copy(update=params)


def objects(store: ObjectStore) -> set[tuple[str, str | None]]:
    return {(str(found.uri), found.version_id) for found in store.list(store.lake / "pair-set" / "")}


def tile(name: str, x: float, y: float = 0, images: tuple[str, ...] = ()) -> Candidate:
    bounds = (x * SIDE, y * SIDE, (x + 1) * SIDE, (y + 1) * SIDE)
    return Candidate(name, name.rsplit("_", 1)[0], None, bounds, images or (name,), (1, 0, 0, 0))


def test_old_scenes_stay_newcomers_join_neighbours_and_bridges_are_left_out(
    store: ObjectStore, make_catalog: MakeCatalog
) -> None:
    old = [scene(f"flood_{n:08d}", n + 2 * (n // 2)) for n in range(16)]
    first = build_pairs(make_catalog(old), SMALL, store)
    before = read_splits(store, first)
    assert (first.left_out, set(first.origin.inputs)) == ((), {"catalog"})

    splits = [before[one.name] for one in old]
    parted = next(n for n in range(0, 16, 2) if splits[n] != splits[n + 1])
    tested = next(n for n in range(0, 16, 2) if splits[n] == "test")
    bridge = scene("flood_00000100", old[parted].place + 0.5)
    beside_test = scene("flood_00000101", old[tested].place - 0.5)
    far = [scene(f"fire_{n:08d}", 100 + 3 * n) for n in range(8)]
    more = build_pairs(make_catalog([*old, bridge, beside_test, *far]), SMALL, store)

    after = read_splits(store, more)
    assert {name: after[name] for name in before} == before
    assert after[beside_test.name] == "test"
    assert more.left_out == (bridge.name,)
    assert bridge.name not in after
    assert {after[one.name] for one in far} >= {"train", "test"}
    counts = Counter(after.values())
    assert len(after) == 25
    assert 5 <= counts["val"] <= 8
    assert 5 <= counts["test"] <= 8
    assert {split: held.scenes for split, held in more.splits.items()} == counts


def test_folds_are_lines_of_their_own_that_keep_nothing(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    old = [scene(f"flood_{n:08d}", 3 * n) for n in range(9)]
    catalog = make_catalog(old)
    folds = [build_pairs(catalog, changed(split="fold", fold=fold), store) for fold in range(3)]
    assert len({one.digest for one in folds}) == 3
    splits = [read_splits(store, one) for one in folds]
    assert [Counter(found[one.name] for found in splits)["test"] for one in old] == [1] * 9
    assert build_pairs(catalog, changed(split="fold", fold=0), store) == folds[0]

    more = make_catalog([*old, *(scene(f"fire_{n:08d}", 100 + 3 * n) for n in range(3))])
    again = [read_splits(store, build_pairs(more, changed(split="fold", fold=fold), store)) for fold in range(3)]
    assert Counter(name for found in again for name in found if found[name] == "test") == dict.fromkeys(again[0], 1)


def test_a_split_is_remembered_while_its_scene_is_away(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    scenes = tiny_scenes(12)
    before = read_splits(store, build_pairs(make_catalog(scenes), SMALL, store))
    away = next(one for one in scenes if before[one.name] == "test")
    label = store.raw / "scenes" / "labels" / f"{away.name}_post_disaster.json"
    store.put(label, b"{}")
    without = build_pairs(make_catalog([scene("fire_00000001", 90)]), SMALL, store)
    assert away.name not in read_splits(store, without)
    again = build_pairs(make_catalog([away, scene("fire_00000002", 95)]), SMALL, store)
    after = read_splits(store, again)
    assert {name: after[name] for name in before} == before


def test_without_news_nothing_is_made_and_other_ways_to_split_are_other_lines(
    store: ObjectStore, make_catalog: MakeCatalog
) -> None:
    scenes = tiny_scenes(12)
    catalog = make_catalog(scenes)
    first = build_pairs(catalog, SMALL, store)
    held = objects(store)
    assert build_pairs(catalog, SMALL, store) == first
    assert build_pairs(catalog, changed(workers=1), store) == first
    assert objects(store) == held

    smaller = build_pairs(catalog, changed(block_px=48), store)
    assert smaller.digest != first.digest
    assert read_splits(store, smaller) == read_splits(store, first)

    other = build_pairs(catalog, changed(seed=9), store)
    assert set(other.origin.inputs) == {"catalog"}
    assert read_splits(store, other) != read_splits(store, first)

    grown = make_catalog([*scenes, scene("fire_00000001", 90)])
    for params, known in ((SMALL, first), (changed(seed=9), other)):
        kept, after = read_splits(store, known), read_splits(store, build_pairs(grown, params, store))
        assert {name: after[name] for name in kept} == kept
    fresh = build_pairs(grown, changed(keep_splits=False), store)
    assert set(fresh.origin.inputs) == {"catalog"}


def test_two_that_follow_at_once_end_in_one_line(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    scenes = tiny_scenes(9)
    before = read_splits(store, build_pairs(make_catalog(scenes), SMALL, store))
    catalogs = [make_catalog([*scenes, *(scene(f"fire_{n:08d}", 90 + 3 * n) for n in range(m))]) for m in (2, 4)]
    with ThreadPoolExecutor(2) as pool:
        made = [read_splits(store, one) for one in pool.map(lambda one: build_pairs(one, SMALL, store), catalogs)]
    for one, other in combinations([before, *made], 2):
        assert all(one[name] == other[name] for name in one.keys() & other.keys())
    last = build_pairs(make_catalog([scene("fire_00000099", 400)]), SMALL, store)
    assert all(read_splits(store, last)[name] == split for held in made for name, split in held.items())


def test_the_command_names_what_is_left_out(
    store: ObjectStore,
    make_catalog: MakeCatalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in store.settings.model_dump().items():
        monkeypatch.setenv(f"SIAMESE_{name.upper()}", str(value))
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("pairs: {val_share: 0, test_share: 0.5, block_px: 32}")
    pair = [scene("flood_00000001", 0), scene("flood_00000002", 1)]
    for scenes in (pair, [scene("flood_00000003", 0.5)]):
        with pytest.raises(SystemExit) as ended:
            main(["pairs", "--catalog", make_catalog(scenes).digest])
        assert not ended.value.code
    assert "between scenes of two splits: 1: flood_00000003" in " ".join(capsys.readouterr().out.split())


places = st.lists(st.tuples(st.floats(0, 12), st.floats(0, 12)), min_size=10, max_size=40)


@settings(max_examples=60, deadline=None)
@given(places, st.integers(5, 30), st.integers(0, 3))
def test_whatever_comes_nobody_moves_and_no_newcomer_lies_beside_another_split(
    where: list[tuple[float, float]], known_count: int, seed: int
) -> None:
    scenes = [tile(f"a_{n:02d}", x, y) for n, (x, y) in enumerate(where)]
    params = PairsParams(seed=seed, val_share=0.2, test_share=0.2)
    try:
        before = assign_splits(scenes[:known_count], params)
    except SiameseError:
        assume(False)
    after = assign_splits(scenes, params, before)
    assert {name: after[name] for name in before} == before
    for (one, (x, y)), (other, (u, v)) in combinations(zip(scenes, where, strict=True), 2):
        if max(abs(x - u), abs(y - v)) < 1.4999 and one.scene in after and other.scene in after:
            assert after[one.scene] == after[other.scene]
    for n, (x, y) in enumerate(where):
        beside_nobody = all(max(abs(x - u), abs(y - v)) > 1.5001 for m, (u, v) in enumerate(where) if m != n)
        assert scenes[n].scene in after or not beside_nobody


def test_of_a_chain_between_two_splits_only_the_tile_where_they_meet_is_lost() -> None:
    row = [tile(f"a_{n}", n) for n in range(6)]
    grown = grow(row, {"a_0": "train", "a_5": "test"}, 0.5)
    assert grown.between == {"a_3"}
    assert grown.splits == {"a_0": "train", "a_1": "train", "a_2": "train", "a_4": "test", "a_5": "test"}


def test_the_very_same_image_never_reaches_two_splits() -> None:
    known: dict[str, Split] = {"a_1": "train", "a_2": "test"}
    scenes = [tile("a_1", 0, images=("x",)), tile("a_2", 9, images=("y",))]
    new = [tile("b_1", 20, images=("x", "p")), tile("b_2", 30, images=("p", "q")), tile("b_3", 40, images=("q", "y"))]
    grown = grow([*scenes, *new], known, 0.5)
    assert grown.splits == known | {"b_1": "train", "b_3": "test"}
    assert grown.between == {"b_2"}


def test_events_keep_their_split_unless_they_are_named() -> None:
    scenes = [tile(f"e{n % 8}_{n}", 3 * n) for n in range(40)]
    params = PairsParams(split="event", val_share=0.25, test_share=0.25)
    before = assign_splits(scenes, params)
    new = [tile(f"{name}_{n}", 200 + 3 * n) for n, name in enumerate(["e0", "new0", "new1", "new2"], 100)]
    after = assign_splits([*scenes, *new], params, before)
    assert {name: after[name] for name in before} == before
    assert after["e0_100"] == before["e0_0"]
    trained = sorted({name.split("_")[0] for name, split in before.items() if split == "train"})[0]
    named = params.model_copy(update={"test_events": (trained, "new1")})
    after = assign_splits([*scenes, *new], named, before)
    moved = {name.split("_")[0] for name in before if after[name] != before[name]}
    assert moved == {trained}
    assert (after[f"{trained}_{trained[1:]}"], after["new1_102"]) == ("test", "test")
    assert "test" not in {after["new0_101"], after["new2_103"]}, (
        "a split whose events are named takes no other new ones"
    )


def test_official_goes_by_folders_even_when_known(store: ObjectStore, make_catalog: MakeCatalog) -> None:
    folders = ["train", "tier3", "test", "hold"]
    params = PairsParams(split="official", block_px=32)
    scenes = [TinyScene(f"flood_{n:08d}", folder=folder) for n, folder in enumerate(folders)]
    build_pairs(make_catalog(scenes), params, store)
    pair_set = build_pairs(make_catalog([TinyScene("flood_00000009", folder="hold")]), params, store)
    assert set(pair_set.origin.inputs) == {"catalog"}
    assert pq.read_table(io.BytesIO(pair_set.index.read(store)))["split"].to_pylist().count("val") == 12
