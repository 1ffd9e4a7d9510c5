"""Probabilities in steps: close to what they were, and the same when they are rounded again."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from siamese.model.decision import Decision, Probabilities, decide, rounded
from siamese.model.rounding import decode_damage, encode_damage, scale

ALL = np.arange(256, dtype=np.uint8)
THRESHOLDS = st.lists(st.integers(1, 99).map(lambda percent: percent / 100), max_size=3)
UNIT = arrays.arrays(np.float32, (4, 20), elements=st.floats(0, 1, width=32))


@given(THRESHOLDS)
def test_every_step_is_what_its_value_is_rounded_to(thresholds: list[float]) -> None:
    steps = scale(*thresholds)
    np.testing.assert_array_equal(steps.encode(steps.values), ALL)
    assert (np.diff(steps.values) > 0).all()
    assert 0 < steps.values[0] < 1e-4
    assert 1 - 1e-4 < steps.values[-1] < 1


@given(st.lists(st.floats(0, 1), max_size=3))
def test_any_thresholds_make_a_scale(thresholds: list[float]) -> None:
    steps = scale(*thresholds)
    assert (np.diff(steps.values) >= 0).all()
    assert (np.diff(steps.steps.astype(int)) >= 0).all()


def test_every_step_of_damage_is_what_its_value_is_rounded_to() -> None:
    triples = np.stack(np.meshgrid(ALL[::5], ALL[::5], ALL[::5])).reshape(3, -1)
    np.testing.assert_array_equal(encode_damage(decode_damage(triples)), triples)


@given(UNIT, THRESHOLDS)
def test_rounding_takes_nothing_across_a_threshold(raw: np.ndarray, thresholds: list[float]) -> None:
    steps = scale(*thresholds)
    near = steps.decode(steps.encode(raw))
    for threshold in thresholds or [0.5]:
        clear = np.abs(raw - threshold) > 1e-5
        np.testing.assert_array_equal((near >= threshold)[clear], (raw >= threshold)[clear])


@given(UNIT)
def test_rounded_probabilities_are_close_and_sum_to_one(raw: np.ndarray) -> None:
    building = scale().decode(scale().encode(raw[0]))
    assert np.abs(building - raw[0]).max() < 0.004
    damage = (raw + np.float32(1e-6)) / (raw + np.float32(1e-6)).sum(0)
    near = decode_damage(encode_damage(damage))
    np.testing.assert_allclose(near.sum(0), 1, atol=1e-5)
    assert np.abs(near - damage).max() < 0.009


@given(UNIT, st.floats(0, 1))
def test_what_is_decided_from_rounded_probabilities_is_what_is_decided_at_first(raw: np.ndarray, least: float) -> None:
    damage = (raw + np.float32(1e-6)) / (raw + np.float32(1e-6)).sum(0)
    prediction = Probabilities(raw[:1], damage[:, None])
    decision = Decision(building=least, damaged_building=least / 2, vote_temperature=2)
    again = rounded(rounded(prediction, decision), decision)
    np.testing.assert_array_equal(
        decide(prediction, decision).classes, decide(rounded(prediction, decision), decision).classes
    )
    np.testing.assert_allclose(again.damage, rounded(prediction, decision).damage, atol=1e-6)
