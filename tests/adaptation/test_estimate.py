"""What a sample says about a map: intervals cover the truth as often as they say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from siamese.adaptation.estimate import Sampled, allocate, estimate, random_order
from siamese.classes import DAMAGE_CLASSES

Counts = npt.NDArray[np.int64]

MAPS = {
    "hurricane": [[640, 80, 15, 5, 10], [60, 90, 15, 3, 2], [30, 20, 30, 8, 2], [5, 2, 8, 25, 3]],
    "large": [[48_000, 300, 50, 20, 400], [200, 400, 50, 10, 30], [20, 60, 120, 20, 5], [5, 5, 20, 60, 10]],
    "small": [[30, 4, 1, 0, 1], [3, 8, 1, 0, 0], [0, 1, 4, 1, 0], [0, 0, 1, 5, 0]],
    "spared": [[5000, 20, 3, 0, 50], [60, 30, 0, 0, 5], [10, 3, 0, 0, 0], [3, 0, 0, 0, 0]],
    "fire": [[800, 2, 1, 15, 5], [5, 0, 0, 3, 0], [2, 0, 1, 8, 0], [3, 0, 2, 160, 4]],
}
"""True maps: rows mapped class, columns true class, the last no building. Some have a rare class, some none of it."""


def whole(name: str) -> Counts:
    return np.array([*MAPS[name], [0] * 5], np.int64)


def draw(truth: Counts, size: int, rng: np.random.Generator) -> Sampled:
    """A stratified sample of a map whose truth is known."""
    population = truth.sum(axis=1)
    sizes = allocate(population.tolist(), size, 5)
    labels = np.stack([rng.multivariate_hypergeometric(row, count) for row, count in zip(truth, sizes, strict=True)])
    return Sampled(population, labels, np.zeros(4, np.int64))


@pytest.mark.parametrize("size", [30, 100])
def test_intervals_cover_the_truth_95_times_in_100(size: int) -> None:
    """Over maps with common, rare and absent classes, for the number of buildings and for F1 of each class."""
    rng, counts, scores = np.random.default_rng(1), [], []
    for name in MAPS:
        truth = whole(name)
        there, mapped = truth.sum(axis=0), truth.sum(axis=1)
        for repeat in range(60):
            found = estimate(draw(truth, size, rng), seed=repeat, draws=600)
            for number, damage in enumerate(DAMAGE_CLASSES):
                one = found.classes[damage]
                counts.append(one.buildings.low <= there[number] <= one.buildings.high)
                f1 = 2 * truth[number, number] / max(1, there[number] + mapped[number])
                scores.append(one.f1.low - 1e-9 <= f1 <= one.f1.high + 1e-9)
            damaged = found.damaged.buildings
            counts.append(damaged.low <= there[1:4].sum() <= damaged.high)
    assert 0.93 <= np.mean(counts) <= 0.98
    assert 0.93 <= np.mean(scores) <= 0.98


def test_estimates_are_right_on_average() -> None:
    rng, truth = np.random.default_rng(2), whole("hurricane")
    found = [estimate(draw(truth, 60, rng), draws=10) for _ in range(400)]
    for number, name in enumerate(DAMAGE_CLASSES):
        totals = np.array([one.classes[name].buildings.estimate for one in found])
        error = totals.std() / np.sqrt(len(totals))
        assert abs(totals.mean() - truth[:, number].sum()) < 4 * error
        told = np.mean([one.classes[name].standard_error for one in found])
        assert told == pytest.approx(totals.std(), rel=0.2)


def test_a_census_has_no_width() -> None:
    truth = whole("small")
    found = estimate(Sampled(truth.sum(axis=1), truth, np.zeros(4, np.int64)))
    for number, name in enumerate(DAMAGE_CLASSES):
        one = found.classes[name]
        assert one.buildings.low == one.buildings.estimate == one.buildings.high == truth[:, number].sum()
        assert one.standard_error == 0
        assert one.precision.estimate == pytest.approx(truth[number, number] / truth[number].sum())
        assert one.recall.estimate == pytest.approx(truth[number, number] / truth[:, number].sum())
    assert found.accuracy.low == found.accuracy.high == pytest.approx(np.trace(truth[:4, :4]) / truth.sum())


def test_buildings_labelled_before_count_as_certain() -> None:
    rng, truth = np.random.default_rng(3), whole("hurricane")
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
