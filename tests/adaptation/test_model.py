"""The model that learns from a few labels: what it promises whatever the labels are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from siamese.adaptation.model import adapt, decide_classes, directions, log_prior, softmax
from siamese.errors import SiameseError
from siamese.params import AdaptationParams

Floats = npt.NDArray[np.float64]


def area(count: int = 600, seed: int = 0) -> tuple[npt.NDArray[np.float32], Floats, npt.NDArray[np.int64]]:
    """Vectors, probabilities and true classes of an area whose network is weak, and whose vectors tell more."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, count, p=[0.6, 0.18, 0.12, 0.1])
    middles = rng.normal(size=(4, 40)) * 0.6
    vectors = (middles[truth] + rng.normal(size=(count, 40))).astype(np.float32)
    logits = 0.5 * np.eye(4)[truth] + 0.8 * rng.normal(size=(count, 4)) + np.log([0.75, 0.12, 0.07, 0.06])
    return vectors, softmax(logits), truth


def right(probabilities: Floats, truth: npt.NDArray[np.int64]) -> float:
    """Macro F1."""
    found = decide_classes(probabilities)
    both = [int(((found == k) & (truth == k)).sum()) for k in range(4)]
    return float(np.mean([2 * both[k] / max(1, (found == k).sum() + (truth == k).sum()) for k in range(4)]))


def spread_labels(truth: npt.NDArray[np.int64], count: int, seed: int = 0) -> dict[int, int]:
    places = np.random.default_rng(seed).choice(len(truth), count, replace=False)
    return {int(place): int(truth[place]) for place in places}


def test_labels_teach_what_the_network_did_not_know() -> None:
    vectors, prior, truth = area()
    scores = [right(adapt(vectors, prior, spread_labels(truth, count)).probabilities, truth) for count in (20, 60)]
    assert scores[0] > right(prior, truth) + 0.15
    assert scores[1] > scores[0]


@pytest.mark.parametrize("count", [1, 5, 40])
def test_a_labelled_building_has_its_label(count: int) -> None:
    vectors, prior, _ = area()
    labels = {place: place % 4 for place in range(count)}
    found = adapt(vectors, prior, labels)
    np.testing.assert_array_equal(decide_classes(found.probabilities)[:count], [place % 4 for place in range(count)])
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    assert np.isfinite(found.probabilities).all()


@pytest.mark.parametrize("damage", range(4))
@pytest.mark.parametrize("count", [1, 10])
def test_labels_of_one_class_do_not_wreck_the_rest(damage: int, count: int) -> None:
    vectors, prior, truth = area()
    places = np.flatnonzero(truth == damage)[:count]
    found = adapt(vectors, prior, {int(place): damage for place in places})
    others = np.setdiff1d(np.arange(len(truth)), places)
    before, after = (right(p[others], truth[others]) for p in (prior, found.probabilities))
    assert after > before - 0.05
    assert (decide_classes(found.probabilities) == damage).mean() < (truth == damage).mean() + 0.25


def test_ten_identical_labels_count_little_more_than_one() -> None:
    vectors, prior, truth = area()
    vectors[:10] = vectors[0]
    found = adapt(vectors, prior, dict.fromkeys(range(10), 3))
    others = np.arange(10, len(truth))
    assert right(found.probabilities[others], truth[others]) > right(prior[others], truth[others]) - 0.05


def test_a_label_overrules_a_network_that_is_sure() -> None:
    vectors, _, truth = area()
    sure = np.eye(4)[np.zeros(len(truth), int)]
    found = adapt(vectors, sure, spread_labels(truth, 60))
    assert right(found.probabilities, truth) > right(sure, truth) + 0.2


def test_the_same_labels_give_the_same_map_in_any_order() -> None:
    vectors, prior, truth = area()
    labels = spread_labels(truth, 20)
    one, other = adapt(vectors, prior, labels), adapt(vectors, prior, dict(reversed(labels.items())))
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert one.strength == other.strength


@pytest.mark.parametrize("vectors", [np.ones((30, 5)), np.zeros((30, 1)), np.eye(30)[:, :3] * 1e-30])
def test_vectors_that_say_nothing_leave_the_network_alone(vectors: Floats) -> None:
    prior = softmax(np.random.default_rng(0).normal(size=(30, 4)))
    found = adapt(vectors.astype(np.float32), prior, {0: int(prior[0].argmax())})
    assert np.abs(found.probabilities[5:] - prior[5:]).max() < 0.3


def test_a_building_without_probabilities_gets_some() -> None:
    vectors, prior, truth = area(50)
    prior[3], prior[4] = np.nan, 0
    found = adapt(vectors, prior, spread_labels(truth, 5))
    assert np.isfinite(found.probabilities).all()
    np.testing.assert_allclose(np.exp(log_prior(prior))[3], 0.25)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_that_are_no_numbers_are_refused(bad: float) -> None:
    vectors, prior, _ = area(50)
    vectors[7, 3] = bad
    with pytest.raises(SiameseError, match="1 of 50 vectors hold NaN or infinity"):
        adapt(vectors, prior, {0: 1})


def test_no_label_is_refused() -> None:
    vectors, prior, _ = area(50)
    with pytest.raises(SiameseError, match="no label"):
        adapt(vectors, prior, {})


def test_directions_have_mean_0_and_length_1_and_keep_the_order_of_distances() -> None:
    vectors, _, _ = area()
    for flatten in (0.0, 0.5, 1.0):
        along = directions(vectors, 16, flatten)
        assert along.shape == (600, 16)
        np.testing.assert_allclose(along.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose((along**2).sum(axis=1).mean(), 1, rtol=1e-4)
    whole = directions(vectors, 40, 0.0)
    standard = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    near = ((whole - whole[0]) ** 2).sum(axis=1) * 40
    np.testing.assert_allclose(near, ((standard - standard[0]) ** 2).sum(axis=1), rtol=1e-3, atol=1e-3)


def test_a_hundred_thousand_buildings_are_decided_from_a_part_of_them() -> None:
    vectors, prior, truth = area(100_000, seed=3)
    found = adapt(vectors, prior, spread_labels(truth, 20), AdaptationParams(components=16))
    assert right(found.probabilities, truth) > right(prior, truth) + 0.1
