"""Masks: what is inside, what lies on top, what counts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon, box

from siamese.errors import SiameseError
from siamese.pairs import official_targets, training_mask

SUBTYPES = ("un-classified", "no-damage", "minor-damage", "major-damage", "destroyed")
VALUES = dict(zip(SUBTYPES, (255, 1, 2, 3, 4), strict=True))


def test_a_hole_stays_open_and_every_part_of_a_multipolygon_is_burned() -> None:
    ring = Polygon(box(1, 1, 9, 9).exterior, [box(4, 4, 6, 6).exterior])
    mask = training_mask([(MultiPolygon([ring, box(10, 0, 12, 2)]), "destroyed")], 10, 12)
    assert (mask == 4).sum() == 64 - 4 + 4
    assert not mask[4:6, 4:6].any()


def test_a_pixel_belongs_to_a_building_when_its_centre_does() -> None:
    mask = training_mask([(box(0.6, 0.4, 2.6, 1.4), "no-damage")], 3, 4)
    assert mask.tolist() == [[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_in_every_order_the_more_severe_class_wins_and_unclassified_lies_beneath() -> None:
    stack = [(box(0, 0, 5 - level, 1), subtype) for level, subtype in enumerate(SUBTYPES)]
    for order in itertools.permutations(stack):
        assert training_mask(order, 1, 6).tolist() == [[4, 3, 2, 1, 255, 0]]


def test_a_ring_that_crosses_itself_keeps_all_that_it_encloses() -> None:
    bow_tie = Polygon([(0, 0), (8, 8), (8, 0), (0, 8)])
    # A closed outline drawn twice round would be hollow by the even-odd rule.
    twice = Polygon([(0, 0), (8, 0), (8, 8), (0, 8), (0, 0), (6, 0), (6, 6), (0, 6)])
    assert (training_mask([(bow_tie, "no-damage")], 8, 8) > 0).sum() == pytest.approx(32, abs=8)
    assert training_mask([(twice, "no-damage")], 8, 8).all()


def test_what_has_no_area_or_lies_outside_leaves_no_mark() -> None:
    nothing = [Polygon(), shapely.LineString([(0, 0), (5, 5)]), box(50, 50, 60, 60), Polygon([(1, 1), (2, 2), (3, 3)])]
    assert not training_mask([(shape, "destroyed") for shape in nothing], 8, 8).any()
    assert training_mask([], 2, 3).shape == (2, 3)


def test_official_targets_take_localization_from_before_and_damage_from_after() -> None:
    before, after = box(0, 0, 2, 2), box(1, 0, 3, 2)
    post = [(after, "un-classified"), (box(2, 0, 3, 1), "minor-damage")]
    localization, damage = official_targets([before, before], post, 2, 4)
    assert localization.tolist() == [[1, 1, 0, 0]] * 2
    assert damage.tolist() == [[0, 1, 2, 0], [0, 1, 1, 0]]


def test_an_unknown_subtype_is_named() -> None:
    with pytest.raises(SiameseError, match=r"damaged-a-bit.*no-damage"):
        training_mask([(box(0, 0, 1, 1), "damaged-a-bit")], 2, 2)


boxes = st.tuples(*[st.integers(-4, 20)] * 2, *[st.integers(1, 12)] * 2).map(
    lambda b: box(b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(boxes, st.sampled_from(SUBTYPES)), max_size=8))
def test_every_pixel_has_the_most_severe_class_over_its_centre(buildings: list[tuple[Polygon, str]]) -> None:
    mask = training_mask(buildings, 16, 17)
    expected = np.zeros((16, 17), np.uint8)
    for row, col in np.ndindex(16, 17):
        over = [VALUES[subtype] % 255 for shape, subtype in buildings if shape.contains(Point(col + 0.5, row + 0.5))]
        if over:
            expected[row, col] = max(over) or 255
    assert (mask == expected).all()
