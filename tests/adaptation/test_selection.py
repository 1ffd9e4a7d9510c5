"""Which buildings are picked: unsure, unlike each other, spread, and always the same."""

from __future__ import annotations

import numpy as np
import pytest

from siamese.adaptation.selection import entropy, select
from siamese.params import AdaptationParams


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_unsure_buildings_are_picked(rng: np.random.Generator) -> None:
    along, positions = rng.normal(size=(400, 8)), rng.uniform(0, 1000, (400, 2))
    probabilities = np.tile([0.97, 0.01, 0.01, 0.01], (400, 1))
    probabilities[:80] = [0.4, 0.3, 0.2, 0.1]
    picked = select(along, probabilities, positions, 20, settings=AdaptationParams(unsure=2))
    assert len(set(picked.tolist())) == 20
    assert (picked < 80).mean() >= 0.8
    share = (select(along, probabilities, positions, 20) < 80).mean()
    assert share > 1.5 * 80 / 400, "less so by default, as labels of sure buildings teach how sure to be"


def test_picks_are_unlike_each_other(rng: np.random.Generator) -> None:
    kinds = rng.normal(size=(10, 8)) * 5
    along = kinds[np.arange(500) % 10] + rng.normal(size=(500, 8)) * 0.1
    probabilities = np.full((500, 4), 0.25)
    picked = select(along, probabilities, rng.uniform(0, 1, (500, 2)), 10, settings=AdaptationParams(place=0))
    assert len({int(place) % 10 for place in picked}) == 10


def test_picks_are_spread_over_the_area(rng: np.random.Generator) -> None:
    positions = rng.uniform(0, 1000, (600, 2))
    picked = select(np.zeros((600, 1)), np.full((600, 4), 0.25), positions, 16)
    quarters = {(int(x > 500), int(y > 500)) for x, y in positions[picked]}
    assert len(quarters) == 4
    apart = np.sqrt(((positions[picked][:, None] - positions[picked][None]) ** 2).sum(-1))
    assert apart[~np.eye(16, dtype=bool)].min() > 80


def test_what_is_labelled_is_not_picked_nor_is_its_likeness(rng: np.random.Generator) -> None:
    kinds = rng.normal(size=(6, 8)) * 5
    along = kinds[np.arange(300) % 6] + rng.normal(size=(300, 8)) * 0.1
    probabilities = np.full((300, 4), 0.25)
    labelled = [0, 1, 2]
    picked = select(along, probabilities, np.zeros((300, 2)), 3, labelled)
    assert not set(picked.tolist()) & set(labelled)
    assert {int(place) % 6 for place in picked} == {3, 4, 5}


def test_the_same_map_gives_the_same_picks(rng: np.random.Generator) -> None:
    along, positions = rng.normal(size=(200, 8)), rng.uniform(0, 1, (200, 2))
    probabilities = rng.dirichlet(np.ones(4), 200)
    one, other = (select(along, probabilities, positions, 12) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_more_than_there_are_gives_all_that_are_left(rng: np.random.Generator) -> None:
    along = rng.normal(size=(5, 3))
    picked = select(along, np.full((5, 4), 0.25), np.zeros((5, 2)), 10, [2])
    assert sorted(picked.tolist()) == [0, 1, 3, 4]


def test_a_large_map_is_picked_from(rng: np.random.Generator) -> None:
    along = rng.normal(size=(100_000, 8))
    picked = select(along, rng.dirichlet(np.ones(4), 100_000), rng.uniform(0, 1, (100_000, 2)), 20)
    assert len(set(picked.tolist())) == 20


def test_entropy_is_0_when_sure_and_1_when_all_are_alike() -> None:
    np.testing.assert_allclose(entropy(np.array([[1, 0, 0, 0], [0.25] * 4])), [0, 1], atol=1e-6)
