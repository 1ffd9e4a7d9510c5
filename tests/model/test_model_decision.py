"""From probabilities to classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage

from siamese.model import Decision, Prediction, class_raster
from siamese.model.decision import least_building, number_buildings, pixel_votes


def random_prediction(seed: int, height: int = 24, width: int = 31) -> Prediction:
    rng = np.random.default_rng(seed)
    building = ndimage.gaussian_filter(rng.random((height, width)), 1.5)
    building = (building - building.min()) / np.ptp(building)
    damage = rng.dirichlet(np.ones(4), (height, width)).transpose(2, 0, 1)
    return Prediction(building.astype(np.float32), damage.astype(np.float32))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 0.9), st.floats(0.1, 0.9))
def test_each_component_has_one_class_and_thresholds_make_the_mask(seed: int, plain: float, damaged: float) -> None:
    prediction = random_prediction(seed)
    raster = class_raster(prediction, Decision(building=plain, damaged_building=damaged))
    likely = prediction.damage[0] < 0.5
    expected = prediction.building >= np.where(likely, np.float32(damaged), np.float32(plain))
    assert raster.dtype == np.uint8
    assert np.array_equal(raster > 0, expected)
    components, count = ndimage.label(expected, np.ones((3, 3)))
    for number in range(1, count + 1):
        votes = prediction.damage[:, components == number].sum(1)
        found = set(raster[components == number].tolist())
        assert len(found) == 1
        assert votes[found.pop() - 1] >= votes.max() - 1e-3


def test_class_weights_turn_a_vote() -> None:
    building = np.ones((4, 4), np.float32)
    damage = np.broadcast_to(np.array([0.6, 0.3, 0.1, 0.0], np.float32)[:, None, None], (4, 4, 4))
    assert (class_raster(Prediction(building, damage), Decision()) == 1).all()
    assert (class_raster(Prediction(building, damage), Decision(class_weights=(1, 3, 1, 1))) == 2).all()


def test_a_temperature_lets_weights_tell_where_a_network_is_too_sure_of_itself() -> None:
    building = np.ones((4, 4), np.float32)
    damage = np.broadcast_to(np.array([0.9, 0.1, 0.0, 0.0], np.float32)[:, None, None], (4, 4, 4))
    weighted = Decision(class_weights=(1, 4, 1, 1))
    softened = weighted.model_copy(update={"vote_temperature": 2.0})
    for per_building in (True, False):
        sure, unsure = (one.model_copy(update={"per_building": per_building}) for one in (weighted, softened))
        assert (class_raster(Prediction(building, damage), sure) == 1).all()
        assert (class_raster(Prediction(building, damage), unsure) == 2).all()
    votes = pixel_votes(damage, softened)
    np.testing.assert_allclose(votes.sum(0), 1, rtol=1e-6)
    assert np.array_equal(votes.argsort(0)[2:], damage.argsort(0)[2:])
    assert pixel_votes(damage, weighted) is damage


def test_without_votes_each_pixel_speaks_for_itself() -> None:
    prediction = random_prediction(3)
    raster = class_raster(prediction, Decision(building=0, damaged_building=0, per_building=False))
    assert np.array_equal(raster, prediction.damage.argmax(0) + 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1), st.integers(0, 12), st.booleans())
def test_only_components_that_reach_the_peak_stay_and_they_stay_whole(
    seed: int, peak: float, least: int, per_building: bool
) -> None:
    prediction = random_prediction(seed)
    plain = Decision(building=0.4, damaged_building=0.3, per_building=per_building)
    every = class_raster(prediction, plain)
    decision = plain.model_copy(update={"building_peak": peak, "minimum_px": least})
    found = class_raster(prediction, decision)
    components, count = ndimage.label(every > 0, np.ones((3, 3)))
    expected = np.zeros_like(every)
    for number in range(1, count + 1):
        inside = components == number
        if inside.sum() >= least and prediction.building[inside].max() >= np.float32(peak):
            expected[inside] = every[inside]
    np.testing.assert_array_equal(found, expected)
    if prediction.building.max() < least_building(decision):
        assert not found.any()
    count, numbers = number_buildings(prediction, decision)
    assert set(np.unique(numbers)) - {0} == set(range(1, count + 1))


def test_small_components_are_dropped_and_nothing_is_nothing() -> None:
    building = np.zeros((8, 8), np.float32)
    building[0, 0], building[4:7, 4:7] = 1, 1
    damage = np.full((4, 8, 8), 0.25, np.float32)
    assert np.count_nonzero(class_raster(Prediction(building, damage), Decision(minimum_px=2))) == 9
    assert not class_raster(Prediction(np.zeros((8, 8), np.float32), damage), Decision()).any()


def test_a_decision_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValidationError):
        Decision(building=1.5)
