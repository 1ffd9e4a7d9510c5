"""Labels that contradict each other are told, and only those."""

from __future__ import annotations

import numpy as np

from siamese.adaptation.contradictions import contradictions

ALONG = np.array([[1.0, 0.0], [1.0, 0.05], [1.0, -0.05], [-1.0, 0.0], [0.0, 1.0]])
IDS = [f"b{number}" for number in range(len(ALONG))]


def test_buildings_that_look_the_same_with_opposite_classes_are_told() -> None:
    (told,) = contradictions(ALONG, {0: 0, 1: 3, 3: 3}, IDS)
    assert told.endswith("look the same: b0 (no_damage) and b1 (destroyed)")


def test_neighbouring_classes_and_unlike_buildings_do_not_contradict() -> None:
    assert contradictions(ALONG, {0: 0, 1: 1}, IDS) == ()
    assert contradictions(ALONG, {0: 0, 3: 3, 4: 2}, IDS) == ()
    assert contradictions(ALONG, {0: 0}, IDS) == ()


def test_of_many_pairs_three_are_named_and_the_rest_counted() -> None:
    many = np.tile(ALONG[:1], (6, 1))
    (told,) = contradictions(many, {place: 3 * (place % 2) for place in range(6)}, [f"b{n}" for n in range(6)])
    assert told.count(" and b") == 3
    assert told.endswith("and 6 more pairs")
