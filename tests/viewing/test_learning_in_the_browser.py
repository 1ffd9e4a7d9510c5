"""The browser learns what `siamese adapt`, `select` and `assess` do, from the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.made_page import Town
from viewing.browsing import needs_browser

from siamese.adaptation.contradictions import contradictions
from siamese.adaptation.estimate import Sampled, allocate, estimate, random_order
from siamese.adaptation.model import adapt_along, decide_classes, directions_of
from siamese.adaptation.selection import select
from siamese.params import AdaptationParams

pytestmark = needs_browser()
PARAMS = AdaptationParams()


def known_places(town: Town) -> np.ndarray:
    return np.flatnonzero(~town.unknown)


@pytest.mark.parametrize(("seed", "count"), [(0, 1), (1, 3), (2, 12), (3, 40)])
def test_the_map_is_decided_as_adapt_decides_it(page: Any, town: tuple[Path, Town], seed: int, count: int) -> None:  # noqa: ANN401
    made = town[1]
    rng = np.random.default_rng(seed)
    labels = {int(place): int(made.truth[place]) for place in rng.permutation(len(made.truth))[:count]}
    found = page.evaluate(
        "async (labels) => { const found = await siamese.page.learner.adapt(labels);"
        "return {...found, classes: [...found.classes], probabilities: [...found.probabilities]} }",
        [[place, number] for place, number in labels.items()],
    )
    along = directions_of(made.vectors, PARAMS)
    # As `siamese adapt`: buildings on unseen ground neither teach nor are decided, unless labelled.
    places = np.flatnonzero(~made.unknown | np.isin(np.arange(len(made.truth)), list(labels)))
    renumbered = {int(place): number for number, place in enumerate(places)}
    wanted = adapt_along(
        along[places], made.probabilities[places], {renumbered[place]: one for place, one in labels.items()}, PARAMS
    )
    assert found["strength"] == wanted.strength
    assert found["surprise"] == pytest.approx(wanted.surprise, abs=1e-8)
    np.testing.assert_allclose(np.reshape(found["probabilities"], (-1, 4))[places], wanted.probabilities, atol=1e-8)
    classes = np.full(len(made.truth), 4)
    classes[places] = decide_classes(wanted.probabilities, PARAMS)
    assert found["classes"] == classes.tolist()


@pytest.mark.parametrize("labelled", [[], [3, 50, 120]])
def test_the_next_buildings_are_those_of_select(page: Any, town: tuple[Path, Town], labelled: list[int]) -> None:  # noqa: ANN401
    made = town[1]
    places = known_places(made)
    along = directions_of(made.vectors, PARAMS)
    renumbered = {int(place): number for number, place in enumerate(places)}
    wanted = select(
        along[places],
        made.probabilities[places],
        made.buildings().positions[places],
        8,
        [renumbered[place] for place in labelled if place in renumbered],
        PARAMS,
    )
    found = page.evaluate("(labelled) => siamese.page.learner.select(8, labelled, null)", labelled)
    assert found == [int(places[number]) for number in wanted]


def test_alike_buildings_are_the_nearest_vectors(page: Any, town: tuple[Path, Town]) -> None:  # noqa: ANN401
    made = town[1]
    along = directions_of(made.vectors, PARAMS)
    asked = int(known_places(made)[5])
    apart = np.linalg.norm(along - along[asked], axis=1)
    apart[made.unknown] = np.inf
    apart[asked] = np.inf
    found = page.evaluate("(place) => siamese.page.learner.similar(place, 10)", asked)
    assert [one["place"] for one in found] == np.argsort(apart, kind="stable")[:10].tolist()
    np.testing.assert_allclose([one["distance"] for one in found], np.sort(apart)[:10], rtol=1e-5)


def test_contradicting_labels_are_found(page: Any, town: tuple[Path, Town]) -> None:  # noqa: ANN401
    made = town[1]
    along = directions_of(made.vectors, PARAMS)
    apart = ((along[:, None] - along[None]) ** 2).sum(axis=2) + 9 * np.eye(len(along))
    one, other = (int(place) for place in np.unravel_index(apart.argmin(), apart.shape))
    labels = {one: 0, other: 3}
    told = contradictions(along, labels, made.buildings().ids)
    found = page.evaluate(
        "async (labels) => (await siamese.page.learner.adapt(labels)).contradictions", list(labels.items())
    )
    assert bool(found) == bool(told)


def test_the_estimate_is_that_of_assess(page: Any) -> None:  # noqa: ANN401
    truth = np.array([[30, 4, 1, 0, 2], [3, 14, 3, 0, 0], [0, 2, 11, 2, 1], [0, 0, 1, 9, 0], [1, 1, 0, 0, 0]])
    sampled = Sampled(np.array([700, 210, 90, 40, 20]), truth, np.array([2, 0, 0, 3]))
    wanted = estimate(sampled)
    found = page.evaluate(
        "(asked) => siamese.page.learner.estimate(asked.population, asked.truth, asked.known)",
        {"population": sampled.population.tolist(), "truth": truth.tolist(), "known": sampled.known.tolist()},
    )
    for here, there in zip(
        found["classes"] + [found["damaged"]], [*wanted.classes.values(), wanted.damaged], strict=True
    ):
        assert (here["mapped"], here["labelled"]) == (there.mapped, there.labelled)
        assert here["standardError"] == pytest.approx(there.standard_error)
        for name in ("precision", "recall", "f1", "buildings"):
            one, other = here[name], getattr(there, name)
            assert one["estimate"] == pytest.approx(other.estimate)
            # Other random numbers, so intervals agree as far as such draws do.
            width = max(other.high - other.low, 1e-9)
            assert one["low"] == pytest.approx(other.low, abs=0.12 * width)
            assert one["high"] == pytest.approx(other.high, abs=0.12 * width)
    assert found["accuracy"]["estimate"] == pytest.approx(wanted.accuracy.estimate)
    assert found["macroF1"]["estimate"] == pytest.approx(wanted.macro_f1.estimate)


@pytest.mark.parametrize("size", [10, 100])
def test_the_sample_is_that_of_assess(page: Any, town: tuple[Path, Town], size: int) -> None:  # noqa: ANN401
    made = town[1]
    buildings = made.buildings()
    order = random_order(buildings.ids, "0" * 64)
    members = [np.flatnonzero(buildings.classes == number) for number in range(5)]
    sizes = allocate([len(one) for one in members], size, PARAMS.least)
    drawn = np.concatenate([one[np.argsort(order[one])][:many] for one, many in zip(members, sizes, strict=True)])
    page.click("#tab-assess")
    page.fill("#assess-size", str(size))
    page.click("#assess-start")
    page.wait_for_selector("#assess-progress")
    found = page.evaluate("siamese.sample()")
    assert found == drawn[np.argsort(order[drawn])].tolist()
