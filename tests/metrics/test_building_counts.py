"""Buildings matched one to one, against sets of pixels."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from siamese.classes import UNCLASSIFIED
from siamese.metrics import BuildingCounts, Buildings, Tally, count_buildings, macro_f1


def buildings(rows: list[str], classes: list[int]) -> Buildings:
    """Buildings from digits: each digit is a building's number."""
    ids = np.array([[int(character) for character in row] for row in rows], np.int32)
    return Buildings(ids, np.array(classes, np.uint8))


def test_a_found_a_missed_and_a_false_building_each_land_in_their_cell() -> None:
    target = buildings(["1100", "0000", "0022"], [4, 2])
    prediction = buildings(["1100", "0000", "2000"], [3, 1])
    counts = count_buildings(target, prediction, 0.5)
    assert counts.detection == Tally(tp=1, fp=1, fn=1)
    assert counts.confusion[4][3] == 1
    assert counts.confusion[2][0] == 1
    assert counts.confusion[0][1] == 1
    assert sum(map(sum, counts.confusion)) == 3


@pytest.mark.parametrize(("iou", "found"), [(0.49, 1), (0.5, 1), (0.51, 0)])
def test_the_threshold_itself_is_a_match(iou: float, found: int) -> None:
    counts = count_buildings(buildings(["1100"], [1]), buildings(["1000"], [1]), iou)
    assert counts.detection.tp == found


def test_a_component_over_two_buildings_finds_at_most_one() -> None:
    counts = count_buildings(buildings(["111222"], [1, 1]), buildings(["111111"], [1]), 0.5)
    assert counts.detection == Tally(tp=1, fp=0, fn=1)


def test_the_greatest_overlap_is_matched_first() -> None:
    target = buildings(["11112000"], [1, 2])
    prediction = buildings(["10222000"], [1, 2])
    counts = count_buildings(target, prediction, 0.2)
    assert counts.confusion[1][2] == 1
    assert counts.confusion[2][0] == 1
    assert counts.confusion[0][1] == 1


def test_unclassified_buildings_count_in_detection_alone() -> None:
    target = buildings(["11022"], [UNCLASSIFIED, UNCLASSIFIED])
    counts = count_buildings(target, buildings(["11000"], [4]), 0.5)
    assert counts.detection == Tally(tp=1, fn=1)
    assert sum(map(sum, counts.confusion)) == 0


def test_a_building_without_a_pixel_is_not_counted() -> None:
    counts = count_buildings(buildings(["2200"], [1, 1, 1]), buildings(["1100"], [1]), 0.5)
    assert counts.detection == Tally(tp=1)


def test_components_touch_over_corners_and_take_the_class_of_most_pixels() -> None:
    found = Buildings.from_classes(np.array([[2, 0, 0, 0], [0, 3, 3, 0], [0, 0, 0, 0], [0, 0, 0, 4]], np.uint8))
    assert found.classes.tolist() == [3, 4]
    assert found.ids.tolist() == [[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 2]]


def test_macro_f1_is_over_the_classes_present() -> None:
    assert macro_f1({"a": Tally(tp=1), "b": Tally(fp=9), "c": Tally(fn=1)}) == 0.5
    assert macro_f1({"a": Tally(fp=3)}) == 0


def naive(target: Buildings, prediction: Buildings, iou: float) -> tuple[int, list[list[int]]]:
    """Sets of pixels, all pairs, best first."""

    def pixels(of: Buildings) -> list[set[tuple[int, int]]]:
        places = product(*map(range, of.ids.shape))
        sets: list[set[tuple[int, int]]] = [set() for _ in of.classes]
        for place in places:
            if of.ids[place]:
                sets[of.ids[place] - 1].add(place)
        return sets

    ours, theirs = pixels(target), pixels(prediction)
    pairs = sorted((-len(a & b) / len(a | b), i, j) for i, a in enumerate(ours) for j, b in enumerate(theirs) if a & b)
    partner: dict[int, int] = {}
    for negative, i, j in pairs:
        if -negative >= iou and i not in partner and j not in partner.values():
            partner[i] = j
    table = [[0] * 5 for _ in range(5)]
    for i, a in enumerate(ours):
        if a and target.classes[i] != UNCLASSIFIED:
            table[target.classes[i]][prediction.classes[partner[i]] if i in partner else 0] += 1
    for j, b in enumerate(theirs):
        if b and j not in partner.values():
            table[0][prediction.classes[j]] += 1
    return len(partner), table


scenes = st.builds(
    lambda ids, classes: Buildings(ids.astype(np.int32), np.array(classes, np.uint8)),
    arrays(np.uint8, (4, 5), elements=st.integers(0, 5)),
    st.lists(st.sampled_from([1, 2, 3, 4, 255]), min_size=5, max_size=5),
)
guesses = st.builds(Buildings.from_classes, arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 0, 0, 1, 2, 4])))


@given(scenes, guesses, st.sampled_from([0.1, 0.3, 0.5, 0.75, 1.0]))
@settings(max_examples=200, deadline=None)
def test_counts_are_those_of_sets_of_pixels(target: Buildings, prediction: Buildings, iou: float) -> None:
    counts = count_buildings(target, prediction, iou)
    matched, table = naive(target, prediction, iou)
    assert [list(row) for row in counts.confusion] == table
    assert counts.detection.tp == matched
    assert counts + BuildingCounts() == counts
    end_to_end, alone = counts.damage, counts.matched_damage
    assert sum(tally.support for tally in end_to_end.values()) == sum(map(sum, table[1:]))
    assert sum(tally.support for tally in alone.values()) == sum(sum(row[1:]) for row in table[1:])
    assert all(alone[name].tp == end_to_end[name].tp for name in alone)


def test_a_city_of_a_thousand_buildings_is_all_found() -> None:
    ids = np.zeros((1024, 1024), np.int32)
    for number, (row, col) in enumerate(product(range(32), range(32)), start=1):
        ids[row * 32 : row * 32 + 20, col * 32 : col * 32 + 25] = number
    classes = np.arange(1024, dtype=np.uint8) % 4 + 1
    raster = np.concatenate([[0], classes])[ids].astype(np.uint8)
    counts = count_buildings(Buildings(ids, classes), Buildings.from_classes(np.roll(raster, 3, axis=0)), 0.5)
    assert counts.detection == Tally(tp=1024)
    assert [row[k] for k, row in enumerate(counts.confusion)] == [0, 256, 256, 256, 256]
