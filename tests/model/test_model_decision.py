"""From probabilities to classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage

from siamese.model import Decision, Probabilities, class_raster
from siamese.model.decision import (
    building_mask,
    decide,
    grow,
    least_building,
    number_buildings,
    pixel_votes,
    rounded,
)


def random_prediction(seed: int, height: int = 24, width: int = 31) -> Probabilities:
    rng = np.random.default_rng(seed)
    building = ndimage.gaussian_filter(rng.random((height, width)), 1.5)
    building = (building - building.min()) / np.ptp(building)
    damage = rng.dirichlet(np.ones(4), (height, width)).transpose(2, 0, 1)
    return Probabilities(building.astype(np.float32), damage.astype(np.float32))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 0.9), st.floats(0.1, 0.9))
def test_each_component_has_one_class_and_thresholds_make_the_mask(seed: int, plain: float, damaged: float) -> None:
    decision = Decision(building=plain, damaged_building=damaged)
    prediction = rounded(random_prediction(seed), decision)
    raster = class_raster(prediction, decision)
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
    assert (class_raster(Probabilities(building, damage), Decision()) == 1).all()
    assert (class_raster(Probabilities(building, damage), Decision(class_weights=(1, 3, 1, 1))) == 2).all()


def test_a_temperature_lets_weights_tell_where_a_network_is_too_sure_of_itself() -> None:
    building = np.ones((4, 4), np.float32)
    damage = np.broadcast_to(np.array([0.9, 0.1, 0.0, 0.0], np.float32)[:, None, None], (4, 4, 4))
    weighted = Decision(class_weights=(1, 4, 1, 1))
    softened = weighted.model_copy(update={"vote_temperature": 2.0})
    for per_building in (True, False):
        sure, unsure = (one.model_copy(update={"per_building": per_building}) for one in (weighted, softened))
        assert (class_raster(Probabilities(building, damage), sure) == 1).all()
        assert (class_raster(Probabilities(building, damage), unsure) == 2).all()
    votes = pixel_votes(damage, softened)
    np.testing.assert_allclose(votes.sum(0), 1, rtol=1e-6)
    assert np.array_equal(votes.argsort(0)[2:], damage.argsort(0)[2:])
    assert pixel_votes(damage, weighted) is damage


def test_without_votes_each_pixel_speaks_for_itself() -> None:
    prediction = random_prediction(3)
    decision = Decision(building=0, damaged_building=0, per_building=False)
    assert np.array_equal(class_raster(prediction, decision), rounded(prediction, decision).damage.argmax(0) + 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1), st.integers(0, 12), st.integers(0, 9))
def test_a_building_is_a_core_and_what_it_reaches(seed: int, peak: float, least: int, steps: int) -> None:
    prediction = random_prediction(seed)
    decision = Decision(building=0.4, damaged_building=0.3, building_peak=peak, minimum_px=least, growth_px=steps)
    mask = building_mask(prediction, decision)
    cores, _ = ndimage.label(mask & (prediction.building >= np.float32(peak)), np.ones((3, 3)))
    sizes = np.bincount(cores.ravel())
    kept = [number for number in range(1, len(sizes)) if sizes[number] >= least]
    count, numbers = number_buildings(prediction, decision)
    assert count == len(kept)
    for place, core in enumerate(kept):  # SciPy labels in row-major order too.
        inside = numbers == place + 1
        assert inside[cores == core].all()
        _, parts = ndimage.label(inside, np.ones((3, 3)))
        assert parts == 1
    reached = ndimage.binary_dilation(np.isin(cores, kept), np.ones((3, 3)), 1, mask) if steps and kept else None
    if reached is not None:
        assert (numbers[reached & mask] > 0).all()
    assert not numbers[~mask].any()
    if prediction.building.max() < least_building(decision):
        assert not count


def test_neighbours_that_touch_are_two_and_a_faint_patch_is_none() -> None:
    building, damage = np.zeros((12, 40), np.float32), np.zeros((4, 12, 40), np.float32)
    building[2:10, 2:20] = 0.5
    building[4:8, 3:7], building[4:8, 13:17] = 0.9, 0.8  # Two cores, six pixels apart.
    building[2:10, 30:38] = 0.5  # No core.
    building[5, 18:20] = 0.9  # Too small for one.
    damage[0, :, :10], damage[3, :, 10:] = 1, 1
    decision = Decision(building=0.4, damaged_building=0.4, building_peak=0.7, minimum_px=8)
    decided = decide(Probabilities(building, damage), decision)
    expected = np.zeros((12, 40), int)
    expected[2:10, 2:10], expected[2:10, 10:20] = 1, 2
    np.testing.assert_array_equal(decided.buildings, expected)
    np.testing.assert_array_equal(decided.classes, np.array([0, 1, 4])[expected])
    near = decide(Probabilities(building, damage), decision.model_copy(update={"growth_px": 1}))
    assert set(np.flatnonzero(near.buildings.any(0))) == set(range(2, 8)) | set(range(12, 18))
    merged = decide(Probabilities(building, damage), decision.model_copy(update={"building_peak": 0.0}))
    assert merged.buildings.max() == 2
    assert merged.buildings[5, 35] == 2


def test_growth_goes_around_what_is_no_building_and_as_far_as_it_is_told() -> None:
    mask = np.zeros((5, 9), bool)
    mask[0], mask[4], mask[:, 0] = True, True, True
    cores = np.zeros((5, 9), np.int32)
    cores[0, 8] = 7
    path = [(0, col) for col in range(8, -1, -1)]
    for steps in range(9):
        assert set(zip(*np.nonzero(grow(cores, mask, steps)), strict=True)) == set(path[: steps + 1])
    assert (grow(cores, mask, 50)[mask] == 7).all()


def test_small_components_are_dropped_and_nothing_is_nothing() -> None:
    building = np.zeros((8, 8), np.float32)
    building[0, 0], building[4:7, 4:7] = 1, 1
    damage = np.full((4, 8, 8), 0.25, np.float32)
    assert np.count_nonzero(class_raster(Probabilities(building, damage), Decision(minimum_px=2))) == 9
    assert not class_raster(Probabilities(np.zeros((8, 8), np.float32), damage), Decision()).any()


def test_a_decision_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValidationError):
        Decision(building=1.5)
