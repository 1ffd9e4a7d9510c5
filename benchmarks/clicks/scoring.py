"""Ways to learn from clicks, and their scores on the buildings that nobody clicked."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from clicks.events import HeldOut
from siamese.adaptation.model import adapt_along, decide_classes, directions_of
from siamese.adaptation.selection import select
from siamese.classes import DAMAGE_CLASSES
from siamese.params import AdaptationParams

Classes = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

COUNTS = (5, 10, 20, 50, 100)
_POOL = 0.8
"""Share of the buildings that a draw may click; so draws differ where the choice itself has no chance."""


@dataclass(frozen=True)
class Score:
    """F1 of one way on the buildings that were not labelled."""

    macro: float
    """Mean over the four classes; a class that the event lacks counts 0."""
    present: float
    """Mean over the classes that the event has."""
    damaged: float
    """Of damaged or not."""


def score(found: Classes, truth: Classes, left: npt.NDArray[np.bool_]) -> Score:
    """Scores classes of an event.

    Args:
        found: ``(n,)``.
        truth: ``(n,)``.
        left: ``(n,)``, which buildings count: those that nobody labelled.
    """
    had = [bool((truth == number).any()) for number in range(len(DAMAGE_CLASSES))]
    each = [f1(found[left] == number, truth[left] == number) for number in range(len(DAMAGE_CLASSES))]
    present = [one for one, there in zip(each, had, strict=True) if there]
    return Score(float(np.mean(each)), float(np.mean(present)), f1(found[left] > 0, truth[left] > 0))


def f1(found: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float:
    """Returns F1; 0 where nothing was found rightly."""
    return float(2 * (found & truth).sum() / max(1, int(found.sum() + truth.sum())))


def mean(scores: Sequence[Score]) -> Score:
    """Returns the mean of several scores."""
    return Score(*(float(np.mean([getattr(one, name) for one in scores])) for name in Score.__dataclass_fields__))


class Clicks:
    """Plays a person who labels buildings of one event."""

    def __init__(self, event: HeldOut, params: AdaptationParams) -> None:
        self._event, self._params = event, params
        self._along = directions_of(event.vectors, params)
        chips = event.chips.astype(np.float64)
        self._chips = (chips - chips.mean(axis=0)) / np.maximum(chips.std(axis=0), 1e-9)

    def chosen(self, way: str, count: int, draw: int) -> Classes:
        """Returns the buildings that are clicked in a draw.

        Args:
            way: ``select`` or ``random``.
            count: How many.
            draw: Its number.
        """
        rng = np.random.default_rng([draw, len(self._event)])
        pool = np.sort(rng.permutation(len(self._event))[: round(_POOL * len(self._event))])
        if way == "random":
            return rng.choice(pool, count, replace=False)
        prior, positions = self._event.prior[pool], self._event.positions[pool]
        return pool[select(self._along[pool], prior, positions.astype(np.float64), count, (), self._params)]

    def adapted(self, clicked: Classes) -> Score:
        """Scores ``siamese adapt`` on the buildings that were not clicked."""
        found = adapt_along(self._along, self._event.prior, self._labels(clicked), self._params)
        return self._score(decide_classes(found.probabilities, self._params), clicked)

    def as_it_was(self, clicked: Classes) -> Score:
        """Scores the map as the network made it, on the same buildings."""
        return self._score(self._event.mapped, clicked)

    def imagenet(self, clicked: Classes) -> Score:
        """Scores logistic regression on ImageNet features of post chips, learned from the same clicks."""
        truth = self._event.truth[clicked]
        if len(set(truth.tolist())) == 1:
            return self._score(np.full(len(self._event), truth[0]), clicked)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(max_iter=300, class_weight="balanced").fit(self._chips[clicked], truth)
        return self._score(np.asarray(model.predict(self._chips), np.int64), clicked)

    def _labels(self, clicked: Classes) -> Mapping[int, int]:
        return {int(place): int(self._event.truth[place]) for place in clicked}

    def _score(self, found: Classes, clicked: Classes) -> Score:
        left = np.ones(len(self._event), bool)
        left[clicked] = False
        return score(found, self._event.truth, left)


def curve(clicks: Clicks, most: int, draws: Iterable[int]) -> dict[str, dict[int, Score]]:
    """Returns the mean score of each way after so many clicks.

    Args:
        clicks: The event.
        most: Buildings of the event; counts of which nothing is left to score are left out.
        draws: Numbers of the draws.
    """
    found: dict[str, dict[int, Score]] = {}
    draws = list(draws)
    for count in COUNTS:
        if 2 * count > most:
            continue
        for choice in ("select", "random"):
            clicked = [clicks.chosen(choice, count, draw) for draw in draws]
            found.setdefault(f"adapt, {choice}", {})[count] = mean([clicks.adapted(one) for one in clicked])
            found.setdefault(f"map as it was, {choice}", {})[count] = mean([clicks.as_it_was(one) for one in clicked])
            found.setdefault(f"ImageNet, {choice}", {})[count] = mean([clicks.imagenet(one) for one in clicked])
    return found
