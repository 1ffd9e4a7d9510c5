"""Fits the decision on validation scenes: thresholds from histograms, vote weights from buildings."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from siamese.classes import DAMAGE_CLASSES
from siamese.metrics.xview2 import DAMAGE_WEIGHT, EPSILON, LOCALIZATION_WEIGHT
from siamese.model.decision import Decision, Prediction, building_mask

_BINS = 50
_CLASSES = len(DAMAGE_CLASSES)
_LEAST_DAMAGED = 0.14
"""A lower threshold for damaged buildings, as the xView2 winner's, would raise the score on a few scenes by luck, and
mark much as damaged that is no building."""
_WEIGHTS = (0.4, 0.6, 0.8, 1.0, 1.25, 1.6, 2.5)
_LEAST_GAIN = 0.003
"""A vote weight is moved only for more than this much of the score; less is noise of a few scenes."""

Counts = NDArray[np.int64]
Raster = NDArray[np.uint8]


@dataclass
class Evidence:
    """Pixels of scenes, by what was predicted and what is true; grows scene by scene, stays small.

    Attributes:
        localization: (bins of building probability, damage likely, true building).
        damage: (bins, damage likely, predicted class, true class 1..4).
    """

    localization: Counts = field(default_factory=lambda: np.zeros((_BINS, 2, 2), np.int64))
    damage: Counts = field(default_factory=lambda: np.zeros((_BINS, 2, _CLASSES, _CLASSES), np.int64))

    def add(self, prediction: Prediction, localization: Raster, damage: Raster) -> None:
        """Adds a scene with its official targets."""
        bins = np.minimum((prediction.building * _BINS).astype(np.int64), _BINS - 1)
        likely = (prediction.damage[0] < 0.5).astype(np.int64)
        place = (bins * 2 + likely) * 2 + (localization > 0)
        self.localization += np.bincount(place.ravel(), minlength=self.localization.size).reshape(_BINS, 2, 2)
        judged = damage > 0
        predicted = prediction.damage[:, judged].argmax(0)
        place = ((bins[judged] * 2 + likely[judged]) * _CLASSES + predicted) * _CLASSES + damage[judged] - 1
        self.damage += np.bincount(place, minlength=self.damage.size).reshape(self.damage.shape)


def candidate_decisions(evidence: Evidence) -> tuple[Decision, ...]:
    """Decisions worth trying: the default, the best for localization, and the best for the score of single pixels.

    Which of them is best for buildings that vote cannot be told from single pixels; so they are to be tried.
    """
    localization = np.cumsum(evidence.localization[::-1], 0)[::-1]
    damage = np.cumsum(evidence.damage[::-1], 0)[::-1]
    true_buildings = int(localization[0, :, 1].sum())
    true_damage = damage[0].sum((0, 1))
    if not true_buildings:
        return (Decision(),)

    def localization_f1(plain: int, damaged: int) -> float:
        found = localization[plain, 0] + localization[damaged, 1]
        return float(2 * found[1] / (found.sum() + true_buildings))

    def score(plain: int, damaged: int) -> float:
        table = damage[plain, 0] + damage[damaged, 1]
        f1 = 2 * np.diag(table) / np.maximum(table.sum(1) + true_damage, 1)
        mean = harmonic_mean(f1[true_damage > 0])
        return LOCALIZATION_WEIGHT * localization_f1(plain, damaged) + DAMAGE_WEIGHT * mean

    single = max(range(1, _BINS), key=lambda plain: localization_f1(plain, plain))
    least = round(_LEAST_DAMAGED * _BINS)
    pairs = [(plain, damaged) for plain in range(least, _BINS) for damaged in range(least, plain + 1)]
    best = max(pairs, key=lambda pair: score(*pair))
    found = [Decision(building=p / _BINS, damaged_building=d / _BINS) for p, d in ((single, single), best)]
    return tuple(dict.fromkeys([Decision(), *found]))


@dataclass
class Votes:
    """Buildings found in scenes: the votes of their pixels, and what is true beneath them."""

    votes: list[NDArray[np.float64]] = field(default_factory=list)
    truth: list[Counts] = field(default_factory=list)
    missed: Counts = field(default_factory=lambda: np.zeros(_CLASSES, np.int64))

    def add(self, prediction: Prediction, damage: Raster, decision: Decision) -> None:
        """Adds a scene with its official damage target."""
        mask = building_mask(prediction, decision)
        count, components = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        component = components[mask]
        votes = [np.bincount(component, row, count) for row in prediction.damage[:, mask]]
        self.votes.append(np.stack(votes, 1)[1:].astype(np.float64))
        place = component.astype(np.int64) * (_CLASSES + 1) + damage[mask]
        truth = np.bincount(place, minlength=count * (_CLASSES + 1)).reshape(count, _CLASSES + 1)
        self.truth.append(truth[1:, 1:])
        self.missed += np.bincount(damage[~mask], minlength=_CLASSES + 1)[1:]


def fit_votes(votes: Votes, decision: Decision) -> Decision:
    """Vote weights that raise the harmonic mean of the damage F1, one class after the other, where it is worth it."""
    if not sum(map(len, votes.votes)):
        return decision
    every, truth = np.concatenate(votes.votes), np.concatenate(votes.truth)
    present = truth.sum(0) + votes.missed > 0

    def gain(weights: NDArray[np.float64]) -> float:
        table = np.zeros((_CLASSES, _CLASSES), np.int64)
        np.add.at(table, (every * weights).argmax(1), truth)
        sizes = table.sum(1) + truth.sum(0) + votes.missed
        f1 = 2 * np.diag(table) / np.maximum(sizes, 1)
        return DAMAGE_WEIGHT * harmonic_mean(f1[present])

    weights, best = np.ones(_CLASSES), gain(np.ones(_CLASSES))
    for _ in range(2):
        for number in range(1, _CLASSES):
            for weight in _WEIGHTS:
                tried = weights.copy()
                tried[number] = weight
                score = gain(tried)
                if score > best + _LEAST_GAIN:
                    weights, best = tried, score
    return decision.model_copy(update={"class_weights": tuple(weights.tolist())})


def harmonic_mean(f1: NDArray[np.float64]) -> float:
    """Of any number of F1, with the official epsilon; 0 of none."""
    return float(len(f1) / (1 / (f1 + EPSILON)).sum()) if len(f1) else 0.0
