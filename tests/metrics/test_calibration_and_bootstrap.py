"""Reliability bins against their definition; intervals against resampling by hand."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese.manifests import Scores
from siamese.metrics import Counts, Reliability, Tally, bootstrap, count_reliability
from siamese.metrics.calibration import BINS


def test_a_network_that_is_as_right_as_it_says_has_no_calibration_error() -> None:
    reliability = count_reliability(np.full(10, 0.75, np.float32), np.arange(10) % 4 != 0)
    assert reliability.expected_calibration_error == pytest.approx(abs(0.7 - 0.75))
    reliability = count_reliability(np.full(8, 0.75, np.float32), np.arange(8) % 4 != 0)
    assert reliability.expected_calibration_error == 0


def test_one_is_in_the_last_bin_and_nothing_is_fine() -> None:
    reliability = count_reliability(np.array([0, 1], np.float32), np.array([False, True]))
    assert (reliability.bins[0].count, reliability.bins[-1].count) == (1, 1)
    assert count_reliability(np.empty(0, np.float32), np.empty(0, bool)) == Reliability()
    assert Reliability().expected_calibration_error == 0


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), max_size=60), st.integers(0, 60))
@settings(max_examples=80, deadline=None)
def test_bins_add_up_and_the_error_is_that_of_its_definition(pixels: list[tuple[float, bool]], cut: int) -> None:
    confidence = np.array([pixel[0] for pixel in pixels], np.float32)
    right = np.array([pixel[1] for pixel in pixels], bool)
    whole = count_reliability(confidence, right)
    parts = count_reliability(confidence[:cut], right[:cut]) + count_reliability(confidence[cut:], right[cut:])
    assert [one.count for one in parts.bins] == [one.count for one in whole.bins]
    assert parts.expected_calibration_error == pytest.approx(whole.expected_calibration_error, abs=1e-9)
    error = 0.0
    for number in range(BINS):
        inside = [(c, r) for c, r in zip(confidence, right, strict=True) if min(int(c * BINS), BINS - 1) == number]
        if inside:
            error += abs(sum(r for _, r in inside) - sum(float(c) for c, _ in inside)) / len(pixels)
    assert whole.expected_calibration_error == pytest.approx(error, abs=1e-6)


def some_counts(generator: np.random.Generator) -> Counts:
    def tally() -> Tally:
        tp, fp, fn = (int(number) for number in generator.integers(0, 50, 3))
        return Tally(tp=tp, fp=fp, fn=fn)

    return Counts(**{name: tally() for name in Counts.model_fields})


def test_scenes_that_are_all_alike_leave_no_doubt() -> None:
    counts = some_counts(np.random.default_rng(0))
    scores = (counts + counts + counts).scores().model_dump()
    intervals = bootstrap([counts] * 3, resamples=50, seed=1)
    assert intervals.keys() == Scores.model_fields.keys()
    for name, interval in intervals.items():
        assert interval.low == pytest.approx(scores[name], abs=1e-12)
        assert interval.high == pytest.approx(scores[name], abs=1e-12)


def test_intervals_are_the_quantiles_of_scores_of_scenes_drawn_again() -> None:
    generator = np.random.default_rng(3)
    scenes = [some_counts(generator) for _ in range(12)]
    draws = [reduce(add, [scenes[k] for k in generator.integers(0, 12, 12)]).scores().score for _ in range(2000)]
    interval = bootstrap(scenes, resamples=20_000, seed=5)["score"]
    assert interval.low == pytest.approx(np.quantile(draws, 0.025), abs=0.01)
    assert interval.high == pytest.approx(np.quantile(draws, 0.975), abs=0.01)
    assert bootstrap(scenes, resamples=100, seed=5) == bootstrap(scenes, resamples=100, seed=5)
    assert bootstrap(scenes, resamples=100, seed=5) != bootstrap(scenes, resamples=100, seed=6)
