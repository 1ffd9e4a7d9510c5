"""Probabilities in steps: close to what they were, and the same when they are rounded again."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from siamese.model.decision import Decision, Prediction, decide, rounded
from siamese.model.rounding import damage_from_steps, damage_to_steps, from_steps, to_steps

ALL = np.arange(256, dtype=np.uint8)
UNIT = arrays.arrays(np.float32, (4, 20), elements=st.floats(0, 1, width=32))


def test_every_step_is_what_its_value_is_rounded_to() -> None:
    np.testing.assert_array_equal(to_steps(from_steps(ALL)), ALL)
    triples = np.stack(np.meshgrid(ALL[::5], ALL[::5], ALL[::5])).reshape(3, -1)
    np.testing.assert_array_equal(damage_to_steps(damage_from_steps(triples)), triples)


def test_steps_rise_and_half_lies_between_two() -> None:
    values = from_steps(ALL)
    assert (np.diff(values) > 0).all()
    assert 0 < values[0] < 1e-4
    assert 1 - 1e-4 < values[-1] < 1
    assert values[127] < 0.5 < values[128]
    assert to_steps(np.float32([0, 0.4999, 0.5, 1])).tolist() == [0, 127, 128, 255]


@given(UNIT)
def test_rounded_probabilities_are_close_and_sum_to_one(raw: np.ndarray) -> None:
    building = from_steps(to_steps(raw[0]))
    assert np.abs(building - raw[0]).max() < 0.004
    damage = (raw + np.float32(1e-6)) / (raw + np.float32(1e-6)).sum(0)
    near = damage_from_steps(damage_to_steps(damage))
    np.testing.assert_allclose(near.sum(0), 1, atol=1e-5)
    assert np.abs(near - damage).max() < 0.009


@given(UNIT, st.floats(0, 1))
def test_what_is_decided_from_rounded_probabilities_is_what_is_decided_at_first(raw: np.ndarray, least: float) -> None:
    damage = (raw + np.float32(1e-6)) / (raw + np.float32(1e-6)).sum(0)
    prediction = Prediction(raw[:1], damage[:, None])
    decision = Decision(building=least, damaged_building=least / 2, vote_temperature=2)
    again = rounded(rounded(prediction, decision), decision)
    np.testing.assert_array_equal(
        decide(prediction, decision).classes, decide(rounded(prediction, decision), decision).classes
    )
    np.testing.assert_allclose(again.damage, rounded(prediction, decision).damage, atol=1e-6)
