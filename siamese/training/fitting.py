"""Fits the decision on validation scenes: thresholds from histograms, vote weights from buildings.

The best decision for a few scenes is mostly luck, so a decision is replaced by another only if nearly all resamples
of the scenes agree (:func:`agreed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from siamese.classes import DAMAGE_CLASSES
from siamese.metrics import Counts as SceneCounts
from siamese.metrics.xview2 import DAMAGE_WEIGHT, LOCALIZATION_WEIGHT
from siamese.model.decision import Decision, Probabilities, number_buildings, pixel_votes

_BINS = 50
_CLASSES = len(DAMAGE_CLASSES)
_LEAST_DAMAGED = 0.14
"""A lower threshold for damaged buildings, like the xView2 winner's, would raise the score on a few scenes by luck, and
mark as damaged much that is no building."""
_FACTORS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
_PRIOR_PX = 2000
_PRIOR_F1 = 0.3
_RESAMPLES = 300
_AGREED = 0.9

Counts = NDArray[np.int64]
Sums = NDArray[np.int64] | NDArray[np.float64]
Raster = NDArray[np.uint8]


@dataclass
class Evidence:
    """Pixel counts of scenes, by prediction and truth; grows scene by scene, and stays small.

    Attributes:
        localization: (bins of building probability, damage likely, true building).
        damage: (bins, damage likely, predicted class, true class 1..4).
        decision: Determines how a pixel's class is predicted.
    """

    decision: Decision = field(default_factory=Decision)
    localization: Counts = field(default_factory=lambda: np.zeros((_BINS, 2, 2), np.int64))
    damage: Counts = field(default_factory=lambda: np.zeros((_BINS, 2, _CLASSES, _CLASSES), np.int64))

    def add(self, prediction: Probabilities, localization: Raster, damage: Raster) -> None:
        """Adds a scene with its official targets."""
        bins = np.minimum((prediction.building * _BINS).astype(np.int64), _BINS - 1)
        likely = (prediction.damage[0] < 0.5).astype(np.int64)
        place = (bins * 2 + likely) * 2 + (localization > 0)
        self.localization += np.bincount(place.ravel(), minlength=self.localization.size).reshape(_BINS, 2, 2)
        judged = damage > 0
        weights = np.asarray(self.decision.class_weights)[:, None]
        predicted = (pixel_votes(prediction.damage[:, judged], self.decision) * weights).argmax(0)
        place = ((bins[judged] * 2 + likely[judged]) * _CLASSES + predicted) * _CLASSES + damage[judged] - 1
        self.damage += np.bincount(place, minlength=self.damage.size).reshape(self.damage.shape)


def candidate_decisions(evidence: Evidence) -> tuple[Decision, ...]:
    """Returns decisions worth trying: the evidence's own, and with the best thresholds for localization or pixels.

    The latter also without a peak, for networks that are rarely confident. Single pixels cannot show which of them is
    best for buildings that vote, so each is to be tried.
    """
    start = evidence.decision
    localization = np.cumsum(evidence.localization[::-1], 0)[::-1]
    damage = np.cumsum(evidence.damage[::-1], 0)[::-1]
    true_buildings = int(localization[0, :, 1].sum())
    true_damage = damage[0].sum((0, 1))
    if not true_buildings:
        return (start,)

    def localization_f1(plain: int, damaged: int) -> float:
        found = localization[plain, 0] + localization[damaged, 1]
        return float(2 * found[1] / (found.sum() + true_buildings))

    def score(plain: int, damaged: int) -> float:
        table = damage[plain, 0] + damage[damaged, 1]
        right = np.diag(table)
        mean = float(_harmonic_mean(right, table.sum(1) + true_damage - 2 * right))
        return LOCALIZATION_WEIGHT * localization_f1(plain, damaged) + DAMAGE_WEIGHT * mean

    single = max(range(1, _BINS), key=lambda plain: localization_f1(plain, plain))
    least = round(_LEAST_DAMAGED * _BINS)
    pairs = [(plain, damaged) for plain in range(least, _BINS) for damaged in range(least, plain + 1)]
    best = max(pairs, key=lambda pair: score(*pair))
    thresholds = [
        {"building": plain / _BINS, "damaged_building": damaged / _BINS, "building_peak": peak}
        for plain, damaged in ((single, single), best)
        for peak in (start.building_peak, 0.0)
    ]
    return tuple(dict.fromkeys([start, *(start.model_copy(update=each) for each in thresholds)]))


@dataclass
class Votes:
    """Buildings found in scenes: the votes of their pixels, and the true classes beneath them."""

    votes: list[NDArray[np.float64]] = field(default_factory=list)
    truth: list[Counts] = field(default_factory=list)
    missed: Counts = field(default_factory=lambda: np.zeros(_CLASSES, np.int64))

    def add(self, prediction: Probabilities, damage: Raster, decision: Decision) -> None:
        """Adds a scene with its official damage target."""
        count, buildings = number_buildings(prediction, decision)
        mask = buildings > 0
        number, rows = buildings[mask], count + 1
        votes = [np.bincount(number, given, rows) for given in pixel_votes(prediction.damage[:, mask], decision)]
        self.votes.append(np.stack(votes, 1)[1:].astype(np.float64))
        place = number.astype(np.int64) * (_CLASSES + 1) + damage[mask]
        truth = np.bincount(place, minlength=rows * (_CLASSES + 1)).reshape(rows, _CLASSES + 1)
        self.truth.append(truth[1:, 1:])
        self.missed += np.bincount(damage[~mask], minlength=_CLASSES + 1)[1:]


def fit_votes(votes: Votes, decision: Decision) -> Decision:
    """Returns the decision with the class weights, from a grid around its own, that give the best damage score."""
    if not sum(map(len, votes.votes)):
        return decision
    every, truth = np.concatenate(votes.votes), np.concatenate(votes.truth)
    total = truth.sum(0) + votes.missed
    own = np.asarray(decision.class_weights)
    grid = np.array([own * (1, *factors) for factors in product(_FACTORS, repeat=_CLASSES - 1)])

    def score(weights: NDArray[np.float64]) -> float:
        table = np.zeros((_CLASSES, _CLASSES), np.int64)
        np.add.at(table, (every * weights).argmax(1), truth)
        right = np.diag(table)
        return float(_harmonic_mean(right, table.sum(1) + total - 2 * right))

    best = grid[int(np.argmax([score(weights) for weights in grid]))]
    one, two, three, four = (round(float(weight), 4) for weight in best)
    return decision.model_copy(update={"class_weights": (one, two, three, four)})


def agreed(decisions: Sequence[Decision], counts: Sequence[Sequence[SceneCounts]]) -> int:
    """Selects a decision: the first, unless another is better in nearly all resamples of the scenes.

    Args:
        decisions: At least one.
        counts: For each decision, the official counts of each scene.

    Returns:
        The index of the selected decision; of several better ones, the one with the best score over all scenes.
    """
    rows = np.array([[_row(scene) for scene in each] for each in counts], np.float64)
    if not rows.size:
        return 0
    scenes = rows.shape[1]
    drawn = np.random.default_rng(0).multinomial(scenes, np.full(scenes, 1 / scenes), _RESAMPLES).astype(np.float64)
    over_all = _score(rows.sum(1))
    resampled = np.array([_score(drawn @ each.reshape(scenes, -1)) for each in rows])
    better = (resampled > resampled[0]).mean(1) >= _AGREED
    chosen = max(range(len(decisions)), key=lambda number: (number == 0 or better[number], over_all[number]))
    return chosen if better[chosen] else 0


def _row(counts: SceneCounts) -> list[int]:
    tallies = (counts.localization, *counts.damage.values())
    return [number for tally in tallies for number in (tally.tp, tally.fp + tally.fn)]


def _score(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the official score of rows of sums, except for the prior in its damage F1."""
    right, wrong = np.moveaxis(sums.reshape(len(sums), -1, 2), 2, 0)
    localization = 2 * right[:, 0] / np.maximum(2 * right[:, 0] + wrong[:, 0], 1)
    score: NDArray[np.float64] = LOCALIZATION_WEIGHT * localization + DAMAGE_WEIGHT * _harmonic_mean(
        right[:, 1:], wrong[:, 1:]
    )
    return score


def _harmonic_mean(right: Sums, wrong: Sums) -> NDArray[np.float64]:
    """Returns the harmonic mean of the damage F1, with pixels of a medium F1 added so that no rare class dominates."""
    twice = 2.0 * right
    f1 = (twice + _PRIOR_PX * _PRIOR_F1) / (twice + wrong + _PRIOR_PX)
    return np.asarray(_CLASSES / (1 / f1).sum(-1), np.float64)
