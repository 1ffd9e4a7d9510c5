"""What a sample says about a map: intervals cover the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from intervals import MAPS, cover, draw, whole

from siamese.adaptation.estimate import Sampled, allocate, estimate, random_order
from siamese.classes import DAMAGE_CLASSES


@pytest.mark.parametrize("size", [30, 100])
def test_intervals_cover_the_truth_95_times_in_100(size: int) -> None:
    """Over maps with common, rare and absent classes, for the number of buildings and for F1 of each class."""
    rows = [row for name, truth in MAPS.items() for row in cover(name, whole(truth), size, samples=60, draws=600)]
    assert 0.95 <= np.mean([row.covered for row in rows]) <= 0.995
    assert 0.95 <= np.mean([row.f1_covered for row in rows]) <= 0.995


@pytest.mark.parametrize("name", ["large", "small"])
def test_no_class_is_covered_much_less_often_than_others(name: str) -> None:
    """Rare ones among them: one law for both ends of an interval covers large/destroyed 90 times in 100."""
    rows = [row for row in cover(name, whole(MAPS[name]), 30, samples=600, draws=600) if row.true]
    assert min(row.covered for row in rows) >= 0.93
    assert min(row.f1_covered for row in rows) >= 0.92


def test_estimates_are_right_on_average() -> None:
    rng, truth = np.random.default_rng(2), whole(MAPS["hurricane"])
    found = [estimate(draw(truth, 60, rng), draws=10) for _ in range(400)]
    for number, name in enumerate(DAMAGE_CLASSES):
        totals = np.array([one.classes[name].buildings.estimate for one in found])
        error = totals.std() / np.sqrt(len(totals))
        assert abs(totals.mean() - truth[:, number].sum()) < 4 * error
        told = np.mean([one.classes[name].standard_error for one in found])
        assert told == pytest.approx(totals.std(), rel=0.2)


def test_a_census_has_no_width() -> None:
    truth = whole(MAPS["small"])
    found = estimate(Sampled(truth.sum(axis=1), truth, np.zeros(4, np.int64)))
    for number, name in enumerate(DAMAGE_CLASSES):
        one = found.classes[name]
        assert one.buildings.low == one.buildings.estimate == one.buildings.high == truth[:, number].sum()
        assert one.standard_error == 0
        assert one.precision.estimate == pytest.approx(truth[number, number] / truth[number].sum())
        assert one.recall.estimate == pytest.approx(truth[number, number] / truth[:, number].sum())
    assert found.accuracy.low == found.accuracy.high == pytest.approx(np.trace(truth[:4, :4]) / truth.sum())


def test_buildings_labelled_before_count_as_certain() -> None:
    rng, truth = np.random.default_rng(3), whole(MAPS["hurricane"])
    sample = draw(truth, 50, rng)
    more = Sampled(sample.population, sample.truth, np.array([0, 0, 0, 500]))
    one, other = (estimate(given).classes["destroyed"] for given in (sample, more))
    assert other.buildings.estimate == one.buildings.estimate + 500
    assert other.precision.estimate > 0.9
    assert other.standard_error == one.standard_error


def test_a_class_of_no_building_does_not_fail() -> None:
    empty = np.zeros((5, 5), np.int64)
    found = estimate(Sampled(empty.sum(axis=1), empty, np.zeros(4, np.int64)))
    assert found.classes["destroyed"].f1.estimate == 0


@pytest.mark.parametrize(
    ("population", "size", "sizes"),
    [
        ([1000, 100, 10, 3, 0], 100, None),
        ([2, 0, 0, 0, 0], 100, (2, 0, 0, 0, 0)),
        ([50, 50, 50, 50, 0], 20, (5, 5, 5, 5, 0)),
        ([1000, 1000, 1000, 1000, 1000], 7, None),
    ],
)
def test_a_sample_has_its_size_and_some_of_every_class(
    population: list[int], size: int, sizes: tuple[int, ...] | None
) -> None:
    found = allocate(population, size, 5)
    assert sum(found) == min(size, sum(population))
    assert all(0 <= count <= there for count, there in zip(found, population, strict=True))
    assert sizes in (None, found)
    least = min(5, size // sum(there > 0 for there in population))
    assert all(count >= min(least, there) for count, there in zip(found, population, strict=True))


def test_the_order_is_random_but_nobody_can_choose_it() -> None:
    ids = [f"building-{number}" for number in range(2000)]
    order = random_order(ids, "map")
    np.testing.assert_array_equal(order, random_order(ids, "map"))
    assert abs(order.mean() - 0.5) < 0.03
    assert (random_order(ids, "another map") != order).all()
