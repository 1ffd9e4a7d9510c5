"""Fits temperatures and biases on validation scenes, so that probabilities are calibrated.

A few scenes reveal little about how a network behaves elsewhere: their many pixels are alike, and a fit to them is
worse than the usual values for damage (:data:`USUAL_TEMPERATURE`, no bias). So the usual values are used until there
are enough scenes, and serve as a prior even then, whose influence shrinks as the number of scenes grows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, logit

from siamese.classes import DAMAGE_CLASSES, UNCLASSIFIED
from siamese.model import Probabilities

_BINS = 400
_TINY = 1e-6
_A_SCENE = 20_000
"""Maximum number of building pixels per scene, spread evenly, that are used for damage."""
_LEAST_PIXELS = 1_000
_TEMPERATURES = (float(np.log(0.25)), float(np.log(8.0)))
_BIASES = (-4.0, 4.0)
USUAL_TEMPERATURE = 1.6
"""For damage: of 1, 1.3, 1.6 and 2 the best for all of nine networks, on their test scenes (docs/experiments.md)."""
MANY_SCENES = 20
"""Number of validation scenes from which temperature and biases of damage, and vote weights, are fitted: a fit to fewer
is often wrong elsewhere."""
_PRIOR = 0.3
"""Weight of the prior, in scenes, with the squared distance from the usual values as their loss."""

Floats = NDArray[np.float64]


@dataclass
class CalibrationEvidence:
    """Predictions and truth of sampled pixels; grows scene by scene, and stays small."""

    building: Floats = field(default_factory=lambda: np.zeros((_BINS, 2)))
    """Pixel counts by building probability, and by whether they are building."""
    damage: list[NDArray[np.float32]] = field(default_factory=list)
    """(pixels, 4) log-probabilities."""
    truth: list[NDArray[np.intp]] = field(default_factory=list)
    """(pixels,) damage class, 0..3."""

    def add(self, prediction: Probabilities, mask: NDArray[np.uint8]) -> None:
        """Adds a scene with its training mask (H, W): 0, 1..4, 255."""
        known = mask != UNCLASSIFIED
        bins = np.minimum((prediction.building[known] * _BINS).astype(np.int64), _BINS - 1)
        place = bins * 2 + (mask[known] > 0)
        self.building += np.bincount(place, minlength=2 * _BINS).reshape(_BINS, 2)
        inside = np.flatnonzero(known & (mask > 0))
        inside = inside[:: max(1, len(inside) // _A_SCENE)]
        probability = prediction.damage.reshape(len(DAMAGE_CLASSES), -1)[:, inside]
        self.damage.append(np.log(np.maximum(probability, _TINY)).T)
        self.truth.append(mask.ravel()[inside].astype(np.intp) - 1)


def fit_calibration(evidence: CalibrationEvidence) -> dict[str, object]:
    """Returns the likeliest temperatures and biases; the usual ones if there are too few pixels or scenes.

    Those of damage are a maximum a posteriori estimate, with a normal prior around the usual values (of temperatures,
    the logarithm).

    Returns:
        Fields of a :class:`siamese.model.Decision`.
    """
    building, damage, biases = 1.0, USUAL_TEMPERATURE, np.zeros(len(DAMAGE_CLASSES))
    if evidence.building.sum(0).min() >= _LEAST_PIXELS:
        centres = logit((np.arange(_BINS) + 0.5) / _BINS)

        def miss(parameters: Floats) -> float:
            probability = np.clip(expit(centres / np.exp(parameters[0])), _TINY, 1 - _TINY)
            told = evidence.building[:, 1] @ np.log(probability) + evidence.building[:, 0] @ np.log1p(-probability)
            return -float(told) / float(evidence.building.sum())

        building = float(np.exp(_least(miss, [_TEMPERATURES])[0]))
    scenes = sum(len(scene) > 0 for scene in evidence.truth)
    if scenes >= MANY_SCENES and sum(map(len, evidence.truth)) >= _LEAST_PIXELS:
        said, truth = np.concatenate(evidence.damage).astype(np.float64), np.concatenate(evidence.truth)
        rows, prior = np.arange(len(truth)), _PRIOR / scenes
        usual = np.array([np.log(USUAL_TEMPERATURE), *[0.0] * (len(DAMAGE_CLASSES) - 1)])

        def miss_damage(parameters: Floats) -> float:
            told = log_softmax(said / np.exp(parameters[0]) + np.append(0.0, parameters[1:]), 1)[rows, truth]
            return -float(told.mean()) + prior * float(((parameters - usual) ** 2).sum())

        found = _least(miss_damage, [_TEMPERATURES, *[_BIASES] * (len(DAMAGE_CLASSES) - 1)])
        damage, biases = float(np.exp(found[0])), np.append(0.0, found[1:])
    one, two, three, four = (round(float(value), 4) for value in biases)
    return {
        "building_temperature": round(building, 4),
        "damage_temperature": round(damage, 4),
        "damage_biases": (one, two, three, four),
    }


def _least(miss: Callable[[Floats], float], bounds: Sequence[tuple[float, float]]) -> Floats:
    found: Floats = minimize(miss, np.zeros(len(bounds)), method="L-BFGS-B", bounds=bounds).x
    return found
